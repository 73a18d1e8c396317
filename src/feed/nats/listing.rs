//! Listings: the stream knows no order, so a listing reads all of it, and then as many pages as fit into
//! memory come from that one reading.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::feed::listing::matches;
use crate::revocation::{FeedError, Filter, Name, Page, Revocation};

use super::broker::Broker;
use super::memory;
use super::scan::Scan;

/// Live entries in the order of their names, as they were at one moment.
#[derive(Debug)]
pub(super) struct Listed {
    filter: Filter,
    after: Option<Name>,
    entries: Vec<Revocation>,
    /// Nothing follows the last.
    whole: bool,
    read: Instant,
}

/// Entries that are remembered for the pages that follow: some ten megabytes.
const MOST: usize = 32 * 1024;
/// A listing that is gone on with later reads anew.
const KEPT: Duration = Duration::from_secs(60);

// === impl Listed ===

impl Listed {
    /// Reads what follows `after`, so many at least, if there are.
    pub(super) async fn read(
        broker: &Broker,
        filter: Filter,
        after: Option<Name>,
        least: usize,
    ) -> Result<Self, FeedError> {
        let only = match &filter {
            Filter { issuer: Some(issuer), claim: Some(claim), value: Some(value) } => {
                let (issuer, claim) = (Arc::clone(issuer), Arc::clone(claim));
                Some(Name { issuer, claim, value: Arc::clone(value) })
            }
            _ => None,
        };
        // One more than asked for tells whether there is another page.
        let most = least.saturating_add(1).max(MOST);
        let goal = memory::recall(broker).await?.last;
        let mut scan = Scan::begin(broker, goal, only.as_ref(), 0).await?;
        let (mut first, mut beyond) = (BTreeMap::new(), None::<Name>);
        while let Some(folded) = scan.next().await? {
            let name = &folded.name;
            let is_read = after.as_ref().is_some_and(|after| name <= after);
            let is_beyond = beyond.as_ref().is_some_and(|beyond| name >= beyond);
            if is_read || is_beyond || !matches(&filter, name) {
                continue;
            }
            match folded.live() {
                Some(live) => drop(first.insert(live.name.clone(), live)),
                None => drop(first.remove(name)),
            }
            if first.len() > most {
                beyond = first.pop_last().map(|(name, _)| name);
            }
        }
        let (entries, whole) = (first.into_values().collect(), beyond.is_none());
        Ok(Self { filter, after, entries, whole, read: Instant::now() })
    }

    /// The first page.
    pub(super) fn first(&self, limit: usize) -> Page {
        self.from(0, limit)
    }

    /// A further page, if it was read.
    pub(super) fn page(&self, filter: &Filter, after: &Name, limit: usize) -> Option<Page> {
        if self.filter != *filter || self.after.as_ref().is_some_and(|begin| after < begin) {
            return None;
        }
        let begin = self.entries.partition_point(|entry| entry.name <= *after);
        let enough = self.whole || self.entries.len() - begin > limit;
        enough.then(|| self.from(begin, limit))
    }

    /// Whether it is too long ago.
    pub(super) fn is_over(&self) -> bool {
        self.read.elapsed() > KEPT
    }

    fn from(&self, begin: usize, limit: usize) -> Page {
        let rest = &self.entries[begin..];
        let items: Vec<_> = rest.iter().take(limit).cloned().collect();
        let more = rest.len() > limit || !self.whole;
        let next = items.last().filter(|_| more).map(|entry| entry.name.clone());
        Page { items, next }
    }
}
