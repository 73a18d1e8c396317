//! A real Redis server that syncs every write.

use portcullis::feed::redis::{RedisFeed, RedisLog, RedisRoster, RedisStore};

use super::Backend;
use crate::support::servers::redis::{Keeps, RedisServer};

/// The server, and a store on it.
pub(crate) struct Redis {
    server: RedisServer,
    store: RedisStore,
}

impl Backend for Redis {
    type Feed = RedisFeed;
    type Log = RedisLog;
    type Roster = RedisRoster;
    const LOG_KEPT: usize = 65_536;

    async fn start() -> Self {
        let server = RedisServer::start(Keeps::All);
        let store = server.store().await;
        Self { server, store }
    }

    async fn restart(mut self) -> Self {
        self.server.restart();
        // As after a gateway's own start: nothing is connected yet.
        let store = self.server.store().await;
        Self { store, ..self }
    }

    fn feed(&self) -> RedisFeed {
        self.store.feed()
    }

    fn log(&self) -> RedisLog {
        self.store.log()
    }

    fn roster(&self) -> RedisRoster {
        self.store.roster()
    }
}
