//! The two seams to a store: reading what happened ([`RevocationFeed`]) and saying something new
//! ([`RevocationLog`]). The contract suite in `tests/it/feed_contract.rs` defines them.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;
use thiserror::Error;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Name, Revocation, Text};
use crate::clock::UnixTime;

/// A position in a store's log. Opaque outside its adapter; totally ordered within one epoch.
///
/// Its text is in the value itself where it is short, as all of ours are: every record carries one.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(SmallVec<[u8; 24]>);

/// The identity of a store's memory: another epoch means that it may have forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub Uuid);

/// All live entries up to a cursor.
#[derive(Debug)]
pub struct Checkpoint {
    /// The store's memory.
    pub epoch: Epoch,
    /// Every live `revoke` record, one for each (issuer, claim, value), merged.
    pub live: Live,
    /// The last record that is contained in `live`.
    pub upto: Cursor,
}

/// A checkpoint's entries, a batch at a time: ten million of them are never in memory at once.
#[derive(Debug)]
pub struct Live(mpsc::Receiver<Result<Vec<Revocation>, FeedError>>);

/// The store's end of [`Live`]. Dropping it without [`LiveSender::end`] breaks the checkpoint off.
#[derive(Debug)]
pub struct LiveSender(mpsc::Sender<Result<Vec<Revocation>, FeedError>>);

/// What a feed has to tell.
#[derive(Clone, Debug)]
pub enum FeedEvent {
    /// A record, in log order. May be seen twice, never missed.
    Record {
        /// What was said.
        record: Revocation,
        /// Where in the log.
        at: Cursor,
    },
    /// An entry of the log that can't be decoded; skipped, counted and logged with its cursor.
    Undecodable {
        /// Where in the log.
        at: Cursor,
    },
    /// Everything up to here has been told. Only this moves freshness. Sent at least once a second
    /// while it is true, on a busy feed too.
    Heartbeat {
        /// The end of the log.
        at: Cursor,
    },
}

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// Live entries in the order of their names.
    pub items: Vec<Revocation>,
    /// Give this as `after` for the next page; `None` at the end.
    pub next: Option<Name>,
}

/// Which entries a listing wants; absent parts match all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this issuer.
    pub issuer: Option<Arc<str>>,
    /// Only this claim.
    pub claim: Option<Arc<str>>,
    /// Only this value.
    pub value: Option<Arc<str>>,
}

/// What went wrong with a store.
#[derive(Debug, Error)]
pub enum FeedError {
    /// The store can't be reached.
    #[error("the revocation store can't be reached: {0}")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log no longer holds what follows the cursor: load the checkpoint again.
    #[error("the revocation log no longer holds what follows cursor {0}")]
    Truncated(Cursor),
    /// The store is there and what it holds is damaged or of another kind.
    #[error("the revocation store is damaged: {0}")]
    Corrupt(String),
    /// The store refused: a missing right, a full disk, a lock held by another process.
    #[error("the revocation store refused: {0}")]
    Refused(String),
    /// The program was built without what speaks to this store.
    #[error("this program was built without the cargo feature `{0}`, which this feed needs")]
    NotBuilt(&'static str),
}

/// The reading side. Subscribe first, then load: an event may be seen twice, never missed. A store
/// that comes back with another epoch, or a log that no longer reaches back to the cursor, is
/// [`FeedError::Truncated`].
pub trait RevocationFeed: Send + 'static {
    /// Loads the checkpoint; `next` then continues from (at or before) its cursor.
    fn load(&mut self) -> impl Future<Output = Result<Checkpoint, FeedError>> + Send;

    /// The next event. Cancel-safe: a dropped future loses nothing.
    fn next(&mut self) -> impl Future<Output = Result<FeedEvent, FeedError>> + Send;

    /// The records that were read together with the last event of `next` and follow it: had at once, in
    /// log order, instead of one `next` for each.
    fn more(&mut self) -> VecDeque<FeedEvent> {
        VecDeque::new()
    }

    /// Goes on after a cursor that this node has kept, without a checkpoint; `next` then continues
    /// from there. [`FeedError::Truncated`] when the store can't: another epoch, a log that no longer
    /// reaches back so far, or one that ends before.
    fn resume(
        &mut self,
        epoch: Epoch,
        after: &Cursor,
    ) -> impl Future<Output = Result<(), FeedError>> + Send {
        let (_, after) = (epoch, after.clone());
        async { Err(FeedError::Truncated(after)) }
    }

    /// What this node has kept of its own, to decide by until the store answers. Not for adapters.
    fn restore(&mut self) -> impl Future<Output = Result<Option<Checkpoint>, FeedError>> + Send {
        async { Ok(None) }
    }

    /// Up to where the log may tell again what this node had known before the store went back within its
    /// memory. Not for adapters.
    fn disputed(&self) -> Option<Cursor> {
        None
    }

    /// What became of an event that is new to this node: a record that is not believed changed nothing,
    /// and only the cursor moved on. Not for adapters.
    fn applied(&mut self, event: &FeedEvent, believed: bool) {
        let _ = (event, believed);
    }

    /// Whether its checkpoints hold what this node knew and the store has lost. Not for adapters.
    fn remembers(&self) -> bool {
        false
    }
}

