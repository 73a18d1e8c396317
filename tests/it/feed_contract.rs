//! What a store must do, whichever it is. Each backend runs the same cases.

use std::future::Future;
use std::time::{Duration, Instant};

use portcullis::clock::UnixTime;
use portcullis::revocation::{
    Cursor, FeedError, FeedEvent, Filter, NodeRoster, Revocation, RevocationFeed, RevocationLog,
};

use crate::support::records::{
    Entries, append_each, cut_off, entry, load, next_record, reinstate, revoke,
};

mod backends;
mod listing;
mod register;
mod roster;

use backends::Embedded;
#[cfg(feature = "nats")]
use backends::Nats;
#[cfg(feature = "postgres")]
use backends::Postgres;
#[cfg(feature = "redis")]
use backends::Redis;
use listing::a_listing_comes_in_pages_and_by_filter;
use register::{
    a_registered_token_and_its_revocation_do_not_mix, a_registered_token_arrives_with_its_details,
    a_registered_token_is_kept_with_its_details, an_expired_registration_is_forgotten,
    registrations_of_one_token_merge,
};
use roster::{
    a_node_is_listed_until_it_withdraws_or_its_time_is_over, a_roster_goes_on_after_a_restart,
    an_announcement_is_replaced_by_the_next, what_is_said_reaches_whom_it_is_for,
};

/// A store that the suite can make, reach as several nodes, and stop and start.
trait Backend: Sized {
    type Feed: RevocationFeed;
    type Log: RevocationLog + Clone;
    type Roster: NodeRoster;
    async fn start() -> Self;
    /// Stops the store, and starts it on what it has kept.
    async fn restart(self) -> Self;
    /// A node's reading side.
    fn feed(&self) -> Self::Feed;
    fn log(&self) -> Self::Log;
    /// Another node's way to the others.
    fn roster(&self) -> Self::Roster;
    /// How many records the log keeps for those who fall behind.
    const LOG_KEPT: usize;
}

macro_rules! feed_contract {
    ($module:ident, $backend:ty: $($case:ident),+ $(,)?) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case::<$backend>().await;
                }
            )+
        }
    };
}

macro_rules! every_case {
    ($module:ident, $backend:ty $(, $more:ident)*) => {
        feed_contract!($module, $backend:
            a_new_store_holds_nothing,
            load_returns_what_was_appended,
            an_append_after_load_arrives_in_order,
            an_append_between_two_loads_is_in_the_second,
            cursors_grow_and_the_last_of_a_batch_is_answered,
            a_record_appended_twice_is_one_entry,
            records_of_one_name_merge,
            a_reinstated_name_is_gone_and_can_be_revoked_again,
            a_restart_resumes_with_nothing_lost,
            a_quiet_feed_beats_within_a_second,
            a_busy_feed_beats_too,
            a_dropped_next_loses_nothing,
            compaction_removes_the_expired_alone,
            a_listing_comes_in_pages_and_by_filter,
            a_batch_is_kept_whole_or_not_at_all,
            two_nodes_see_one_order,
            concurrent_appends_are_all_there,
            reasons_and_actors_are_kept,
            a_registered_token_is_kept_with_its_details,
            a_registered_token_arrives_with_its_details,
            registrations_of_one_token_merge,
            a_registered_token_and_its_revocation_do_not_mix,
            an_expired_registration_is_forgotten,
            a_node_is_listed_until_it_withdraws_or_its_time_is_over,
            an_announcement_is_replaced_by_the_next,
            what_is_said_reaches_whom_it_is_for,
            a_roster_goes_on_after_a_restart,
            $($more,)*
        );
    };
}

every_case!(embedded, Embedded, a_reader_behind_the_log_is_told_to_load_again);
#[cfg(feature = "redis")]
every_case!(redis, Redis, a_reader_behind_the_log_is_told_to_load_again);
#[cfg(feature = "postgres")]
every_case!(postgres, Postgres, a_reader_behind_the_log_is_told_to_load_again);
// A JetStream stream forgets no name's last record: see `nats_gaps`.
#[cfg(feature = "nats")]
every_case!(nats, Nats);

fn entries(records: &[Revocation]) -> Entries {
    records.iter().cloned().map(entry).collect()
}

async fn beat(feed: &mut impl RevocationFeed) -> Cursor {
    loop {
        if let FeedEvent::Heartbeat { at } = feed.next().await.expect("an event") {
            return at;
        }
    }
}

async fn a_new_store_holds_nothing<B: Backend>() {
    let backend = B::start().await;
    assert!(load(&mut backend.feed()).await.0.is_empty());
    let page = backend.log().list(Filter::default(), None, 10).await.expect("a page");
    assert!(page.items.is_empty() && page.next.is_none());
}

async fn load_returns_what_was_appended<B: Backend>() {
    let backend = B::start().await;
    let records = [revoke("a", 100), revoke("b", 200), cut_off("u", 5, 300)];
    let cursors = append_each(&backend.log(), &records).await;
    let (live, upto) = load(&mut backend.feed()).await;
    assert_eq!(live, entries(&records));
    assert_eq!(Some(&upto), cursors.last());
}

