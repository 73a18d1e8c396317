//! The time by which expired entries are forgotten: the wall clock, believed slowly.
//!
//! A wall clock that jumps ahead and back again must not make a node forget what is live
//! (security.md C13). Deciding uses the wall clock itself: there a jump refuses, and is over with it.

use std::time::{Duration, Instant};

use crate::clock::UnixTime;

/// Follows the wall clock: at once when it goes back, at most at double speed when it goes ahead.
#[derive(Debug, Default)]
pub struct Forgetting(Option<(UnixTime, Instant)>);

/// Entries are kept for so long after their end: clocks of other nodes may be behind.
pub(super) const MARGIN: Duration = Duration::from_secs(60);

// === impl Forgetting ===

impl Forgetting {
    /// What expired before this time may be forgotten.
    pub fn before(&mut self, wall: UnixTime, moment: Instant) -> UnixTime {
        let (time, since) = match self.0 {
            None => (wall, moment),
            Some((time, since)) => {
                let elapsed =
                    Duration::from_secs(moment.saturating_duration_since(since).as_secs());
                let believed = wall.min(time.saturating_add(2 * elapsed));
                // What is left of a second counts the next time.
                (believed, since + elapsed)
            }
        };
        self.0 = Some((time, since));
        time.saturating_sub(MARGIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ahead_is_believed_slowly_and_one_that_goes_back_at_once() {
        let mut forgetting = Forgetting::default();
        let start = Instant::now();
        let steps = [
            // (seconds since the start, the wall clock, what is believed)
            (0, 10_000, 10_000),
            (5, 10_005, 10_005),
            (10, 999_999, 10_015),
            (11, 999_999, 10_017),
            (15, 10_015, 10_015),
            (100, 10_100, 10_100),
            (101, 5_000, 5_000),
            (102, 10_102, 5_002),
        ];
        for (after, wall, believed) in steps {
            let moment = start + Duration::from_secs(after);
            let time = forgetting.before(UnixTime::from_secs(wall), moment).saturating_add(MARGIN);
            assert_eq!(time.as_secs(), believed, "after {after} s at {wall}");
        }
    }

    #[test]
    fn parts_of_a_second_add_up() {
        let mut forgetting = Forgetting::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        forgetting.before(UnixTime::from_secs(1000), start);
        for step in 1..=40 {
            forgetting.before(UnixTime::from_secs(9999), at(step * 100));
        }
        let time = forgetting.before(UnixTime::from_secs(9999), at(4000));
        assert_eq!(time.saturating_add(MARGIN).as_secs(), 1008);
    }
}
