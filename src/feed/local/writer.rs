//! Writes what was told into the copy, behind the follower: a thread of its own, a group at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::file::CopyFile;
use crate::revocation::{FeedError, FeedEvent};

/// The way to the thread, which ends with it.
#[derive(Debug)]
pub(super) struct Writer {
    /// Taken at the end.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    broken: Arc<AtomicBool>,
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
    pub(super) fn start(file: Arc<CopyFile>) -> Result<Self, FeedError> {
        let (jobs, queue) = sync_channel(WAITING);
        let broken = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&broken);
        let thread = thread::Builder::new()
            .name("local-copy".to_owned())
            .spawn(move || while gather(&queue, &file, &flag) {})
            .map_err(|error| FeedError::Refused(error.to_string()))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), broken })
    }

    /// Never waits: a disk that can't keep up ends the copy, not the feed.
    pub(super) fn tell(&self, event: FeedEvent) {
        if self.is_broken() {
            return;
        }
        if !self.try_send(Job::Event(event)) {
            give_up(&self.broken, &"the disk is too slow");
        }
    }

    /// Waits until everything told so far is in the file, or can't be.
    pub(super) async fn settled(&self) {
        let (tell, told) = oneshot::channel();
        if self.try_send(Job::Settle(tell)) {
            // A thread that is gone has nothing left to write.
            drop(told.await);
        } else {
            give_up(&self.broken, &"the disk is too slow");
        }
    }

    fn try_send(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok())
    }

    /// Whether the copy is no longer written. What it holds stays true of its cursor.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn breaker(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.broken)
    }
}

/// Waits until the file is written, so that it can be opened again.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to write.
            drop(thread.join());
        }
    }
}

pub(super) fn give_up(broken: &AtomicBool, reason: &dyn std::fmt::Display) {
    if !broken.swap(true, Ordering::AcqRel) {
        tracing::error!(%reason, "the local copy of the revocations is no longer written, until a restart");
    }
}

/// One group; false when nobody is there any more.
fn gather(queue: &Receiver<Job>, file: &CopyFile, broken: &AtomicBool) -> bool {
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
        && !broken.load(Ordering::Acquire)
        && let Err(error) = file.apply(&events)
    {
        give_up(broken, &error);
    }
    for tell in settled {
        // Nobody waits any more: that is fine too.
        let _ = tell.send(());
    }
    true
}
