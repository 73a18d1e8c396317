//! The stores that the contract is held against.

use portcullis::feed::alone::AloneRoster;
use portcullis::feed::embedded::{EmbeddedFeed, EmbeddedLog, EmbeddedStore};
use portcullis::feed::nats::{NatsFeed, NatsLog, NatsRoster, NatsStore};

use super::Backend;
use crate::support::servers::nats::NatsServer;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "postgres")]
pub(super) use postgres::Postgres;
#[cfg(feature = "redis")]
pub(super) use redis::Redis;

/// A file in a folder that goes away with it.
pub(super) struct Embedded {
    store: Option<EmbeddedStore>,
    roster: AloneRoster,
    folder: tempfile::TempDir,
}

impl Embedded {
    fn open(folder: tempfile::TempDir) -> Self {
        let store = EmbeddedStore::open(folder.path().join("r.redb")).expect("a store");
        Self { store: Some(store), roster: AloneRoster::new(), folder }
    }

    fn store(&self) -> &EmbeddedStore {
        self.store.as_ref().expect("open until the end")
    }
}

impl Backend for Embedded {
    type Feed = EmbeddedFeed;
    type Log = EmbeddedLog;
    type Roster = AloneRoster;
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

    fn roster(&self) -> AloneRoster {
        self.roster.clone()
    }
}

/// A server of its own.
pub(super) struct Nats {
    store: NatsStore,
    server: NatsServer,
}

impl Nats {
    async fn open(server: NatsServer) -> Self {
        let store = NatsStore::open(&server.config()).await.expect("a store");
        Self { store, server }
    }
}

impl Backend for Nats {
    type Feed = NatsFeed;
    type Log = NatsLog;
    type Roster = NatsRoster;
    /// The stream keeps the last record of every name for ever: nobody falls behind.
    const LOG_KEPT: usize = usize::MAX;

    async fn start() -> Self {
        Self::open(NatsServer::start()).await
    }

    /// Kills the server: what was acknowledged is in its files.
    async fn restart(self) -> Self {
        let Self { store, mut server } = self;
        drop(store);
        server.kill();
        server.start_again();
        Self::open(server).await
    }

    fn feed(&self) -> NatsFeed {
        self.store.feed()
    }

    fn log(&self) -> NatsLog {
        self.store.log()
    }

    fn roster(&self) -> NatsRoster {
        self.store.roster()
    }
}
