//! What this node says of itself, and when it said so last.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::revocation::follower::AppliedCursor;
use crate::revocation::{FeedError, NodeName, NodeRoster, Presence, Revocations};

use super::lock;

/// The one who announces this node.
#[derive(Debug)]
pub(in crate::app) struct Voice<R> {
    roster: R,
    own: NodeName,
    revocations: Arc<Revocations>,
    applied: OnceLock<AppliedCursor>,
    said: Mutex<Said>,
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
        Self { roster, own, revocations, applied: OnceLock::new(), said: Mutex::default() }
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

    fn is_over(&self) -> bool {
        lock(&self.said).announced.is_none_or(|at| at.elapsed() > self.lasts() / 2)
    }

    fn lasts(&self) -> Duration {
        self.revocations.max_staleness().saturating_add(MARGIN).min(LONGEST)
    }
}
