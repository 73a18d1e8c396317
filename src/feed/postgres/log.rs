//! The writing side: appending, listing, forgetting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

use crate::clock::UnixTime;
use crate::revocation::{Cursor, FeedError, Filter, Name, Page, Revocation, RevocationLog, wire};

use super::connect::Session;
use super::errors::{failed, no_answer};
use super::fold::{fold, turn};
use super::list::list;
use super::row::{cursor, seconds};
use super::schema::prepare;
use super::writer::{Job, Writer};
use super::{LOG_KEPT, Shared};

/// The way to write to the table and to list it; cheap to clone.
#[derive(Clone, Debug)]
pub struct PostgresLog {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    /// The connection for listings, while none is being made.
    idle: Arc<Mutex<Option<Session>>>,
}

/// Appends that wait for the writer.
const WAITING: usize = 4096;
/// How long an append waits for its acknowledgement.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);
/// Rows that are deleted in one transaction.
const FORGET_AT_ONCE: i64 = 10_000;

// === impl PostgresLog ===

impl PostgresLog {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (jobs, queue) = mpsc::channel(WAITING);
        tokio::spawn(Writer::new(Arc::clone(&shared), queue).run());
        Self { shared, jobs, idle: Arc::default() }
    }

    async fn connect(&self) -> Result<Session, FeedError> {
        let session = self.shared.connector().connect().await?;
        prepare(&session, self.shared.table()).await?;
        Ok(session)
    }

    /// Deletes what `sql` deletes, a bounded number at a time.
    async fn forget(&self, session: &Session, sql: &str, bound: i64) -> Result<u64, FeedError> {
        let sql = self.shared.table().sql(sql);
        let mut gone = 0;
        loop {
            let some = session.transaction("BEGIN", async {
                turn(session, self.shared.table()).await?;
                session.execute(&sql, &[&bound, &FORGET_AT_ONCE]).await
            });
            let some = some.await?;
            gone += some;
            if some < FORGET_AT_ONCE as u64 {
                return Ok(gone);
            }
        }
    }

    /// Raises the floor, then deletes what is below it: readers that are behind see it in time.
    async fn cut(&self, session: &Session) -> Result<(), FeedError> {
        let table = self.shared.table();
        let raise = table.sql(
            "UPDATE {meta} SET floor = greatest(floor, least(folded, \
             (SELECT id FROM {log} ORDER BY id DESC OFFSET $1 LIMIT 1))) RETURNING floor",
        );
        let floor = session.transaction("BEGIN", async {
            turn(session, table).await?;
            let row = session.row(&raise, &[&LOG_KEPT]).await?;
            row.try_get(0).map_err(|error| failed(&error))
        });
        let floor: i64 = floor.await?;
        let delete = "DELETE FROM {log} WHERE id IN \
                      (SELECT id FROM {log} WHERE id <= $1 ORDER BY id LIMIT $2)";
        self.forget(session, delete, floor).await.map(drop)
    }
}

impl RevocationLog for PostgresLog {
    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        for record in &records {
            wire::check(record).map_err(|error| FeedError::Refused(error.to_string()))?;
        }
        if records.is_empty() {
            let session = self.connect().await?;
            let sql = self.shared.table().sql("SELECT coalesce(max(id), 0) FROM {log}");
            let row = session.row(&sql, &[]).await?;
            return row.try_get(0).map(cursor).map_err(|error| failed(&error));
        }
        let canonical = |record: Revocation| {
            let name = record.name.canonical();
            Revocation { name, ..record }
        };
        let records = records.into_iter().map(canonical).collect();
        let (answer, answered) = oneshot::channel();
        let gone = || FeedError::Unreachable("the writer has ended".into());
        let written = async {
            self.jobs.send(Job { records, answer }).await.map_err(|_gone| gone())?;
            answered.await.map_err(|_gone| gone())?
        };
        timeout(ACKNOWLEDGED_WITHIN, written).await.map_err(|_elapsed| no_answer())?
    }

    async fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page, FeedError> {
        let idle = self.idle.lock().await.take().filter(|session| !session.is_closed());
        // Put back only when all went well: a future dropped in between leaves a transaction open.
        let session = match idle {
            Some(session) => session,
            None => self.connect().await?,
        };
        fold(&session, self.shared.table()).await?;
        let page = list(&session, self.shared.table(), &filter, after.as_ref(), limit).await?;
        *self.idle.lock().await = Some(session);
        Ok(page)
    }

    async fn compact(&self, now: UnixTime) -> Result<usize, FeedError> {
        let session = self.connect().await?;
        fold(&session, self.shared.table()).await?;
        let expired = "DELETE FROM {live} WHERE expires_at < $1 AND key IN \
                       (SELECT key FROM {live} WHERE expires_at < $1 LIMIT $2)";
        let gone = self.forget(&session, expired, seconds(now)).await?;
        self.cut(&session).await?;
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }
}
