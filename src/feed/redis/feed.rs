//! The reading side: the live entries, then the stream from there on.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join;
use redis::Value;
use redis::aio::MultiplexedConnection;
use uuid::Uuid;

use crate::revocation::{
    Checkpoint, Cursor, Epoch, FeedError, FeedEvent, Live, LiveSender, RevocationFeed,
};

use super::connection::{Link, failed};
use super::entry::{Entry, Id, Says, bytes, entries, read_entries};
use super::fold::{Folded, fold};
use super::pages::Pages;
use super::scripts::Script;

/// A reader of the store, on a connection of its own.
pub struct RedisFeed {
    link: Arc<Link>,
    /// Which memory, and where in it; `None` before the first checkpoint.
    place: Option<Place>,
    ready: VecDeque<FeedEvent>,
    /// The read in flight: it outlives a `next` that is dropped.
    reading: Option<Reading>,
    connection: Option<MultiplexedConnection>,
    /// When the store was last seen to be whole and to hold nothing new.
    looked: Option<Instant>,
}

/// How far a reader has come.
#[derive(Clone, Debug)]
struct Place {
    epoch: String,
    /// The last entry that was read.
    read: Id,
    /// The last that was told as an event, or the checkpoint's end.
    told: Id,
    /// Another epoch began in the stream after `read`.
    over: bool,
}

type Reading = Pin<Box<dyn Future<Output = Result<Read, FeedError>> + Send>>;

/// What a read brought.
struct Read {
    connection: MultiplexedConnection,
    asked: Instant,
    entries: Vec<Entry>,
    /// The store is whole, and nothing follows the entries.
    all: bool,
}

/// The store is looked at this often; a heartbeat follows each look at which all was told.
const LOOK: Duration = Duration::from_millis(400);
/// An answer that comes later than this after its question says nothing of now.
const LATE: Duration = Duration::from_millis(500);
/// Entries read at once.
const AT_ONCE: usize = 1024;
/// Entries in one batch of a checkpoint.
const BATCH: usize = 4096;

// === impl RedisFeed ===

impl RedisFeed {
    pub(super) fn new(link: Arc<Link>) -> Self {
        let (ready, reading) = (VecDeque::new(), None);
        Self { link, place: None, ready, reading, connection: None, looked: None }
    }

    fn begin(&self, place: &Place) -> Reading {
        let wait = match (&self.connection, self.looked) {
            (Some(_), Some(looked)) => LOOK.saturating_sub(looked.elapsed()),
            _ => Duration::ZERO,
        };
        let (link, connection) = (Arc::clone(&self.link), self.connection.clone());
        let place = place.clone();
        Box::pin(async move {
            let mut connection = match connection {
                Some(connection) => connection,
                None => link.connect(LOOK).await?,
            };
            let asked = Instant::now();
            let (entries, all) = if wait.as_millis() == 0 {
                look(&link, &mut connection, &place).await?
            } else {
                (wait_for_more(&link, &mut connection, &place, wait).await?, false)
            };
            Ok(Read { connection, asked, entries, all })
        })
    }

    fn take(&mut self, read: Read) {
        let Some(place) = &mut self.place else { return };
        self.connection = Some(read.connection);
        for Entry { id, says } in read.entries {
            place.read = id;
            let event = match says {
                Says::Record(record) => FeedEvent::Record { record, at: id.cursor() },
                Says::Undecodable => FeedEvent::Undecodable { at: id.cursor() },
                Says::Epoch(epoch) => {
                    place.over |= epoch != place.epoch;
                    continue;
                }
            };
            place.told = id;
            self.ready.push_back(event);
        }
        if read.all && !place.over {
            self.looked = Some(read.asked);
            if read.asked.elapsed() < LATE {
                self.ready.push_back(FeedEvent::Heartbeat { at: place.told.cursor() });
            }
        }
    }
}

impl RevocationFeed for RedisFeed {
    async fn load(&mut self) -> Result<Checkpoint, FeedError> {
        self.ready.clear();
        (self.reading, self.connection, self.looked) = (None, None, None);
        let connection = self.link.connect(LOOK).await?;
        self.link.takes_writes(connection.clone()).await?;
        self.connection = Some(connection);
        if let Some(place) = &self.place {
            judge_memory(&self.link, place).await?;
        }
        let Folded { epoch, upto } = fold(&self.link).await?;
        let id = Uuid::parse_str(&epoch)
            .map_err(|_| FeedError::Corrupt(format!("{epoch:?} is no epoch")))?;
        let (sender, live) = Live::channel();
        let link = Arc::clone(&self.link);
        tokio::spawn(async move {
            let outcome = send_live(&link, &sender).await;
            sender.finish(outcome).await;
        });
        self.place = Some(Place { epoch, read: upto, told: upto, over: false });
        Ok(Checkpoint { epoch: Epoch(id), live, upto: upto.cursor() })
    }

