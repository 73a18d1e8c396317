//! Follows a feed into the set: load, then record after record; a gap means: load again.
//!
//! A feed that fails is asked again after a pause, and meanwhile the set goes on deciding from memory
//! while freshness grows old.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::observe::metrics::Metrics;
use crate::shutdown::Drain;

use super::{Cursor, Epoch, FeedError, FeedEvent, Op, Revocation, RevocationFeed, Revocations};

mod checkpoint;
mod pause;
mod upkeep;

use pause::Pause;

/// The one writer of the set.
#[derive(Debug)]
pub struct Follower<F> {
    feed: F,
    applier: Applier,
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
}

/// Watches a [`Follower`]: its status, and whether it has come to a cursor yet.
#[derive(Clone, Debug)]
pub struct AppliedCursor(watch::Receiver<FeedStatus>);

/// The follower without its feed: what may change the set, and tells of it.
#[derive(Debug)]
struct Applier {
    revocations: Arc<Revocations>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    status: watch::Sender<FeedStatus>,
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
        let applier = Applier { revocations, metrics, clock, status };
        (Self { feed, applier }, AppliedCursor(watched))
    }

    /// Follows until told to stop; sweeps and counts alongside.
    pub async fn run(self, mut drain: Drain) {
        let Self { mut feed, applier } = self;
        tokio::select! {
            () = drain.begun() => {}
            () = applier.follow(&mut feed) => {}
            () = applier.upkeep() => {}
        }
    }
}

// === impl AppliedCursor ===

impl AppliedCursor {
    /// Waits until the set holds everything up to the cursor; false when it did not within `limit`.
    pub async fn reached(&self, cursor: &Cursor, limit: Duration) -> bool {
        let mut status = self.0.clone();
        let there = status.wait_for(|now| now.cursor.as_ref().is_some_and(|at| at >= cursor));
        matches!(tokio::time::timeout(limit, there).await, Ok(Ok(_)))
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

// === impl Applier ===

impl Applier {
    /// Never ends: what goes wrong is tried again.
    async fn follow(&self, feed: &mut impl RevocationFeed) {
        let mut pause = Pause::new();
        loop {
            if let Err(error) = self.load(feed).await {
                self.disconnected(&error);
                pause.wait().await;
                continue;
            }
            self.follow_log(feed, &mut pause).await;
        }
    }

    async fn load(&self, feed: &mut impl RevocationFeed) -> Result<(), FeedError> {
        let started = Instant::now();
        let checkpoint = feed.load().await?;
        self.apply_checkpoint(checkpoint).await?;
        // What was said after the loading began may not be in it.
        self.revocations.freshness().confirm(started);
        self.connected();
        Ok(())
    }

    /// Applies events until the log has a gap or the store must be read anew.
    async fn follow_log(&self, feed: &mut impl RevocationFeed, pause: &mut Pause) {
        loop {
            match feed.next().await {
                Ok(event) => {
                    pause.reset();
                    self.connected();
                    self.event(event);
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

    fn event(&self, event: FeedEvent) {
        match event {
            FeedEvent::Record { record, at } => {
                if self.is_new(&at) {
                    self.record(&record, at);
                }
            }
            FeedEvent::Undecodable { at } => {
                if self.is_new(&at) {
                    tracing::warn!(cursor = %at, "skipped a revocation record that can't be decoded");
                    self.metrics.revocation_undecodable.inc();
                    self.status.send_modify(|status| {
                        status.undecodable += 1;
                        status.cursor = Some(at);
                    });
                }
            }
            FeedEvent::Heartbeat { at } => {
                // One that is ahead of us tells of records that we have not seen: not fresh.
                if !self.is_new(&at) {
                    self.revocations.freshness().confirm(Instant::now());
                }
            }
        }
    }

    /// A record at or below the cursor is a replay: applying it again could undo a later one.
    fn is_new(&self, at: &Cursor) -> bool {
        self.status.borrow().cursor.as_ref().is_none_or(|applied| at > applied)
    }

    fn record(&self, record: &Revocation, at: Cursor) {
        self.revocations.set().apply(record);
        let op = match record.op {
            Op::Revoke => "revoke",
            Op::Reinstate => "reinstate",
        };
        self.metrics.revocation_records.get_or_create(&vec![("op", op.to_owned())]).inc();
        self.metrics.propagation_seconds.observe(upkeep::age(record));
        self.status.send_modify(|status| {
            status.applied += 1;
            status.cursor = Some(at);
        });
    }

    fn connected(&self) {
        self.metrics.feed_connected.set(1);
        self.status.send_if_modified(|status| {
            let changed = !status.connected;
            status.connected = true;
            status.last_error = None;
            changed
        });
    }

    fn disconnected(&self, error: &FeedError) {
        self.metrics.feed_connected.set(0);
        let text: Arc<str> = error.to_string().into();
        let news = self.status.borrow().last_error.as_ref() != Some(&text);
        if news {
            tracing::warn!(error = %text, "the revocation feed failed; deciding from memory");
        }
        self.status.send_modify(|status| {
            status.connected = false;
            status.last_error = Some(text);
        });
    }
}

#[cfg(test)]
mod tests;
