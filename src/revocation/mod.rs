//! The revocation room: what has been taken back, and whether we can know.
//!
//! Pure but for `follower`. Stores are in `feed`; deciding uses nothing but memory.

mod config;
mod error;
mod feed;
mod principal;
mod record;

pub use config::{FeedConfig, RevocationConfig, WhenStale};
pub use error::RevocationError;
pub use feed::{
    Checkpoint, Cursor, Epoch, FeedError, FeedEvent, Filter, Page, RevocationFeed, RevocationLog,
};
pub use principal::{Named, Principal};
pub use record::{Name, Op, Revocation};
