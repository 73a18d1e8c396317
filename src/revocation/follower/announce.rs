//! What the log says of the feed and of freshness: one line when it goes wrong, one when it is well
//! again and stays so. Metrics and status have every change; a feed that flaps must not fill the log.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::FeedStatus;
use crate::revocation::Revocations;

/// Looks once a second.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    feed: Steady,
    state: Steady,
    /// The failure that was said last, and when.
    said: Option<(Arc<str>, Instant)>,
}

/// A condition of which only changes are said: wrong at once, well when it has lasted.
#[derive(Debug, Default)]
struct Steady {
    wrong: bool,
    well_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Wrong,
    Well,
}

/// For so long it must be well before that is said, or longer for a large `max_staleness`.
const LASTING: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// Another failure within one outage is said no sooner than this after the last.
const AGAIN: Duration = Duration::from_secs(30);

// === impl Announcer ===

impl Announcer {
    pub(super) fn look(&mut self, status: &FeedStatus, revocations: &Revocations) {
        let now = Instant::now();
        self.feed(status, now);
        let lasting = revocations.max_staleness().clamp(LASTING, LONGEST);
        let stale = revocations.freshness().is_loaded() && revocations.is_stale();
        match self.state.change(stale, now, lasting) {
            Some(Change::Wrong) => tracing::error!(
                "the revocation state is stale: routes with when_stale = \"reject\" answer 503"
            ),
            Some(Change::Well) => tracing::info!("the revocation state is fresh again"),
            None => {}
        }
    }

    fn feed(&mut self, status: &FeedStatus, now: Instant) {
        let failure = status.last_error.as_ref().filter(|_| !status.connected);
        let change = self.feed.change(failure.is_some(), now, LASTING);
        if let Some(error) = failure {
            let other = |(said, at): &(Arc<str>, Instant)| said != error && now - *at >= AGAIN;
            if change.is_some() || self.said.as_ref().is_none_or(other) {
                tracing::warn!(%error, "the revocation feed failed; deciding from memory");
                self.said = Some((Arc::clone(error), now));
            }
        } else if change == Some(Change::Well) {
            tracing::info!("the revocation feed answers again");
            self.said = None;
        }
    }
}

// === impl Steady ===

impl Steady {
    fn change(&mut self, wrong: bool, now: Instant, lasting: Duration) -> Option<Change> {
        if wrong {
            self.well_since = None;
            return (!std::mem::replace(&mut self.wrong, true)).then_some(Change::Wrong);
        }
        let since = *self.well_since.get_or_insert(now);
        let well = self.wrong && now - since >= lasting;
        self.wrong &= !well;
        well.then_some(Change::Well)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flaps_is_said_once_and_what_lasts_is_said_too() {
        let (mut steady, start) = (Steady::default(), Instant::now());
        let mut said = Vec::new();
        // Wrong every third second for a minute, then well; wrong once more at the end.
        for second in 0..90_u64 {
            let wrong = (second < 60 && second % 3 == 1) || second == 80;
            let now = start + Duration::from_secs(second);
            said.extend(steady.change(wrong, now, LASTING).map(|change| (second, change)));
        }
        use Change::{Well, Wrong};
        assert_eq!(said, [(1, Wrong), (64, Well), (80, Wrong), (86, Well)]);
    }

    #[test]
    fn the_feed_is_announced_when_its_first_failure_is_known() {
        let mut announcer = Announcer::default();
        let (mut status, start) = (FeedStatus::default(), Instant::now());
        announcer.feed(&status, start);
        assert!(announcer.said.is_none(), "it has not been asked yet");
        let words =
            |announcer: &Announcer| announcer.said.as_ref().map(|(said, _)| said.to_string());
        for (second, error, said) in [
            (1, "refused", "refused"),
            (2, "timed out", "refused"),
            (30, "timed out", "refused"),
            (31, "timed out", "timed out"),
        ] {
            status.last_error = Some(error.into());
            announcer.feed(&status, start + Duration::from_secs(second));
            assert_eq!(words(&announcer).as_deref(), Some(said), "at {second} s");
        }
        status = FeedStatus { connected: true, ..FeedStatus::default() };
        for second in 32..=37 {
            announcer.feed(&status, start + Duration::from_secs(second));
        }
        assert!(announcer.said.is_none() && !announcer.feed.wrong);
    }
}
