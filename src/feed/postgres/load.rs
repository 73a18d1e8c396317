//! The checkpoint: the live entries of one snapshot, streamed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;
use uuid::Uuid;

use crate::revocation::{Checkpoint, Cursor, Epoch, FeedError, Live, LiveSender};

use super::Shared;
use super::connect::Session;
use super::errors::{failed, no_answer};
use super::fold::fold;
use super::row::{LIVE_COLUMNS, Texts, cursor, live};
use super::schema::{Identity, dangers, note_loss, prepare};
use super::table::Table;

/// How far the log was read, and how to tell that it is still the same log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) id: i64,
    /// The row under `id`, when it was there.
    pub(super) last: Option<Last>,
}

/// What is known of a row: the id of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last(pub(super) Option<Uuid>);

/// A checkpoint that is being sent, and where the log goes on.
pub(super) struct Loaded {
    pub(super) checkpoint: Checkpoint,
    pub(super) identity: Identity,
    pub(super) position: Position,
}

/// Entries in one batch.
const BATCH: usize = 4096;
/// How long the server may say nothing in the middle of it.
const SILENCE: Duration = Duration::from_secs(30);
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Begins a checkpoint on a connection of its own.
pub(super) async fn load(shared: &Arc<Shared>) -> Result<Loaded, FeedError> {
    let session = shared.connector().connect().await?;
    let table = shared.table();
    loop {
        let identity = prepare(&session, table).await?;
        if shared.see(identity.epoch) {
            for danger in dangers(&session, table).await? {
                tracing::warn!(danger, "an acknowledged revocation may not survive a power cut");
            }
        }
        fold(&session, table).await?;
        session.run(SNAPSHOT).await?;
        if let Some(position) = position(&session, table, identity.memory).await? {
            let (sender, live) = Live::channel();
            let checkpoint = Checkpoint { epoch: identity.epoch, live, upto: cursor(position.id) };
            tokio::spawn(send(session, Arc::clone(shared), sender));
            return Ok(Loaded { checkpoint, identity, position });
        }
        session.run("ROLLBACK").await?;
        note_loss(&session, table, identity.memory).await?;
    }
}

/// Where the log goes on after a cursor that a node has kept, if it is still the same log.
pub(super) async fn resume(
    shared: &Shared,
    epoch: Epoch,
    after: &Cursor,
) -> Result<(Identity, Position), FeedError> {
    let truncated = || FeedError::Truncated(after.clone());
    let id: i64 = after.as_str().parse().map_err(|_foreign| truncated())?;
    let session = shared.connector().connect().await?;
    let table = shared.table();
    let identity = prepare(&session, table).await?;
    if identity.epoch != epoch {
        return Err(truncated());
    }
    let sql = table.sql(
        "SELECT floor, l.id IS NOT NULL, record_id FROM {meta} LEFT JOIN {log} l ON l.id = $1",
    );
    let row = session.row(&sql, &[&id]).await?;
    let wrong = |error| failed(&error);
    let floor: i64 = row.try_get(0).map_err(wrong)?;
    let is_there: bool = row.try_get(1).map_err(wrong)?;
    if floor < id && !is_there {
        note_loss(&session, table, identity.memory).await?;
    }
    if floor > id || floor < id && !is_there {
        return Err(truncated());
    }
    shared.see(identity.epoch);
    let last = is_there.then(|| row.try_get(2).map(Last)).transpose().map_err(wrong)?;
    Ok((identity, Position { id, last }))
}

/// Where the snapshot is; `None` when the log lacks what was folded, or is another one by now.
async fn position(
    session: &Session,
    table: &Table,
    memory: Uuid,
) -> Result<Option<Position>, FeedError> {
    let sql = table.sql(
        "SELECT epoch, folded, folded > floor, l.id IS NOT NULL, record_id \
         FROM {meta} LEFT JOIN {log} l ON l.id = folded",
    );
    let row = session.row(&sql, &[]).await?;
    let wrong = |error| failed(&error);
    let same = row.try_get::<_, Uuid>(0).map_err(wrong)? == memory;
    let id = row.try_get(1).map_err(wrong)?;
    let must_be_there: bool = row.try_get(2).map_err(wrong)?;
    let is_there: bool = row.try_get(3).map_err(wrong)?;
    let last = is_there.then(|| row.try_get(4).map(Last)).transpose().map_err(wrong)?;
    Ok((same && is_there >= must_be_there).then_some(Position { id, last }))
}

async fn send(session: Session, shared: Arc<Shared>, sender: LiveSender) {
    let outcome = send_rows(&session, shared.table(), &sender).await;
    drop(session);
    sender.finish(outcome).await;
}

async fn send_rows(session: &Session, table: &Table, sender: &LiveSender) -> Result<(), FeedError> {
    let sql = table.sql(&format!("SELECT {LIVE_COLUMNS} FROM {{live}}"));
    let rows = session.stream(&sql).await?;
    let mut rows = pin!(rows);
    let mut texts = Texts::default();
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(row) = timeout(SILENCE, rows.next()).await.map_err(|_elapsed| no_answer())? {
        let row = row.map_err(|error| failed(&error))?;
        let entry = live(&row, &mut texts);
        batch.push(entry.ok_or_else(|| FeedError::Corrupt("an entry is not one".to_owned()))?);
        if batch.len() == BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            if !sender.send(full).await {
                return Ok(());
            }
        }
    }
    sender.send(batch).await;
    Ok(())
}
