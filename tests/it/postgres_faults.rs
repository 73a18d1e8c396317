//! PostgreSQL as a store: killed, paused, set back to an older state, emptied.

use std::time::{Duration, Instant};

use portcullis::clock::UnixTime;
use portcullis::feed::postgres::{PostgresFeed, PostgresStore};
use portcullis::revocation::{
    Cursor, Epoch, FeedError, FeedEvent, NodeRoster, Revocation, RevocationFeed, RevocationLog,
};
use tokio::time::timeout;

use crate::support::eventually::eventually;
use crate::support::nodes::presence;
use crate::support::records::{append_each, load, next_record, revoke};
use crate::support::servers::postgres::{Database, PostgresServer};

/// The next record, past heartbeats and past a server that is away.
async fn next_after_outage(feed: &mut PostgresFeed) -> Revocation {
    let found = async {
        loop {
            match feed.next().await {
                Ok(FeedEvent::Record { record, .. }) => return record,
                Ok(_) | Err(FeedError::Unreachable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(Duration::from_secs(20), found).await.expect("a record in time")
}

/// Told that the log can't be continued.
async fn is_cut_off(feed: &mut PostgresFeed) {
    let found = async {
        loop {
            match feed.next().await {
                Ok(_) | Err(FeedError::Unreachable(_)) => {}
                Err(error) => return error,
            }
        }
    };
    let error = timeout(Duration::from_secs(20), found).await.expect("in time");
    assert!(matches!(error, FeedError::Truncated(_) | FeedError::Corrupt(_)), "{error}");
}

async fn epoch(feed: &mut PostgresFeed) -> Epoch {
    feed.load().await.expect("a checkpoint").epoch
}

/// Tries until the server takes it: what is acknowledged counts.
async fn append(store: &PostgresStore, record: Revocation) {
    let log = store.log();
    let written = async {
        while let Err(error) = log.append(vec![record.clone()]).await {
            assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), written).await.expect("written in time");
}

/// A cluster of its own, which may be stopped.
async fn scene() -> (PostgresServer, Database, PostgresStore) {
    let server = PostgresServer::start(&[]);
    let database = server.create();
    let store = database.store().await;
    (server, database, store)
}

#[tokio::test]
async fn a_server_that_is_set_back_has_another_memory_for_every_node() {
    let (mut server, database, store) = scene().await;
    let mut feeds = [store.feed(), database.store().await.feed()];
    append_each(&store.log(), &[revoke("before", 100)]).await;
    let first = epoch(&mut feeds[0]).await;
    assert_eq!(epoch(&mut feeds[1]).await, first);
    server.stop();
    let copy = server.back_up();
    server.up(&[]);
    append(&store, revoke("forgotten", 100)).await;
    for feed in &mut feeds {
        assert_eq!(&*next_after_outage(feed).await.name.value, "forgotten");
    }
    server.stop();
    server.restore(&copy);
    server.up(&[]);
    // Takes the id that the forgotten one had, before any node has looked.
    database.sql("INSERT INTO revocations (issuer, claim, value, expires_at) VALUES ('i', 'jti', 'other', 100)");
    let mut epochs = Vec::new();
    for feed in &mut feeds {
        is_cut_off(feed).await;
        epochs.push(epoch(feed).await);
    }
    assert_ne!(epochs[0], first);
    assert_eq!(epochs[0], epochs[1], "noticed once, and known to all");
    assert_eq!(load(&mut feeds[0]).await.0.len(), 2, "what it had, and what came since");
    append(&store, revoke("after", 100)).await;
    assert_eq!(&*next_record(&mut feeds[0]).await.0.name.value, "after");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_immediate_stops() {
    let (mut server, _database, store) = scene().await;
    let mut feed = store.feed();
    load(&mut feed).await;
    let (log, mut known, mut seen) = (store.log(), 0, 0);
    for round in 0..5 {
        let writer = {
            let log = log.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                loop {
                    let record = revoke(&format!("{round}-{}", acknowledged.len()), 100);
                    match log.append(vec![record.clone()]).await {
                        Ok(_) => acknowledged.push(record.name),
                        // The connection may still be that of before the stop.
                        Err(_) if acknowledged.is_empty() => tokio::task::yield_now().await,
                        Err(_) => return acknowledged,
                    }
                }
            })
        };
        // In the middle of it; what is left of the rounds before is passed over.
        let (mut read, of_this) = (0, format!("{round}-"));
        while read < 20 {
            let record = next_after_outage(&mut feed).await;
            read += usize::from(record.name.value.starts_with(&of_this));
            seen += 1;
        }
        server.down();
        let acknowledged = writer.await.expect("the writer");
        assert!(!acknowledged.is_empty(), "nothing was acknowledged in round {round}");
        server.up(&[]);
        let live = load(&mut store.feed()).await.0;
        for name in &acknowledged {
            assert!(live.contains_key(name), "{name:?} in round {round}");
        }
        known += acknowledged.len();
        assert!(live.len() >= known && live.len() <= known + round + 1, "{}", live.len());
    }
    // The reader from before the first stop goes on, and has missed nothing.
    let last = revoke("last", 100);
    append(&store, last.clone()).await;
    while next_after_outage(&mut feed).await != last {
        seen += 1;
    }
    assert!(seen >= known, "{seen} of {known}");
}

#[tokio::test]
async fn ended_backends_cost_neither_a_record_nor_an_acknowledgement() {
    let database = PostgresServer::database();
    let store = database.store().await;
    let mut feed = store.feed();
    load(&mut feed).await;
    for i in 0..10 {
        let value = i.to_string();
        append_each(&store.log(), &[revoke(&value, 100)]).await;
        database.terminate_backends();
        assert_eq!(*next_after_outage(&mut feed).await.name.value, value);
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_not_called_fresh() {
    let (server, _database, store) = scene().await;
    let mut feed = store.feed();
    load(&mut feed).await;
    append_each(&store.log(), &[revoke("a", 100)]).await;
    next_record(&mut feed).await;
    server.signal_all("STOP");
    let stopped = Instant::now();
    let error = async {
        loop {
            match feed.next().await {
                Ok(event) => assert!(stopped.elapsed() < Duration::from_secs(1), "{event:?}"),
                Err(error) => return error,
            }
        }
    };
    let error = timeout(Duration::from_secs(20), error).await.expect("it is told");
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    server.signal_all("CONT");
    append(&store, revoke("b", 100)).await;
    assert_eq!(&*next_after_outage(&mut feed).await.name.value, "b");
}

#[tokio::test]
async fn an_append_to_a_server_that_hangs_is_answered_within_five_seconds() {
    let (server, _database, store) = scene().await;
    append(&store, revoke("before", 100)).await;
    server.signal_all("STOP");
    // On the connection that it has, on none, and again.
    for round in 0..3 {
        let asked = Instant::now();
        let error = store.log().append(vec![revoke("a", 100)]).await.expect_err("no answer");
        assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
        let after = asked.elapsed();
        assert!(after < Duration::from_millis(5500), "round {round}: after {after:?}");
    }
    server.signal_all("CONT");
    append(&store, revoke("after", 100)).await;
}

#[tokio::test]
async fn a_crash_of_the_server_forgets_no_node() {
    let (mut server, database, store) = scene().await;
    let (one, two) = (presence("one", 60_000), presence("two", 60_000));
    store.roster().announce(&one).await.expect("announced");
    database.sql("ALTER TABLE revocations_nodes SET UNLOGGED");
    // As of an earlier version: the next node to connect mends it.
    let store = database.store().await;
    store.roster().announce(&two).await.expect("announced");
    server.kill();
    server.up(&[]);
    let nodes = database.store().await.roster().nodes().await.expect("listed");
    let mut names: Vec<_> = nodes.iter().map(|node| &*node.presence.node.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_grown_is_not_read_from_its_beginning() {
    let database = PostgresServer::database();
    let store = database.store().await;
    let mut feed = store.feed();
    load(&mut feed).await;
    let scans = |how: &str| {
        let sql = format!("SELECT {how} FROM pg_stat_user_tables WHERE relname = 'revocations'");
        database.sql(&sql).trim().parse::<i64>().expect("a number")
    };
    let (sequential, by_index) = (scans("seq_scan"), scans("idx_scan"));
    for i in 0..30 {
        append_each(&store.log(), &[revoke(&i.to_string(), 100)]).await;
        next_record(&mut feed).await;
    }
    eventually("each read went by the index", || {
        (scans("idx_scan") >= by_index + 30).then_some(())
    });
    assert!(scans("seq_scan") <= sequential + 5, "{} after {sequential}", scans("seq_scan"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_emptied_or_dropped_are_another_memory() {
    let database = PostgresServer::database();
    let store = database.store().await;
    let mut feed = store.feed();
    let mut known = epoch(&mut feed).await;
    let ways = [
        "TRUNCATE revocations",
        "TRUNCATE revocations, revocations_live",
        "DELETE FROM revocations",
        "DROP TABLE revocations",
        "DROP TABLE revocations_live",
        "DROP TABLE revocations_meta",
        "DROP TABLE revocations, revocations_live, revocations_meta",
    ];
    for sql in ways {
        append_each(&store.log(), &[revoke("a", 100)]).await;
        next_record(&mut feed).await;
        database.sql(sql);
        if sql == "DROP TABLE revocations_live" {
            // A running reader does not need it: whoever connects next finds out, upkeep at the latest.
            store.log().compact(UnixTime::EPOCH).await.expect("compacted");
        }
        is_cut_off(&mut feed).await;
        let now = epoch(&mut feed).await;
        assert_ne!(now, known, "{sql}");
        // It is told once: from then on it is a log like any other.
        assert_eq!(epoch(&mut feed).await, now, "{sql}");
        append_each(&store.log(), &[revoke("b", 100)]).await;
        assert_eq!(&*next_record(&mut feed).await.0.name.value, "b", "{sql}");
        known = now;
    }
}

#[tokio::test]
async fn a_kept_cursor_goes_on_where_it_was_unless_the_log_is_another() {
    let database = PostgresServer::database();
    let store = database.store().await;
    let memory = epoch(&mut store.feed()).await;
    let cursors = append_each(&store.log(), &[revoke("a", 100), revoke("b", 100)]).await;
    let mut feed = store.feed();
    feed.resume(memory, &cursors[0]).await.expect("still there");
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "b");
    feed.resume(memory, &Cursor::new(&"0".repeat(20))).await.expect("the start");
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "a");

    let foreign = [Cursor::new("not ours"), Cursor::default()];
    for cursor in &foreign {
        let error = feed.resume(memory, cursor).await.expect_err("no cursor of this log");
        assert!(matches!(error, FeedError::Truncated(_)), "{error}");
    }
    let other = Epoch(uuid::Uuid::nil());
    let error = feed.resume(other, &cursors[1]).await.expect_err("another memory");
    assert!(matches!(error, FeedError::Truncated(_)), "{error}");
    database.sql("DELETE FROM revocations WHERE value = 'b'");
    let error = feed.resume(memory, &cursors[1]).await.expect_err("it was there");
    assert!(matches!(error, FeedError::Truncated(_)), "{error}");
    assert_ne!(epoch(&mut feed).await, memory, "and all nodes are told");
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_and_nothing_is_half_done() {
    let (mut server, _database, store) = scene().await;
    server.down();
    let error = store.feed().load().await.expect_err("nobody is there");
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    let error = store.log().append(vec![revoke("a", 100)]).await.expect_err("nobody is there");
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    server.up(&[]);
    assert!(load(&mut store.feed()).await.0.is_empty());
}
