//! The copy over a scripted feed: it starts without its store, goes on, and gives back.

use std::collections::VecDeque;
use std::sync::Mutex;

use uuid::Uuid;

use super::*;
use crate::clock::UnixTime;
use crate::observe::Metrics;
use crate::revocation::{Filter, Name, Op, Page, Revocation, RevocationLog};

mod behind;

type Loaded = Result<Checkpoint, FeedError>;

/// Says what it was given, then nothing.
#[derive(Debug, Default)]
struct Script {
    loads: VecDeque<Loaded>,
    events: VecDeque<FeedEvent>,
}

/// Keeps what is appended, and tells it.
#[derive(Debug)]
struct Log(Mutex<Vec<Revocation>>, LocalCopy);

impl RevocationFeed for Script {
    async fn load(&mut self) -> Loaded {
        self.loads.pop_front().unwrap_or_else(|| Err(FeedError::Unreachable("away".into())))
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        self.events.pop_front().ok_or_else(|| FeedError::Unreachable("away".into()))
    }
}

impl RevocationLog for Arc<Log> {
    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        let at = Cursor::new("9");
        let told = |record: &Revocation| told("9", record.clone());
        let events: Vec<_> = records.iter().map(told).collect();
        self.1.file.apply(&events).expect("written");
        self.0.lock().expect("not poisoned").extend(records);
        Ok(at)
    }

    async fn list(&self, _: Filter, _: Option<Name>, _: usize) -> Result<Page, FeedError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn compact(&self, _: UnixTime) -> Result<usize, FeedError> {
        Ok(0)
    }
}

fn record(op: Op, value: &str, expires: u64) -> Revocation {
    Revocation {
        id: Uuid::now_v7(),
        op,
        name: Name { issuer: "i".into(), claim: "jti".into(), value: value.into() },
        issued_before: None,
        expires_at: UnixTime::from_secs(expires),
        at: UnixTime::from_secs(1),
        actor: Some("ops".into()),
        reason: Some("stolen".into()),
        token: None,
    }
}

fn revoke(value: &str) -> Revocation {
    record(Op::Revoke, value, 100)
}

fn told(at: &str, record: Revocation) -> FeedEvent {
    FeedEvent::Record { record, at: Cursor::new(at) }
}

fn checkpoint(memory: u128, upto: &str, live: Vec<Revocation>) -> Loaded {
    let epoch = Epoch(Uuid::from_u128(memory));
    Ok(Checkpoint { epoch, live: live.into(), upto: Cursor::new(upto) })
}

/// Loads once and takes every event, as the follower does.
async fn follow(copy: &LocalCopy, load: Loaded, events: Vec<FeedEvent>) -> Vec<String> {
    let (loads, events) = (VecDeque::from([load]), VecDeque::from(events));
    let mut feed = copy.over(Script { loads, events }).expect("a feed");
    let live = match feed.load().await {
        Ok(checkpoint) => checkpoint.live.collect().await.map_or_else(|_| Vec::new(), values),
        Err(_) => Vec::new(),
    };
    while let Ok(event) = feed.next().await {
        feed.applied(&event, true);
    }
    feed.settled().await;
    live
}

async fn restored(copy: &LocalCopy) -> Option<(String, Vec<Revocation>)> {
    let mut feed = copy.over(Script::default()).expect("a feed");
    let checkpoint = feed.restore().await.expect("readable")?;
    let entries = checkpoint.live.collect().await.expect("whole");
    Some((checkpoint.upto.as_str().to_owned(), entries))
}

fn owed(copy: &LocalCopy) -> u64 {
    copy.status().expect("readable").owed
}

fn values(entries: Vec<Revocation>) -> Vec<String> {
    let mut values: Vec<_> = entries.iter().map(|entry| entry.name.value.to_string()).collect();
    values.sort_unstable();
    values
}

