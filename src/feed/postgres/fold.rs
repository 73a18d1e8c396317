//! The log folded into the live entries, a batch at a time, by whichever node has its turn.

use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::revocation::{FeedError, Op, Revocation};

use super::connect::Session;
use super::errors::failed;
use super::row::{Columns, LIVE_COLUMNS, LOG_COLUMNS, LogRow, Texts, key, live};
use super::table::Table;
use super::writers::settled;

/// Log rows that are folded in one transaction.
const AT_ONCE: usize = 8192;
/// How long a late id is waited for before folding stops below it.
const PATIENCE: Duration = Duration::from_millis(300);

/// Folds what can be folded.
pub(super) async fn fold(session: &Session, table: &Table) -> Result<(), FeedError> {
    let sql = table.sql("SELECT EXISTS (SELECT FROM {log} l, {meta} WHERE l.id > folded)");
    let row = session.row(&sql, &[]).await?;
    if !row.try_get::<_, bool>(0).map_err(|error| failed(&error))? {
        return Ok(());
    }
    let settled = settled(session, table, PATIENCE).await?;
    while session.transaction("BEGIN", fold_batch(session, table, settled)).await? {}
    Ok(())
}

/// One node at a time. A later statement sees what the node before has done.
pub(super) async fn turn(session: &Session, table: &Table) -> Result<(), FeedError> {
    let turn = table.turn();
    session.execute("SELECT pg_advisory_xact_lock($1)", &[&turn]).await.map(drop)
}

/// The rows that directly follow `after`, or are settled: nothing can appear among them any more.
pub(super) fn without_gap(rows: &[LogRow], after: i64, settled: i64) -> usize {
    let mut expected = after;
    let fits = |row: &&LogRow| {
        let fits = row.id <= settled || row.id == expected + 1;
        expected = row.id;
        fits
    };
    rows.iter().take_while(fits).count()
}

async fn fold_batch(session: &Session, table: &Table, settled: i64) -> Result<bool, FeedError> {
    turn(session, table).await?;
    let row = session.row(&table.sql("SELECT folded FROM {meta}"), &[]).await?;
    let folded: i64 = row.try_get(0).map_err(|error| failed(&error))?;
    let sql =
        format!("SELECT {LOG_COLUMNS} FROM {{log}} WHERE id > $1 ORDER BY id LIMIT {AT_ONCE}");
    let rows = session.rows(&table.sql(&sql), &[&folded]).await?;
    let rows: Vec<LogRow> = rows.iter().map(LogRow::read).collect();
    let count = without_gap(&rows, folded, settled);
    let more = count == AT_ONCE;
    let Some(last) = rows[..count].last().map(|row| row.id) else { return Ok(false) };
    let records = rows.into_iter().take(count).filter_map(|row| row.record).collect();
    apply(session, table, records).await?;
    let sql = table.sql("UPDATE {meta} SET folded = $1");
    session.execute(&sql, &[&last]).await?;
    Ok(more)
}

async fn apply(
    session: &Session,
    table: &Table,
    records: Vec<Revocation>,
) -> Result<(), FeedError> {
    let mut entries = known(session, table, &records).await?;
    for record in records {
        let entry = entries.entry(key(&record.name)).or_default();
        *entry = match (record.op, entry.take()) {
            (Op::Reinstate, _) => None,
            (_, Some(known)) => Some(known.followed_by(record)),
            (_, None) => Some(record),
        };
    }
    let gone: Vec<Uuid> =
        entries.iter().filter(|(_, entry)| entry.is_none()).map(|(key, _)| *key).collect();
    if !gone.is_empty() {
        let sql = table.sql("DELETE FROM {live} WHERE key = ANY ($1)");
        session.execute(&sql, &[&gone]).await?;
    }
    let columns: Columns<'_> = entries.values().flatten().collect();
    put(session, table, &columns).await
}

/// The live entries that the records name.
async fn known(
    session: &Session,
    table: &Table,
    records: &[Revocation],
) -> Result<HashMap<Uuid, Option<Revocation>>, FeedError> {
    let keys: Vec<Uuid> = records.iter().map(|record| key(&record.name)).collect();
    let sql = format!("SELECT {LIVE_COLUMNS} FROM {{live}} WHERE key = ANY ($1)");
    let rows = session.rows(&table.sql(&sql), &[&keys]).await?;
    let mut texts = Texts::default();
    let entries = rows.iter().filter_map(|row| live(row, &mut texts));
    Ok(entries.map(|entry| (key(&entry.name), Some(entry))).collect())
}

async fn put(session: &Session, table: &Table, columns: &Columns<'_>) -> Result<(), FeedError> {
    let sql = table.sql(
        "INSERT INTO {live} (key, record_id, issuer, claim, value, issued_before, expires_at, at, \
         actor, reason, token) SELECT k, r, i, c, v, b, e, a, w, y, t::jsonb \
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], \
         $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[]) \
         AS n (k, r, i, c, v, b, e, a, w, y, t) ON CONFLICT (key) DO UPDATE SET record_id = excluded.record_id, \
         issued_before = excluded.issued_before, expires_at = excluded.expires_at, \
         at = excluded.at, actor = excluded.actor, reason = excluded.reason, \
         token = excluded.token",
    );
    let values: [&(dyn ToSql + Sync); 11] = [
        &columns.key,
        &columns.record_id,
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
    session.execute(&sql, &values).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_up_to_the_first_gap_that_is_not_settled() {
        let row = |id| LogRow { id, record_id: None, record: None };
        let table: [(&[i64], i64, i64, usize); 7] = [
            (&[], 0, 0, 0),
            (&[1, 2, 3], 0, 0, 3),
            (&[2, 3], 0, 0, 0),
            (&[2, 3], 0, 2, 2),
            (&[1, 3, 4], 0, 0, 1),
            (&[1, 3, 5, 6, 8], 0, 4, 2),
            (&[11, 12, 14], 10, 14, 3),
        ];
        for (ids, after, settled, want) in table {
            let rows: Vec<_> = ids.iter().map(|&id| row(id)).collect();
            assert_eq!(without_gap(&rows, after, settled), want, "{ids:?} {after} {settled}");
        }
    }
}
