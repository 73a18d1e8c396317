//! The stores that the contract is held against.

use portcullis::feed::embedded::{EmbeddedFeed, EmbeddedLog, EmbeddedStore};

use portcullis::feed::postgres::{PostgresFeed, PostgresLog, PostgresStore};

use super::Backend;
use crate::support::servers::postgres::{Database, PostgresServer};

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

/// A database of its own in a real cluster.
pub(super) struct Postgres {
    store: PostgresStore,
    database: Database,
}

impl Backend for Postgres {
    type Feed = PostgresFeed;
    type Log = PostgresLog;
    const LOG_KEPT: usize = 65_536;

    async fn start() -> Self {
        let database = PostgresServer::database();
        Self { store: database.store().await, database }
    }

    /// The cluster is shared; for this database it goes away (`postgres_feed` stops a real one).
    async fn restart(self) -> Self {
        let Self { store, database } = self;
        database.terminate_backends();
        drop(store);
        Self { store: database.store().await, database }
    }

    fn feed(&self) -> PostgresFeed {
        self.store.feed()
    }

    fn log(&self) -> PostgresLog {
        self.store.log()
    }
}
