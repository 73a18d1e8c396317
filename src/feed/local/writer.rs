//! Writes what was told into the copy, behind the follower: a thread of its own, a group at a time.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::backlog::Backlog;
use super::file::CopyFile;
use super::join::Joining;
use crate::revocation::{FeedError, FeedEvent};

/// The thread, which ends with this.
#[derive(Debug)]
pub(super) struct Writer {
    written: Arc<Written>,
    thread: Option<JoinHandle<()>>,
}

/// The way to the thread, and whether it still does its work.
#[derive(Debug, Default)]
pub(super) struct Written {
    way: Mutex<Way>,
    broken: AtomicBool,
    behind: AtomicBool,
}

/// Who writes.
#[derive(Debug, Default)]
enum Way {
    /// Nobody before the thread runs, and after.
    #[default]
    Gone,
    Thread(SyncSender<Job>),
    /// Whoever tells, and waits for it.
    #[cfg(test)]
    AtOnce(Arc<CopyFile>),
}

/// The thread's state.
pub(super) struct Work {
    queue: Receiver<Job>,
    /// The copy's file, and where it is.
    file: Arc<CopyFile>,
    path: PathBuf,
    written: Arc<Written>,
    /// What was told while a checkpoint was written.
    held: Option<Backlog>,
    settled: Vec<oneshot::Sender<()>>,
}

enum Job {
    Event(FeedEvent),
    Settle(oneshot::Sender<()>),
    Join(Box<Joining>),
}

/// Events that may wait.
const WAITING: usize = 64 * 1024;
const GROUP: usize = 8192;
/// How long the first event of a group waits for more: a group is one sync of the disk.
const GATHER: Duration = Duration::from_millis(200);

// === impl Writer ===

impl Writer {
    pub(super) fn start(
        file: Arc<CopyFile>,
        path: PathBuf,
        written: Arc<Written>,
    ) -> Result<Self, FeedError> {
        let mut work = Work::begin(file, path, Arc::clone(&written));
        let thread = thread::Builder::new()
            .name("local-copy".to_owned())
            .spawn(move || while work.gather() {})
            .map_err(|error| FeedError::Refused(error.to_string()))?;
        Ok(Self { written, thread: Some(thread) })
    }

    /// Writes without a thread, and waits for it.
    #[cfg(test)]
    pub(super) fn at_once(file: Arc<CopyFile>, written: Arc<Written>) -> Self {
        *written.way() = Way::AtOnce(file);
        Self { written, thread: None }
    }

    /// Writes when the work is done.
    #[cfg(test)]
    pub(super) fn by_hand(
        file: Arc<CopyFile>,
        path: PathBuf,
        written: Arc<Written>,
    ) -> (Self, Work) {
        let work = Work::begin(file, path, Arc::clone(&written));
        (Self { written, thread: None }, work)
    }

    /// Never waits: a disk that can't keep up ends the copy, not the feed.
    pub(super) fn tell(&self, event: FeedEvent) {
        if !self.written.is_broken() && !self.written.try_send(Job::Event(event)) {
            self.written.give_up(&"the disk is too slow");
        }
    }
}

