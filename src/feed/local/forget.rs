//! Expired entries out of the copy, a part at a time: what the log tells is written in between.

use redb::{Durability, Error, ReadableTable};

use super::file::{CopyFile, LIVE, META, OWED, key, unwritable, which};
use crate::clock::UnixTime;
use crate::feed::embedded::codec;
use crate::revocation::{FeedError, Name};

/// Entries looked at in one step.
const PART: usize = 16 * 1024;

// === impl CopyFile ===

impl CopyFile {
    /// Forgets what expired before that; how many entries went.
    pub(super) fn forget(&self, before: UnixTime) -> Result<usize, FeedError> {
        let (mut after, mut gone) = (None, 0);
        loop {
            let (expired, last) = self.expired(after.as_ref(), before).map_err(unwritable)?;
            if !expired.is_empty() {
                gone += self.remove_expired(&expired, before)?;
            }
            match last {
                Some(name) => after = Some(name),
                None => return Ok(gone),
            }
        }
    }

    /// The expired ones of a part, and where the next part begins.
    fn expired(
        &self,
        after: Option<&Name>,
        before: UnixTime,
    ) -> Result<(Vec<Name>, Option<Name>), Error> {
        use std::ops::Bound;
        let read = self.read()?;
        let live = read.open_table(LIVE[which(&read.open_table(META)?)?])?;
        let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(key(name)));
        let (mut expired, mut last) = (Vec::new(), None);
        let mut rows = live.range::<(&str, &str, &str)>((start, Bound::Unbounded))?;
        for count in 1..=PART {
            let Some(row) = rows.next() else { return Ok((expired, None)) };
            let (key, value) = row?;
            let name = || {
                let (issuer, claim, value) = key.value();
                Name { issuer: issuer.into(), claim: claim.into(), value: value.into() }
            };
            if is_over(value.value(), before) {
                expired.push(name());
            }
            if count == PART {
                last = Some(name());
            }
        }
        Ok((expired, last))
    }

    fn remove_expired(&self, names: &[Name], before: UnixTime) -> Result<usize, FeedError> {
        self.write(Durability::None, |write| {
            let mut live = write.open_table(LIVE[which(&write.open_table(META)?)?])?;
            let mut owed = write.open_table(OWED)?;
            let mut gone = 0;
            for name in names {
                // It may have been revoked again since it was looked at.
                let over = live.get(key(name))?.is_some_and(|entry| is_over(entry.value(), before));
                if over {
                    live.remove(key(name))?;
                    owed.remove(key(name))?;
                    gone += 1;
                }
            }
            Ok(gone)
        })
    }
}

fn is_over(entry: &[u8], before: UnixTime) -> bool {
    codec::expires_at(entry).is_some_and(|end| end < before)
}
