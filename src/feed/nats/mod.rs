//! The NATS JetStream store: one stream that keeps the last message of every subject, so that the
//! compacted stream is the checkpoint (docs/feeds/nats.md).
//!
//! * `<stream>.entry.<digest>` holds what the nodes say about one (issuer, claim, value); who writes
//!   merges, and writes only if nobody wrote meanwhile. A reinstatement stays as a tombstone.
//! * `<stream>.app.<record id>` is for everyone else: revocations, one to a subject.
//! * `<stream>.meta.epoch` is the store's memory, `<stream>.meta.sweep` says which tombstones are gone.
//! * A cursor is the stream's sequence. Superseded messages are not missed: what superseded them is
//!   read. A tombstone that was swept unread, a purge, another epoch or a lost tail is a gap.

use std::sync::Arc;

use crate::revocation::{Epoch, FeedError, NatsConfig};

mod agenda;
mod broker;
mod connect;
mod feed;
mod listing;
mod log;
mod memory;
mod reader;
mod roster;
mod said;
mod scan;
mod setup;
mod subject;
mod sweep;
mod tail;
mod trace;

pub use feed::NatsFeed;
pub use log::NatsLog;
pub use roster::NatsRoster;

use broker::Broker;

/// A store on NATS servers, connected or trying to be. Dropping it and what came from it disconnects.
#[derive(Debug)]
pub struct NatsStore {
    broker: Arc<Broker>,
}

// === impl NatsStore ===

impl NatsStore {
    /// Connects and makes the stream if there is none.
    ///
    /// Servers that can't be reached are tried again for ever: the store is then there, and its feed
    /// and log answer [`FeedError::Unreachable`] until they are. Wrong credentials, a missing right,
    /// servers without JetStream and a stream that would lose entries are [`FeedError::Refused`].
    pub async fn open(config: &NatsConfig) -> Result<Self, FeedError> {
        let broker = Arc::new(Broker::new(connect::connect(config).await?, config));
        match memory::recall(&broker).await {
            Ok(_) => {}
            Err(FeedError::Unreachable(error)) => {
                tracing::warn!(%error, "the NATS servers can't be reached; trying on");
            }
            Err(error) => return Err(error),
        }
        Ok(Self { broker })
    }

    /// A new reader, from the start.
    pub fn feed(&self) -> NatsFeed {
        NatsFeed::new(Arc::clone(&self.broker))
    }

    /// The writing side.
    pub fn log(&self) -> NatsLog {
        NatsLog::new(Arc::clone(&self.broker))
    }

    /// Who follows the store.
    pub fn roster(&self) -> NatsRoster {
        NatsRoster::new(Arc::clone(&self.broker))
    }

    /// The identity of the store's memory, asked from the servers.
    pub async fn epoch(&self) -> Result<Epoch, FeedError> {
        Ok(memory::recall(&self.broker).await?.epoch)
    }
}

#[cfg(test)]
mod tests;
