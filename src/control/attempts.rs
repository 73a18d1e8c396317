//! How fast wrong credentials may be tried: a bucket that refills, then every further one waits.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Wrong credentials answered at once, a second.
const PER_SECOND: f64 = 100.0;
/// What each one beyond that costs; connections are capped, so this bounds guessing.
pub(super) const PENALTY: Duration = Duration::from_secs(1);

/// A token bucket of failures. A right credential is never slowed, so that nobody can lock operators out.
#[derive(Debug)]
pub(super) struct Attempts(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

// === impl Attempts ===

impl Attempts {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Bucket { left: PER_SECOND, at: now }))
    }

    /// Counts a wrong credential; false when there have been too many.
    pub(super) fn allow_failure(&self, now: Instant) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let refill = now.saturating_duration_since(bucket.at).as_secs_f64() * PER_SECOND;
        bucket.left = (bucket.left + refill).min(PER_SECOND);
        bucket.at = now;
        let allowed = bucket.left >= 1.0;
        if allowed {
            bucket.left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_wrong_credentials_a_second_are_answered_at_once_and_no_more() {
        let start = Instant::now();
        let attempts = Attempts::new(start);
        let allowed = (0..500).filter(|_| attempts.allow_failure(start)).count();
        assert_eq!(allowed, 100);
        let later = start + Duration::from_millis(505);
        let allowed = (0..500).filter(|_| attempts.allow_failure(later)).count();
        assert_eq!(allowed, 50);
    }
}
