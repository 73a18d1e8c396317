//! The tables: made at first use, and whose memory they are.

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use crate::revocation::{Epoch, FeedError};

use super::connect::Session;
use super::errors::failed;
use super::fold::turn;
use super::table::Table;

/// Whose memory the tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// What stands in the table; another one after a loss that a node has noticed.
    pub(super) memory: Uuid,
    /// That, and the server that keeps it: a copy elsewhere, or a promoted replica, is another.
    pub(super) epoch: Epoch,
}

/// What is there before anything is made.
struct Found {
    log: bool,
    live: bool,
    meta: bool,
    /// Whether what is there has every column.
    whole: bool,
}

const SCHEMA: &str = include_str!("schema.sql");
/// What the roster needs; it makes this by itself too, in tables of before.
pub(super) const NODES: &str = include_str!("nodes.sql");
const FORMAT: i32 = 1;

/// The statements that make the tables, for an owner who does not let the gateway do it.
pub(super) fn ddl(table: &Table, schema: &str) -> String {
    // Within a text in SQL.
    table.sql(&[&*SCHEMA.replace("{schema}", &schema.replace('\'', "''")), NODES].concat())
}

/// Makes what is missing, and tells whose memory this is.
pub(super) async fn prepare(session: &Session, table: &Table) -> Result<Identity, FeedError> {
    let found = find(session, table).await?;
    if !(found.log && found.live && found.meta && found.whole) {
        set_up(session, table).await?;
    }
    let sql = table.sql("SELECT epoch, format FROM {meta}");
    let rows = session.rows(&sql, &[]).await?;
    let empty = || FeedError::Corrupt(format!("{} is empty", table.meta()));
    let row = rows.first().ok_or_else(empty)?;
    let memory: Uuid = row.try_get(0).map_err(|error| failed(&error))?;
    let format: i32 = row.try_get(1).map_err(|error| failed(&error))?;
    if format != FORMAT {
        let text = format!("its tables are of format {format}, and this version reads {FORMAT}");
        return Err(FeedError::Corrupt(text));
    }
    let server = server(session).await?;
    Ok(Identity { memory, epoch: epoch(memory, &server) })
}

/// Says to all nodes that the store has lost something: whoever followed `memory` loads again and
/// keeps what it knows.
pub(super) async fn note_loss(
    session: &Session,
    table: &Table,
    memory: Uuid,
) -> Result<(), FeedError> {
    let sql = table.sql(
        "UPDATE {meta} SET epoch = gen_random_uuid(), \
         floor = CASE WHEN EXISTS (SELECT FROM {log} WHERE id = folded) THEN floor \
                      ELSE greatest(floor, folded) END \
         WHERE epoch = $1",
    );
    let changed = session.execute(&sql, &[&memory]).await?;
    if changed > 0 {
        tracing::error!(table = %table.log(), "the revocation table lacks records that it had");
    }
    Ok(())
}

/// What in the server's settings endangers what it has acknowledged.
pub(super) async fn dangers(session: &Session, table: &Table) -> Result<Vec<String>, FeedError> {
    let settings = "SELECT name || ' is off' FROM pg_settings \
         WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' \
         UNION ALL SELECT 'synchronous_commit is ' || reset_val || ' for those who insert' \
         FROM pg_settings WHERE name = 'synchronous_commit' AND reset_val = 'off' \
         UNION ALL SELECT relname || ' is not logged: a crash of the server empties it' \
         FROM pg_class WHERE oid = ANY (ARRAY[to_regclass($1), to_regclass($2), to_regclass($3)]) \
         AND relpersistence <> 'p'";
    let names = [table.log(), table.live(), table.meta()];
    let rows = session.rows(settings, &[&names[0], &names[1], &names[2]]).await?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| failed(&error))).collect()
}

async fn find(session: &Session, table: &Table) -> Result<Found, FeedError> {
    // A name's absence may be remembered from before another node made the table; the lock that reading
    // a table takes makes the session forget it, so that all three are looked up as they are now.
    let sql = "SELECT to_regclass($1) IS NOT NULL, to_regclass($2) IS NOT NULL, \
               to_regclass($3) IS NOT NULL, \
               (SELECT count(*) = 2 FROM pg_catalog.pg_attribute \
                WHERE attrelid IN (to_regclass($1), to_regclass($2)) AND attname = 'token') \
               FROM pg_catalog.pg_class LIMIT 1";
    let names = [table.log(), table.live(), table.meta()];
    let row = session.row(sql, &[&names[0], &names[1], &names[2]]).await?;
    let is = |column| row.try_get(column).map_err(|error| failed(&error));
    Ok(Found { log: is(0)?, live: is(1)?, meta: is(2)?, whole: is(3)? })
}

/// Nodes that start together take turns. Where a part is gone, the rest is another memory.
async fn set_up(session: &Session, table: &Table) -> Result<(), FeedError> {
    let made = session.transaction("BEGIN", make(session, table)).await;
    made.map_err(|error| match error {
        FeedError::Refused(why) => {
            FeedError::Refused(format!("the tables of {} can't be made: {why}", table.log()))
        }
        other => other,
    })
}

async fn make(session: &Session, table: &Table) -> Result<(), FeedError> {
    turn(session, table).await?;
    let before = find(session, table).await?;
    let schema = match table.schema() {
        Some(schema) => schema.to_owned(),
        None => {
            let row = session.row("SELECT quote_ident(current_schema())", &[]).await?;
            let schema: Option<String> = row.try_get(0).map_err(|error| failed(&error))?;
            let none = || FeedError::Refused("the role's search_path names no schema".to_owned());
            schema.ok_or_else(none)?
        }
    };
    session.run("SET LOCAL client_min_messages = error").await?;
    session.run(&ddl(table, &schema)).await?;
    if before.meta && !(before.log && before.live) {
        // A log that is gone begins at 1 again; without live entries, what is left of it is folded anew.
        let start = if before.log { "floor" } else { "0" };
        let sql = format!(
            "UPDATE {{meta}} SET epoch = gen_random_uuid(), folded = {start}, floor = {start}"
        );
        let sql = table.sql(&sql);
        session.run(&sql).await?;
    }
    tracing::info!(table = %table.log(), "made the revocation tables");
    Ok(())
}

/// The cluster and its timeline, as far as the server tells: a hosted one may keep it to itself.
async fn server(session: &Session) -> Result<String, FeedError> {
    let may = "SELECT bool_and(coalesce(has_function_privilege(to_regprocedure(f), 'EXECUTE'), false)) \
               FROM unnest($1::text[]) AS f";
    let parts: [(&[&str], &str); 2] = [
        (&["pg_control_system()"], "SELECT system_identifier::text FROM pg_control_system()"),
        (
            &["pg_walfile_name(pg_lsn)", "pg_current_wal_lsn()"],
            "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)",
        ),
    ];
    let mut server = String::new();
    for (functions, sql) in parts {
        let row = session.row(may, &[&functions]).await?;
        if row.try_get(0).map_err(|error| failed(&error))? {
            let row = session.row(sql, &[]).await?;
            server.push_str(row.try_get(0).map_err(|error| failed(&error))?);
        }
        server.push('/');
    }
    Ok(server)
}

fn epoch(memory: Uuid, server: &str) -> Epoch {
    let mut bytes = memory.as_bytes().to_vec();
    bytes.extend_from_slice(server.as_bytes());
    let hash = digest(&SHA256, &bytes);
    let first = hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    Epoch(uuid::Builder::from_custom_bytes(*first).into_uuid())
}
