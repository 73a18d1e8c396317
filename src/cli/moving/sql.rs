//! A block list in a table: an id in each row, as in flask-jwt-extended's example of a database.

use std::time::Duration;

use anyhow::anyhow;

use crate::clock::{Clock, SystemClock, UnixTime};
use crate::feed::postgres::{ForeignColumns, ForeignRow, ForeignTable};
use crate::revocation::{FeedError, PostgresConfig};

use super::delivery::{Blocked, Change, Delivery, Read};
use crate::cli::Failure;
use crate::cli::args::ImportArgs;

/// The server's clock and ours may differ by so much.
const MARGIN: Duration = Duration::from_secs(300);

/// `portcullis import --from flask-sql`.
pub(super) async fn import(args: &ImportArgs) -> Result<(), Failure> {
    let config = PostgresConfig {
        url: args.source.url()?,
        // Its own store's name is not asked for here.
        table: "revocations".to_owned(),
        username: None,
        password: None,
        tls: None,
    };
    let life = args.source.expires_in;
    let columns = ForeignColumns {
        table: &args.sql.table,
        id: &args.sql.column,
        created: life.map(|_| args.sql.created.as_str()),
        revoked: args.sql.revoked_column.as_deref(),
        timezone: &args.sql.timezone,
    };
    let table = ForeignTable::open(&config, columns).await.map_err(failed)?;
    let mut delivery = Delivery::new(&args.reach, &args.source, "imported from a table");
    loop {
        let rows = table.page().await.map_err(failed)?;
        if rows.is_empty() {
            return delivery.end();
        }
        let now = SystemClock.now();
        let mut changes: Vec<Change> = Vec::with_capacity(rows.len());
        for row in rows {
            let what = row.id.clone().unwrap_or_else(|| "a row".to_owned());
            delivery.take(&what, judge(row, life, now), &mut changes);
        }
        delivery.send(&changes).await?;
    }
}

fn judge(row: ForeignRow, life: Option<Duration>, now: UnixTime) -> Read {
    let Some(jti) = row.id.filter(|id| !id.is_empty()) else { return Read::Bad("has no token id") };
    if !row.revoked {
        return Read::Allowed;
    }
    // Saturates: a date beyond all numbers is the last one.
    let created = row.created.map(|seconds| UnixTime::from_secs(seconds as u64));
    let expires_at = created.zip(life).map(|(at, life)| at.saturating_add(life));
    if expires_at.is_some_and(|end| end.saturating_add(MARGIN) < now) {
        return Read::Expired;
    }
    Read::Blocked(Blocked { jti, expires_at })
}

/// The store is another program's: our word for its errors is not ours to use.
fn failed(error: FeedError) -> Failure {
    let text = match error {
        FeedError::Unreachable(cause) => format!("the database can't be reached: {cause}"),
        FeedError::Refused(text) | FeedError::Corrupt(text) => format!("the database: {text}"),
        other => other.to_string(),
    };
    Failure::Failed(anyhow!(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_kept_until_its_token_has_expired() {
        let now = UnixTime::from_secs(1_000_000);
        let row = |id: &str, created: Option<f64>, revoked| ForeignRow {
            id: (!id.is_empty()).then(|| id.to_owned()),
            created,
            revoked,
        };
        let hour = Some(Duration::from_secs(3600));
        let blocked = |end: Option<u64>| {
            let expires_at = end.map(UnixTime::from_secs);
            Read::Blocked(Blocked { jti: "a".to_owned(), expires_at })
        };
        for (row, life, want) in [
            (row("a", Some(999_000.5), true), hour, blocked(Some(1_002_600))),
            (row("a", Some(900_000.0), true), hour, Read::Expired),
            (row("a", Some(996_200.0), true), hour, blocked(Some(999_800))),
            (row("a", Some(f64::INFINITY), true), hour, blocked(Some(u64::MAX))),
            (row("a", None, true), hour, blocked(None)),
            (row("a", None, true), None, blocked(None)),
            (row("a", None, false), None, Read::Allowed),
            (row("", None, true), None, Read::Bad("has no token id")),
        ] {
            assert_eq!(judge(row.clone(), life, now), want, "{row:?}");
        }
    }
}
