//! Folding the stream's tail into the live entries, by whichever node comes first.

use std::collections::BTreeMap;

use redis::Value;

use crate::revocation::{FeedError, Op, Revocation};

use super::connection::Link;
use super::entry::{self, Entry, Id, Says, entries};
use super::scripts::Script;

/// What the live entries hold.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) epoch: String,
    pub(super) upto: Id,
}

/// A name's entry, before and after.
#[derive(Default)]
struct Change {
    /// The member that is there.
    old: Vec<u8>,
    now: Option<Revocation>,
}

/// Entries that are folded in one step: it takes Redis a few milliseconds.
const AT_ONCE: usize = 500;

/// Folds all that is in the stream, and says up to where that was.
pub(super) async fn fold(link: &Link) -> Result<Folded, FeedError> {
    loop {
        let (epoch, from, tail): (String, String, Value) = link.run(&Script::tail(AT_ONCE)).await?;
        let tail = entries(&tail)?;
        let Some(last) = tail.last().map(|entry| entry.id) else {
            let upto = Id::parse(&from);
            let upto = upto.ok_or_else(|| FeedError::Corrupt("`folded` is no id".to_owned()))?;
            return Ok(Folded { epoch, upto });
        };
        let changes = changes(link, tail).await?;
        let arguments = changes.into_iter().flat_map(|(name, change)| change.arguments(name));
        let script = Script::fold(&epoch, &from, &last.text(), arguments.collect());
        // Another node was first: what it did is seen with the next look.
        let _done: u8 = link.run(&script).await?;
    }
}

async fn changes(link: &Link, tail: Vec<Entry>) -> Result<BTreeMap<Vec<u8>, Change>, FeedError> {
    let records = tail.into_iter().filter_map(|entry| match entry.says {
        Says::Record(record) => Some(record),
        Says::Undecodable | Says::Epoch(_) => None,
    });
    let records: Vec<Revocation> = records.collect();
    let mut changes: BTreeMap<Vec<u8>, Change> =
        records.iter().map(|record| (entry::name_key(&record.name), Change::default())).collect();
    if changes.is_empty() {
        return Ok(changes);
    }
    let mut asking = redis::pipe();
    for name in changes.keys() {
        let (from, to) = ([b"[", &name[..], b"\0"].concat(), [b"(", &name[..], b"\x01"].concat());
        asking.cmd("ZRANGEBYLEX").arg(&link.keys().live).arg(from).arg(to);
    }
    let members: Vec<Vec<Vec<u8>>> = link.ask(&asking).await?;
    for (change, members) in changes.values_mut().zip(members) {
        if let Some(member) = members.into_iter().next() {
            change.now = entry::live(&member)?;
            change.old = member;
        }
    }
    for record in records {
        if let Some(change) = changes.get_mut(&entry::name_key(&record.name)) {
            change.apply(record);
        }
    }
    Ok(changes)
}

// === impl Change ===

impl Change {
    fn apply(&mut self, record: Revocation) {
        self.now = match (record.op, self.now.take()) {
            (Op::Reinstate, _) => None,
            (_, None) => Some(record),
            (_, Some(old)) => Some(old.followed_by(record)),
        };
    }

    /// Name, old member, new member, expiry.
    fn arguments(self, name: Vec<u8>) -> [Vec<u8>; 4] {
        let new = self.now.as_ref().map(entry::member).unwrap_or_default();
        let expires = self.now.map_or(0, |entry| entry.expires_at.as_secs());
        [name, self.old, new, expires.to_string().into_bytes()]
    }
}
