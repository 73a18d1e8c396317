//! Keeps a store from growing for ever.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::clock::Clock;
use crate::revocation::{Forgetting, RevocationLog};
use crate::shutdown::Drain;

/// The first time comes sooner, by this part of the period, and not while the node starts.
const SOONER: u32 = 10;

/// Forgets what has expired, once every `period`, until told to stop.
pub async fn run(log: impl RevocationLog, clock: &dyn Clock, period: Duration, mut drain: Drain) {
    let mut ticks = interval_at(Instant::now() + period / SOONER, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut forgetting = Forgetting::default();
    loop {
        tokio::select! {
            () = drain.begun() => return,
            _ = ticks.tick() => {}
        }
        let before = forgetting.before(clock.now(), Instant::now().into_std());
        match log.compact(before).await {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "forgot expired revocations"),
            Err(error) => tracing::warn!(%error, "expired revocations could not be forgotten"),
        }
    }
}