/// Waits until the file is written, so that it can be opened again. A checkpoint that is being written
/// is left: the copy is then what it was before.
impl Drop for Writer {
    fn drop(&mut self) {
        *self.written.way() = Way::Gone;
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
        } else if !matches!(*self.way(), Way::Gone) {
            self.give_up(&"the disk is too slow");
        }
    }

    /// Has a checkpoint written. What is told from now on comes after it.
    pub(super) fn join(&self, joining: Joining) {
        self.behind.store(true, Ordering::Release);
        if !self.try_send(Job::Join(Box::new(joining))) {
            // Nobody is there any more: for whoever waits for it, the checkpoint breaks off.
            self.behind.store(false, Ordering::Release);
        }
    }

    /// Whether a checkpoint that was told is not yet in the file.
    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
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

    /// Writes the checkpoint, if `hold` is true after each part of it; whether it was.
    fn write(&self, file: &CopyFile, mut joining: Joining, mut hold: impl FnMut() -> bool) -> bool {
        let outcome = loop {
            match joining.step(file) {
                Ok(true) if hold() => {}
                Ok(true) => return false,
                Ok(false) => break Ok(()),
                Err(error) => {
                    self.give_up(&error);
                    break Err(error);
                }
            }
        };
        joining.end(outcome);
        true
    }

    #[cfg(not(test))]
    fn try_send(&self, job: Job) -> bool {
        matches!(&*self.way(), Way::Thread(jobs) if jobs.try_send(job).is_ok())
    }

    #[cfg(test)]
    fn try_send(&self, job: Job) -> bool {
        let file = match &*self.way() {
            Way::Gone => return false,
            Way::Thread(jobs) => return jobs.try_send(job).is_ok(),
            Way::AtOnce(file) => Arc::clone(file),
        };
        match job {
            Job::Event(event) => file.apply(&[event]).expect("written"),
            Job::Settle(tell) => drop(tell.send(())),
            Job::Join(joining) => {
                self.write(&file, *joining, || true);
                self.behind.store(false, Ordering::Release);
            }
        }
        true
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Work ===

impl Work {
    /// From now on what is told comes here.
    fn begin(file: Arc<CopyFile>, path: PathBuf, written: Arc<Written>) -> Self {
        let (jobs, queue) = sync_channel(WAITING);
        *written.way() = Way::Thread(jobs);
        Self { queue, file, path, written, held: None, settled: Vec::new() }
    }

    /// One group; false when nobody is there any more.
    pub(super) fn gather(&mut self) -> bool {
        let Ok(first) = self.queue.recv() else { return false };
        let (mut events, mut joining) = (Vec::new(), None);
        let (until, mut next) = (Instant::now() + GATHER, Ok(first));
        loop {
            match next {
                Ok(Job::Event(event)) => events.push(event),
                Ok(Job::Settle(tell)) => self.settled.push(tell),
                Ok(Job::Join(told)) => joining = Some(told),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            if events.len() >= GROUP || !self.settled.is_empty() || joining.is_some() {
                break;
            }
            next = self.queue.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
        self.apply(&events);
        let goes_on = joining.is_none_or(|joining| self.join(*joining));
        for tell in self.settled.drain(..) {
            // Nobody waits any more: that is fine too.
            let _ = tell.send(());
        }
        goes_on
    }

    fn apply(&self, events: &[FeedEvent]) {
        if !events.is_empty()
            && !self.written.is_broken()
            && let Err(error) = self.file.apply(events)
        {
            self.written.give_up(&error);
        }
    }

    /// A checkpoint, then what was told meanwhile; false when nobody is there any more.
    fn join(&mut self, joining: Joining) -> bool {
        let (file, written) = (Arc::clone(&self.file), Arc::clone(&self.written));
        let goes_on = written.write(&file, joining, || self.hold());
        while goes_on && let Some(held) = self.held.take() {
            if let Err(error) = self.catch_up(held) {
                written.give_up(&error);
            }
        }
        written.behind.store(false, Ordering::Release);
        goes_on
    }

    fn catch_up(&mut self, held: Backlog) -> io::Result<()> {
        let mut told = held.read()?;
        loop {
            let events = told.next(GROUP)?;
            if events.is_empty() {
                return Ok(());
            }
            self.apply(&events);
            // Who is gone has left behind what is still to be written.
            self.hold();
        }
    }

    /// Puts aside what is told now; false when nobody is there any more.
    fn hold(&mut self) -> bool {
        loop {
            match self.queue.try_recv() {
                Ok(Job::Event(event)) => {
                    if let Err(error) = self.put_aside(&event) {
                        self.written.give_up(&error);
                    }
                }
                Ok(Job::Settle(tell)) => self.settled.push(tell),
                // Never: whoever loads again has waited until this one is written.
                Ok(Job::Join(_)) => {}
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn put_aside(&mut self, event: &FeedEvent) -> io::Result<()> {
        if self.written.is_broken() {
            return Ok(());
        }
        let held = match &mut self.held {
            Some(held) => held,
            none => none.insert(Backlog::beside(&self.path)?),
        };
        held.push(event)
    }
}
