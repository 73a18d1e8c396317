//! Writes what was told into the copy, behind the follower: a thread of its own, a group at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::file::CopyFile;
use crate::revocation::{FeedError, FeedEvent};

/// The thread, which ends with this.
#[derive(Debug)]
pub(super) struct Writer {
    written: Arc<Written>,
    thread: Option<JoinHandle<()>>,
    #[cfg(test)]
    at_once: Option<Arc<CopyFile>>,
}

/// The way to the thread, and whether it still does its work.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Nobody listens before the thread runs, and after.
    jobs: Mutex<Option<SyncSender<Job>>>,
    broken: AtomicBool,
}

#[derive(Debug)]
enum Job {
    Event(FeedEvent),
    Settle(oneshot::Sender<()>),
}

/// Events that may wait.
const WAITING: usize = 64 * 1024;
const GROUP: usize = 8192;
/// How long the first event of a group waits for more: a group is one sync of the disk.
const GATHER: Duration = Duration::from_millis(200);

// === impl Writer ===

impl Writer {
    pub(super) fn start(file: Arc<CopyFile>, written: Arc<Written>) -> Result<Self, FeedError> {
        let (jobs, queue) = sync_channel(WAITING);
        *written.jobs() = Some(jobs);
        let shared = Arc::clone(&written);
        let thread = thread::Builder::new()
            .name("local-copy".to_owned())
            .spawn(move || while gather(&queue, &file, &shared) {})
            .map_err(|error| FeedError::Refused(error.to_string()))?;
        Ok(Self {
            written,
            thread: Some(thread),
            #[cfg(test)]
            at_once: None,
        })
    }

    /// Writes without a thread, and waits for it.
    #[cfg(test)]
    pub(super) fn at_once(file: Arc<CopyFile>, written: Arc<Written>) -> Self {
        Self { written, thread: None, at_once: Some(file) }
    }

    /// Never waits: a disk that can't keep up ends the copy, not the feed.
    pub(super) fn tell(&self, event: FeedEvent) {
        #[cfg(test)]
        if let Some(file) = &self.at_once {
            return file.apply(&[event]).expect("written");
        }
        if !self.written.is_broken() && !self.written.try_send(Job::Event(event)) {
            self.written.give_up(&"the disk is too slow");
        }
    }
}

/// Waits until the file is written, so that it can be opened again.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.written.jobs().take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to write.
            drop(thread.join());
        }
    }
}

// === impl Written ===

impl Written {
    /// Waits until everything told so far is in the file, or can't be.
    pub(super) async fn settled(&self) {
        let (tell, told) = oneshot::channel();
        if self.try_send(Job::Settle(tell)) {
            // A thread that is gone has nothing left to write.
            drop(told.await);
        } else if self.jobs().is_some() {
            self.give_up(&"the disk is too slow");
        }
    }

    /// Whether the copy is no longer written. What it holds stays true of its cursor.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn give_up(&self, reason: &dyn std::fmt::Display) {
        if !self.broken.swap(true, Ordering::AcqRel) {
            tracing::error!(%reason, "the local copy of the revocations is no longer written, until a restart");
        }
    }

    fn try_send(&self, job: Job) -> bool {
        self.jobs().as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok())
    }

    fn jobs(&self) -> MutexGuard<'_, Option<SyncSender<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One group; false when nobody is there any more.
fn gather(queue: &Receiver<Job>, file: &CopyFile, written: &Written) -> bool {
    let Ok(first) = queue.recv() else { return false };
    let (mut events, mut settled) = (Vec::new(), Vec::new());
    let (until, mut next) = (Instant::now() + GATHER, Ok(first));
    loop {
        match next {
            Ok(Job::Event(event)) => events.push(event),
            Ok(Job::Settle(tell)) => settled.push(tell),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
        if events.len() >= GROUP || !settled.is_empty() {
            break;
        }
        next = queue.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
    if !events.is_empty()
        && !written.is_broken()
        && let Err(error) = file.apply(&events)
    {
        written.give_up(&error);
    }
    for tell in settled {
        // Nobody waits any more: that is fine too.
        let _ = tell.send(());
    }
    true
}
