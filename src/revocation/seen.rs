//! Which tokens were seen: noted on the request path by two atomics, told in batches elsewhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::UnixTime;

use super::Named;

/// The tokens that were seen since the last batch.
#[derive(Debug)]
pub(super) struct SeenTokens {
    /// Milliseconds between two batches; zero: nothing is noted.
    every: AtomicU64,
    queue: mpsc::Sender<Arc<Named>>,
    /// Until someone takes it.
    told: Mutex<Option<mpsc::Receiver<Arc<Named>>>>,
    missed: AtomicU64,
}

/// When one token was seen, in UNIX seconds; zero is never.
#[derive(Debug, Default)]
pub(super) struct SeenTimes {
    first: AtomicU64,
    last: AtomicU64,
    /// Whether it is in the queue already.
    queued: AtomicBool,
}

/// Tokens between two batches. Further ones are told with the next in which they are seen again.
const QUEUE: usize = 65_536;

// === impl SeenTokens ===

impl SeenTokens {
    pub(super) fn new() -> Self {
        let (queue, told) = mpsc::channel(QUEUE);
        let (every, missed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { every, queue, told: Mutex::new(Some(told)), missed }
    }

    /// From now on a batch is told so often; `None`: nothing is noted.
    pub(super) fn tell_every(&self, every: Option<Duration>) {
        let millis = every.map_or(0, |every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX));
        self.every.store(millis, Ordering::Relaxed);
    }

    /// How often a batch is to be told.
    pub(super) fn every(&self) -> Option<Duration> {
        let millis = self.every.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// The other end of the queue; the first to ask gets it.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<Arc<Named>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes that the token was let through. Neither locks nor waits; a full queue loses nothing but
    /// the time of one batch.
    pub(super) fn note(&self, named: &Arc<Named>, times: &SeenTimes, now: UnixTime) {
        if self.every.load(Ordering::Relaxed) == 0 || times.is_queued_by(now) {
            return;
        }
        if self.queue.try_send(Arc::clone(named)).is_err() {
            times.queued.store(false, Ordering::Release);
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Times at which the queue was full.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

// === impl SeenTimes ===

impl SeenTimes {
    /// Notes the second, and whether the token is in the queue; if it was not, the caller puts it there.
    fn is_queued_by(&self, now: UnixTime) -> bool {
        let now = now.as_secs();
        if self.last.load(Ordering::Relaxed) < now {
            self.last.fetch_max(now, Ordering::AcqRel);
        }
        if self.first.load(Ordering::Relaxed) == 0 {
            // Two at once: either second will do.
            self.first.store(now, Ordering::Release);
        }
        self.queued.load(Ordering::Relaxed) || self.queued.swap(true, Ordering::AcqRel)
    }

    /// Takes it out of the queue: when it was first and last seen.
    pub(super) fn taken(&self) -> (UnixTime, UnixTime) {
        // Before the times are read: whoever comes later queues it again.
        self.queued.store(false, Ordering::SeqCst);
        let read = |time: &AtomicU64| UnixTime::from_secs(time.load(Ordering::SeqCst));
        (read(&self.first), read(&self.last))
    }
}
