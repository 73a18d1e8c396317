//! The writing side, and listings.

use std::ops::Bound;
use std::sync::Arc;

use redb::ReadableDatabase;

use crate::clock::UnixTime;
use crate::feed::listing::{canonical, first, is_beyond, matches};
use crate::revocation::wire::Checker;
use crate::revocation::{Cursor, FeedError, Filter, Name, Page, Revocation, RevocationLog};

use super::block::Packer;
use super::entry;
use super::schema::ROW;
use super::shared::{Shared, unreadable};
use super::view::visit_live;
use super::writer::{Packed, Queue};

/// The way to write to the store and to list it; cheap to clone.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    queue: Queue,
}

/// So many records are packed on a thread of their own.
const MANY: usize = 256;

// === impl EmbeddedLog ===

impl EmbeddedLog {
    pub(super) const fn new(shared: Arc<Shared>, queue: Queue) -> Self {
        Self { shared, queue }
    }
}

impl RevocationLog for EmbeddedLog {
    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        let packed = if records.len() < MANY {
            pack(records)?
        } else {
            let packing = tokio::task::spawn_blocking(move || pack(records)).await;
            packing.map_err(|_panicked| FeedError::Refused("packing it failed".to_owned()))??
        };
        self.queue.append(packed).await
    }

    async fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page, FeedError> {
        self.shared
            .read(move |database| list(database, &filter, after.as_ref(), limit.max(1)))
            .await
    }

    async fn compact(&self, now: UnixTime) -> Result<usize, FeedError> {
        self.queue.compact(now).await
    }
}

/// What a record takes, more or less, in bytes.
const RECORD: usize = 128;

/// The records as they are written, once each was found fit.
fn pack(mut records: Vec<Revocation>) -> Result<Packed, FeedError> {
    let too_long = || FeedError::Refused("the record is too long".to_owned());
    let packer_for = |left: usize| Packer::with_capacity((left * RECORD).min(ROW));
    let count = records.len();
    let (mut rows, mut packer) = (Vec::new(), packer_for(count));
    let (mut key, mut body) = (Vec::new(), Vec::new());
    let mut checker = Checker::default();
    for (done, record) in records.iter_mut().enumerate() {
        checker.check(record).map_err(|error| FeedError::Refused(error.to_string()))?;
        record.name.make_canonical();
        entry::write_key(&mut key, &record.name.issuer, &record.name.claim, &record.name.value);
        entry::write_body(&mut body, record);
        if !packer.has_room(&key, &body, ROW) {
            let next = packer_for(count - done);
            rows.push(std::mem::replace(&mut packer, next).finish());
        }
        if !packer.push(&key, &body) {
            return Err(too_long());
        }
    }
    rows.push(packer.finish());
    Ok(Packed { rows, records })
}

fn list(
    database: &redb::Database,
    filter: &Filter,
    after: Option<&Name>,
    limit: usize,
) -> Result<Page, FeedError> {
    let read = database.begin_read().map_err(unreadable)?;
    let filter = canonical(filter);
    let start = match after {
        Some(after) => Bound::Excluded(entry::key(&after.issuer, &after.claim, &after.value)),
        None => {
            let (issuer, claim, value) = first(&filter);
            Bound::Included(entry::key(issuer, claim, value))
        }
    };
    let mut items = Vec::new();
    visit_live(
        &read,
        &start,
        |key| may_matter(&filter, key),
        |entry| {
            if is_beyond(&filter, &entry.name) {
                return false;
            }
            if matches(&filter, &entry.name) {
                items.push(entry);
            }
            // One more than asked for tells whether there is another page.
            items.len() <= limit
        },
    )?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(|entry| entry.name.clone()) } else { None };
    Ok(Page { items, next })
}

/// Whether an entry may match, or be beyond all that do: only such are read.
fn may_matter(filter: &Filter, key: &[u8]) -> bool {
    // Names are in the order of their issuers: what comes after the issuer's ends the listing.
    filter.issuer.is_some()
        || filter.value.as_ref().is_none_or(|value| key.ends_with(value.as_bytes()))
}
