//! Telling an id that is missing from one that is late.
//!
//! Ids are drawn while the table's lock is held (`schema.sql`), and the lock goes after the rows can be
//! seen. So once every transaction that held the lock when id N was seen has ended, whatever is still
//! missing below N was rolled back. Other transactions, however long, don't matter.

use std::time::{Duration, Instant};

use crate::revocation::FeedError;

use super::connect::Session;
use super::errors::failed;
use super::table::Table;

/// The transactions that may have rows which nobody sees yet.
#[derive(Debug, Default)]
pub(super) struct Writers {
    open: Vec<String>,
    /// One that was prepared (two-phase commit) has another name than before.
    prepared: bool,
}

const LOOK_AGAIN: Duration = Duration::from_millis(3);

// === impl Writers ===

impl Writers {
    /// Those of this moment.
    pub(super) async fn now(session: &Session, table: &Table) -> Result<Self, FeedError> {
        let sql = "SELECT virtualtransaction, pid IS NULL FROM pg_locks \
                   WHERE locktype = 'relation' AND relation = to_regclass($1) \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                   AND mode = 'RowExclusiveLock' AND granted";
        let rows = session.rows(sql, &[&table.log()]).await?;
        let mut writers = Self::default();
        for row in rows {
            writers.open.push(row.try_get(0).map_err(|error| failed(&error))?);
            writers.prepared |= row.try_get::<_, bool>(1).map_err(|error| failed(&error))?;
        }
        Ok(writers)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether none of these is among the later ones.
    pub(super) fn have_ended(&self, later: &Self) -> bool {
        self.is_empty() || !later.prepared && !self.open.iter().any(|one| later.open.contains(one))
    }
}

/// The newest id of now below which nothing can appear any more; 0 when that did not become clear
/// within `patience`.
pub(super) async fn settled(
    session: &Session,
    table: &Table,
    patience: Duration,
) -> Result<i64, FeedError> {
    let sql = table.sql("SELECT coalesce(max(id), 0) FROM {log}");
    let row = session.row(&sql, &[]).await?;
    let newest: i64 = row.try_get(0).map_err(|error| failed(&error))?;
    let (writers, asked) = (Writers::now(session, table).await?, Instant::now());
    let mut later = Writers::default();
    loop {
        if !writers.is_empty() {
            later = Writers::now(session, table).await?;
        }
        if writers.have_ended(&later) {
            return Ok(newest);
        }
        if asked.elapsed() > patience {
            return Ok(0);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writers(open: &[&str], prepared: bool) -> Writers {
        Writers { open: open.iter().map(|&one| one.to_owned()).collect(), prepared }
    }

    #[test]
    fn writers_have_ended_when_none_is_left_and_none_may_have_changed_its_name() {
        let table = [
            (writers(&[], false), writers(&["3/1"], true), true),
            (writers(&["3/1"], false), writers(&[], false), true),
            (writers(&["3/1"], false), writers(&["3/2", "4/1"], false), true),
            (writers(&["3/1", "4/1"], false), writers(&["4/1"], false), false),
            (writers(&["3/1"], false), writers(&["-1/700"], true), false),
        ];
        for (before, later, ended) in table {
            assert_eq!(before.have_ended(&later), ended, "{before:?} {later:?}");
        }
    }
}
