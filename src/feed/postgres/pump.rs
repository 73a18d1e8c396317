//! Reads the log for one feed, in a task of its own: on waking, and twice a second anyway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::backoff::{Backoff, jittered};
use crate::revocation::{FeedError, FeedEvent};

use super::Shared;
use super::connect::Session;
use super::errors::failed;
use super::fold::without_gap;
use super::load::{Last, Position};
use super::row::{LOG_COLUMNS, LogRow, cursor};
use super::schema::{Identity, note_loss, prepare};
use super::writers::Writers;

/// An event, and when it was true.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) what: Result<FeedEvent, FeedError>,
    pub(super) at: Instant,
}

pub(super) struct Pump {
    shared: Arc<Shared>,
    identity: Identity,
    position: Position,
    /// Up to here nothing can appear any more.
    settled: i64,
    gap: Option<Gap>,
    out: mpsc::Sender<Told>,
    /// The last failure that was told, until something works again.
    failure: Option<String>,
}

/// Ids that are missing after one that is there, and below another.
struct Gap {
    after: i64,
    below: i64,
    /// Who may still fill it; not asked for before it was seen twice.
    writers: Option<Writers>,
    seen: Instant,
    warned: bool,
}

/// What to do after a read.
enum Then {
    Read,
    Rest,
    /// A late row is waited for.
    Wait(Duration),
}

enum Stop {
    /// Nobody listens any more.
    Unwanted,
    Because(FeedError),
}

/// Rows that are read at once.
const AT_ONCE: i64 = 1024;
/// The read is planned once, when the table may be small, and then serves for days: what the index gives
/// in order is never sorted, and so never gone through from the beginning.
const PLAN: &str = "SET enable_sort = off; SET jit = off";
/// How often the log is read when nothing wakes us. A heartbeat each time.
const POLL: Duration = Duration::from_millis(450);
/// Reads begin no closer to each other than this, however often we are woken: then one brings more.
const BETWEEN: Duration = Duration::from_millis(2);
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(50);
const WARN_AFTER: Duration = Duration::from_secs(1);

// === impl Pump ===

impl Pump {
    pub(super) const fn new(
        shared: Arc<Shared>,
        identity: Identity,
        position: Position,
        out: mpsc::Sender<Told>,
    ) -> Self {
        Self { shared, identity, position, settled: 0, gap: None, out, failure: None }
    }

