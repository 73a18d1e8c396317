//! The one writer: its own thread, since a commit waits for the disk; one transaction for all that waits.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redb::{Database, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::clock::UnixTime;
use crate::revocation::{Cursor, FeedError, Revocation};

use super::disk::DiskHealth;
use super::open;
use super::shared::Shared;

mod fold;
mod folding;
mod transaction;

use folding::Folder;

/// The way to the writer; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    jobs: Sender<Message>,
    /// Callers wait for room, so that a slow disk does not fill the memory.
    room: Arc<Semaphore>,
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    disk: Arc<DiskHealth>,
    shared: Arc<Shared>,
    /// The sequence of the last committed record, for the readers.
    publish: watch::Sender<u64>,
}

/// What is asked of the writer.
#[derive(Debug)]
enum Job {
    /// Make these records durable, all or none.
    Append(Packed, Answer<Cursor>),
    /// Remove the entries that have expired before the time, and the log's old end.
    Compact(UnixTime, Answer<usize>),
}

/// Records, and how they are written (`block`), in rows of the log.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) rows: Vec<Vec<u8>>,
    pub(super) records: Vec<Revocation>,
}

#[derive(Debug)]
enum Message {
    Job(Job, OwnedSemaphorePermit),
    Close,
}

/// How the writer stands when it folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Others wait for the next commit.
    Between,
    /// Nobody waits while a round is under way.
    Alone,
    /// Nobody has waited for a while.
    Idle,
    /// Nobody comes any more.
    Closing,
}

type Answer<T> = oneshot::Sender<Result<T, FeedError>>;

const WAITING: usize = 1024;
/// Records in one transaction, more or less; bounds how long the first of them waits.
const GROUP: u64 = 8192;
/// With nothing to do for so long, the second commit slot is brought up to date.
const SETTLE_AFTER: Duration = Duration::from_millis(200);
const REOPEN_EVERY: Duration = Duration::from_secs(1);

// === impl Queue ===

impl Queue {
    pub(super) async fn append(&self, records: Packed) -> Result<Cursor, FeedError> {
        self.ask(|answer| Job::Append(records, answer)).await
    }

    pub(super) async fn compact(&self, now: UnixTime) -> Result<usize, FeedError> {
        self.ask(|answer| Job::Compact(now, answer)).await
    }

    /// Ends the writer after what was asked before.
    pub(super) fn close(&self) {
        // Gone already is closed too.
        drop(self.jobs.send(Message::Close));
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, FeedError> {
        let closed = || FeedError::Refused("the store is closed".to_owned());
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_gone| closed())?;
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Message::Job(job(answer), room)).map_err(|_gone| closed())?;
        // The writer answers every job; one that died could not, and nothing is known of the record.
        answered.await.map_err(|_gone| closed())?
    }
}

// === impl Job ===

