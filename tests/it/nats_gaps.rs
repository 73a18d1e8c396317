//! The JetStream store loses messages, its memory, or its server: what a reader is told.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context};
use portcullis::clock::UnixTime;
use portcullis::feed::nats::{NatsFeed, NatsStore};
use portcullis::revocation::{Epoch, FeedError, FeedEvent, Op, RevocationFeed, RevocationLog};

use crate::support::records::{append_each, entry, load, next_record, reinstate, revoke};
use crate::support::servers::nats::NatsServer;

async fn open(server: &NatsServer) -> NatsStore {
    NatsStore::open(&server.config()).await.expect("a store")
}

/// What an operator does, or a mishap.
async fn operator(server: &NatsServer) -> Context {
    jetstream::new(async_nats::connect(server.url()).await.expect("connected"))
}

async fn append(store: &NatsStore, names: std::ops::Range<u32>) {
    let records: Vec<_> = names.map(|name| revoke(&name.to_string(), 4_000_000_000)).collect();
    store.log().append(records).await.expect("appended");
}

/// Reads until the reader is told that something is missing.
async fn told_of_a_gap(feed: &mut NatsFeed) {
    let told = async {
        loop {
            match feed.next().await {
                Err(FeedError::Truncated(_)) => return,
                Err(FeedError::Unreachable(_)) => tokio::task::yield_now().await,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("told in time");
}

async fn epoch_and_names(feed: &mut NatsFeed) -> (Epoch, usize) {
    let checkpoint = feed.load().await.expect("a checkpoint");
    (checkpoint.epoch, checkpoint.live.collect().await.expect("all of it").len())
}

#[tokio::test]
async fn a_reader_that_slept_through_a_reinstatement_is_told_to_load_again() {
    let server = NatsServer::start();
    let store = open(&server).await;
    let log = store.log();
    append(&store, 0..3).await;
    let (mut asleep, mut awake) = (store.feed(), store.feed());
    load(&mut asleep).await;
    load(&mut awake).await;
    append_each(&log, &[reinstate("1")]).await;
    // Announced first, gone then.
    for _ in 0..2 {
        assert_eq!(log.compact(UnixTime::from_secs(1000)).await.expect("swept"), 0);
        while !matches!(awake.next().await.expect("an event"), FeedEvent::Heartbeat { .. }) {}
    }
    append(&store, 7..8).await;
    assert_eq!(&*next_record(&mut awake).await.0.name.value, "7", "who read along goes on");
    told_of_a_gap(&mut asleep).await;
    let (epoch, names) = epoch_and_names(&mut asleep).await;
    assert_eq!((epoch, names), (store.epoch().await.expect("an epoch"), 3));
}

#[tokio::test]
async fn a_purged_stream_has_lost_its_memory() {
    let server = NatsServer::start();
    let store = open(&server).await;
    append(&store, 0..10).await;
    for all in [true, false] {
        let mut feed = store.feed();
        let (before, _) = epoch_and_names(&mut feed).await;
        feed.next().await.expect("an event");
        let stream = operator(&server).await.get_stream("REVOCATIONS").await.expect("a stream");
        if all {
            stream.purge().await.expect("purged");
        } else {
            append(&store, 0..10).await;
            let first = stream.get_info().await.expect("info").state.first_sequence;
            stream.purge().sequence(first + 5).await.expect("purged");
        }
        told_of_a_gap(&mut feed).await;
        let (after, names) = epoch_and_names(&mut feed).await;
        assert_ne!(before, after);
        assert_eq!(names, if all { 0 } else { 6 }, "what is left of ten and an epoch");
    }
}

#[tokio::test]
async fn a_deleted_stream_is_made_anew_with_another_epoch() {
    let server = NatsServer::start();
    let store = open(&server).await;
    append(&store, 0..3).await;
    let mut feed = store.feed();
    let (before, _) = epoch_and_names(&mut feed).await;
    feed.next().await.expect("an event");
    operator(&server).await.delete_stream("REVOCATIONS").await.expect("deleted");
    // The new stream comes further than the old one had: its sequence alone tells nothing.
    append(&store, 10..30).await;
    told_of_a_gap(&mut feed).await;
    let (after, names) = epoch_and_names(&mut feed).await;
    assert!(before != after && names == 20, "{names}");
}

#[tokio::test]
async fn a_server_that_restarts_empty_has_another_epoch() {
    let mut server = NatsServer::start();
    let store = open(&server).await;
    append(&store, 0..3).await;
    let mut feed = store.feed();
    let (before, _) = epoch_and_names(&mut feed).await;
    feed.next().await.expect("an event");
    server.kill();
    server.empty();
    server.start_again();
    told_of_a_gap(&mut feed).await;
    let (after, names) = epoch_and_names(&mut feed).await;
    assert!(before != after && names == 0);
}

#[tokio::test]
async fn a_server_that_lost_its_latest_messages_is_found_out_even_when_others_wrote_since() {
    let mut server = NatsServer::start();
    let store = open(&server).await;
    append(&store, 0..5).await;
    server.kill();
    let old = server.backup();
    server.start_again();
    drop(store);
    let store = open(&server).await;
    append(&store, 5..10).await;
    let mut feed = store.feed();
    let (before, names) = epoch_and_names(&mut feed).await;
    assert_eq!(names, 10);
    server.kill();
    server.restore(&old);
    server.start_again();
    // Another node goes beyond our cursor.
    let other = open(&server).await;
    assert_eq!(other.epoch().await.expect("an epoch"), before);
    append(&other, 20..40).await;
    told_of_a_gap(&mut feed).await;
    let (after, names) = epoch_and_names(&mut feed).await;
    assert_ne!(before, after, "the nodes must know that 5 to 9 are missing, not reinstated");
    assert_eq!(names, 25);
}

#[tokio::test]
async fn a_killed_server_is_followed_again_with_nothing_missed() {
    let mut server = NatsServer::start();
    let store = open(&server).await;
    append(&store, 0..3).await;
    let mut feed = store.feed();
    let (before, _) = epoch_and_names(&mut feed).await;
    for round in 10..13 {
        feed.next().await.expect("an event");
        server.kill();
        let error = store.log().append(vec![revoke("no", 100)]).await.expect_err("nobody there");
        assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
        server.start_again();
        let other = open(&server).await;
        append(&other, round..round + 1).await;
        let since = Instant::now();
        let seen = loop {
            match feed.next().await {
                Ok(FeedEvent::Record { record, .. }) => break record,
                Ok(_) | Err(FeedError::Unreachable(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(*seen.name.value, round.to_string());
        assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    }
    assert_eq!(store.epoch().await.expect("an epoch"), before);
}

#[tokio::test]
async fn a_server_that_hangs_is_no_heartbeat() {
    let server = NatsServer::start();
    let store = open(&server).await;
    append(&store, 0..3).await;
    let mut feed = store.feed();
    load(&mut feed).await;
    feed.next().await.expect("an event");
    server.pause();
    // What was asked before it hung may still be told.
    let begun = Instant::now();
    let error = loop {
        match feed.next().await {
            Ok(_) => assert!(begun.elapsed() < Duration::from_secs(1), "a beat of a dead server"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    let error = store.log().append(vec![revoke("no", 100)]).await.expect_err("nobody answers");
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    server.go_on();
    let again = async { while feed.next().await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("followed again");
}

#[tokio::test]
async fn a_reinstatement_that_was_superseded_unread_is_told_all_the_same() {
    let server = NatsServer::start();
    let store = open(&server).await;
    let log = store.log();
    append_each(&log, &[revoke("a", 300), revoke("b", 300)]).await;
    let mut feed = store.feed();
    load(&mut feed).await;
    let cursors = append_each(&log, &[reinstate("a"), revoke("c", 300), revoke("a", 200)]).await;
    let told =
        [next_record(&mut feed).await, next_record(&mut feed).await, next_record(&mut feed).await];
    let names = told.each_ref().map(|(record, _)| (&*record.name.value, record.op));
    assert_eq!(names, [("c", Op::Revoke), ("a", Op::Reinstate), ("a", Op::Revoke)]);
    assert!(told[0].1 < told[1].1 && told[1].1 < told[2].1, "{told:?}");
    assert_eq!(told[2].1, cursors[2]);
    let (live, _) = load(&mut feed).await;
    assert_eq!(live, [revoke("a", 200), revoke("b", 300), revoke("c", 300)].map(entry).into());
}
