//! Records as rows, and rows as records.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::clock::UnixTime;
use crate::revocation::{Cursor, Name, Op, Revocation, TokenDetails, wire};

/// One row of the log.
#[derive(Debug)]
pub(super) struct LogRow {
    pub(super) id: i64,
    /// Tells this row from another one under the same id.
    pub(super) record_id: Option<Uuid>,
    /// `None` when it is not a record that this version understands.
    pub(super) record: Option<Revocation>,
}

/// Records, column by column, as one statement takes them.
#[derive(Debug, Default)]
pub(super) struct Columns<'r> {
    pub(super) key: Vec<Uuid>,
    pub(super) record_id: Vec<Uuid>,
    pub(super) op: Vec<&'static str>,
    pub(super) issuer: Vec<&'r str>,
    pub(super) claim: Vec<&'r str>,
    pub(super) value: Vec<&'r str>,
    pub(super) issued_before: Vec<Option<i64>>,
    pub(super) expires_at: Vec<i64>,
    pub(super) at: Vec<i64>,
    pub(super) actor: Vec<Option<&'r str>>,
    pub(super) reason: Vec<Option<&'r str>>,
    /// JSON.
    pub(super) token: Vec<Option<String>>,
}

/// The texts of the row before, by column: most rows repeat the issuer, the claim and the actor.
#[derive(Debug, Default)]
pub(super) struct Texts([Option<Arc<str>>; 10]);

/// The columns of the log, in the order in which [`LogRow::read`] wants them.
pub(super) const LOG_COLUMNS: &str = "id, record_id, issuer, claim, value, issued_before, expires_at, at, actor, reason, \
     token::text, op, v";
/// The columns of the live entries, in the order in which [`live`] wants them.
pub(super) const LIVE_COLUMNS: &str = "0::bigint, record_id, issuer, claim, value, issued_before, expires_at, at, actor, reason, \
     token::text";

// === impl LogRow ===

impl LogRow {
    /// Never fails: a row that is not a record is there, too.
    pub(super) fn read(row: &Row) -> Self {
        let id = row.try_get(0).unwrap_or_default();
        Self { id, record_id: get(row, 1), record: record(row) }
    }
}

// === impl Columns ===

impl<'r> FromIterator<&'r Revocation> for Columns<'r> {
    fn from_iter<I: IntoIterator<Item = &'r Revocation>>(records: I) -> Self {
        let mut columns = Self::default();
        records.into_iter().for_each(|record| columns.push(record));
        columns
    }
}

impl<'r> Columns<'r> {
    fn push(&mut self, record: &'r Revocation) {
        self.key.push(key(&record.name));
        self.record_id.push(record.id);
        self.op.push(record.op.as_str());
        self.issuer.push(&record.name.issuer);
        self.claim.push(&record.name.claim);
        self.value.push(&record.name.value);
        self.issued_before.push(record.issued_before.map(seconds));
        self.expires_at.push(seconds(record.expires_at));
        self.at.push(seconds(record.at));
        self.actor.push(record.actor.as_deref());
        self.reason.push(record.reason.as_deref());
        let json = record.token.as_deref().map(serde_json::to_string);
        let json = json.transpose();
        self.token.push(json.expect("a struct of texts and numbers always has a JSON form"));
    }
}

// === impl Texts ===

impl Texts {
    fn of(&mut self, row: &Row, column: usize) -> Option<Arc<str>> {
        let text: &str = get(row, column)?;
        Some(match &self.0[column] {
            Some(last) if **last == *text => Arc::clone(last),
            _ => Arc::clone(self.0[column].insert(text.into())),
        })
    }
}

/// The cursor of a row of the log.
pub(super) fn cursor(id: i64) -> Cursor {
    Cursor::new(&format!("{id:020}"))
}

/// Under which a name's live entry is found. Names are longer than an index takes.
pub(super) fn key(name: &Name) -> Uuid {
    let mut hash = Context::new(&SHA256);
    for part in [&name.issuer, &name.claim, &name.value] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let hash = hash.finish();
    let first = hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    Uuid::from_bytes(*first)
}

/// A time as the tables keep it; what is beyond their range is at its end.
pub(super) fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// A live entry; `None` when the row is not one.
pub(super) fn live(row: &Row, texts: &mut Texts) -> Option<Revocation> {
    decode(row, None, texts)
}

fn record(row: &Row) -> Option<Revocation> {
    let word = get::<&str>(row, 11)?;
    let op = Op::ALL.into_iter().find(|op| op.as_str() == word)?;
    let known = get::<i32>(row, 12)? == 1;
    let record = known.then(|| decode(row, Some(op), &mut Texts::default())).flatten()?;
    // The door refuses these as well, but a table may have been made by hand.
    wire::check(&record).is_ok().then_some(record)
}

/// A row; one of the live entries does not say what it does, its name does.
fn decode(row: &Row, op: Option<Op>, texts: &mut Texts) -> Option<Revocation> {
    let name =
        Name { issuer: texts.of(row, 2)?, claim: texts.of(row, 3)?, value: texts.of(row, 4)? };
    let issued_before = match row.try_get::<_, Option<i64>>(5).ok()? {
        Some(secs) => Some(time(secs)?),
        None => None,
    };
    let name = match op {
        Some(Op::Register) => wire::registered(name).ok()?,
        _ => name.canonical(),
    };
    let op = op.unwrap_or_else(|| name.op());
    Some(Revocation {
        id: get(row, 1)?,
        op,
        name,
        issued_before: issued_before.filter(|_| op != Op::Register),
        expires_at: time(get(row, 6)?)?,
        at: time(get(row, 7)?)?,
        actor: texts.of(row, 8),
        reason: texts.of(row, 9),
        token: token(row, op)?,
    })
}

/// What the row says of a registered token; on other rows it means nothing. `None`: not what it should be.
fn token(row: &Row, op: Op) -> Option<Option<Arc<TokenDetails>>> {
    if op != Op::Register {
        return Some(None);
    }
    match row.try_get::<_, Option<&str>>(10).ok()? {
        None => Some(Some(Arc::default())),
        Some(json) => serde_json::from_str(json).ok().map(|details| Some(Arc::new(details))),
    }
}

fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Option<T> {
    row.try_get::<_, Option<T>>(column).ok().flatten()
}

fn time(secs: i64) -> Option<UnixTime> {
    u64::try_from(secs).ok().map(UnixTime::from_secs)
}
