//! Leaves a callback alone that does not answer: after a few failures in a row it is asked once a second.
//!
//! Otherwise every request would wait for the whole time-out, and what is down would be asked the more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row before it counts as down.
const ENOUGH: u32 = 5;
/// Between two questions to one that is down.
const PAUSE: Duration = Duration::from_secs(1);

/// How one callback has been doing.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    ask_again: Option<Instant>,
}

// === impl Health ===

impl Health {
    /// Whether it may be asked; of many who want to ask one that is down, one a second may.
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        self.with(|state| match state.ask_again {
            Some(at) if now < at => false,
            Some(_) => {
                state.ask_again = Some(now + PAUSE);
                true
            }
            None => true,
        })
    }

    /// It answered. True when it was down before.
    pub(super) fn answered(&self) -> bool {
        self.with(|state| std::mem::take(state).ask_again.is_some())
    }

    /// It did not answer. True when that makes it down.
    pub(super) fn failed(&self, now: Instant) -> bool {
        self.with(|state| {
            state.failures = state.failures.saturating_add(1);
            let down = state.failures >= ENOUGH && state.ask_again.is_none();
            if state.failures >= ENOUGH {
                state.ask_again = Some(now + PAUSE);
            }
            down
        })
    }

    fn with<T>(&self, then: impl FnOnce(&mut State) -> T) -> T {
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_make_it_down_and_one_answer_brings_it_back() {
        let (health, now) = (Health::default(), Instant::now());
        for _ in 1..ENOUGH {
            assert!(!health.failed(now));
            assert!(health.may_ask(now));
        }
        assert!(!health.answered());
        for _ in 1..ENOUGH {
            assert!(!health.failed(now));
        }
        assert!(health.failed(now));
        assert!(!health.may_ask(now));
        assert!(!health.may_ask(now + PAUSE / 2));
        // One may look, the others wait for what it finds.
        assert!(health.may_ask(now + PAUSE));
        assert!(!health.may_ask(now + PAUSE));
        assert!(!health.failed(now + PAUSE));
        assert!(health.may_ask(now + PAUSE * 2));
        assert!(health.answered());
        assert!(health.may_ask(now) && !health.answered());
    }
}
