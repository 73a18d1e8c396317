//! What this node says of itself, and when it said so last.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::revocation::follower::AppliedCursor;
use crate::revocation::{Cursor, Epoch, FeedError, NodeName, NodeRoster, Presence, Revocations};

use super::lock;

/// The one who announces this node.
#[derive(Debug)]
pub(in crate::app) struct Voice<R> {
    roster: R,
    own: NodeName,
    revocations: Arc<Revocations>,
    applied: OnceLock<AppliedCursor>,
    said: Mutex<Said>,
    memory: Mutex<Memory>,
}

/// What is known of the store's memory, in which the nodes' announcements are too.
#[derive(Debug, Default)]
struct Memory {
    reached: Option<(Epoch, Cursor)>,
    /// When it turned out to have lost some.
    lost: Option<Instant>,
}

#[derive(Debug, Default)]
struct Said {
    /// When it was begun to say what then was acknowledged.
    announced: Option<Instant>,
    /// When it could not be said although the feed waited for it.
    failed: Option<Instant>,
}

/// An announcement outlives `max_staleness` by this: more than the time between two.
const MARGIN: Duration = Duration::from_secs(3);
/// However stale a node may be, a dead one is not waited for longer.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the feed waits for an announcement.
const FEED_WAITS: Duration = Duration::from_secs(1);
/// So long it does not do that again where the store is read and does not take announcements.
const AGAIN: Duration = Duration::from_secs(600);

// === impl Voice ===

impl<R: NodeRoster> Voice<R> {
    pub(in crate::app) fn new(roster: R, own: NodeName, revocations: Arc<Revocations>) -> Self {
        let (applied, said, memory) = Default::default();
        Self { roster, own, revocations, applied, said, memory }
    }

    /// From now on it says where this is.
    pub(super) fn follow(&self, applied: AppliedCursor) {
        // Set once, when the parts are joined.
        drop(self.applied.set(applied));
    }

    pub(super) const fn roster(&self) -> &R {
        &self.roster
    }

    pub(super) const fn own(&self) -> &NodeName {
        &self.own
    }

    /// What holds now.
    pub(super) fn presence(&self) -> Presence {
        let status = self.applied.get().map(AppliedCursor::status).unwrap_or_default();
        let staleness = self.revocations.freshness().staleness();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Presence {
            node: self.own.clone(),
            lasts: millis(self.lasts()),
            epoch: status.epoch,
            cursor: status.cursor,
            staleness: staleness.map(millis),
        }
    }

    pub(super) async fn announce(&self, limit: Duration) -> Result<(), FeedError> {
        let begun = Instant::now();
        let presence = self.presence();
        let announced = timeout(limit, self.roster.announce(&presence)).await;
        let late = |_elapsed| FeedError::Unreachable("no answer in time".into());
        announced.map_err(late)??;
        *lock(&self.said) = Said { announced: Some(begun), failed: None };
        Ok(())
    }

    /// Announces if that was so long ago that it may have ended; true when it was and now is done.
    pub(super) async fn renew(&self) -> bool {
        self.is_over() && self.announce(FEED_WAITS).await.is_ok()
    }

    /// The same while the store is being read: a right that is missing then costs a moment once.
    pub(super) async fn renew_at_a_beat(&self) -> bool {
        let failed = lock(&self.said).failed.is_some_and(|at| at.elapsed() < AGAIN);
        if failed || !self.is_over() {
            return false;
        }
        let renewed = self.renew().await;
        if !renewed {
            lock(&self.said).failed = Some(Instant::now());
        }
        renewed
    }

    /// The store was loaded. One that has lost its memory has lost who was there: this node says so again.
    pub(super) async fn loaded(&self, epoch: Epoch, upto: &Cursor) {
        let lost = {
            let mut memory = lock(&self.memory);
            let before = memory.reached.replace((epoch, upto.clone()));
            let lost = before.is_some_and(|(known, at)| known != epoch || *upto < at);
            if lost {
                memory.lost = Some(Instant::now());
            }
            lost
        };
        if lost {
            // What fails is tried again in a second, as any announcement.
            drop(self.announce(FEED_WAITS).await);
        }
    }

    /// The store's log ends here.
    pub(super) fn beat(&self, at: &Cursor) {
        if let Some((_, reached)) = &mut lock(&self.memory).reached {
            reached.clone_from(at);
        }
    }

    /// Whether a node that lives may be missing from the store's list, and unknown here: the store has
    /// lost its memory since announcements that still hold were made.
    pub(super) fn may_lack_nodes(&self) -> bool {
        lock(&self.memory).lost.is_some_and(|lost| lost.elapsed() < self.lasts())
    }

    fn is_over(&self) -> bool {
        lock(&self.said).announced.is_none_or(|at| at.elapsed() > self.lasts() / 2)
    }

    fn lasts(&self) -> Duration {
        self.revocations.max_staleness().saturating_add(MARGIN).min(LONGEST)
    }
}
