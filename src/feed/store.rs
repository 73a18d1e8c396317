//! The configured store, whichever it is: one type for those who join the rooms.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::clock::UnixTime;
use crate::revocation::{
    Audience, Checkpoint, Cursor, Ear, Epoch, FeedConfig, FeedError, FeedEvent, Filter, LiveNode,
    Name, NodeRoster, Page, Presence, Revocation, RevocationFeed, RevocationLog,
};

use super::alone::AloneRoster;
use super::embedded::{EmbeddedFeed, EmbeddedLog, EmbeddedStore};
#[cfg(feature = "nats")]
use super::nats::{NatsFeed, NatsLog, NatsRoster, NatsStore};
#[cfg(feature = "postgres")]
use super::postgres::{PostgresFeed, PostgresLog, PostgresRoster, PostgresStore};
#[cfg(feature = "redis")]
use super::redis::{RedisFeed, RedisLog, RedisRoster, RedisStore};

/// An open store. A store on a network is opened without waiting for it: who reads or writes connects.
#[derive(Debug)]
pub enum Store {
    /// One file on this machine.
    Embedded(EmbeddedStore),
    /// A Redis Stream.
    #[cfg(feature = "redis")]
    Redis(RedisStore),
    /// A PostgreSQL table.
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
    /// A JetStream stream.
    #[cfg(feature = "nats")]
    Nats(NatsStore),
}

/// A store's reading side.
#[derive(Debug)]
pub enum Feed {
    /// Of the file.
    Embedded(EmbeddedFeed),
    /// Of Redis.
    #[cfg(feature = "redis")]
    Redis(RedisFeed),
    /// Of PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(PostgresFeed),
    /// Of the JetStream stream.
    #[cfg(feature = "nats")]
    Nats(NatsFeed),
}

/// A store's writing side; cheap to clone.
#[derive(Clone, Debug)]
pub enum Log {
    /// Of the file.
    Embedded(EmbeddedLog),
    /// Of Redis.
    #[cfg(feature = "redis")]
    Redis(RedisLog),
    /// Of PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(PostgresLog),
    /// Of the JetStream stream.
    #[cfg(feature = "nats")]
    Nats(NatsLog),
}

/// Who follows a store; cheap to clone.
#[derive(Clone, Debug)]
pub enum Roster {
    /// Of the file: this process alone.
    Embedded(AloneRoster),
    /// Of Redis.
    #[cfg(feature = "redis")]
    Redis(RedisRoster),
    /// Of PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(PostgresRoster),
    /// Of the JetStream stream.
    #[cfg(feature = "nats")]
    Nats(NatsRoster),
}

/// The same call on whichever it is.
macro_rules! each {
    ($of:expr, $it:ident => $call:expr) => {
        match $of {
            Self::Embedded($it) => $call,
            #[cfg(feature = "redis")]
            Self::Redis($it) => $call,
            #[cfg(feature = "postgres")]
            Self::Postgres($it) => $call,
            #[cfg(feature = "nats")]
            Self::Nats($it) => $call,
        }
    };
}

// === impl Store ===

impl Store {
    /// Opens what the configuration names.
    pub async fn open(config: &FeedConfig) -> Result<Self, FeedError> {
        match config {
            FeedConfig::Embedded { path } => EmbeddedStore::open(path).map(Self::Embedded),
            #[cfg(feature = "redis")]
            FeedConfig::Redis(config) => RedisStore::open(config).await.map(Self::Redis),
            #[cfg(not(feature = "redis"))]
            FeedConfig::Redis(_) => Err(FeedError::NotBuilt("redis")),
            #[cfg(feature = "nats")]
            FeedConfig::Nats(config) => NatsStore::open(config).await.map(Self::Nats),
            #[cfg(not(feature = "nats"))]
            FeedConfig::Nats(_) => Err(FeedError::NotBuilt("nats")),
            #[cfg(feature = "postgres")]
            FeedConfig::Postgres(config) => PostgresStore::open(config).await.map(Self::Postgres),
            #[cfg(not(feature = "postgres"))]
            FeedConfig::Postgres(_) => Err(FeedError::NotBuilt("postgres")),
        }
    }

    /// A new reader, from the start.
    pub fn feed(&self) -> Feed {
        match self {
            Self::Embedded(store) => Feed::Embedded(store.feed()),
            #[cfg(feature = "redis")]
            Self::Redis(store) => Feed::Redis(store.feed()),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Feed::Postgres(store.feed()),
            #[cfg(feature = "nats")]
            Self::Nats(store) => Feed::Nats(store.feed()),
        }
    }

    /// The writing side.
    pub fn log(&self) -> Log {
        match self {
            Self::Embedded(store) => Log::Embedded(store.log()),
            #[cfg(feature = "redis")]
            Self::Redis(store) => Log::Redis(store.log()),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Log::Postgres(store.log()),
            #[cfg(feature = "nats")]
            Self::Nats(store) => Log::Nats(store.log()),
        }
    }

    /// Who follows it.
    pub fn roster(&self) -> Roster {
        match self {
            Self::Embedded(_) => Roster::Embedded(AloneRoster::new()),
            #[cfg(feature = "redis")]
            Self::Redis(store) => Roster::Redis(store.roster()),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Roster::Postgres(store.roster()),
            #[cfg(feature = "nats")]
            Self::Nats(store) => Roster::Nats(store.roster()),
        }
    }
}

// === impl Feed ===

impl RevocationFeed for Feed {
    async fn load(&mut self) -> Result<Checkpoint, FeedError> {
        each!(self, feed => feed.load().await)
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        each!(self, feed => feed.next().await)
    }

    fn more(&mut self) -> VecDeque<FeedEvent> {
        each!(self, feed => feed.more())
    }

    async fn resume(&mut self, epoch: Epoch, after: &Cursor) -> Result<(), FeedError> {
        each!(self, feed => feed.resume(epoch, after).await)
    }
}

// === impl Log ===

impl RevocationLog for Log {
    /// The file's is moved about thousands of times a second, and is to be no larger than it must.
    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        match self {
            Self::Embedded(log) => log.append(records).await,
            #[cfg(feature = "redis")]
            Self::Redis(log) => Box::pin(log.append(records)).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => Box::pin(log.append(records)).await,
            #[cfg(feature = "nats")]
            Self::Nats(log) => Box::pin(log.append(records)).await,
        }
    }

    async fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page, FeedError> {
        each!(self, log => log.list(filter, after, limit).await)
    }

    async fn compact(&self, now: UnixTime) -> Result<usize, FeedError> {
        each!(self, log => log.compact(now).await)
    }
}

// === impl Roster ===

impl NodeRoster for Roster {
    async fn announce(&self, presence: &Presence) -> Result<(), FeedError> {
        each!(self, roster => roster.announce(presence).await)
    }

    async fn withdraw(&self, id: Uuid) -> Result<(), FeedError> {
        each!(self, roster => roster.withdraw(id).await)
    }

    async fn nodes(&self) -> Result<Vec<LiveNode>, FeedError> {
        each!(self, roster => roster.nodes().await)
    }

    async fn tell(&self, to: Audience, message: Vec<u8>) -> Result<(), FeedError> {
        each!(self, roster => roster.tell(to, message).await)
    }

    async fn listen(&self, id: Uuid) -> Result<Ear, FeedError> {
        each!(self, roster => roster.listen(id).await)
    }
}