async fn an_append_after_load_arrives_in_order<B: Backend>() {
    let backend = B::start().await;
    let mut feed = backend.feed();
    load(&mut feed).await;
    let records: Vec<_> = (0..50).map(|i| revoke(&i.to_string(), 100)).collect();
    // A store may leave out what a later record of the same name supersedes: read in between.
    for records in [&records[..], &[reinstate("7")]] {
        let cursors = append_each(&backend.log(), records).await;
        for (record, cursor) in records.iter().zip(&cursors) {
            let (seen, at) = next_record(&mut feed).await;
            assert_eq!((&seen, &at), (record, cursor));
        }
    }
}

async fn an_append_between_two_loads_is_in_the_second<B: Backend>() {
    let backend = B::start().await;
    let mut feed = backend.feed();
    load(&mut feed).await;
    append_each(&backend.log(), &[revoke("a", 100)]).await;
    assert_eq!(load(&mut feed).await.0, entries(&[revoke("a", 100)]));
    append_each(&backend.log(), &[revoke("b", 100)]).await;
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "b");
}

async fn cursors_grow_and_the_last_of_a_batch_is_answered<B: Backend>() {
    let backend = B::start().await;
    let mut feed = backend.feed();
    load(&mut feed).await;
    let batch: Vec<_> = (0..12).map(|i| revoke(&i.to_string(), 100)).collect();
    let answered = backend.log().append(batch).await.expect("appended");
    let mut last = Cursor::default();
    for _ in 0..12 {
        let (_, at) = next_record(&mut feed).await;
        assert!(at > last, "{at} after {last}");
        last = at;
    }
    assert_eq!(last, answered);
}

async fn a_record_appended_twice_is_one_entry<B: Backend>() {
    let backend = B::start().await;
    let record = revoke("a", 100);
    append_each(&backend.log(), &[record.clone(), record.clone()]).await;
    assert_eq!(load(&mut backend.feed()).await.0, entries(&[record]));
}

async fn records_of_one_name_merge<B: Backend>() {
    let backend = B::start().await;
    let mut wide = cut_off("w", 5, 100);
    wide.issued_before = None;
    let records = [
        cut_off("u", 5, 300),
        cut_off("u", 9, 200),
        cut_off("w", 7, 400),
        wide,
        cut_off("w", 9, 50),
    ];
    append_each(&backend.log(), &records).await;
    let mut whole = cut_off("w", 0, 400);
    whole.issued_before = None;
    assert_eq!(load(&mut backend.feed()).await.0, entries(&[cut_off("u", 9, 300), whole]));
}

async fn a_reinstated_name_is_gone_and_can_be_revoked_again<B: Backend>() {
    let backend = B::start().await;
    let log = backend.log();
    append_each(&log, &[revoke("a", 100), revoke("b", 100), reinstate("a"), reinstate("x")]).await;
    assert_eq!(load(&mut backend.feed()).await.0, entries(&[revoke("b", 100)]));
    append_each(&log, &[revoke("a", 50)]).await;
    let want = entries(&[revoke("a", 50), revoke("b", 100)]);
    assert_eq!(load(&mut backend.feed()).await.0, want);
}

async fn a_restart_resumes_with_nothing_lost<B: Backend>() {
    let mut backend = B::start().await;
    let mut records = Vec::new();
    let mut last = Cursor::default();
    for round in 0..5 {
        records.push(revoke(&format!("r{round}"), 100));
        let cursors = append_each(&backend.log(), &records[round..]).await;
        assert!(cursors[0] > last, "cursors go on after a restart");
        last = cursors[0].clone();
        backend = backend.restart().await;
        let (live, upto) = load(&mut backend.feed()).await;
        assert_eq!((live, &upto), (entries(&records), &last));
    }
}

async fn a_quiet_feed_beats_within_a_second<B: Backend>() {
    let backend = B::start().await;
    let mut feed = backend.feed();
    let (_, upto) = load(&mut feed).await;
    for _ in 0..3 {
        let asked = Instant::now();
        assert_eq!(beat(&mut feed).await, upto);
        assert!(asked.elapsed() <= Duration::from_secs(1), "{:?}", asked.elapsed());
    }
}

async fn a_busy_feed_beats_too<B: Backend>() {
    let backend = B::start().await;
    let mut feed = backend.feed();
    load(&mut feed).await;
    let log = backend.log();
    let writer = tokio::spawn(async move {
        for i in 0..u32::MAX {
            log.append(vec![revoke(&i.to_string(), 100)]).await.expect("appended");
        }
    });
    let mut last = Cursor::default();
    for _ in 0..5 {
        let at = tokio::time::timeout(Duration::from_secs(1), beat(&mut feed)).await;
        let at = at.expect("a beat within a second");
        assert!(at >= last);
        last = at;
    }
    writer.abort();
}