impl Job {
    fn len(&self) -> u64 {
        match self {
            Self::Append(packed, _) => packed.records.len() as u64,
            Self::Compact(..) => 1,
        }
    }
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        disk: Arc<DiskHealth>,
        shared: Arc<Shared>,
        publish: watch::Sender<u64>,
    ) -> Self {
        Self { path, disk, shared, publish }
    }

    pub(super) fn start(self) -> Result<(Queue, JoinHandle<()>), FeedError> {
        let (jobs, queue) = mpsc::channel();
        let shared = Arc::clone(&self.shared);
        let work = move || {
            if catch_unwind(AssertUnwindSafe(|| self.run(&queue))).is_err() {
                shared.fence("its writer failed".to_owned());
            }
            shared.close();
        };
        let thread = thread::Builder::new().name("revocation-log".to_owned()).spawn(work);
        let thread = thread.map_err(|error| FeedError::Refused(error.to_string()))?;
        Ok((Queue { jobs, room: Arc::new(Semaphore::new(WAITING)) }, thread))
    }

    /// Until it is told to close, or everyone is gone.
    fn run(&self, queue: &Receiver<Message>) {
        let (mut settled, mut closing) = (true, false);
        let mut folder = Folder::default();
        while !closing {
            let first = match self.next(queue, settled, folder.is_busy()) {
                Ok(Message::Job(job, _room)) => Some(job),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => None,
            };
            settled = match first {
                Some(first) => {
                    closing = self.work(first, queue, &mut folder);
                    false
                }
                None if folder.is_busy() => {
                    self.fold(&mut folder, Pace::Alone);
                    false
                }
                None => {
                    self.idle(settled);
                    !self.fold(&mut folder, Pace::Idle)
                }
            };
        }
        settled &= !self.fold(&mut folder, Pace::Closing);
        self.idle(settled);
    }

    /// What waits: at once while there is folding to do.
    fn next(
        &self,
        queue: &Receiver<Message>,
        settled: bool,
        busy: bool,
    ) -> Result<Message, RecvTimeoutError> {
        let open = self.shared.database().is_ok() || self.shared.check().is_err();
        match (open, settled) {
            (true, _) if busy => queue.recv_timeout(Duration::ZERO),
            (true, true) => queue.recv().map_err(|_gone| RecvTimeoutError::Disconnected),
            (true, false) => queue.recv_timeout(SETTLE_AFTER),
            (false, _) => queue.recv_timeout(REOPEN_EVERY),
        }
    }

    /// Commits everything that waits already; whether the store is to be closed then.
    fn work(&self, first: Job, queue: &Receiver<Message>, folder: &mut Folder) -> bool {
        let (group, closing) = gather(first, queue);
        let mut appends = Vec::with_capacity(group.len());
        for job in group {
            match job {
                Job::Append(packed, answer) => appends.push((packed, answer)),
                Job::Compact(now, answer) => folder.compact(now, answer),
            }
        }
        if !appends.is_empty()
            && let Err(error) = self.commit(appends)
        {
            // What a round has done since the last synced commit may be undone.
            folder.fail(&error);
        }
        self.fold(folder, Pace::Between);
        closing
    }

    /// Nothing waits: brings the second commit slot up to date, or a closed file back.
    fn idle(&self, settled: bool) {
        let Ok(database) = self.open() else { return };
        if !settled && let Err(error) = transaction::settle(&database) {
            drop(self.failed(database, &error));
        }
    }

    /// Goes on with folding, or begins where there is reason to; whether anything was written.
    fn fold(&self, folder: &mut Folder, pace: Pace) -> bool {
        let database = match self.open() {
            Ok(database) => database,
            Err(error) => {
                folder.fail(&error);
                return false;
            }
        };
        match folder.work(&database, *self.publish.borrow(), pace) {
            Ok(written) => written,
            Err(error) => {
                let error = self.failed(database, &error);
                folder.fail(&error);
                false
            }
        }
    }

    fn commit(&self, group: Vec<(Packed, Answer<Cursor>)>) -> Result<(), FeedError> {
        let database = match self.open() {
            Ok(database) => database,
            Err(error) => {
                refuse(group, &error);
                return Err(error);
            }
        };
        let sequence = *self.publish.borrow();
        let rows = group.iter().flat_map(|(packed, _)| &packed.rows);
        let packed: Vec<&[u8]> = rows.map(Vec::as_slice).collect();
        match transaction::commit(&database, sequence, &packed) {
            Ok(head) => {
                let answers = self.hand_over(group, sequence);
                // Readers first: whoever gets the answer can rely on its being on its way to them.
                self.publish.send_replace(head);
                for (upto, answer) in answers {
                    // Who asked may be gone; the records stay.
                    drop(answer.send(Ok(Cursor::of_number(upto))));
                }
                Ok(())
            }
            Err(error) => {
                let error = self.failed(database, &error);
                refuse(group, &error);
                Err(error)
            }
        }
    }

    /// Gives the committed records to whoever reads; the answers, and the sequence that each may hear.
    fn hand_over(
        &self,
        group: Vec<(Packed, Answer<Cursor>)>,
        mut sequence: u64,
    ) -> Vec<(u64, Answer<Cursor>)> {
        // The store itself has one of the receivers.
        let read = self.publish.receiver_count() > 1;
        if !read {
            self.shared.tail.clear();
        }
        let mut answers = Vec::with_capacity(group.len());
        for (Packed { rows, records }, answer) in group {
            let before = sequence;
            sequence += records.len() as u64;
            answers.push((sequence, answer));
            if read {
                self.shared.tail.push(before, records, rows.iter().map(Vec::len).sum());
            }
        }
        answers
    }

    /// The file; opened again when a full disk had closed it.
    fn open(&self) -> Result<Arc<Database>, FeedError> {
        let error = match self.shared.database() {
            Ok(database) => return Ok(database),
            Err(error @ FeedError::Unreachable(_)) => error,
            Err(error) => return Err(error),
        };
        let opened = match open::reopen(&self.path, &self.disk) {
            Ok(opened) if opened.epoch == self.shared.epoch() => opened,
            Ok(_) => {
                self.shared.fence("its file was exchanged".to_owned());
                return Err(error);
            }
            Err(error) => {
                self.fence_after_failed_sync(&error);
                return Err(error);
            }
        };
        self.shared.replace(Some(opened.database));
        // A commit that failed half-way may be durable after all; then it holds for everyone.
        self.publish.send_if_modified(|head| std::mem::replace(head, opened.head) != opened.head);
        self.shared.database()
    }

    /// After a failed commit: a full disk is tried again, all else is the end.
    fn failed(&self, database: Arc<Database>, error: &Error) -> FeedError {
        drop(database);
        if is_full(error) && !self.disk.sync_failed() {
            // redb latches I/O errors: only a file opened again, and checked, can be written.
            self.shared.replace(None);
            return FeedError::Refused("the disk is full".to_owned());
        }
        self.shared.fence(error.to_string());
        FeedError::Refused(error.to_string())
    }

    fn fence_after_failed_sync(&self, error: &FeedError) {
        if self.disk.sync_failed() {
            self.shared.fence(error.to_string());
        }
    }
}

/// Everything that waits already, up to a bound; and whether the store is to be closed then.
fn gather(first: Job, queue: &Receiver<Message>) -> (Vec<Job>, bool) {
    let mut records = first.len();
    let mut group = vec![first];
    while records < GROUP {
        match queue.try_recv() {
            Ok(Message::Job(job, _room)) => {
                records += job.len();
                group.push(job);
            }
            Ok(Message::Close) => return (group, true),
            Err(_) => break,
        }
    }
    (group, false)
}

fn refuse(group: Vec<(Packed, Answer<Cursor>)>, error: &FeedError) {
    for (_, answer) in group {
        drop(answer.send(Err(refusal(error))));
    }
}

fn refusal(error: &FeedError) -> FeedError {
    FeedError::Refused(match error {
        FeedError::Refused(reason) => reason.clone(),
        other => other.to_string(),
    })
}

fn is_full(error: &Error) -> bool {
    let full = |error: &io::Error| {
        matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
        )
    };
    matches!(error, Error::Io(error) if full(error))
}

#[cfg(test)]
mod tests;
