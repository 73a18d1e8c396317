//! One reading of the monotonic clock for all that happens within one poll of a worker's task.
//!
//! A request asked for the time fourteen times; deadlines of seconds and durations in microseconds need
//! it once a poll. Outside of [`within`], [`recent`] is the clock itself.

use std::cell::Cell;

use tokio::time::Instant;

#[derive(Clone, Copy)]
enum Reading {
    /// Not within a poll.
    Outside,
    /// Within one that has not asked yet.
    Unread,
    /// Within one, and the time it has.
    Read(Instant),
}

/// Ends the poll's time also when the poll panics.
struct End;

thread_local! {
    static READING: Cell<Reading> = const { Cell::new(Reading::Outside) };
}

// === impl End ===

impl Drop for End {
    fn drop(&mut self) {
        READING.set(Reading::Outside);
    }
}

/// Runs one poll, in which the time stands still.
pub fn within<T>(poll: impl FnOnce() -> T) -> T {
    READING.set(Reading::Unread);
    let _end = End;
    poll()
}

/// The time of the poll that runs, or now.
pub fn recent() -> Instant {
    match READING.get() {
        Reading::Read(now) => now,
        Reading::Outside => Instant::now(),
        Reading::Unread => {
            let now = Instant::now();
            READING.set(Reading::Read(now));
            now
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn moves_on(since: Instant) -> bool {
        (0..1_000_000).any(|_| recent() > since)
    }

    #[test]
    fn time_stands_still_within_a_poll_and_goes_on_after_it() {
        let (first, last) = within(|| {
            let first = recent();
            std::thread::yield_now();
            (first, recent())
        });
        assert_eq!(first, last);
        assert!(moves_on(last));
    }

    #[test]
    fn a_poll_that_panics_does_not_stop_the_clock() {
        let ended =
            std::panic::catch_unwind(|| within(|| assert!(recent().elapsed() > Duration::MAX)));
        assert!(ended.is_err());
        assert!(moves_on(recent()));
    }
}
