//! What happens beside the log: sweeping and counting.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::{NoContext, Timestamp};

use crate::clock::UnixTime;
use crate::revocation::{Forgetting, Revocation};

use super::Applier;
use super::announce::Announcer;

const COUNT_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: u32 = 5;
const PRUNE_EVERY: u32 = 60;

// === impl Applier ===

impl Applier {
    /// Never ends.
    pub(super) async fn upkeep(&self) {
        let mut ticks = interval(COUNT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0_u32;
        let (mut forgetting, mut announcer) = (Forgetting::default(), Announcer::default());
        loop {
            ticks.tick().await;
            self.count();
            // The first moment of a start is no news.
            if count > 0 {
                let status = self.status.borrow().clone();
                announcer.look(&status, &self.revocations);
            }
            let before = forgetting.before(self.clock.now(), Instant::now().into_std());
            count = count.wrapping_add(1);
            if count.is_multiple_of(SWEEP_EVERY) {
                self.sweep(before).await;
            }
            if count.is_multiple_of(PRUNE_EVERY) {
                self.revocations.prune_register(before);
            }
        }
    }

    /// One pass, shard by shard; records are applied in between.
    async fn sweep(&self, now: UnixTime) {
        let set = self.revocations.set();
        for part in 0..set.parts() {
            let swept = set.sweep_part(part, now);
            self.metrics.revocation_swept.inc_by(swept as u64);
            tokio::task::yield_now().await;
        }
    }

    fn count(&self) {
        let staleness = self.revocations.freshness().staleness();
        let seconds = staleness.map_or(f64::INFINITY, |age| age.as_secs_f64());
        self.metrics.revocation_staleness.set(seconds);
        for (claim, entries) in self.revocations.counts() {
            let labels = vec![("claim", claim.as_ref().to_owned())];
            let entries = i64::try_from(entries).unwrap_or(i64::MAX);
            self.metrics.revocation_entries.get_or_create(&labels).set(entries);
        }
        self.count_register();
    }

    fn count_register(&self) {
        let (tokens, unlisted) = self.revocations.register_counts();
        let late = self.revocations.seen_missed();
        let metrics = &self.metrics;
        metrics.register_tokens.set(i64::try_from(tokens).unwrap_or(i64::MAX));
        // Both only ever grow, unless the register was turned off in between.
        let (known, told) = (metrics.register_unlisted.get(), metrics.register_seen_late.get());
        metrics.register_unlisted.inc_by(unlisted.saturating_sub(known));
        metrics.register_seen_late.inc_by(late.saturating_sub(told));
    }
}

/// The time as ids have it.
pub(super) fn now() -> Duration {
    since_epoch(Timestamp::now(NoContext))
}

/// Seconds from when the record was made until `now`, by the milliseconds of its UUIDv7; an id of
/// another kind, or of a clock that is ahead, says zero.
pub(super) fn age(record: &Revocation, now: Duration) -> f64 {
    let Some(made) = record.id.get_timestamp() else { return 0.0 };
    now.saturating_sub(since_epoch(made)).as_secs_f64()
}

fn since_epoch(stamp: Timestamp) -> Duration {
    let (seconds, nanos) = stamp.to_unix();
    Duration::new(seconds, nanos)
}
