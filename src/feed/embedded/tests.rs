//! The store when the disk fails, full or not syncing; and its readers side by side.

use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::clock::UnixTime;
use crate::revocation::{
    Cursor, FeedEvent, Name, Op, Revocation, RevocationFeed, RevocationLog, TokenDetails,
};

fn revoke(value: &str) -> Revocation {
    Revocation {
        id: Uuid::now_v7(),
        op: Op::Revoke,
        name: Name { issuer: "i".into(), claim: "jti".into(), value: value.into() },
        issued_before: None,
        expires_at: UnixTime::from_secs(100),
        at: UnixTime::EPOCH,
        actor: None,
        reason: None,
        token: None,
    }
}

struct Failing {
    disk: Arc<DiskHealth>,
    store: EmbeddedStore,
    folder: tempfile::TempDir,
}

fn store() -> Failing {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::<DiskHealth>::default();
    let path = folder.path().join("r.redb");
    let store = EmbeddedStore::open_with(path, Arc::clone(&disk)).expect("a store");
    Failing { disk, store, folder }
}

async fn values(feed: &mut EmbeddedFeed) -> Vec<String> {
    let checkpoint = feed.load().await.expect("a checkpoint");
    let live = checkpoint.live.collect().await.expect("all of it");
    live.into_iter().map(|entry| entry.name.value.to_string()).collect()
}

#[tokio::test]
async fn a_full_disk_refuses_and_is_tried_again() {
    let failing = store();
    let log = failing.store.log();
    let mut feed = failing.store.feed();
    log.append(vec![revoke("before")]).await.expect("appended");
    assert_eq!(values(&mut feed).await, ["before"]);
    failing.disk.faults.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = log.append(vec![revoke("lost")]).await.expect_err("no space");
        assert!(matches!(error, FeedError::Refused(_)), "{error}");
    }
    // Everything acknowledged is known, so the feed is still fresh.
    assert!(matches!(feed.next().await, Ok(FeedEvent::Heartbeat { .. })));
    failing.disk.faults.full.store(false, Ordering::SeqCst);
    log.append(vec![revoke("after")]).await.expect("there is space again");
    let seen = loop {
        if let FeedEvent::Record { record, .. } = feed.next().await.expect("an event") {
            break record.name.value;
        }
    };
    assert_eq!(&*seen, "after");
    assert_eq!(values(&mut feed).await, ["after", "before"]);
}

#[tokio::test]
async fn a_full_disk_during_a_round_of_folding_loses_nothing() {
    let failing = store();
    let log = failing.store.log();
    let mut known: Vec<String> = Vec::new();
    for round in 0..4 {
        let some: Vec<String> = (0..4000).map(|number| format!("{number:04}-{round}")).collect();
        log.append(some.iter().map(|value| revoke(value)).collect()).await.expect("appended");
        known.extend(some);
        // A step of the round that has begun is made to last by the next commit, or taken back with it.
        failing.disk.faults.full.store(true, Ordering::SeqCst);
        log.append(vec![revoke("lost")]).await.expect_err("no space");
        failing.disk.faults.full.store(false, Ordering::SeqCst);
        let last = format!("last-{round}");
        log.append(vec![revoke(&last)]).await.expect("there is space again");
        known.push(last);
    }
    known.sort_unstable();
    assert_eq!(values(&mut failing.store.feed()).await, known);
    let path = failing.folder.path().join("r.redb");
    drop(failing.store);
    let store = EmbeddedStore::open(path).expect("the store again");
    assert_eq!(values(&mut store.feed()).await, known);
}

