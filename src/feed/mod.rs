//! The stores behind the revocation feed. Adapters never see each other.

pub mod alone;
pub mod compaction;
pub mod embedded;
mod listing;
pub mod local;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
pub mod seen;
mod store;

pub use store::{Feed, Log, Roster, Store};
