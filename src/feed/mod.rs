//! The stores behind the revocation feed. Adapters never see each other.

pub mod compaction;
pub mod embedded;
mod listing;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "redis")]
pub mod redis;
mod store;

pub use store::{Feed, Log, Store};
