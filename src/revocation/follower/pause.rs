//! How long to wait before a failed feed is asked again.

use std::time::Duration;

use uuid::Uuid;

/// Doubles from 100 ms to 5 s; jitter keeps many nodes from coming back at once.
#[derive(Debug)]
pub(super) struct Pause {
    failures: u32,
    random: u64,
}

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

// === impl Pause ===

impl Pause {
    pub(super) fn new() -> Self {
        Self::seeded(Uuid::new_v4().as_u64_pair().1)
    }

    /// Pauses that can be repeated.
    pub(super) const fn seeded(seed: u64) -> Self {
        Self { failures: 0, random: seed }
    }

    /// Something worked: the next pause is a short one.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    pub(super) async fn wait(&mut self) {
        // Knuth's MMIX generator: good enough to spread nodes.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let [jitter, ..] = self.random.to_be_bytes();
        tokio::time::sleep(self.next(jitter)).await;
    }

    /// The next pause; `jitter` makes it up to twice as long.
    fn next(&mut self, jitter: u8) -> Duration {
        let doubled = SHORTEST.saturating_mul(1_u32 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        (doubled + doubled * u32::from(jitter) / 256).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds_and_start_again_after_a_success() {
        let mut pause = Pause::new();
        let pauses: Vec<_> = (0..8).map(|_| pause.next(0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        pause.reset();
        assert!((100..=200).contains(&pause.next(255).as_millis()));
        for _ in 0..100 {
            assert!(pause.next(255) <= LONGEST);
        }
    }
}
