//! Live entries a page at a time.

use crate::revocation::{FeedError, Name, Revocation};

use super::connection::Link;
use super::entry;

/// Goes through the live entries in the order of their names. One that is changed meanwhile is seen once,
/// as it was or as it is; the stream says the rest.
pub(super) struct Pages<'l> {
    link: &'l Link,
    /// Where the next page begins; `None` after the last.
    start: Option<Vec<u8>>,
    size: usize,
}

// === impl Pages ===

impl<'l> Pages<'l> {
    pub(super) const fn new(link: &'l Link, start: Vec<u8>, size: usize) -> Self {
        Self { link, start: Some(start), size }
    }

    /// The next page, which may be empty; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Revocation>>, FeedError> {
        let Some(start) = &self.start else { return Ok(None) };
        let mut asking = redis::pipe();
        asking.cmd("ZRANGEBYLEX").arg(&self.link.keys().live).arg(start.as_slice()).arg("+");
        asking.arg("LIMIT").arg(0).arg(self.size);
        let (members,): (Vec<Vec<u8>>,) = self.link.ask(&asking).await?;
        let mut entries = Vec::with_capacity(members.len());
        for member in &members {
            entries.extend(entry::live(member)?);
        }
        let full = members.len() == self.size;
        let start = || entries.last().map_or_else(|| b"(".to_vec(), |last| after_name(&last.name));
        self.start = full.then(start);
        Ok(Some(entries))
    }
}

/// Where the names after this one begin.
pub(super) fn after_name(name: &Name) -> Vec<u8> {
    [b"(", &entry::name_key(name)[..], b"\x01"].concat()
}
