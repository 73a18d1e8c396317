//! What the writer and the readers of one store have in common.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use redb::{Database, Error};

use crate::revocation::{Epoch, FeedError};

use super::tail::Tail;

/// The open file, and whether it may still be believed.
#[derive(Debug)]
pub(super) struct Shared {
    epoch: Epoch,
    /// `None` while the file is closed after a full disk, and at the end.
    database: Mutex<Option<Arc<Database>>>,
    /// Why the store is fenced; never taken back.
    fence: OnceLock<String>,
    /// What was committed last.
    pub(super) tail: Tail,
}

const READERS_END_WITHIN: Duration = Duration::from_secs(2);

// === impl Shared ===

impl Shared {
    pub(super) fn new(database: Database, epoch: Epoch) -> Self {
        let database = Mutex::new(Some(Arc::new(database)));
        Self { epoch, database, fence: OnceLock::new(), tail: Tail::default() }
    }

    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The file, for the length of one transaction.
    pub(super) fn database(&self) -> Result<Arc<Database>, FeedError> {
        self.check()?;
        let held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().ok_or_else(|| FeedError::Unreachable("the store's file is closed".into()))
    }

    /// Takes the file away, or gives another; the old one closes when its last reader is done.
    pub(super) fn replace(&self, database: Option<Database>) {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *held, database.map(Arc::new));
        // Closing writes: not under the lock.
        drop(held);
        drop(old);
    }

    /// Takes the file away for good and closes it here, so that it can be opened again at once. A
    /// reader that takes longer than [`READERS_END_WITHIN`] closes it when it is done.
    pub(super) fn close(&self) {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut database) = held.take() else { return };
        drop(held);
        let started = Instant::now();
        while let Err(in_use) = Arc::try_unwrap(database) {
            if started.elapsed() > READERS_END_WITHIN {
                return;
            }
            database = in_use;
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// From now on nothing is accepted and nothing is confirmed.
    pub(super) fn fence(&self, reason: String) {
        tracing::error!(%reason, "the revocation store is fenced until a restart");
        // The first reason is the one that counts.
        drop(self.fence.set(reason));
    }

    /// Whether the store may be believed.
    pub(super) fn check(&self) -> Result<(), FeedError> {
        match self.fence.get() {
            Some(reason) => Err(FeedError::Refused(format!("fenced: {reason}"))),
            None => Ok(()),
        }
    }

    /// Runs a read off the async threads: it may wait for the disk.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Database) -> Result<T, FeedError> + Send + 'static,
    ) -> Result<T, FeedError> {
        let database = self.database()?;
        let task = tokio::task::spawn_blocking(move || read(&database));
        // A panic in there came from a file that changed under us.
        task.await.unwrap_or_else(|_| Err(FeedError::Corrupt("a read failed".to_owned())))
    }
}

/// A failed read.
pub(super) fn unreadable(error: impl Into<Error>) -> FeedError {
    match error.into() {
        Error::Corrupted(what) => FeedError::Corrupt(what),
        error => FeedError::Unreachable(Box::new(error)),
    }
}
