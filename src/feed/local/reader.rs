//! What the follower reads: the store itself, or the store with this node's own copy in front of it.

use std::collections::VecDeque;

use super::{LocalCopy, WithLocalCopy};
use crate::revocation::{Checkpoint, Cursor, Epoch, FeedError, FeedEvent, RevocationFeed};

/// A store's reading side, with a copy or without.
#[derive(Debug)]
pub enum Reader<F> {
    /// The store is on this machine, and needs none.
    Direct(F),
    /// The store is elsewhere.
    Copied(Box<WithLocalCopy<F>>),
}

/// The same call on whichever it is.
macro_rules! each {
    ($of:expr, $it:ident => $call:expr) => {
        match $of {
            Self::Direct($it) => $call,
            Self::Copied($it) => $call,
        }
    };
}

// === impl Reader ===

impl<F: RevocationFeed> Reader<F> {
    /// Reads the store, and keeps what it tells in the copy, if there is one.
    pub fn new(feed: F, copy: Option<&LocalCopy>) -> Result<Self, FeedError> {
        Ok(match copy {
            Some(copy) => Self::Copied(Box::new(copy.over(feed)?)),
            None => Self::Direct(feed),
        })
    }
}

impl<F: RevocationFeed> RevocationFeed for Reader<F> {
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

    async fn restore(&mut self) -> Result<Option<Checkpoint>, FeedError> {
        each!(self, feed => feed.restore().await)
    }

    fn disputed(&self) -> Option<Cursor> {
        each!(self, feed => feed.disputed())
    }

    fn applied(&mut self, event: &FeedEvent, believed: bool) {
        each!(self, feed => feed.applied(event, believed));
    }

    fn remembers(&self) -> bool {
        each!(self, feed => feed.remembers())
    }
}