fn open() -> (tempfile::TempDir, LocalCopy) {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = LocalCopy::open(folder.path().join("copy.redb")).expect("a copy");
    (folder, copy)
}

#[tokio::test]
async fn a_new_copy_restores_nothing() {
    let (_folder, copy) = open();
    assert!(restored(&copy).await.is_none());
}

#[tokio::test]
async fn a_node_starts_with_what_it_was_told_and_where() {
    let (folder, copy) = open();
    let events = vec![
        told("3", revoke("c")),
        told("4", record(Op::Reinstate, "a", 0)),
        told("3", record(Op::Reinstate, "c", 0)),
        FeedEvent::Undecodable { at: Cursor::new("5") },
        FeedEvent::Heartbeat { at: Cursor::new("9") },
    ];
    let live = follow(&copy, checkpoint(1, "2", vec![revoke("a"), revoke("b")]), events).await;
    assert_eq!(live, ["a", "b"]);
    drop(copy);
    let copy = LocalCopy::open(folder.path().join("copy.redb")).expect("the same copy");
    let (cursor, entries) = restored(&copy).await.expect("kept");
    assert_eq!(cursor, "5", "a heartbeat's cursor is not kept, a replay is not applied");
    assert_eq!(entries[0].reason.as_deref(), Some("stolen"), "whole records");
    assert_eq!(values(entries), ["b", "c"]);
}

#[tokio::test]
async fn within_a_memory_the_checkpoint_is_the_truth() {
    let (_folder, copy) = open();
    follow(&copy, checkpoint(1, "2", vec![revoke("a"), revoke("b")]), vec![]).await;
    let live = follow(&copy, checkpoint(1, "7", vec![revoke("b")]), vec![]).await;
    assert_eq!(live, ["b"]);
    assert_eq!(values(restored(&copy).await.expect("kept").1), ["b"]);
    assert_eq!(owed(&copy), 0);
}

#[tokio::test]
async fn what_a_store_has_lost_is_kept_and_given_back_once() {
    // Another epoch; and the same one that ends before what we know.
    for (memory, upto) in [(2, "1"), (1, "1")] {
        let (_folder, copy) = open();
        follow(&copy, checkpoint(1, "2", vec![revoke("a"), revoke("b")]), vec![]).await;
        let shorter = record(Op::Revoke, "b", 50);
        let live =
            follow(&copy, checkpoint(memory, upto, vec![shorter, revoke("c")]), vec![]).await;
        assert_eq!(live, ["a", "b", "c"], "the union");
        assert_eq!(owed(&copy), 2, "a is missing, b expires too early");
        // A later checkpoint of that memory is no proof that they were reinstated.
        let live = follow(&copy, checkpoint(memory, "3", vec![revoke("c")]), vec![]).await;
        assert_eq!(live, ["a", "b", "c"]);
        let log = Arc::new(Log(Mutex::default(), copy.clone()));
        copy.give_back(&log, &Metrics::new()).await.expect("given back");
        assert_eq!(values(log.0.lock().expect("not poisoned").clone()), ["a", "b"]);
        assert_eq!(owed(&copy), 0);
    }
}

#[tokio::test]
async fn what_another_node_gave_back_or_somebody_reinstated_is_not_given_back() {
    let (_folder, copy) = open();
    follow(&copy, checkpoint(1, "2", vec![revoke("a"), revoke("b"), revoke("c")]), vec![]).await;
    let events = vec![
        told("2", revoke("a")),
        told("3", record(Op::Reinstate, "b", 0)),
        told("4", record(Op::Revoke, "c", 50)),
    ];
    follow(&copy, checkpoint(2, "1", vec![]), events).await;
    let log = Arc::new(Log(Mutex::default(), copy.clone()));
    copy.give_back(&log, &Metrics::new()).await.expect("given back");
    let given = log.0.lock().expect("not poisoned").clone();
    assert_eq!(values(given.clone()), ["c"], "only what the store still lacks");
    assert_eq!(given[0].expires_at.as_secs(), 100);
    assert_eq!(values(restored(&copy).await.expect("kept").1), ["a", "c"]);
}

