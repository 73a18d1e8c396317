//! Another program's table of revoked tokens, read page by page in one transaction.

use crate::revocation::{FeedError, PostgresConfig};

use super::connect::{Connector, Session};

/// The table, the columns and how they are read; names as the operator wrote them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a> {
    /// `table` or `schema.table`.
    pub(crate) table: &'a str,
    /// The ids.
    pub(crate) id: &'a str,
    /// The dates.
    pub(crate) created: Option<&'a str>,
    /// Whether the row is revoked.
    pub(crate) revoked: Option<&'a str>,
    /// The zone of dates that carry none.
    pub(crate) timezone: &'a str,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignRow {
    /// The token's id.
    pub(crate) id: Option<String>,
    /// When the row was made, UNIX seconds.
    pub(crate) created: Option<f64>,
    /// Whether it is revoked.
    pub(crate) revoked: bool,
}

/// A table that is being read.
#[derive(Debug)]
pub(crate) struct ForeignTable(Session);

/// Rows of a page.
const PAGE: &str = "FETCH FORWARD 5000 FROM portcullis_import";

// === impl ForeignTable ===

impl ForeignTable {
    /// Connects and begins to read.
    pub(crate) async fn open(
        config: &PostgresConfig,
        columns: Columns<'_>,
    ) -> Result<Self, FeedError> {
        let session = Connector::new(config)?.connect().await?;
        let zone = "SELECT set_config('TimeZone', $1, false)";
        session.row(zone, &[&columns.timezone]).await?;
        session.run("BEGIN READ ONLY").await?;
        session.run(&columns.cursor()).await?;
        Ok(Self(session))
    }

    /// The next rows; none when all were read.
    pub(crate) async fn page(&self) -> Result<Vec<ForeignRow>, FeedError> {
        let unexpected = |_| FeedError::Corrupt("a row is of another kind".to_owned());
        let rows = self.0.rows(PAGE, &[]).await?;
        let row = |row: &tokio_postgres::Row| {
            Ok(ForeignRow {
                id: row.try_get(0).map_err(unexpected)?,
                created: row.try_get(1).map_err(unexpected)?,
                revoked: row.try_get::<_, Option<bool>>(2).map_err(unexpected)?.unwrap_or(false),
            })
        };
        rows.iter().map(row).collect()
    }
}

// === impl Columns ===

impl Columns<'_> {
    fn cursor(&self) -> String {
        let created = self.created.map_or_else(
            || "NULL::float8".to_owned(),
            |name| format!("extract(epoch FROM {}::timestamptz)::float8", quoted(name)),
        );
        let revoked =
            self.revoked.map_or_else(|| "true".to_owned(), |name| quoted(name) + "::boolean");
        let table: Vec<String> = self.table.split('.').map(quoted).collect();
        format!(
            "DECLARE portcullis_import NO SCROLL CURSOR FOR SELECT {}::text, {created}, {revoked} FROM {}",
            quoted(self.id),
            table.join(".")
        )
    }
}

/// An identifier, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_absent_columns_are_not_asked_for() {
        let columns = Columns {
            table: "auth.blocked\"; DROP TABLE x; --",
            id: "jti",
            created: None,
            revoked: None,
            timezone: "UTC",
        };
        let want = "SELECT \"jti\"::text, NULL::float8, true \
                    FROM \"auth\".\"blocked\"\"; DROP TABLE x; --\"";
        assert!(columns.cursor().ends_with(want), "{}", columns.cursor());
        let whole = Columns { created: Some("at"), revoked: Some("gone"), ..columns };
        let want = "extract(epoch FROM \"at\"::timestamptz)::float8, \"gone\"::boolean";
        assert!(whole.cursor().contains(want), "{}", whole.cursor());
    }
}
