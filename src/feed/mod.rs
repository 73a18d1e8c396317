//! The stores behind the revocation feed. Adapters never see each other.

pub mod compaction;
pub mod embedded;
mod listing;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "nats")]
pub mod nats;
mod store;

pub use store::{Feed, Log, Store};
