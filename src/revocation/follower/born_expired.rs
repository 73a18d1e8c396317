//! What the log says of records that had expired before they were published: whoever published them sees
//! nothing happen.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::UnixTime;
use crate::revocation::{Cursor, Op, Revocation};

use super::Applier;

/// When it was said last. The metric has every one; a publisher whose clock is wrong must not fill the log.
#[derive(Debug, Default)]
pub(super) struct BornExpired {
    said: Option<Instant>,
}

/// Between two of these lines.
const AGAIN: Duration = Duration::from_secs(30);

// === impl BornExpired ===

impl BornExpired {
    fn tell(&mut self, record: &Revocation, at: &Cursor) {
        if self.may_say(Instant::now()) {
            tracing::warn!(
                id = %record.id, cursor = %at, actor = ?record.actor, expires_at = record.expires_at.as_secs(),
                "a revocation record had expired before it was published, and takes nothing back: \
                 the publisher's clock or its `expires_at` is wrong"
            );
        }
    }

    fn may_say(&mut self, now: Instant) -> bool {
        let may = self.said.is_none_or(|said| now - said >= AGAIN);
        if may {
            self.said = Some(now);
        }
        may
    }
}

// === impl Applier ===

impl Applier {
    /// Counts a record that had expired before it was published; `known` is [`Applier::known_until`].
    pub(super) fn note_born_expired(
        &self,
        record: &Revocation,
        at: &Cursor,
        known: Option<UnixTime>,
        told: &mut BornExpired,
    ) {
        if is_born_expired(record, known) {
            self.metrics.revocation_born_expired.inc();
            told.tell(record, at);
        }
    }

    /// The moment up to which everything is known; `None` before the first word.
    pub(super) fn known_until(&self) -> Option<UnixTime> {
        let age = self.revocations.freshness().staleness()?;
        // A second for the rounding of either.
        Some(self.clock.now().saturating_sub(age.saturating_add(Duration::from_secs(1))))
    }
}

/// It was published after the moment up to which everything was known. Of what is read after an outage
/// nobody can say more, and of what is read before the first word nothing.
fn is_born_expired(record: &Revocation, known: Option<UnixTime>) -> bool {
    record.op != Op::Reinstate && known.is_some_and(|known| record.expires_at < known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_twice_a_minute_at_most() {
        let (mut told, start) = (BornExpired::default(), Instant::now());
        let said: Vec<u64> =
            (0..100).filter(|second| told.may_say(start + Duration::from_secs(*second))).collect();
        assert_eq!(said, [0, 30, 60, 90]);
    }
}
