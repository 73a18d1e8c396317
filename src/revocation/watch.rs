//! Those who watch what is applied: told of it as it happens, and never waited for.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Cursor, Revocation};

/// What was applied.
#[derive(Clone, Debug)]
pub enum Told {
    /// One record of the log.
    Record {
        /// What was said.
        record: Arc<Revocation>,
        /// Where in the log.
        at: Cursor,
    },
    /// A checkpoint: whatever was told before is in it, and it may hold what was never told.
    Loaded {
        /// Entries of the set now.
        entries: usize,
        /// Where the log goes on.
        at: Cursor,
    },
}

/// The watcher was too slow: so many were not told to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} were missed")]
pub struct Missed(pub u64);

/// One watcher's end.
#[derive(Debug)]
pub struct Watching(broadcast::Receiver<Told>);

/// The telling end.
#[derive(Debug)]
pub(super) struct Watchers(broadcast::Sender<Told>);

/// So many wait for a watcher before it misses the oldest.
const WAITING: usize = 1024;

// === impl Watching ===

impl Watching {
    /// The next that is applied; `None` at the end of all. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Told, Missed>> {
        match self.0.recv().await {
            Ok(told) => Some(Ok(told)),
            Err(RecvError::Lagged(count)) => Some(Err(Missed(count))),
            Err(RecvError::Closed) => None,
        }
    }
}

// === impl Watchers ===

impl Watchers {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }

    pub(super) fn watch(&self) -> Watching {
        Watching(self.0.subscribe())
    }

    /// Costs a look where nobody watches.
    pub(super) fn tell(&self, told: impl FnOnce() -> Told) {
        if self.0.receiver_count() > 0 {
            // The last one may have gone in between.
            drop(self.0.send(told()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(entries: usize) -> Told {
        Told::Loaded { entries, at: Cursor::default() }
    }

    #[tokio::test]
    async fn a_slow_watcher_misses_the_oldest_and_is_told_how_many() {
        let watchers = Watchers::new();
        let mut watching = watchers.watch();
        for entries in 0..WAITING + 5 {
            watchers.tell(|| loaded(entries));
        }
        assert_eq!(watching.next().await.unwrap().unwrap_err(), Missed(5));
        let next = watching.next().await;
        assert!(matches!(next, Some(Ok(Told::Loaded { entries: 5, .. }))), "{next:?}");
        drop(watchers);
        for _ in 6..WAITING + 5 {
            assert!(watching.next().await.unwrap().is_ok());
        }
        assert!(watching.next().await.is_none());
    }

    #[tokio::test]
    async fn where_nobody_watches_nothing_is_made() {
        let watchers = Watchers::new();
        watchers.tell(|| unreachable!("nobody watches"));
        drop(watchers.watch());
        watchers.tell(|| unreachable!("nobody watches any more"));
    }
}
