//! The revocation room: what has been taken back, and whether we can know.
//!
//! Pure but for `follower`. Stores are in `feed`; deciding uses nothing but memory.

mod config;
mod error;
mod feed;
mod fingerprint;
pub mod follower;
mod forgetting;
mod freshness;
mod names;
mod principal;
mod record;
mod request;
mod set;
mod standing;
pub mod wire;

pub use config::{
    FeedConfig, NatsConfig, PostgresConfig, RedisConfig, RevocationConfig, StoreTls, StoreUrl,
    WhenStale,
};
pub use error::RevocationError;
pub use feed::{
    Checkpoint, Cursor, Epoch, FeedError, FeedEvent, Filter, Live, LiveSender, Page,
    RevocationFeed, RevocationLog,
};
pub use forgetting::Forgetting;
pub use freshness::Freshness;
pub use principal::{Named, Principal, Revocations};
pub use record::{Name, Op, Revocation};
pub use request::{Draft, DraftError, Enforceable, IssuerScope};
pub use set::{Applied, RevocationSet};

pub(crate) use standing::Standing;

#[cfg(test)]
mod fixtures;