#[tokio::test]
async fn a_checkpoint_that_breaks_off_changes_nothing() {
    let (_folder, copy) = open();
    follow(&copy, checkpoint(1, "2", vec![revoke("a")]), vec![]).await;
    let broken = Checkpoint {
        epoch: Epoch(Uuid::from_u128(1)),
        live: Live::broken_off(vec![revoke("x")]),
        upto: Cursor::new("5"),
    };
    follow(&copy, Ok(broken), vec![]).await;
    let (cursor, entries) = restored(&copy).await.expect("kept");
    assert_eq!((&*cursor, values(entries)), ("2", vec!["a".to_owned()]));
}

#[tokio::test]
async fn a_damaged_copy_is_put_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("copy.redb");
    std::fs::write(&path, b"this is no copy of anything, and long enough").expect("written");
    let copy = LocalCopy::open(&path).expect("a new one");
    assert!(restored(&copy).await.is_none());
    assert!(path.with_added_extension("damaged").exists());
}

#[tokio::test]
async fn a_reinstatement_that_is_not_believed_takes_nothing_out_of_the_copy() {
    let (_folder, copy) = open();
    let mut feed = copy.over(Script::default()).expect("a feed");
    feed.feed.loads.push_back(checkpoint(1, "2", vec![revoke("a")]));
    let live = feed.load().await.expect("a checkpoint").live;
    live.collect().await.expect("whole");
    assert!(feed.next().await.is_err());
    feed.applied(&told("3", record(Op::Reinstate, "a", 0)), false);
    feed.settled().await;
    let (cursor, entries) = restored(&copy).await.expect("kept");
    assert_eq!((&*cursor, values(entries)), ("3", vec!["a".to_owned()]));
}

#[tokio::test]
async fn what_has_expired_goes_out_of_the_copy_and_is_no_longer_owed() {
    let (_folder, copy) = open();
    let live = vec![revoke("a"), record(Op::Revoke, "b", 50), revoke("c")];
    follow(&copy, checkpoint(1, "2", live), vec![]).await;
    follow(&copy, checkpoint(2, "1", vec![]), vec![]).await;
    assert_eq!(owed(&copy), 3);
    for (before, gone) in [(50, 0), (51, 1), (51, 0)] {
        let forgotten = copy.file.forget(UnixTime::from_secs(before)).expect("forgotten");
        assert_eq!(forgotten, gone, "before {before}");
    }
    assert_eq!(owed(&copy), 2);
    assert_eq!(values(restored(&copy).await.expect("kept").1), ["a", "c"]);
}

#[tokio::test]
async fn all_that_is_owed_is_given_back_however_much_it_is() {
    let (_folder, copy) = open();
    let all: Vec<_> = (0..1000).map(|value| revoke(&value.to_string())).collect();
    follow(&copy, checkpoint(1, "2", all), vec![]).await;
    follow(&copy, checkpoint(2, "1", vec![]), vec![]).await;
    let (log, metrics) = (Arc::new(Log(Mutex::default(), copy.clone())), Metrics::new());
    assert_eq!(copy.give_back(&log, &metrics).await.expect("given back"), 1000);
    assert_eq!(log.0.lock().expect("not poisoned").len(), 1000, "each once");
    let status = copy.status().expect("readable");
    assert_eq!((status.owed, status.given_back), (0, 1000));
    assert_eq!((metrics.revocation_owed.get(), metrics.revocation_given_back.get()), (0, 1000));
}

#[test]
fn a_folder_that_is_not_there_is_said_with_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = LocalCopy::open(folder.path().join("none/copy.redb")).expect_err("no folder");
    assert!(error.to_string().contains("revocation.local_copy"), "{error}");
}
