//! Records, in batches, which tokens were seen: the register's first and last times.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::revocation::{Named, Revocation, RevocationLog, Revocations};
use crate::shutdown::Drain;

/// How often it is looked whether a batch is due: the configuration may change.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Records in one append.
const AT_ONCE: usize = 512;

/// Until told to stop; then tells what is left. A batch that the store does not take is lost: a token
/// that is seen again is told again.
pub async fn run(
    log: impl RevocationLog,
    revocations: Arc<Revocations>,
    clock: Arc<dyn Clock>,
    mut drain: Drain,
) {
    let Some(mut seen) = revocations.take_seen() else { return };
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Instant::now();
    loop {
        let stopping = tokio::select! {
            biased;
            () = drain.begun() => true,
            _ = ticks.tick() => false,
        };
        let due = revocations.seen_every().is_some_and(|every| told.elapsed() >= every);
        if due || stopping {
            tell(&log, &revocations, &*clock, &mut seen).await;
            told = Instant::now();
        }
        if stopping {
            return;
        }
    }
}

/// As many as were seen by now: those that come meanwhile are for the next batch.
async fn tell(
    log: &impl RevocationLog,
    revocations: &Revocations,
    clock: &dyn Clock,
    seen: &mut mpsc::Receiver<Arc<Named>>,
) {
    let mut left = seen.len();
    while left > 0 {
        let now = clock.now();
        let mut records: Vec<Revocation> = Vec::new();
        while left > 0 && records.len() < AT_ONCE {
            left -= 1;
            let Ok(named) = seen.try_recv() else { break };
            records.extend(revocations.seen_record(&named, now));
        }
        if records.is_empty() {
            continue;
        }
        if let Err(error) = log.append(records).await {
            tracing::warn!(%error, "when tokens were seen could not be recorded");
            return;
        }
    }
}

#[cfg(test)]
mod tests;
