//! One page of the live entries, in the order of their names.

use tokio_postgres::types::ToSql;

use crate::revocation::{FeedError, Filter, Name, Page, REGISTERED, Revocation};

use super::super::listing::canonical;
use super::connect::Session;
use super::row::{LIVE_COLUMNS, Texts, live};
use super::table::Table;

/// Conditions, and what they compare with.
#[derive(Default)]
struct Query<'q> {
    conditions: Vec<String>,
    values: Vec<&'q (dyn ToSql + Sync)>,
}

// === impl Query ===

impl<'q> Query<'q> {
    /// Adds a value; the number under which it stands in the text.
    fn value(&mut self, value: &'q (dyn ToSql + Sync)) -> usize {
        self.values.push(value);
        self.values.len()
    }
}

/// The page after `after`; one entry more than asked for tells whether there is another.
pub(super) async fn list(
    session: &Session,
    table: &Table,
    filter: &Filter,
    after: Option<&Name>,
    limit: usize,
) -> Result<Page, FeedError> {
    let filter = canonical(filter);
    let limit = limit.max(1);
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let parts = [
        ("issuer", filter.issuer.as_deref()),
        ("claim", filter.claim.as_deref()),
        ("value", filter.value.as_deref()),
    ];
    let start = after.map(|name| [&*name.issuer, &*name.claim, &*name.value]);
    let mut query = Query::default();
    for (column, text) in &parts {
        if let Some(text) = text {
            let n = query.value(text);
            query.conditions.push(format!("{column} = ${n}"));
        }
    }
    // Registered tokens are no revocations: they are listed when asked for.
    if filter.claim.is_none() {
        query.conditions.push(format!("claim <> '{REGISTERED}'"));
    }
    if let Some([issuer, claim, value]) = &start {
        let (i, c, v) = (query.value(issuer), query.value(claim), query.value(value));
        // The first is what the index knows.
        query.conditions.push(format!(
            "(issuer, claim, \"left\"(value, 256)) >= (${i}, ${c}, \"left\"(${v}, 256)) \
             AND (issuer, claim, value) > (${i}, ${c}, ${v})"
        ));
    }
    let n = query.value(&wanted);
    let conditions = match query.conditions.is_empty() {
        true => "true".to_owned(),
        false => query.conditions.join(" AND "),
    };
    let sql = table.sql(&format!(
        "SELECT {LIVE_COLUMNS} FROM {{live}} WHERE {conditions} \
         ORDER BY issuer, claim, \"left\"(value, 256), value LIMIT ${n}"
    ));
    let rows = session.rows(&sql, &query.values).await?;
    let mut texts = Texts::default();
    let items: Option<Vec<_>> = rows.iter().map(|row| live(row, &mut texts)).collect();
    let items = items.ok_or_else(|| FeedError::Corrupt("an entry is not one".to_owned()))?;
    Ok(page(items, limit))
}

fn page(mut items: Vec<Revocation>, limit: usize) -> Page {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(|entry| entry.name.clone()) } else { None };
    Page { items, next }
}
