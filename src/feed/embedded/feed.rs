//! The reading side: live entries in one consistent snapshot, then the log from there on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::revocation::{
    Checkpoint, FeedError, FeedEvent, Live, LiveSender, Name, Revocation, RevocationFeed, wire,
};

use super::codec;
use super::schema::{FLOOR, HEAD, LIVE, LOG, META};
use super::shared::{Shared, unreadable};

/// A reader of the store. Any number of them may read at once.
#[derive(Debug)]
pub struct EmbeddedFeed {
    shared: Arc<Shared>,
    head: watch::Receiver<u64>,
    /// The sequence up to which events are in `ready` or were given out.
    read_to: u64,
    ready: VecDeque<FeedEvent>,
    next_beat: Instant,
}

/// Shares the texts that follow each other in name order.
#[derive(Default)]
struct Texts {
    issuer: Option<Arc<str>>,
    claim: Option<Arc<str>>,
}

const HEARTBEAT: Duration = Duration::from_millis(500);
/// Entries in one batch of a checkpoint.
const BATCH: usize = 4096;
/// Log records read at once.
const RECORDS: usize = 1024;

// === impl EmbeddedFeed ===

impl EmbeddedFeed {
    pub(super) fn new(shared: Arc<Shared>, head: watch::Receiver<u64>) -> Self {
        Self { shared, head, read_to: 0, ready: VecDeque::new(), next_beat: Instant::now() }
    }

    /// Reads what follows into `ready`. A future dropped in here has changed nothing.
    async fn read_log(&mut self) -> Result<(), FeedError> {
        let after = self.read_to;
        let records = self.shared.read(move |database| read_log(database, after)).await?;
        let all = records.len() < RECORDS;
        for (sequence, event) in records {
            self.read_to = sequence;
            self.ready.push_back(event);
        }
        if all {
            // Nothing followed when it was read. Said at once, so that a busy log is fresh too.
            self.ready.push_back(FeedEvent::Heartbeat { at: codec::cursor(self.read_to) });
        }
        Ok(())
    }

    async fn quiet(&mut self) -> Result<Option<FeedEvent>, FeedError> {
        match timeout_at(self.next_beat, self.head.changed()).await {
            Ok(Ok(())) => Ok(None),
            Ok(Err(_)) => Err(FeedError::Refused("the store is closed".to_owned())),
            Err(_) => {
                self.next_beat = Instant::now() + HEARTBEAT;
                self.shared.check()?;
                Ok(Some(FeedEvent::Heartbeat { at: codec::cursor(self.read_to) }))
            }
        }
    }
}

impl RevocationFeed for EmbeddedFeed {
    async fn load(&mut self) -> Result<Checkpoint, FeedError> {
        self.shared.check()?;
        let database = self.shared.database()?;
        let (tell_head, head) = oneshot::channel();
        let (sender, live) = Live::channel();
        tokio::task::spawn_blocking(move || send_live(database, tell_head, sender));
        let head =
            head.await.map_err(|_panicked| FeedError::Corrupt("a read failed".to_owned()))??;
        // The log is read from the same snapshot on: nothing is between the two.
        self.read_to = head;
        self.ready.clear();
        self.next_beat = Instant::now();
        Ok(Checkpoint { epoch: self.shared.epoch(), live, upto: codec::cursor(head) })
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            if *self.head.borrow_and_update() > self.read_to {
                self.read_log().await?;
            } else if let Some(event) = self.quiet().await? {
                return Ok(event);
            }
        }
    }
}

// === impl Texts ===

impl Texts {
    fn name(&mut self, (issuer, claim, value): (&str, &str, &str)) -> Name {
        let issuer = same_or_new(&mut self.issuer, issuer);
        let claim = same_or_new(&mut self.claim, claim);
        Name { issuer, claim, value: value.into() }
    }
}

fn same_or_new(last: &mut Option<Arc<str>>, text: &str) -> Arc<str> {
    match last {
        Some(last) if **last == *text => Arc::clone(last),
        _ => Arc::clone(last.insert(text.into())),
    }
}

/// Visits entries in name order until `visit` says stop; a damaged one is an error.
pub(super) fn visit_live<'k>(
    read: &ReadTransaction,
    range: impl std::ops::RangeBounds<(&'k str, &'k str, &'k str)> + 'k,
    mut visit: impl FnMut(Revocation) -> bool,
) -> Result<(), FeedError> {
    let live = read.open_table(LIVE).map_err(unreadable)?;
    let mut texts = Texts::default();
    for row in live.range(range).map_err(unreadable)? {
        let (key, value) = row.map_err(unreadable)?;
        let entry = codec::decode(texts.name(key.value()), value.value());
        let entry = entry.ok_or_else(|| FeedError::Corrupt("an entry is not one".to_owned()))?;
        if !visit(entry) {
            break;
        }
    }
    Ok(())
}

fn send_live(
    database: Arc<Database>,
    tell_head: oneshot::Sender<Result<u64, FeedError>>,
    sender: LiveSender,
) {
    let snapshot = database.begin_read().map_err(unreadable);
    let snapshot = snapshot.and_then(|read| number(&read, HEAD).map(|head| (read, head)));
    let read = match snapshot {
        Ok((read, head)) => {
            // Nobody there to hear it: then nobody takes the batches either.
            drop(tell_head.send(Ok(head)));
            read
        }
        Err(error) => return drop(tell_head.send(Err(error))),
    };
    let mut batch = Vec::with_capacity(BATCH);
    let outcome = visit_live(&read, .., |entry| {
        batch.push(entry);
        batch.len() < BATCH
            || sender.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))
    });
    sender.blocking_send(batch);
    // Before the end is told: whoever hears it may close the store, and open it again.
    drop((read, database));
    sender.end(outcome);
}

fn read_log(database: &Database, after: u64) -> Result<Vec<(u64, FeedEvent)>, FeedError> {
    let read = database.begin_read().map_err(unreadable)?;
    if number(&read, FLOOR)? > after {
        return Err(FeedError::Truncated(codec::cursor(after)));
    }
    let log = read.open_table(LOG).map_err(unreadable)?;
    let rows = log.range(after.saturating_add(1)..).map_err(unreadable)?;
    let events = rows.take(RECORDS).map(|row| {
        let (sequence, bytes) = row.map_err(unreadable)?;
        let at = codec::cursor(sequence.value());
        let event = match wire::decode(bytes.value()) {
            Ok(record) => FeedEvent::Record { record, at },
            Err(_) => FeedEvent::Undecodable { at },
        };
        Ok((sequence.value(), event))
    });
    events.collect()
}

fn number(read: &ReadTransaction, key: &'static str) -> Result<u64, FeedError> {
    let meta = read.open_table(META).map_err(unreadable)?;
    let value = meta.get(key).map_err(unreadable)?;
    let bytes = value.and_then(|value| value.value().try_into().ok());
    bytes.map(u64::from_le_bytes).ok_or_else(|| FeedError::Corrupt(format!("`{key}` is missing")))
}
