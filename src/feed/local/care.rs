//! Looks after a copy while the gateway runs: gives back what the store has lost, forgets what has
//! expired, and counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::{LocalCopy, blocking};
use crate::clock::{Clock, UnixTime};
use crate::observe::Metrics;
use crate::revocation::{FeedError, Forgetting, Freshness, Revocation, RevocationLog};

/// When to give back.
#[derive(Debug, Default)]
struct Refill {
    /// Not before this; `None`: nothing is owed.
    begin: Option<Instant>,
    /// What went wrong last, so that it is said once.
    failure: Option<String>,
}

/// Entries that are given back in one append. Small: what somebody reinstates between our look at the
/// copy and the append comes back with it.
const BATCH: usize = 256;
/// How long what was given is waited for, and how often it is looked for.
const COMES_BACK: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(10);
/// Nodes begin at different moments: what the first has given back the others need not.
const SPREAD: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_secs(1);
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// The first time: not while the node starts.
const FORGET_FIRST: Duration = Duration::from_secs(60);
/// Whoever has not heard from the store for so long may owe what was reinstated meanwhile.
const HEARD: Duration = Duration::from_secs(3);

// === impl LocalCopy ===

impl LocalCopy {
    /// Gives back to the store what it has lost, and forgets what has expired; never ends. Harmless when
    /// other nodes do it too.
    pub async fn look_after(
        &self,
        log: impl RevocationLog,
        clock: &dyn Clock,
        freshness: &Freshness,
        metrics: &Metrics,
    ) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut forgetting, mut refill) = (Forgetting::default(), Refill::default());
        let mut forget_at = Instant::now() + FORGET_FIRST;
        loop {
            ticks.tick().await;
            let now = Instant::now();
            let before = forgetting.before(clock.now(), now.into_std());
            if now >= forget_at {
                forget_at = now + FORGET_EVERY;
                self.forget(before).await;
            }
            let heard = freshness.staleness().is_some_and(|age| age < HEARD);
            if heard && refill.is_due(self.count(metrics)) {
                let outcome = self.give_back(&log, metrics).await;
                refill.note(outcome);
            }
            self.count(metrics);
        }
    }

    /// How many entries are owed.
    fn count(&self, metrics: &Metrics) -> u64 {
        let Ok(status) = self.status() else { return 0 };
        metrics.local_copy_written.set(i64::from(status.written));
        metrics.revocation_owed.set(i64::try_from(status.owed).unwrap_or(i64::MAX));
        // What a copy that is no longer written owes may have been reinstated since.
        if status.written { status.owed } else { 0 }
    }

    async fn forget(&self, before: UnixTime) {
        let file = Arc::clone(&self.file);
        match blocking(move || file.forget(before)).await {
            Ok(0) => {}
            Ok(entries) => tracing::debug!(entries, "expired entries went out of the local copy"),
            Err(error) => tracing::warn!(%error, "expired entries stay in the local copy"),
        }
    }

    /// Everything that is owed; how many entries.
    pub(crate) async fn give_back(
        &self,
        log: &impl RevocationLog,
        metrics: &Metrics,
    ) -> Result<u64, FeedError> {
        let mut all = 0;
        loop {
            // What other nodes gave back, or somebody reinstated, is in the file then.
            self.written.settled().await;
            let (file, random) = (Arc::clone(&self.file), Uuid::new_v4().as_u64_pair().1);
            let batch = blocking(move || file.owed(BATCH, random)).await?;
            if batch.is_empty() || self.written.is_broken() {
                return Ok(all);
            }
            let count = batch.len() as u64;
            log.append(batch.clone()).await?;
            all += count;
            self.given_back.fetch_add(count, Ordering::Relaxed);
            metrics.revocation_given_back.inc_by(count);
            if !self.comes_back(batch).await? {
                return Ok(all);
            }
            self.count(metrics);
        }
    }

    /// Whether the log tells what was given: a store that loses it before has never had it, for us.
    async fn comes_back(&self, batch: Vec<Revocation>) -> Result<bool, FeedError> {
        let (batch, since) = (Arc::new(batch), Instant::now());
        while since.elapsed() < COMES_BACK {
            self.written.settled().await;
            let (file, given) = (Arc::clone(&self.file), Arc::clone(&batch));
            if !blocking(move || file.owes_any(&given)).await? {
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(false)
    }
}

// === impl Refill ===

impl Refill {
    fn is_due(&mut self, owed: u64) -> bool {
        if owed == 0 {
            self.begin = None;
            return false;
        }
        let now = Instant::now();
        let begin = *self.begin.get_or_insert_with(|| {
            tracing::warn!(
                entries = owed,
                "the revocation store lacks entries that this node knows; they will be given back"
            );
            let jitter = u32::from(Uuid::new_v4().as_bytes()[0]);
            now + SPREAD / 4 + SPREAD * jitter / 256
        });
        now >= begin
    }

    fn note(&mut self, outcome: Result<u64, FeedError>) {
        match outcome {
            Ok(entries) => {
                tracing::warn!(entries, "gave revocations back to the store");
                *self = Self::default();
            }
            Err(error) => {
                let text = error.to_string();
                if self.failure.as_ref() != Some(&text) {
                    tracing::warn!(error = %text, "revocations can't be given back to the store yet");
                }
                self.failure = Some(text);
                self.begin = Some(Instant::now() + RETRY);
            }
        }
    }
}
