//! Waiting longer after each failure, and never in step with others (jitter).

use std::time::Duration;

/// The delays between attempts: the first is at least `min`, none is above `max`, and the upper
/// bound doubles with each failure.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

// === impl Backoff ===

impl Backoff {
    /// Delays from `min` to `max`; a `max` below `min` counts as `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        let max = max.max(min);
        Self { min, max, ceiling: min.saturating_mul(2).min(max) }
    }

    /// How long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let delay = between(self.min, self.ceiling, random());
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        delay
    }

    /// Starts again at the shortest delays: an attempt was successful.
    pub fn reset(&mut self) {
        self.ceiling = self.min.saturating_mul(2).min(self.max);
    }
}

/// A duration within a tenth of this one, so that many nodes don't do the same thing at once.
pub fn jittered(around: Duration) -> Duration {
    between(around - around / 10, around + around / 10, random())
}

fn between(low: Duration, high: Duration, part: u32) -> Duration {
    let width = high.saturating_sub(low);
    low + width.mul_f64(f64::from(part) / f64::from(u32::MAX)).min(width)
}

/// Without randomness from the system, which does not happen, delays are in the middle.
fn random() -> u32 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u32::from_ne_bytes(bytes),
        Err(_) => u32::MAX / 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_delay_is_within_the_bounds(min in 0u64..10_000, span in 0u64..100_000, tries in 1usize..70) {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(min + span));
            let mut backoff = Backoff::new(min, max);
            for _ in 0..tries {
                let delay = backoff.next_delay();
                prop_assert!(min <= delay && delay <= max, "{delay:?} not in {min:?}..={max:?}");
            }
        }

        #[test]
        fn the_nth_delay_is_below_min_times_two_to_the_n(tries in 1u32..20) {
            let min = Duration::from_millis(10);
            let mut backoff = Backoff::new(min, Duration::MAX);
            for n in 1..=tries {
                prop_assert!(backoff.next_delay() <= min * 2u32.pow(n));
            }
            backoff.reset();
            prop_assert!(backoff.next_delay() <= min * 2);
        }

        #[test]
        fn jitter_stays_within_a_tenth(millis in 0u64..10_000_000) {
            let around = Duration::from_millis(millis);
            let delay = jittered(around);
            prop_assert!(around * 9 / 10 <= delay && delay <= around * 11 / 10 + Duration::from_nanos(1));
        }
    }

    #[test]
    fn delays_differ_from_node_to_node() {
        let first = |_| Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).next_delay();
        let delays: std::collections::BTreeSet<_> = (0..20).map(first).collect();
        assert!(delays.len() > 10, "{delays:?}");
    }

    #[test]
    fn a_max_below_min_counts_as_min() {
        let second = Duration::from_secs(1);
        assert_eq!(Backoff::new(second, Duration::ZERO).next_delay(), second);
    }
}
