//! Revocation records, and reading a feed.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::clock::UnixTime;
use portcullis::revocation::{
    Cursor, FeedEvent, Name, Op, Revocation, RevocationFeed, RevocationLog,
};
use uuid::Uuid;

/// What a store holds: the entry under each name.
pub(crate) type Entries = BTreeMap<Name, (Option<UnixTime>, UnixTime)>;

/// `jti` = `value`, expiring at `expires`.
pub(crate) fn revoke(value: &str, expires: u64) -> Revocation {
    Revocation {
        id: Uuid::now_v7(),
        op: Op::Revoke,
        name: Name { issuer: "i".into(), claim: "jti".into(), value: value.into() },
        issued_before: None,
        expires_at: UnixTime::from_secs(expires),
        at: UnixTime::from_secs(1),
        actor: Some("ops".into()),
        reason: Some("lost".into()),
        token: None,
    }
}

/// `sub` = `value` up to a cut-off.
pub(crate) fn cut_off(value: &str, cutoff: u64, expires: u64) -> Revocation {
    let mut record = revoke(value, expires);
    record.name.claim = "sub".into();
    record.issued_before = Some(UnixTime::from_secs(cutoff));
    record
}

/// Takes `jti` = `value` back in.
pub(crate) fn reinstate(value: &str) -> Revocation {
    Revocation { op: Op::Reinstate, ..revoke(value, 0) }
}

/// Everything that the checkpoint holds.
pub(crate) async fn load(feed: &mut impl RevocationFeed) -> (Entries, Cursor) {
    let checkpoint = feed.load().await.expect("a checkpoint");
    let live = checkpoint.live.collect().await.expect("all of it");
    let count = live.len();
    let entries: Entries = live.into_iter().map(entry).collect();
    assert_eq!(entries.len(), count, "one entry for each name");
    (entries, checkpoint.upto)
}

/// The next record, past heartbeats.
pub(crate) async fn next_record(feed: &mut impl RevocationFeed) -> (Revocation, Cursor) {
    let found = async {
        loop {
            match feed.next().await.expect("an event") {
                FeedEvent::Record { record, at } => return (record, at),
                FeedEvent::Heartbeat { .. } => {}
                FeedEvent::Undecodable { at } => panic!("undecodable at {at}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.expect("a record in time")
}

/// Appends one after the other.
pub(crate) async fn append_each(log: &impl RevocationLog, records: &[Revocation]) -> Vec<Cursor> {
    let mut cursors = Vec::new();
    for record in records {
        cursors.push(log.append(vec![record.clone()]).await.expect("appended"));
    }
    cursors
}

/// The entry that a record makes.
pub(crate) fn entry(record: Revocation) -> (Name, (Option<UnixTime>, UnixTime)) {
    (record.name, (record.issued_before, record.expires_at))
}
