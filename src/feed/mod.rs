//! The stores behind the revocation feed. Adapters never see each other.

pub mod compaction;
pub mod embedded;
mod listing;
mod store;

pub use store::{Feed, Log, Store};