async fn a_dropped_next_loses_nothing<B: Backend>() {
    let backend = B::start().await;
    let mut feed = backend.feed();
    load(&mut feed).await;
    let log = backend.log();
    let records: Vec<_> = (0..300).map(|i| revoke(&i.to_string(), 100)).collect();
    let appended = records.clone();
    let writer = tokio::spawn(async move { append_each(&log, &appended).await });
    let mut seen = Vec::new();
    while seen.len() < records.len() {
        // Polled once or for a moment, then dropped: at every point where it can wait.
        let limit = Duration::from_micros(seen.len() as u64 % 7 * 40);
        match poll_for(feed.next(), limit).await {
            Some(Ok(FeedEvent::Record { record, .. })) => seen.push(record),
            Some(Ok(_)) | None => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }
    writer.await.expect("the writer");
    assert_eq!(seen, records);
}

async fn poll_for<T>(future: impl Future<Output = T>, limit: Duration) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}

async fn compaction_removes_the_expired_alone<B: Backend>() {
    let backend = B::start().await;
    let log = backend.log();
    append_each(&log, &[revoke("a", 99), revoke("b", 100), revoke("c", 101)]).await;
    let gone = log.compact(UnixTime::from_secs(100)).await.expect("compacted");
    assert_eq!(gone, 1);
    let want = entries(&[revoke("b", 100), revoke("c", 101)]);
    assert_eq!(load(&mut backend.feed()).await.0, want);
    assert_eq!(log.compact(UnixTime::from_secs(100)).await.expect("compacted"), 0);
}

async fn a_reader_behind_the_log_is_told_to_load_again<B: Backend>() {
    let backend = B::start().await;
    let log = backend.log();
    let mut feed = backend.feed();
    load(&mut feed).await;
    let batch: Vec<_> = (0..4096).map(|i| revoke(&i.to_string(), 100)).collect();
    for _ in 0..=B::LOG_KEPT / batch.len() {
        log.append(batch.clone()).await.expect("appended");
    }
    log.compact(UnixTime::EPOCH).await.expect("compacted");
    let error = after_what_it_had_fetched(&mut feed, B::LOG_KEPT).await;
    assert!(matches!(error, FeedError::Truncated(_)), "{error}");
    assert_eq!(load(&mut feed).await.0.len(), 4096);
    append_each(&log, &[revoke("after", 100)]).await;
    assert_eq!(&*next_record(&mut feed).await.0.name.value, "after");
}

/// A reader may have fetched some before they were forgotten, and must not go on past the hole.
async fn after_what_it_had_fetched(feed: &mut impl RevocationFeed, most: usize) -> FeedError {
    for _ in 0..most {
        if let Err(error) = feed.next().await {
            return error;
        }
    }
    panic!("the log no longer reaches back, and nobody says so");
}

async fn a_batch_is_kept_whole_or_not_at_all<B: Backend>() {
    let backend = B::start().await;
    let log = backend.log();
    let error = log.append(vec![revoke("a", 100), revoke("nul\0", 100)]).await;
    assert!(matches!(error, Err(FeedError::Refused(_))), "{error:?}");
    assert!(load(&mut backend.feed()).await.0.is_empty());
    log.append(vec![revoke("a", 100), revoke("b", 100)]).await.expect("appended");
    assert_eq!(load(&mut backend.feed()).await.0.len(), 2);
}

async fn two_nodes_see_one_order<B: Backend>() {
    let backend = B::start().await;
    let (mut one, mut other) = (backend.feed(), backend.feed());
    load(&mut one).await;
    load(&mut other).await;
    let writers = (0..4).map(|writer| {
        let log = backend.log();
        tokio::spawn(async move {
            let name = |i| format!("{writer}-{i}");
            let records: Vec<_> = (0..50).map(|i| revoke(&name(i), 100)).collect();
            append_each(&log, &records).await;
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("the writer");
    }
    for _ in 0..200 {
        assert_eq!(next_record(&mut one).await, next_record(&mut other).await);
    }
}

async fn concurrent_appends_are_all_there<B: Backend>() {
    let backend = B::start().await;
    let writers = (0..200).map(|i| {
        let log = backend.log();
        tokio::spawn(async move { log.append(vec![revoke(&i.to_string(), 100)]).await })
    });
    let mut cursors = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        cursors.push(writer.await.expect("the writer").expect("appended"));
    }
    cursors.sort();
    cursors.dedup();
    assert_eq!(cursors.len(), 200, "each has its own place");
    assert_eq!(load(&mut backend.feed()).await.0.len(), 200);
}

async fn reasons_and_actors_are_kept<B: Backend>() {
    let backend = B::start().await;
    let record = revoke("a", 100);
    append_each(&backend.log(), std::slice::from_ref(&record)).await;
    let backend = backend.restart().await;
    let page = backend.log().list(Filter::default(), None, 10).await.expect("a page");
    assert_eq!(page.items, [record]);
}