    async fn resume(&mut self, epoch: Epoch, after: &Cursor) -> Result<(), FeedError> {
        self.ready.clear();
        (self.reading, self.connection, self.looked) = (None, None, None);
        let Some(read) = Id::parse(after.as_str()) else {
            return Err(FeedError::Truncated(after.clone()));
        };
        // Kept also when it turns out to be gone: the load that follows judges why.
        let place = Place { epoch: epoch.to_string(), read, told: read, over: false };
        let place = self.place.insert(place);
        let mut connection = self.link.connect(LOOK).await?;
        let (entries, all) = look(&self.link, &mut connection, place).await?;
        let asked = Instant::now();
        self.take(Read { connection, asked, entries, all });
        Ok(())
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let Some(place) = &self.place else {
                return Err(FeedError::Refused("no checkpoint was loaded yet".to_owned()));
            };
            if place.over {
                return Err(FeedError::Truncated(place.told.cursor()));
            }
            let begun = self.reading.take().unwrap_or_else(|| self.begin(place));
            let read = self.reading.insert(begun).await;
            self.reading = None;
            match read {
                Ok(read) => self.take(read),
                Err(error) => {
                    self.connection = None;
                    return Err(error);
                }
            }
        }
    }
}

impl fmt::Debug for RedisFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFeed").field("place", &self.place).finish_non_exhaustive()
    }
}

/// When our entry is gone and we did not trim it, the server has forgotten what it had: that is
/// another memory, whatever its key says.
async fn judge_memory(link: &Link, place: &Place) -> Result<(), FeedError> {
    let (read, mut asking) = (place.read.text(), redis::pipe());
    asking.atomic().cmd("HMGET").arg(&link.keys().meta).arg(&["epoch", "first"]);
    asking.cmd("XRANGE").arg(&link.keys().stream).arg(&read).arg(&read);
    let ((epoch, first), entry): ((Option<String>, Option<String>), Value) =
        link.ask(&asking).await?;
    let trimmed = first.and_then(|first| Id::parse(&first)).is_some_and(|id| place.read < id);
    let there = !entries(&entry)?.is_empty();
    if epoch.as_ref() == Some(&place.epoch) && !there && !trimmed {
        let renewed: u8 = link.run(&Script::renew(&place.epoch)).await?;
        tracing::warn!(renewed, "Redis has lost records that it had acknowledged");
    }
    Ok(())
}

async fn send_live(link: &Link, sender: &LiveSender) -> Result<(), FeedError> {
    let mut pages = Pages::new(link, b"-".to_vec(), BATCH);
    while let Some(entries) = pages.next().await? {
        if !sender.send(entries).await {
            break;
        }
    }
    Ok(())
}

/// In one step: is it the same memory, is our entry still there, and what follows it. And whether it is
/// still the server that takes what is written.
async fn look(
    link: &Link,
    connection: &mut MultiplexedConnection,
    place: &Place,
) -> Result<(Vec<Entry>, bool), FeedError> {
    let (read, keys) = (place.read.text(), link.keys());
    let mut asking = redis::pipe();
    asking
        .atomic()
        .cmd("HGET")
        .arg(&keys.meta)
        .arg("epoch")
        .cmd("ZSCORE")
        .arg(&keys.live)
        .arg("")
        .cmd("XRANGE")
        .arg(&keys.stream)
        .arg(&read)
        .arg(&read)
        .cmd("XRANGE")
        .arg(&keys.stream)
        .arg(format!("({read}"))
        .arg("+")
        .arg("COUNT")
        .arg(AT_ONCE);
    let probing = link.takes_writes(connection.clone());
    let (writes, looked) = join(probing, asking.query_async(connection)).await;
    writes?;
    let (epoch, whole, ours, rest): (Option<String>, Option<f64>, Value, Value) =
        looked.map_err(failed)?;
    let same = epoch.as_ref() == Some(&place.epoch) && whole.is_some();
    if !same || entries(&ours)?.is_empty() {
        return Err(FeedError::Truncated(place.told.cursor()));
    }
    let rest = entries(&rest)?;
    let all = rest.len() < AT_ONCE;
    Ok((rest, all))
}

async fn wait_for_more(
    link: &Link,
    connection: &mut MultiplexedConnection,
    place: &Place,
    wait: Duration,
) -> Result<Vec<Entry>, FeedError> {
    let millis = u64::try_from(wait.as_millis()).unwrap_or(1);
    let reply: Value = redis::cmd("XREAD")
        .arg("COUNT")
        .arg(AT_ONCE)
        .arg("BLOCK")
        .arg(millis)
        .arg("STREAMS")
        .arg(&link.keys().stream)
        .arg(place.read.text())
        .query_async(connection)
        .await
        .map_err(failed)?;
    if bytes(&reply).is_some() {
        return Err(FeedError::Corrupt("Redis answered a read with a text".to_owned()));
    }
    read_entries(&reply)
}
