//! The contract's store in PostgreSQL.

use portcullis::feed::postgres::{PostgresFeed, PostgresLog, PostgresRoster, PostgresStore};

use super::Backend;
use crate::support::servers::postgres::{Database, PostgresServer};

/// A database of its own in a real cluster.
pub(crate) struct Postgres {
    store: PostgresStore,
    database: Database,
}

impl Backend for Postgres {
    type Feed = PostgresFeed;
    type Log = PostgresLog;
    type Roster = PostgresRoster;
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

    fn roster(&self) -> PostgresRoster {
        self.store.roster()
    }
}