    /// Until nobody listens, or the log can't be continued.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            let Err(stop) = self.follow(&mut backoff).await;
            let Stop::Because(error) = stop else { return };
            let over = !matches!(error, FeedError::Unreachable(_));
            let text = error.to_string();
            // Once for each outage: whoever hears it pauses, and must not have to work off a queue.
            if self.failure.as_ref() != Some(&text) {
                self.failure = Some(text);
                if self.tell(Err(error)).await.is_err() {
                    return;
                }
            }
            if over {
                return;
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Subscribes first, then reads.
    async fn follow(&mut self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Stop> {
        let shared = Arc::clone(&self.shared);
        let session = shared.connector().connect().await?;
        if prepare(&session, shared.table()).await? != self.identity {
            return Err(self.truncated().into());
        }
        session.run(&format!("{PLAN}; LISTEN {}", shared.table().channel())).await?;
        let sql = shared.table().sql(&read());
        let mut wait = SHORTEST_WAIT;
        loop {
            let begun = Instant::now();
            let then = self.read(&session, &sql).await?;
            backoff.reset();
            self.failure = None;
            match then {
                Then::Read => wait = SHORTEST_WAIT,
                Then::Rest => {
                    wait = SHORTEST_WAIT;
                    // Whether it woke or not: read.
                    drop(timeout(jittered(POLL), session.woken()).await);
                    tokio::time::sleep(BETWEEN.saturating_sub(begun.elapsed())).await;
                }
                Then::Wait(least) => {
                    tokio::time::sleep(wait.max(least)).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
            if session.is_closed() {
                let ended = FeedError::Unreachable("the connection ended".into());
                return Err(ended.into());
            }
        }
    }

    async fn read(&mut self, session: &Session, sql: &str) -> Result<Then, Stop> {
        let answer = session.rows(sql, &[&self.position.id]).await?;
        let Some(row) = answer.first() else { return Err(self.truncated().into()) };
        let wrong = |error| failed(&error);
        let memory: Uuid = row.try_get("epoch").map_err(wrong)?;
        let floor: i64 = row.try_get("floor").map_err(wrong)?;
        if memory != self.identity.memory || floor > self.position.id {
            return Err(self.truncated().into());
        }
        let is_there = |row: &&Row| row.try_get::<_, Option<i64>>(0).is_ok_and(|id| id.is_some());
        let mut rows: Vec<LogRow> = answer.iter().filter(is_there).map(LogRow::read).collect();
        // As the server read them; only a sort there would promise it.
        rows.sort_by_key(|row| row.id);
        let full = rows.len() as i64 == AT_ONCE;
        let first = rows.first().filter(|row| row.id == self.position.id);
        let last = first.map(|row| Last(row.record_id));
        if last != self.position.last && floor < self.position.id {
            note_loss(session, self.shared.table(), memory).await?;
            return Err(self.truncated().into());
        }
        if last.is_some() {
            rows.remove(0);
        }
        self.deliver(session, rows, full).await
    }

    async fn deliver(
        &mut self,
        session: &Session,
        rows: Vec<LogRow>,
        full: bool,
    ) -> Result<Then, Stop> {
        let count = without_gap(rows.iter().map(|row| row.id), self.position.id, self.settled);
        let newest = rows.last().map(|row| row.id);
        let gap = count < rows.len();
        for LogRow { id, record_id, record } in rows.into_iter().take(count) {
            let at = cursor(id);
            let event = match record {
                Some(record) => FeedEvent::Record { record, at },
                None => FeedEvent::Undecodable { at },
            };
            self.tell(Ok(event)).await?;
            self.position = Position { id, last: Some(Last(record_id)) };
        }
        match newest {
            Some(newest) if gap => self.look_into(session, newest).await,
            _ if full => Ok(Then::Read),
            _ => {
                self.gap = None;
                self.tell(Ok(FeedEvent::Heartbeat { at: cursor(self.position.id) })).await?;
                Ok(Then::Rest)
            }
        }
    }

    /// Finds out whether what is missing below `newest` may still come. What is a moment late, as when two
    /// nodes commit at once, is there with the next read: only then it is asked who may have it.
    async fn look_into(&mut self, session: &Session, newest: i64) -> Result<Then, Stop> {
        let after = self.position.id;
        let Some(gap) = self.gap.as_mut().filter(|gap| gap.after == after) else {
            let (seen, writers, warned) = (Instant::now(), None, false);
            self.gap = Some(Gap { after, below: newest, writers, seen, warned });
            return Ok(Then::Wait(SHORTEST_WAIT));
        };
        let now = Writers::now(session, self.shared.table()).await?;
        if now.is_empty() {
            (self.settled, self.gap) = (newest, None);
            return Ok(Then::Read);
        }
        let Some(writers) = &gap.writers else {
            (gap.below, gap.writers) = (newest, Some(now));
            return Ok(Then::Wait(SHORTEST_WAIT));
        };
        if writers.have_ended(&now) {
            self.settled = gap.below;
            self.gap = None;
            return Ok(Then::Read);
        }
        if gap.seen.elapsed() > WARN_AFTER && !gap.warned {
            gap.warned = true;
            let (below, table) = (gap.below, self.shared.table().log());
            tracing::warn!(
                below,
                table,
                "an open transaction has written to the revocation table and holds the feed back"
            );
        }
        Ok(Then::Wait(SHORTEST_WAIT))
    }

    async fn tell(&self, what: Result<FeedEvent, FeedError>) -> Result<(), Stop> {
        let told = Told { what, at: Instant::now() };
        self.out.send(told).await.map_err(|_gone| Stop::Unwanted)
    }

    fn truncated(&self) -> FeedError {
        FeedError::Truncated(cursor(self.position.id))
    }
}

// === impl Stop ===

impl From<FeedError> for Stop {
    fn from(error: FeedError) -> Self {
        Self::Because(error)
    }
}

/// The last row again: it tells whether this is still the log that it was. In one snapshot with what was
/// forgotten: rows are deleted after `floor` was raised.
fn read() -> String {
    format!(
        "SELECT l.*, epoch, floor FROM {{meta}} LEFT JOIN (SELECT {LOG_COLUMNS} FROM {{log}} \
         WHERE id >= $1 ORDER BY id LIMIT {AT_ONCE}) AS l ON true"
    )
}
