//! The writing side, and listings.

use std::ops::Bound;
use std::sync::Arc;

use redb::ReadableDatabase;

use crate::clock::UnixTime;
use crate::feed::listing::{canonical, first, is_beyond, matches};
use crate::revocation::{Cursor, FeedError, Filter, Name, Page, Revocation, RevocationLog, wire};

use super::feed::visit_live;
use super::shared::{Shared, unreadable};
use super::writer::Queue;

/// The way to write to the store and to list it; cheap to clone.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    queue: Queue,
}

/// Expired entries that are removed in one transaction.
const FORGET_AT_ONCE: usize = 4096;

// === impl EmbeddedLog ===

impl EmbeddedLog {
    pub(super) const fn new(shared: Arc<Shared>, queue: Queue) -> Self {
        Self { shared, queue }
    }

    /// Up to [`FORGET_AT_ONCE`] names after `after` of entries that expired before `now`.
    async fn expired(&self, after: Option<Name>, now: UnixTime) -> Result<Vec<Name>, FeedError> {
        let find = move |database: &redb::Database| {
            let read = database.begin_read().map_err(unreadable)?;
            let mut names = Vec::new();
            let start = after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(key(name)));
            visit_live(&read, (start, Bound::Unbounded), |entry| {
                if entry.expires_at < now {
                    names.push(entry.name);
                }
                names.len() < FORGET_AT_ONCE
            })?;
            Ok(names)
        };
        self.shared.read(find).await
    }
}

impl RevocationLog for EmbeddedLog {
    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        for record in &records {
            wire::check(record).map_err(|error| FeedError::Refused(error.to_string()))?;
        }
        let canonical = |record: Revocation| {
            let name = record.name.canonical();
            Revocation { name, ..record }
        };
        self.queue.append(records.into_iter().map(canonical).collect()).await
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
        let (mut gone, mut after) = (0, None);
        loop {
            let names = self.expired(after, now).await?;
            let last = names.last().cloned();
            let done = names.len() < FORGET_AT_ONCE;
            // Also without any: the log's old end goes too.
            gone += self.queue.forget(names, now).await?;
            if done {
                return Ok(gone);
            }
            after = last;
        }
    }
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
        Some(after) => Bound::Excluded(key(after)),
        None => Bound::Included(first(&filter)),
    };
    let mut items = Vec::new();
    visit_live(&read, (start, Bound::Unbounded), |entry| {
        if is_beyond(&filter, &entry.name) {
            return false;
        }
        if matches(&filter, &entry.name) {
            items.push(entry);
        }
        // One more than asked for tells whether there is another page.
        items.len() <= limit
    })?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(|entry| entry.name.clone()) } else { None };
    Ok(Page { items, next })
}

fn key(name: &Name) -> (&str, &str, &str) {
    (&name.issuer, &name.claim, &name.value)
}