#[tokio::test]
async fn a_closed_file_comes_back_without_being_written_to() {
    let failing = store();
    let log = failing.store.log();
    let mut feed = failing.store.feed();
    log.append(vec![revoke("before")]).await.expect("appended");
    assert_eq!(values(&mut feed).await, ["before"]);
    failing.disk.faults.full.store(true, Ordering::SeqCst);
    log.append(vec![revoke("lost")]).await.expect_err("no space");
    failing.disk.faults.full.store(false, Ordering::SeqCst);
    let back = async {
        while feed.load().await.is_err() {
            // Closed is not lost: it goes on saying that everything known was told.
            assert!(matches!(feed.next().await, Ok(FeedEvent::Heartbeat { .. })));
        }
    };
    tokio::time::timeout(Duration::from_secs(5), back).await.expect("opened again");
    assert_eq!(values(&mut feed).await, ["before"]);
}

#[tokio::test]
async fn a_failed_sync_fences_the_store_for_good() {
    let failing = store();
    let log = failing.store.log();
    let mut feed = failing.store.feed();
    log.append(vec![revoke("before")]).await.expect("appended");
    assert_eq!(values(&mut feed).await, ["before"]);
    failing.disk.faults.sync.store(true, Ordering::SeqCst);
    log.append(vec![revoke("lost")]).await.expect_err("not synced");
    failing.disk.faults.sync.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        let error = log.append(vec![revoke("late")]).await.expect_err("fenced");
        assert!(error.to_string().contains("fenced"), "{error}");
    }
    // No heartbeat: freshness grows old.
    for _ in 0..3 {
        let error = feed.next().await.expect_err("fenced");
        assert!(matches!(error, FeedError::Refused(_)), "{error}");
    }
    assert!(feed.load().await.is_err());
    let path = failing.folder.path().join("r.redb");
    drop(failing.store);
    let store = EmbeddedStore::open(path).expect("a restart reads what the disk holds");
    assert!(values(&mut store.feed()).await.contains(&"before".to_owned()));
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let failing = store();
    let (log, mut feed) = (failing.store.log(), failing.store.feed());
    log.append(vec![revoke("before")]).await.expect("appended");
    assert_eq!(values(&mut feed).await, ["before"]);
    drop(failing.store);
    let error = log.append(vec![revoke("late")]).await.expect_err("closed");
    assert!(matches!(error, FeedError::Refused(_)), "{error}");
    let error = feed.next().await.expect_err("closed");
    assert!(matches!(error, FeedError::Refused(_)), "{error}");
    assert!(feed.load().await.is_err());
}

/// Records of every kind.
fn some() -> Vec<Revocation> {
    let named = |claim: &str, value: &str| Name {
        issuer: "i".into(),
        claim: claim.into(),
        value: value.into(),
    };
    let said = |text: &str| Some(text.into());
    let registered = Name::registered("i".into(), "t".into());
    let details = Some(Arc::new(TokenDetails::default()));
    vec![
        revoke("one"),
        Revocation { op: Op::Reinstate, actor: said("ops"), ..revoke("one") },
        Revocation { name: named("azp", "app"), reason: said("ended"), ..revoke("") },
        Revocation { name: named("sub", ""), issued_before: Some(UnixTime::EPOCH), ..revoke("") },
        Revocation { op: Op::Register, name: registered, token: details, ..revoke("") },
    ]
}

async fn records(feed: &mut EmbeddedFeed, count: usize) -> Vec<(Revocation, Cursor)> {
    let mut records = Vec::new();
    while records.len() < count {
        if let FeedEvent::Record { record, at } = feed.next().await.expect("an event") {
            records.push((record, at));
        }
    }
    records
}

#[tokio::test]
async fn the_second_reader_hears_from_the_log_what_the_first_was_handed() {
    let failing = store();
    let log = failing.store.log();
    let [mut first, mut second] = [(); 2].map(|()| failing.store.feed());
    for feed in [&mut first, &mut second] {
        assert!(values(feed).await.is_empty());
    }
    for record in some() {
        log.append(vec![record]).await.expect("appended");
    }
    log.append(some()).await.expect("appended");
    let handed = records(&mut first, 2 * some().len()).await;
    assert_eq!(records(&mut second, handed.len()).await, handed);
    assert_eq!(&*handed[2].0.name.claim, "client_id");
    assert!(failing.store.shared.tail.take(0, 1).is_empty(), "nothing is kept for a second one");
}
