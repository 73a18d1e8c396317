//! The embedded store: one fsynced file on this machine (redb), one writer thread, any number of readers.
//!
//! * A record is acknowledged after the commit that holds it was synced, and published after that.
//! * What is committed is a batch of the log, in rows of a page each. Later the batches are folded into the
//!   leaves, which hold the live entries in the order of their names, a part at a time; readers join the two.
//! * Commits are grouped: whatever waits while one is being synced goes into the next.
//! * Commits have two phases, so that a damaged one is an error and not a silent step back.
//! * The reader who keeps up gets the committed records themselves (`tail`); the log is read by who begins, or
//!   falls behind.
//! * When nothing waits, one more commit makes both of the file's commit slots hold everything, so
//!   that a damaged slot falls back to a state that lacks nothing acknowledged.
//! * A failed sync fences the store for good: what the disk holds is unknown from then on. A full
//!   disk refuses, and is tried again with the next record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::revocation::{Epoch, FeedError};

mod block;
pub(in crate::feed) mod codec;
mod disk;
mod entry;
mod feed;
mod log;
mod migrate;
mod open;
mod pending;
mod schema;
mod shared;
mod tail;
mod view;
mod writer;

pub use feed::EmbeddedFeed;
pub use log::EmbeddedLog;

use disk::DiskHealth;
use shared::Shared;
use writer::{Queue, Writer};

/// An open store. Dropping it ends the writer and closes the file.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    queue: Queue,
    head: watch::Receiver<u64>,
    writer: Option<JoinHandle<()>>,
}

// === impl EmbeddedStore ===

impl EmbeddedStore {
    /// Opens the file, or makes it when there is none. Reads all of it once, to be sure of it.
    ///
    /// A file that is there and is not a sound store is [`FeedError::Corrupt`]: never an empty start.
    /// One that is locked or can't be written is [`FeedError::Refused`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FeedError> {
        Self::open_with(path.as_ref().to_owned(), Arc::default())
    }

    fn open_with(path: PathBuf, disk: Arc<DiskHealth>) -> Result<Self, FeedError> {
        let opened = open::open_or_create(&path, &disk)?;
        let (publish, head) = watch::channel(opened.head);
        let shared = Arc::new(Shared::new(opened.database, opened.epoch));
        let writer = Writer::new(path, disk, Arc::clone(&shared), publish);
        let (queue, writer) = writer.start()?;
        Ok(Self { shared, queue, head, writer: Some(writer) })
    }

    /// A new reader, from the start.
    pub fn feed(&self) -> EmbeddedFeed {
        EmbeddedFeed::new(Arc::clone(&self.shared), self.head.clone())
    }

    /// The writing side.
    pub fn log(&self) -> EmbeddedLog {
        EmbeddedLog::new(Arc::clone(&self.shared), self.queue.clone())
    }

    /// The identity of the store's memory.
    pub fn epoch(&self) -> Epoch {
        self.shared.epoch()
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has fenced the store already.
            drop(writer.join());
        }
    }
}

#[cfg(test)]
mod tests;
