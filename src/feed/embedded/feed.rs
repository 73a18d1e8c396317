//! The reading side: live entries in one consistent snapshot, then the log from there on.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::revocation::{
    Checkpoint, Cursor, FeedError, FeedEvent, Live, LiveSender, RevocationFeed,
};

use super::block::{Unpacker, Unsound};
use super::entry::Texts;
use super::schema::{BATCHES, FLOOR, HEAD, META};
use super::shared::{Shared, unreadable};
use super::view::visit_live;

/// A reader of the store. Any number of them may read at once.
#[derive(Debug)]
pub struct EmbeddedFeed {
    shared: Arc<Shared>,
    head: watch::Receiver<u64>,
    /// The sequence up to which events are in `ready` or were given out.
    read_to: u64,
    ready: VecDeque<FeedEvent>,
    /// Nothing followed these when they were read.
    beat: bool,
    next_beat: Instant,
}

/// What the log holds after some point.
struct ReadLog {
    events: Vec<FeedEvent>,
    upto: u64,
    /// Nothing followed.
    all: bool,
}

const HEARTBEAT: Duration = Duration::from_millis(500);
/// Entries in one batch of a checkpoint.
const BATCH: usize = 4096;
/// Log records read at once, more or less.
const RECORDS: usize = 8192;

// === impl EmbeddedFeed ===

impl EmbeddedFeed {
    pub(super) fn new(shared: Arc<Shared>, head: watch::Receiver<u64>) -> Self {
        let (ready, next_beat) = (VecDeque::new(), Instant::now());
        Self { shared, head, read_to: 0, ready, beat: false, next_beat }
    }

    /// Takes what follows into `ready`, if it is still at hand.
    fn take_tail(&mut self, head: u64) -> bool {
        self.ready = self.shared.tail.take(self.read_to, RECORDS);
        self.read_to += self.ready.len() as u64;
        self.beat = self.read_to >= head;
        !self.ready.is_empty()
    }

    /// Reads what follows into `ready`. A future dropped in here has changed nothing.
    async fn read_log(&mut self) -> Result<(), FeedError> {
        let after = self.read_to;
        let read = self.shared.read(move |database| read_log(database, after)).await?;
        self.read_to = read.upto;
        // Only asked for when there are none left.
        self.ready = read.events.into();
        self.beat = read.all;
        Ok(())
    }

    async fn quiet(&mut self) -> Result<Option<FeedEvent>, FeedError> {
        match timeout_at(self.next_beat, self.head.changed()).await {
            Ok(Ok(())) => Ok(None),
            Ok(Err(_)) => Err(FeedError::Refused("the store is closed".to_owned())),
            Err(_) => {
                self.next_beat = Instant::now() + HEARTBEAT;
                self.shared.check()?;
                Ok(Some(FeedEvent::Heartbeat { at: Cursor::of_number(self.read_to) }))
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
        self.beat = false;
        self.next_beat = Instant::now();
        Ok(Checkpoint { epoch: self.shared.epoch(), live, upto: Cursor::of_number(head) })
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            // Said at once, so that a busy log is fresh too.
            if std::mem::take(&mut self.beat) {
                return Ok(FeedEvent::Heartbeat { at: Cursor::of_number(self.read_to) });
            }
            let head = *self.head.borrow_and_update();
            if head > self.read_to {
                self.shared.check()?;
                if !self.take_tail(head) {
                    self.read_log().await?;
                }
            } else if let Some(event) = self.quiet().await? {
                return Ok(event);
            }
        }
    }

    fn more(&mut self) -> VecDeque<FeedEvent> {
        std::mem::take(&mut self.ready)
    }
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
    let outcome = visit_live(
        &read,
        &Bound::Unbounded,
        |_| true,
        |entry| {
            batch.push(entry);
            batch.len() < BATCH
                || sender.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))
        },
    );
    sender.blocking_send(batch);
    // Before the end is told: whoever hears it may close the store, and open it again.
    drop((read, database));
    sender.end(outcome);
}

fn read_log(database: &Database, after: u64) -> Result<ReadLog, FeedError> {
    let read = database.begin_read().map_err(unreadable)?;
    if number(&read, FLOOR)? > after {
        return Err(FeedError::Truncated(Cursor::of_number(after)));
    }
    let batches = read.open_table(BATCHES).map_err(unreadable)?;
    let mut log = ReadLog { events: Vec::new(), upto: after, all: true };
    let mut texts = Texts::default();
    for row in batches.range(after.saturating_add(1)..).map_err(unreadable)? {
        if log.events.len() >= RECORDS {
            log.all = false;
            break;
        }
        let (last, packed) = row.map_err(unreadable)?;
        read_batch(last.value(), packed.value(), &mut texts, &mut log)?;
    }
    Ok(log)
}

fn read_batch(
    last: u64,
    packed: &[u8],
    texts: &mut Texts,
    log: &mut ReadLog,
) -> Result<(), FeedError> {
    let mut batch = Unpacker::new(packed)?;
    log.events.reserve(batch.left() as usize);
    while let Some(body) = batch.next()? {
        let sequence = last.saturating_sub(u64::from(batch.left()));
        if sequence <= log.upto {
            continue;
        }
        log.upto = sequence;
        let at = Cursor::of_number(sequence);
        log.events.push(match texts.read(batch.key(), body) {
            Ok(record) => FeedEvent::Record { record, at },
            Err(Unsound) => FeedEvent::Undecodable { at },
        });
    }
    Ok(())
}

fn number(read: &ReadTransaction, key: &'static str) -> Result<u64, FeedError> {
    let meta = read.open_table(META).map_err(unreadable)?;
    let value = meta.get(key).map_err(unreadable)?;
    let bytes = value.and_then(|value| value.value().try_into().ok());
    bytes.map(u64::from_le_bytes).ok_or_else(|| FeedError::Corrupt(format!("`{key}` is missing")))
}
