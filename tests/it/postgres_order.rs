//! PostgreSQL as a store: transactions that commit in another order than they began.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::feed::postgres::PostgresFeed;
use portcullis::revocation::{Cursor, FeedEvent, Revocation, RevocationFeed};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::Client;

use crate::support::records::{Entries, append_each, entry, load, next_record, revoke};
use crate::support::servers::postgres::{Database, PostgresServer};

fn insert(value: &str) -> String {
    format!(
        "INSERT INTO revocations (issuer, claim, value, expires_at) VALUES ('i', 'jti', '{value}', 100)"
    )
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// A loaded reader of a new database.
async fn scene() -> (Database, PostgresFeed) {
    let database = PostgresServer::database();
    let mut feed = database.store().await.feed();
    load(&mut feed).await;
    (database, feed)
}

async fn values(feed: &mut PostgresFeed, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(next_record(feed).await.0.name.value.to_string());
    }
    values
}

/// Nothing is told, and nothing is called fresh, for as long as a heartbeat takes.
async fn is_held_back(feed: &mut PostgresFeed) {
    // What was true before may still be on its way.
    let settled = Instant::now() + Duration::from_millis(300);
    while let Ok(event) = timeout_at(settled, feed.next()).await {
        assert!(matches!(event, Ok(FeedEvent::Heartbeat { .. })), "{event:?}");
    }
    let event = timeout(Duration::from_millis(700), feed.next()).await;
    assert!(event.is_err(), "{event:?}");
}

#[tokio::test]
async fn a_row_that_commits_late_is_not_skipped() {
    let (database, mut feed) = scene().await;
    let late = database.client().await;
    run(&late, "BEGIN").await;
    run(&late, &insert("first")).await;
    database.sql(&insert("second"));
    is_held_back(&mut feed).await;
    let mut other = database.store().await.feed();
    assert!(load(&mut other).await.0.is_empty(), "a checkpoint does not run ahead either");
    run(&late, "COMMIT").await;
    assert_eq!(values(&mut feed, 2).await, ["first", "second"]);
    assert_eq!(values(&mut other, 2).await, ["first", "second"]);
}

#[tokio::test]
async fn an_id_that_was_drawn_long_before_its_row_is_drawn_again() {
    let (database, mut feed) = scene().await;
    let early = database.client().await;
    run(&early, "BEGIN; SELECT nextval('revocations_seq')").await;
    database.sql(&insert("second"));
    assert_eq!(values(&mut feed, 1).await, ["second"]);
    let columns = "INSERT INTO revocations (id, issuer, claim, value, expires_at)";
    run(&early, &format!("{columns} VALUES (1, 'i', 'jti', 'first', 100); COMMIT")).await;
    assert_eq!(values(&mut feed, 1).await, ["first"]);
}