/// The writing side.
pub trait RevocationLog: Send + Sync + 'static {
    /// Makes the records durable, all or none, and answers with the cursor of the last.
    fn append(
        &self,
        records: Vec<Revocation>,
    ) -> impl Future<Output = Result<Cursor, FeedError>> + Send;

    /// One page of the live entries, with their reasons and actors.
    fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> impl Future<Output = Result<Page, FeedError>> + Send;

    /// Forgets what has expired before `now`; how many entries went.
    fn compact(&self, now: UnixTime) -> impl Future<Output = Result<usize, FeedError>> + Send;
}

// === impl FeedEvent ===

impl FeedEvent {
    /// Where in the log it stands.
    pub const fn at(&self) -> &Cursor {
        match self {
            Self::Record { at, .. } | Self::Undecodable { at } | Self::Heartbeat { at } => at,
        }
    }
}

// === impl Live ===

impl Live {
    /// Both ends of a checkpoint that is read from elsewhere; a few batches wait in between.
    pub fn channel() -> (LiveSender, Self) {
        let (sender, receiver) = mpsc::channel(4);
        (LiveSender(sender), Self(receiver))
    }

    /// One that ends after a part.
    #[cfg(test)]
    pub(crate) fn broken_off(entries: Vec<Revocation>) -> Self {
        let (sender, live) = Self::channel();
        if !entries.is_empty() {
            sender.0.try_send(Ok(entries)).expect("one batch fits into the channel");
        }
        live
    }

    /// The next batch; an empty one is the end. A store that stops half-way is an error, never the end.
    pub async fn next(&mut self) -> Result<Vec<Revocation>, FeedError> {
        match self.0.recv().await {
            Some(batch) => batch,
            None => Err(FeedError::Unreachable("the checkpoint broke off".into())),
        }
    }

    /// Everything at once, for those who know that it is little.
    pub async fn collect(mut self) -> Result<Vec<Revocation>, FeedError> {
        let mut all = Vec::new();
        loop {
            let batch = self.next().await?;
            if batch.is_empty() {
                return Ok(all);
            }
            all.extend(batch);
        }
    }
}

impl From<Vec<Revocation>> for Live {
    fn from(entries: Vec<Revocation>) -> Self {
        let (sender, live) = Self::channel();
        let batches = if entries.is_empty() { vec![vec![]] } else { vec![entries, vec![]] };
        for batch in batches {
            sender.0.try_send(Ok(batch)).expect("two batches fit into the channel");
        }
        live
    }
}

// === impl LiveSender ===

impl LiveSender {
    /// Gives a batch; false when nobody wants it any more. Blocks: not for an async task.
    pub fn blocking_send(&self, batch: Vec<Revocation>) -> bool {
        batch.is_empty() || self.0.blocking_send(Ok(batch)).is_ok()
    }

    /// Gives a batch; false when nobody wants it any more.
    pub async fn send(&self, batch: Vec<Revocation>) -> bool {
        batch.is_empty() || self.0.send(Ok(batch)).await.is_ok()
    }

    /// Says that this was all, or why it was not.
    pub async fn finish(self, outcome: Result<(), FeedError>) {
        // A receiver that is gone does not want to know.
        drop(self.0.send(outcome.map(|()| Vec::new())).await);
    }

    /// Like [`LiveSender::finish`]. Blocks: not for an async task.
    pub fn end(self, outcome: Result<(), FeedError>) {
        // A receiver that is gone does not want to know.
        drop(self.0.blocking_send(outcome.map(|()| Vec::new())));
    }
}

// === impl Cursor ===

impl Cursor {
    /// A cursor from its text; adapters choose text that compares in log order.
    pub fn new(text: &str) -> Self {
        Self(SmallVec::from_slice(text.as_bytes()))
    }

    /// A number as twenty digits, so that text compares as numbers do.
    pub fn of_number(number: u64) -> Self {
        // By hand: an import makes half a million of them a second.
        let (mut digits, mut rest) = ([b'0'; 20], number);
        for digit in digits.iter_mut().rev() {
            if rest == 0 {
                break;
            }
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        Self(SmallVec::from_slice(&digits))
    }

    /// The cursor's text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it was made from a text")
    }
}

/// At once: the derived one copies byte by byte.
impl Clone for Cursor {
    fn clone(&self) -> Self {
        Self(SmallVec::from_slice(&self.0))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cursor").field(&self.as_str()).finish()
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(Text::deserialize(deserializer)?.as_ref()))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl FeedError ===

impl FeedError {
    /// The same for another one who waits for it.
    pub fn again(&self) -> Self {
        match self {
            Self::Unreachable(why) => Self::Unreachable(why.to_string().into()),
            Self::Truncated(cursor) => Self::Truncated(cursor.clone()),
            Self::Corrupt(why) => Self::Corrupt(why.clone()),
            Self::Refused(why) => Self::Refused(why.clone()),
            Self::NotBuilt(feature) => Self::NotBuilt(feature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_of_numbers_compare_as_the_numbers_do() {
        let numbers = [0, 1, 9, 10, 99, 100, u64::MAX - 1, u64::MAX];
        let cursors = numbers.map(Cursor::of_number);
        assert!(cursors.is_sorted_by(|one, next| one < next));
        let texts = numbers.map(|number| format!("{number:020}"));
        assert_eq!(cursors.each_ref().map(Cursor::as_str), texts.each_ref().map(String::as_str));
    }
}
