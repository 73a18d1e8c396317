//! The stores that the contract is held against.

use portcullis::feed::embedded::{EmbeddedFeed, EmbeddedLog, EmbeddedStore};

use super::Backend;

#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "redis")]
pub(super) use redis::Redis;

/// A file in a folder that goes away with it.
pub(super) struct Embedded {
    store: Option<EmbeddedStore>,
    folder: tempfile::TempDir,
}

impl Embedded {
    fn open(folder: tempfile::TempDir) -> Self {
        let store = EmbeddedStore::open(folder.path().join("r.redb")).expect("a store");
        Self { store: Some(store), folder }
    }

    fn store(&self) -> &EmbeddedStore {
        self.store.as_ref().expect("open until the end")
    }
}

impl Backend for Embedded {
    type Feed = EmbeddedFeed;
    type Log = EmbeddedLog;
    const LOG_KEPT: usize = 65_536;

    async fn start() -> Self {
        Self::open(tempfile::tempdir().expect("a folder"))
    }

    async fn restart(mut self) -> Self {
        drop(self.store.take());
        Self::open(self.folder)
    }

    fn feed(&self) -> EmbeddedFeed {
        self.store().feed()
    }

    fn log(&self) -> EmbeddedLog {
        self.store().log()
    }
}
