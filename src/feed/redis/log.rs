//! The writing side, listings, and keeping the store small.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::clock::UnixTime;
use crate::feed::listing::{canonical, first, is_beyond, matches};
use crate::revocation::{Cursor, FeedError, Filter, Name, Page, Revocation, RevocationLog, wire};

use super::connection::Link;
use super::entry;
use super::fold::fold;
use super::pages::{Pages, after_name};
use super::scripts::Script;
use super::writer::{Job, Writer};

/// The way to write to the store and to list it; cheap to clone.
#[derive(Clone, Debug)]
pub struct RedisLog {
    link: Arc<Link>,
    jobs: mpsc::Sender<Job>,
}

/// Appends that wait for the writer.
const WAITING: usize = 4096;

/// Entries of the log that are kept for readers who fall behind.
const LOG_KEPT: usize = 65_536;
/// Entries that are forgotten in one step.
const FORGET_AT_ONCE: usize = 500;
/// Members read at once.
const PAGE: usize = 2048;

// === impl RedisLog ===

impl RedisLog {
    pub(super) fn new(link: Arc<Link>) -> Self {
        let (jobs, queue) = mpsc::channel(WAITING);
        tokio::spawn(Writer::new(Arc::clone(&link), queue).run());
        Self { link, jobs }
    }
}

impl RevocationLog for RedisLog {
    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        for record in &records {
            wire::check(record).map_err(|error| FeedError::Refused(error.to_string()))?;
        }
        let canonical = |record: Revocation| {
            let name = record.name.canonical();
            wire::encode(&Revocation { name, ..record })
        };
        let records: Vec<_> = records.into_iter().map(canonical).collect();
        if records.is_empty() {
            return Ok(fold(&self.link).await?.upto.cursor());
        }
        let gone = || FeedError::Unreachable("the writer has ended".into());
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job { records, answer }).await.map_err(|_gone| gone())?;
        answered.await.map_err(|_gone| gone())?
    }

    async fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page, FeedError> {
        fold(&self.link).await?;
        let filter = canonical(&filter);
        let start = match &after {
            Some(after) => after_name(after),
            None => [b"[", &entry::key(first(&filter))[..]].concat(),
        };
        let limit = limit.max(1);
        let mut items = Vec::new();
        let mut pages = Pages::new(&self.link, start, PAGE.min(limit.saturating_add(1)));
        'pages: while let Some(entries) = pages.next().await? {
            for entry in entries {
                if is_beyond(&filter, &entry.name) {
                    break 'pages;
                }
                if matches(&filter, &entry.name) {
                    items.push(entry);
                }
                // One more than asked for tells whether there is another page.
                if items.len() > limit {
                    break 'pages;
                }
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(|entry| entry.name.clone()) } else { None };
        Ok(Page { items, next })
    }

    async fn compact(&self, now: UnixTime) -> Result<usize, FeedError> {
        fold(&self.link).await?;
        let mut gone = 0;
        loop {
            let forgotten: usize =
                self.link.run(&Script::forget(now.as_secs(), FORGET_AT_ONCE)).await?;
            gone += forgotten;
            if forgotten < FORGET_AT_ONCE {
                break;
            }
        }
        while self.link.run::<usize>(&Script::trim(LOG_KEPT)).await? > 0 {}
        Ok(gone)
    }
}
