//! How long ago this node last knew that it had applied everything.
//!
//! On the monotonic clock: a stepped wall clock changes nothing here (security.md C13).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::instant::recent;

/// One atomic: when everything known had been applied. Written by the follower, read on every request.
#[derive(Debug)]
pub struct Freshness {
    origin: Instant,
    /// Milliseconds after the origin, plus two; [`NOTHING`] or [`RESTORED`] before the first word.
    confirmed: AtomicU64,
}

/// No checkpoint was ever applied.
const NOTHING: u64 = 0;
/// This node decides by what it had kept, and knows nothing of the store.
const RESTORED: u64 = 1;

// === impl Freshness ===

impl Freshness {
    /// Nothing loaded yet.
    pub fn new() -> Self {
        // By the clock of the follower, which a test may hold.
        let origin = tokio::time::Instant::now().into_std();
        Self { origin, confirmed: AtomicU64::new(NOTHING) }
    }

    /// Says that at this moment everything known had been applied. The first word also means: loaded.
    /// What was known at a moment stays known: an earlier one changes nothing.
    pub fn confirm(&self, at: Instant) {
        self.confirmed.fetch_max(self.millis(at) + 2, Ordering::AcqRel);
    }

    /// Says that what this node had kept is applied: loaded, and stale until the first word.
    pub fn restore(&self) {
        self.confirmed.fetch_max(RESTORED, Ordering::AcqRel);
    }

    /// Whether there is a state to decide by: a checkpoint was applied, the store's or our own.
    pub fn is_loaded(&self) -> bool {
        self.confirmed.load(Ordering::Acquire) != NOTHING
    }

    /// How long ago everything known had been applied; `None` before the first word.
    pub fn staleness(&self) -> Option<Duration> {
        self.staleness_millis().map(Duration::from_millis)
    }

    /// The same in milliseconds, for whoever asks on every request.
    pub(super) fn staleness_millis(&self) -> Option<u64> {
        self.millis_stale_at(recent().into_std())
    }

    /// The same, at a given moment.
    pub fn staleness_at(&self, now: Instant) -> Option<Duration> {
        self.millis_stale_at(now).map(Duration::from_millis)
    }

    fn millis_stale_at(&self, now: Instant) -> Option<u64> {
        let confirmed = self.confirmed.load(Ordering::Acquire).checked_sub(2)?;
        Some(self.millis(now).saturating_sub(confirmed))
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin).as_millis();
        // 584 million years fit; the subtraction leaves room for the two.
        u64::try_from(since).unwrap_or(u64::MAX - 2).min(u64::MAX - 2)
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_word() {
        let freshness = Freshness::new();
        assert!(!freshness.is_loaded());
        assert_eq!(freshness.staleness(), None);
    }

    #[test]
    fn staleness_counts_from_the_last_word() {
        let freshness = Freshness::new();
        let start = Instant::now();
        freshness.confirm(start);
        assert!(freshness.is_loaded());
        let later = freshness.staleness_at(start + Duration::from_secs(11)).expect("loaded");
        assert_eq!(later.as_secs(), 11);
        freshness.confirm(start + Duration::from_secs(11));
        let fresh = freshness.staleness_at(start + Duration::from_secs(11)).expect("loaded");
        assert_eq!(fresh, Duration::ZERO);
    }

    #[test]
    fn what_was_kept_can_be_decided_by_and_is_not_fresh() {
        let freshness = Freshness::new();
        freshness.restore();
        assert!(freshness.is_loaded());
        assert_eq!(freshness.staleness(), None);
        let now = Instant::now();
        freshness.confirm(now);
        freshness.restore();
        freshness.confirm(now - Duration::from_secs(5));
        assert_eq!(freshness.staleness_at(now), Some(Duration::ZERO));
    }

    #[test]
    fn a_moment_before_the_word_is_not_negative() {
        let freshness = Freshness::new();
        let now = Instant::now();
        freshness.confirm(now + Duration::from_secs(5));
        assert_eq!(freshness.staleness_at(now), Some(Duration::ZERO));
    }
}
