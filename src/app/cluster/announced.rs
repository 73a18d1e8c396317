//! A feed whose node is announced before it counts as knowing everything: whoever counts the nodes after
//! a record was made finds this one, or this one finds the record.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::revocation::{
    Checkpoint, Cursor, Epoch, FeedError, FeedEvent, NodeRoster, RevocationFeed,
};

use super::Voice;

/// The feed, and who announces its node. A store that has no roster for us is followed all the same.
#[derive(Debug)]
pub(in crate::app) struct Announced<F, R> {
    feed: F,
    voice: Arc<Voice<R>>,
}

// === impl Announced ===

impl<F, R> Announced<F, R> {
    pub(in crate::app) const fn new(feed: F, voice: Arc<Voice<R>>) -> Self {
        Self { feed, voice }
    }
}

impl<F: RevocationFeed, R: NodeRoster> RevocationFeed for Announced<F, R> {
    async fn load(&mut self) -> Result<Checkpoint, FeedError> {
        self.voice.renew().await;
        let checkpoint = self.feed.load().await?;
        self.voice.loaded(checkpoint.epoch, &checkpoint.upto).await;
        Ok(checkpoint)
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        loop {
            let event = self.feed.next().await?;
            if let FeedEvent::Heartbeat { at } = &event {
                self.voice.beat(at);
            }
            // It may be from before the announcement: the next one counts.
            if matches!(event, FeedEvent::Heartbeat { .. }) && self.voice.renew_at_a_beat().await {
                continue;
            }
            return Ok(event);
        }
    }

    /// Only records: no beat is among them.
    fn more(&mut self) -> VecDeque<FeedEvent> {
        self.feed.more()
    }

    async fn resume(&mut self, epoch: Epoch, after: &Cursor) -> Result<(), FeedError> {
        self.voice.renew().await;
        self.feed.resume(epoch, after).await
    }

    async fn restore(&mut self) -> Result<Option<Checkpoint>, FeedError> {
        self.feed.restore().await
    }

    fn remembers(&self) -> bool {
        self.feed.remembers()
    }
}
