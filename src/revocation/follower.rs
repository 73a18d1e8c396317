//! Follows a feed into the set: load, then record after record; a gap means: load again.
//!
//! A feed that fails is asked again after a pause, and meanwhile the set goes on deciding from memory
//! while freshness grows old.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::Clock;
use crate::observe::metrics::Metrics;
use crate::shutdown::Drain;

use super::{Cursor, Epoch, FeedError, Revocation, RevocationFeed, Revocations};

mod announce;
mod born_expired;
mod checkpoint;
mod disputed;
mod pause;
mod run;
mod upkeep;

use born_expired::BornExpired;
use disputed::Disputed;
use pause::Pause;

/// The one writer of the set.
#[derive(Debug)]
pub struct Follower<F> {
    feed: F,
    applier: Applier,
    pause: Pause,
}

/// How the feed is doing.
#[derive(Clone, Debug, Default)]
pub struct FeedStatus {
    /// Whether the feed answered last.
    pub connected: bool,
    /// The store's memory; `None` before the first checkpoint.
    pub epoch: Option<Epoch>,
    /// Everything up to here is in the set; `None` before the first checkpoint.
    pub cursor: Option<Cursor>,
    /// What went wrong last, while not connected.
    pub last_error: Option<Arc<str>>,
    /// Records applied since the start, checkpoints not counted.
    pub applied: u64,
    /// Log entries that could not be decoded.
    pub undecodable: u64,
    /// Times the store came back with another memory.
    pub epoch_changes: u64,
    /// Whether we decide by what this node had kept, since the store has not answered yet.
    pub restored: bool,
}

/// Watches a [`Follower`]: its status, and whether it has come to a cursor yet.
#[derive(Clone, Debug)]
pub struct AppliedCursor(watch::Receiver<FeedStatus>);

/// What a store that lost its memory has left us with.
#[derive(Debug, Default)]
struct Memory {
    /// The set holds what no checkpoint holds: none is the whole truth any more.
    owing: bool,
    /// The last checkpoint was of a feed that remembers.
    remembered: bool,
    /// The newest record that was applied.
    newest: Uuid,
    disputed: Option<Disputed>,
    born_expired: BornExpired,
}

/// The follower without its feed: what may change the set, and tells of it.
#[derive(Debug)]
struct Applier {
    revocations: Arc<Revocations>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    status: watch::Sender<FeedStatus>,
    counters: Mutex<Vec<(&'static str, Counter)>>,
}

// === impl Follower ===

impl<F: RevocationFeed> Follower<F> {
    /// A follower that will write to the set of `revocations`, and who watches it.
    pub fn new(
        feed: F,
        revocations: Arc<Revocations>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> (Self, AppliedCursor) {
        let (status, watched) = watch::channel(FeedStatus::default());
        let applier = Applier { revocations, metrics, clock, status, counters: Mutex::default() };
        (Self { feed, applier, pause: Pause::new() }, AppliedCursor(watched))
    }

    /// The same with pauses that a test can repeat.
    #[cfg(test)]
    pub(crate) fn with_seed(self, seed: u64) -> Self {
        Self { pause: Pause::seeded(seed), ..self }
    }

    /// Follows, and neither sweeps nor counts.
    #[cfg(test)]
    pub(crate) async fn run_alone(self) {
        let Self { mut feed, applier, pause } = self;
        applier.follow(&mut feed, pause).await;
    }

    /// Follows until told to stop; sweeps and counts alongside.
    pub async fn run(self, mut drain: Drain) {
        let Self { mut feed, applier, pause } = self;
        tokio::select! {
            biased;
            () = drain.begun() => {}
            () = applier.follow(&mut feed, pause) => {}
            () = applier.upkeep() => {}
        }
    }
}

// === impl AppliedCursor ===

impl AppliedCursor {
    /// Waits until the set holds everything up to the cursor; false when it did not within `limit`.
    pub async fn reached(&self, cursor: &Cursor, limit: Duration) -> bool {
        self.until(|now| now.cursor.as_ref().is_some_and(|at| at >= cursor), limit).await
    }

    /// Waits until it is so, which is asked whenever something was applied, and at each beat of the feed:
    /// it may be for time to tell. False when it was not within `limit`.
    pub async fn until(&self, what: impl FnMut(&FeedStatus) -> bool, limit: Duration) -> bool {
        let mut status = self.0.clone();
        matches!(tokio::time::timeout(limit, status.wait_for(what)).await, Ok(Ok(_)))
    }

    /// Waits until the first checkpoint is in the set; false when the follower ended before.
    pub async fn loaded(&self) -> bool {
        self.0.clone().wait_for(|now| now.cursor.is_some()).await.is_ok()
    }

