//! The log folded into the live entries, a batch at a time, by whichever node has its turn: in the
//! server (`fold.sql`), and here where tokens are registered or texts are not kept in UTF-8.

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

/// Folds the rows between two ids; a test holds it to what [`apply`] does.
const IN_SQL: &str = include_str!("fold.sql");
/// What the planner knows of tables that grow by a million rows at once is wrong: every entry is
/// looked up by its key, and no list is gone through again for each row of another.
const BEGIN: &str = "BEGIN; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; \
    SET LOCAL enable_seqscan = off; SET LOCAL enable_nestloop = off";
/// Log rows that are folded in one transaction, well within the time that a statement has.
const AT_ONCE: usize = 32_768;
/// How long a late id is waited for before folding stops below it.
const PATIENCE: Duration = Duration::from_millis(300);

/// Folds what can be folded.
pub(super) async fn fold(session: &Session, table: &Table) -> Result<(), FeedError> {
    // By the end of the index: a table that was small when this was planned may not be any more.
    let sql = table.sql("SELECT coalesce((SELECT max(id) FROM {log}) > folded, false) FROM {meta}");
    let row = session.row(&sql, &[]).await?;
    if !row.try_get::<_, bool>(0).map_err(|error| failed(&error))? {
        return Ok(());
    }
    let settled = settled(session, table, PATIENCE).await?;
    while session.transaction(BEGIN, fold_batch(session, table, settled)).await? {}
    Ok(())
}

/// One node at a time. A later statement sees what the node before has done.
pub(super) async fn turn(session: &Session, table: &Table) -> Result<(), FeedError> {
    let turn = table.turn();
    session.execute("SELECT pg_advisory_xact_lock($1)", &[&turn]).await.map(drop)
}

/// How many of the ids directly follow `after`, or are settled: nothing can appear among them any more.
pub(super) fn without_gap(ids: impl IntoIterator<Item = i64>, after: i64, settled: i64) -> usize {
    let mut expected = after;
    let fits = |id: &i64| {
        let fits = *id <= settled || *id == expected + 1;
        expected = *id;
        fits
    };
    ids.into_iter().take_while(fits).count()
}

async fn fold_batch(session: &Session, table: &Table, settled: i64) -> Result<bool, FeedError> {
    turn(session, table).await?;
    let sql = "SELECT folded, current_setting('server_encoding') = 'UTF8' FROM {meta}";
    let row = session.row(&table.sql(sql), &[]).await?;
    let folded: i64 = row.try_get(0).map_err(|error| failed(&error))?;
    let is_utf8: bool = row.try_get(1).map_err(|error| failed(&error))?;
    let sql = format!("SELECT id FROM {{log}} WHERE id > $1 ORDER BY id LIMIT {AT_ONCE}");
    let rows = session.rows(&table.sql(&sql), &[&folded]).await?;
    let ids: Result<Vec<i64>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    let ids = ids.map_err(|error| failed(&error))?;
    let count = without_gap(ids.iter().copied(), folded, settled);
    let Some(&last) = ids[..count].last() else { return Ok(false) };
    // What registers a token carries details that are merged here.
    let sql = "SELECT EXISTS (SELECT FROM {log} WHERE id > $1 AND id <= $2 \
               AND (op = 'register' OR claim = 'registered'))";
    let row = session.row(&table.sql(sql), &[&folded, &last]).await?;
    let registers: bool = row.try_get(0).map_err(|error| failed(&error))?;
    if is_utf8 && !registers {
        session.execute(&table.sql(IN_SQL), &[&folded, &last]).await?;
    } else {
        let sql =
            format!("SELECT {LOG_COLUMNS} FROM {{log}} WHERE id > $1 AND id <= $2 ORDER BY id");
        let rows = session.rows(&table.sql(&sql), &[&folded, &last]).await?;
        apply(session, table, rows.iter().filter_map(|row| LogRow::read(row).record)).await?;
    }
    let sql = table.sql("UPDATE {meta} SET folded = $1");
    session.execute(&sql, &[&last]).await?;
    Ok(count == AT_ONCE)
}

async fn apply(
    session: &Session,
    table: &Table,
    records: impl Iterator<Item = Revocation>,
) -> Result<(), FeedError> {
    let records: Vec<_> = records.collect();
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
            let count = without_gap(ids.iter().copied(), after, settled);
            assert_eq!(count, want, "{ids:?} {after} {settled}");
        }
    }
}
