//! The revocation room: what has been taken back, and whether we can know.
//!
//! Pure but for `follower`. Stores are in `feed`; deciding uses nothing but memory.

mod arrivals;
mod config;
mod details;
mod error;
mod feed;
mod fingerprint;
pub mod follower;
mod forgetting;
mod freshness;
mod making;
mod names;
mod principal;
mod record;
mod register;
mod request;
mod roster;
mod seen;
mod set;
mod standing;
mod text;
mod watch;
pub mod wire;

pub use config::{
    FeedConfig, NatsConfig, PostgresConfig, RedisConfig, RegisterConfig, RevocationConfig,
    RevocationMode, StoreTls, StoreUrl, WhenStale,
};
pub use details::TokenDetails;
pub use error::RevocationError;
pub use feed::{
    Checkpoint, Cursor, Epoch, FeedError, FeedEvent, Filter, Live, LiveSender, Page,
    RevocationFeed, RevocationLog,
};
pub use forgetting::Forgetting;
pub use freshness::Freshness;
pub use making::Making;
pub use names::REGISTERED;
pub use principal::{Named, Principal, RegisterDraft, Revocations};
pub use record::{Name, Op, Revocation};
pub use register::{Registered, TokenFilter, TokenKey, TokenPage};
pub use request::{Draft, DraftError, Enforceable, IssuerScope};
pub use roster::{
    Audience, Ear, Held, LiveNode, MAX_MESSAGE, NodeName, NodeRoster, Presence, Question, Signal,
};
pub use set::{Applied, RevocationSet};
pub use watch::{Missed, Told, Watching};

pub(crate) use standing::Standing;
pub(crate) use text::Text;

#[cfg(test)]
pub(crate) mod fixtures;