    /// How the feed is doing now.
    pub fn status(&self) -> FeedStatus {
        self.0.borrow().clone()
    }
}

// === impl Memory ===

impl Memory {
    /// Beyond what was known before a loss nothing is disputed.
    fn reached(&mut self, at: &Cursor) {
        self.disputed.take_if(|disputed| disputed.is_over(at));
    }

    /// Whether the record may be applied.
    fn believes(&mut self, record: &Revocation) -> bool {
        let believed = self.disputed.as_ref().is_none_or(|disputed| disputed.believes(record));
        self.newest = self.newest.max(record.id);
        believed
    }
}

// === impl Applier ===

impl Applier {
    /// Never ends: what goes wrong is tried again.
    async fn follow(&self, feed: &mut impl RevocationFeed, mut pause: Pause) {
        let mut memory = Memory::default();
        let mut resumable = self.restore(feed, &mut memory).await;
        loop {
            let caught_up = match resumable.take() {
                Some((epoch, cursor)) => self.resume(feed, epoch, cursor, &mut resumable).await,
                None => self.load(feed, &mut memory).await,
            };
            if let Err(error) = caught_up {
                // A resumption that is refused is followed by a load, and that at once.
                if !matches!(error, FeedError::Truncated(_)) {
                    self.disconnected(&error);
                    pause.wait().await;
                }
                continue;
            }
            self.follow_log(feed, &mut memory, &mut pause).await;
        }
    }

    /// Decides by what this node had kept, until the store answers; from where the log goes on then.
    async fn restore(
        &self,
        feed: &mut impl RevocationFeed,
        memory: &mut Memory,
    ) -> Option<(Epoch, Cursor)> {
        let restored = match feed.restore().await {
            Ok(Some(checkpoint)) => self.apply_checkpoint(checkpoint, memory, true).await,
            Ok(None) => return None,
            Err(error) => Err(error),
        };
        if let Err(error) = restored {
            tracing::warn!(%error, "what this node had kept can't be used; waiting for the store");
            return None;
        }
        let newest = memory.newest;
        memory.disputed = feed.disputed().map(|upto| Disputed::new(upto, newest));
        self.status.send_modify(|status| status.restored = true);
        self.revocations.freshness().restore();
        tracing::info!(
            entries = self.revocations.set().len(),
            "deciding by what this node had kept"
        );
        let status = self.status.borrow();
        status.epoch.zip(status.cursor.clone())
    }

    async fn resume(
        &self,
        feed: &mut impl RevocationFeed,
        epoch: Epoch,
        cursor: Cursor,
        again: &mut Option<(Epoch, Cursor)>,
    ) -> Result<(), FeedError> {
        let resumed = feed.resume(epoch, &cursor).await;
        if matches!(resumed, Err(FeedError::Unreachable(_))) {
            *again = Some((epoch, cursor));
        }
        resumed
    }

    async fn load(
        &self,
        feed: &mut impl RevocationFeed,
        memory: &mut Memory,
    ) -> Result<(), FeedError> {
        let started = Instant::now();
        let checkpoint = feed.load().await?;
        self.apply_checkpoint(checkpoint, memory, feed.remembers()).await?;
        // What was said after the loading began may not be in it.
        self.revocations.freshness().confirm(started.into_std());
        self.connected();
        Ok(())
    }

    /// Applies events until the log has a gap or the store must be read anew.
    async fn follow_log(
        &self,
        feed: &mut impl RevocationFeed,
        memory: &mut Memory,
        pause: &mut Pause,
    ) {
        loop {
            let event = {
                let mut next = pin!(feed.next());
                match poll!(next.as_mut()) {
                    Poll::Ready(event) => event,
                    Poll::Pending => {
                        // Whoever waits for a cursor hears of many records at once.
                        self.tell();
                        next.await
                    }
                }
            };
            match event {
                Ok(event) => {
                    pause.reset();
                    self.connected();
                    self.take_in(event, feed, memory);
                }
                Err(error @ FeedError::Unreachable(_)) => {
                    self.disconnected(&error);
                    pause.wait().await;
                }
                Err(error) => {
                    self.disconnected(&error);
                    // Also after a gap: a log that has nothing but gaps must not spin.
                    pause.wait().await;
                    return;
                }
            }
        }
    }

    /// Wakes those who wait. Also when nothing was applied: what they wait for may have expired by now.
    fn tell(&self) {
        self.status.send_modify(|_| {});
    }

    fn connected(&self) {
        self.metrics.feed_connected.set(1);
        self.status.send_if_modified(|status| {
            let changed = !status.connected;
            status.connected = true;
            status.restored = false;
            status.last_error = None;
            changed
        });
    }

    fn disconnected(&self, error: &FeedError) {
        self.metrics.feed_connected.set(0);
        let text: Arc<str> = error.to_string().into();
        self.status.send_modify(|status| {
            status.connected = false;
            status.last_error = Some(text);
        });
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