#[tokio::test]
async fn a_row_that_was_rolled_back_holds_nothing_back() {
    let (database, mut feed) = scene().await;
    database.sql(&format!("BEGIN; {}; ROLLBACK", insert("never")));
    database.sql(&insert("a"));
    let aborted = database.client().await;
    run(&aborted, "BEGIN").await;
    run(&aborted, &insert("never")).await;
    database.sql(&insert("b"));
    run(&aborted, "ROLLBACK").await;
    database.sql(&insert("c"));
    assert_eq!(values(&mut feed, 3).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_prepared_transaction_is_waited_for() {
    let (database, mut feed) = scene().await;
    let late = database.client().await;
    run(&late, "BEGIN").await;
    run(&late, "SET LOCAL idle_in_transaction_session_timeout = 0").await;
    // Two-phase commit and NOTIFY exclude each other.
    database.sql("ALTER TABLE revocations DISABLE TRIGGER revocations_wake");
    run(&late, &insert("first")).await;
    database.sql(&insert("second"));
    is_held_back(&mut feed).await;
    run(&late, &format!("PREPARE TRANSACTION '{}'", database.name)).await;
    is_held_back(&mut feed).await;
    run(&late, &format!("COMMIT PREPARED '{}'", database.name)).await;
    assert_eq!(values(&mut feed, 2).await, ["first", "second"]);
}

#[tokio::test]
async fn long_transactions_elsewhere_delay_nothing() {
    let (database, mut feed) = scene().await;
    let neighbour = PostgresServer::database();
    for database in [&database, &neighbour] {
        database.sql("CREATE TABLE elsewhere (n int)");
    }
    let (here, there) = (database.client().await, neighbour.client().await);
    for client in [&here, &there] {
        run(client, "BEGIN; INSERT INTO elsewhere VALUES (1)").await;
    }
    database.sql(&format!("BEGIN; {}; ROLLBACK", insert("never")));
    for i in 0..20 {
        let value = i.to_string();
        let begun = Instant::now();
        database.sql(&insert(&value));
        assert_eq!(values(&mut feed, 1).await, [value]);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    // And one that began before and writes to the table in the end is not lost.
    run(&here, &format!("{}; COMMIT", insert("late"))).await;
    assert_eq!(values(&mut feed, 1).await, ["late"]);
}

#[tokio::test]
async fn a_session_that_idles_after_its_insert_is_ended() {
    let (database, mut feed) = scene().await;
    let idle = database.client().await;
    run(&idle, "BEGIN").await;
    run(&idle, &insert("never")).await;
    database.sql(&insert("a"));
    // The server ends it after five seconds, and its row with it.
    assert_eq!(values(&mut feed, 1).await, ["a"]);
    idle.batch_execute("COMMIT").await.expect_err("its connection is gone");
}

/// Writes at random, one transaction after the other: some rows, small pauses, some roll back.
async fn writer(database: Database, number: u64) {
    let client = database.client().await;
    let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for _ in 0..60 {
        run(&client, "BEGIN").await;
        for _ in 0..=next(3) {
            let (value, op) = (next(20), ["revoke", "revoke", "reinstate"][next(3) as usize]);
            let (before, expires) = (next(50), 100 + next(900));
            run(&client, &format!("INSERT INTO revocations (op, issuer, claim, value, issued_before, expires_at, at) VALUES ('{op}', 'i', 'sub', '{value}', nullif({before}, 0), {expires}, 1); SELECT pg_sleep({} / 1000.0)", next(4))).await;
        }
        run(&client, if next(5) == 0 { "ROLLBACK" } else { "COMMIT" }).await;
    }
}

fn apply(entries: &mut BTreeMap<portcullis::revocation::Name, Revocation>, record: Revocation) {
    use portcullis::revocation::Op;
    let name = record.name.clone();
    match (record.op, entries.remove(&name)) {
        (Op::Reinstate, _) => {}
        (_, Some(known)) => drop(entries.insert(name, known.followed_by(record))),
        (_, None) => drop(entries.insert(name, record)),
    }
}

#[tokio::test]
async fn every_reader_sees_the_same_of_a_crowd_and_it_is_what_is_there() {
    let (database, mut feed) = scene().await;
    let writers: Vec<_> =
        (1..=8).map(|number| tokio::spawn(writer(database.clone(), number))).collect();
    let store = database.store().await;
    let mut joined = store.feed();
    let checkpoint = joined.load().await.expect("a checkpoint");
    let (from, mut late) = (checkpoint.upto.clone(), BTreeMap::new());
    for entry in checkpoint.live.collect().await.expect("all of it") {
        late.insert(entry.name.clone(), entry);
    }
    for writer in writers {
        writer.await.expect("the writer");
    }
    let last = append_each(&store.log(), &[revoke("end", 100)]).await.remove(0);
    let (mut all, mut seen) = (BTreeMap::new(), Vec::<(Revocation, Cursor)>::new());
    while seen.last().is_none_or(|(_, at)| *at != last) {
        seen.push(next_record(&mut feed).await);
    }
    assert!(seen.is_sorted_by(|(_, one), (_, other)| one < other));
    let there =
        database.sql("SELECT string_agg(record_id::text, ',' ORDER BY id) FROM revocations");
    let told: Vec<_> = seen.iter().map(|(record, _)| record.id.to_string()).collect();
    assert_eq!(told.join(","), there, "everything that is there, in its order");
    for (record, at) in &seen {
        if *at > from {
            assert_eq!(next_record(&mut joined).await, (record.clone(), at.clone()));
            apply(&mut late, record.clone());
        }
        apply(&mut all, record.clone());
    }
    assert_eq!(all, late, "a checkpoint and what followed it");
    let want: Entries = all.into_values().map(entry).collect();
    assert_eq!(load(&mut store.feed()).await.0, want);
}
