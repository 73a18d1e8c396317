//! `[revocation]`, every rule already checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::token::TokenTypes;

/// What is checked, where the records are kept, and what happens when they can't be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationConfig {
    /// The store and feed.
    pub feed: FeedConfig,
    /// Token types that are checked unless a route says otherwise.
    pub check: TokenTypes,
    /// Claims that can be revoked by, beside `jti`, `iss`, `kid` and `token`, which always can.
    pub claims: Vec<Arc<str>>,
    /// How old the known state may be before `when_stale` decides.
    pub max_staleness: Duration,
    /// The default for routes.
    pub when_stale: WhenStale,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedConfig {
    /// One file on this machine.
    Embedded {
        /// The file; made at first start.
        path: PathBuf,
    },
}

/// What a route does when the revocation state is too old to be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// 503 with `Retry-After`.
    Reject,
    /// Goes on with the last known state.
    Allow,
}
