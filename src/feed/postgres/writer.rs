//! Appends that wait at the same time go into one transaction: one sync of the server's disk for all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;

use crate::revocation::{Cursor, FeedError, Revocation};

use super::Shared;
use super::connect::Session;
use super::errors::failed;
use super::row::{Columns, cursor};
use super::schema::prepare;

/// Records of one append, and who waits for its cursor.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) records: Vec<Revocation>,
    pub(super) answer: oneshot::Sender<Result<Cursor, FeedError>>,
}

/// The one task that appends.
pub(super) struct Writer {
    shared: Arc<Shared>,
    jobs: mpsc::Receiver<Job>,
    session: Option<Session>,
}

/// Records in one transaction, unless one append alone has more.
const AT_ONCE: usize = 4096;
/// A connection that was broken before says so sooner than this; one that hangs had its time.
const BROKEN_WITHIN: Duration = Duration::from_secs(1);

// === impl Writer ===

impl Writer {
    pub(super) const fn new(shared: Arc<Shared>, jobs: mpsc::Receiver<Job>) -> Self {
        Self { shared, jobs, session: None }
    }

    /// Until nobody can append any more.
    pub(super) async fn run(mut self) {
        let mut kept = VecDeque::new();
        loop {
            let first = match kept.pop_front() {
                Some(job) => job,
                None => match self.jobs.recv().await {
                    Some(job) => job,
                    None => return,
                },
            };
            let group = self.group(first, &mut kept);
            self.write(group).await;
        }
    }

    /// Everything that waits by now, up to a bound.
    fn group(&mut self, first: Job, kept: &mut VecDeque<Job>) -> Vec<Job> {
        let mut count = first.records.len();
        let mut group = vec![first];
        while let Some(job) = kept.pop_front().or_else(|| self.jobs.try_recv().ok()) {
            count += job.records.len();
            if count > AT_ONCE {
                kept.push_front(job);
                break;
            }
            group.push(job);
        }
        group
    }

    async fn write(&mut self, mut group: Vec<Job>) {
        // Whoever has given up meanwhile was not promised anything.
        group.retain(|job| !job.answer.is_closed());
        let outcome = self.insert(&group).await;
        match outcome {
            Ok(cursors) => {
                for (job, cursor) in group.into_iter().zip(cursors) {
                    // Nobody there to hear it: it is written nevertheless.
                    drop(job.answer.send(Ok(cursor)));
                }
            }
            // The server took none of them; one must not spoil the others.
            Err(FeedError::Refused(_)) if group.len() > 1 => {
                for job in group {
                    let alone = self.insert(std::slice::from_ref(&job)).await;
                    let answer = alone.map(|mut cursors| cursors.pop().unwrap_or_default());
                    drop(job.answer.send(answer));
                }
            }
            Err(error) => {
                for job in group {
                    drop(job.answer.send(Err(error.again())));
                }
            }
        }
    }

    /// The cursor of each job's last record. A connection that broke while nothing was asked of it
    /// costs nobody an error; a record that is then there twice is one entry.
    async fn insert(&mut self, group: &[Job]) -> Result<Vec<Cursor>, FeedError> {
        let begun = Instant::now();
        if let Some(session) = self.session.take().filter(|session| !session.is_closed()) {
            match self.insert_on(session, group).await {
                Err(FeedError::Unreachable(error)) if begun.elapsed() < BROKEN_WITHIN => {
                    tracing::info!(%error, "appending again on a new connection");
                }
                outcome => return outcome,
            }
        }
        let session = self.shared.connector().connect_in_haste().await?;
        prepare(&session, self.shared.table()).await?;
        self.insert_on(session, group).await
    }

    async fn insert_on(
        &mut self,
        session: Session,
        group: &[Job],
    ) -> Result<Vec<Cursor>, FeedError> {
        // After an error nobody knows what state the session is in: only a sound one is kept.
        let mut ids = insert(&session, &self.shared, group).await?.into_iter();
        self.session = Some(session);
        let last = group.iter().map(|job| ids.nth(job.records.len().saturating_sub(1)));
        let last: Option<Vec<i64>> = last.collect();
        let last = last.ok_or_else(|| FeedError::Corrupt("rows vanished".to_owned()))?;
        Ok(last.into_iter().map(cursor).collect())
    }
}

/// One statement, so one transaction.
async fn insert(session: &Session, shared: &Shared, group: &[Job]) -> Result<Vec<i64>, FeedError> {
    let columns: Columns<'_> = group.iter().flat_map(|job| &job.records).collect();
    let sql = shared.table().sql(
        "INSERT INTO {log} (record_id, op, issuer, claim, value, issued_before, expires_at, at, \
         actor, reason, token) SELECT record_id, op, issuer, claim, value, issued_before, \
         expires_at, at, actor, reason, token::jsonb FROM unnest($1::uuid[], $2::text[], $3::text[], \
         $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], \
         $11::text[]) WITH ORDINALITY AS r (record_id, op, issuer, claim, value, issued_before, \
         expires_at, at, actor, reason, token, n) \
         ORDER BY n RETURNING id",
    );
    let values: [&(dyn ToSql + Sync); 11] = [
        &columns.record_id,
        &columns.op,
        &columns.issuer,
        &columns.claim,
        &columns.value,
        &columns.issued_before,
        &columns.expires_at,
        &columns.at,
        &columns.actor,
        &columns.reason,
        &columns.token,
    ];
    let rows = session.rows(&sql, &values).await?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| failed(&error))).collect()
}
