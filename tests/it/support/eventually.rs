//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

/// Asks until the condition gives something; fails the test when patience ends. Patience is 20
/// seconds, or as many as `PORTCULLIS_TEST_PATIENCE` says.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let seconds = std::env::var("PORTCULLIS_TEST_PATIENCE").ok().and_then(|text| text.parse().ok());
    let patience = Duration::from_secs(seconds.unwrap_or(20));
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < patience, "waited in vain: {what}");
        // The one place that waits a little between two looks.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
