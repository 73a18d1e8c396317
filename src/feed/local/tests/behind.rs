//! A checkpoint that is written behind: in the order of names, what is told meanwhile after it, and
//! whole or not at all.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::spool::{Sorted, Spool};
use super::super::writer::{Work, Writer};
use super::*;

fn named(name: (&str, &str, &str), expires: u64) -> Revocation {
    let (issuer, claim, value) = (name.0.into(), name.1.into(), name.2.into());
    Revocation { name: Name { issuer, claim, value }, ..record(Op::Revoke, "", expires) }
}

fn all(mut sorted: Sorted, most: usize) -> Vec<Revocation> {
    let mut entries = Vec::new();
    loop {
        let rows = sorted.next(most).expect("readable");
        if rows.is_empty() {
            return entries;
        }
        assert!(rows.len() <= most);
        entries.extend(rows.iter().map(|row| row.entry().expect("an entry")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn entries_come_in_the_order_of_their_names_each_as_it_was_said_last(
        names in prop_oneof![
            prop::collection::vec(("[ab]{0,2}", "[ab]{0,2}", "[a-d]{0,3}"), 0..200),
            prop::collection::vec(("a", "b", "cc[\0ab]{0,12}"), 0..200),
        ],
        limit in 1_usize..4000,
        most in 1_usize..20,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::beside(folder.path().join("copy")).with_limit(limit);
        let mut want = BTreeMap::new();
        for ((issuer, claim, value), expires) in names.iter().zip(1..) {
            let entry = named((issuer, claim, value), expires);
            spool.push(&entry).expect("room");
            want.insert(entry.name.clone(), entry);
        }
        let sorted = spool.sorted().expect("readable");
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        prop_assert_eq!(left, 0, "nothing that a crash would leave behind");
        let want: Vec<_> = want.into_values().collect();
        prop_assert_eq!(all(sorted, most), want);
    }
}

/// A copy that is written when its work is done by hand.
fn by_hand(copy: &LocalCopy) -> (WithLocalCopy<Script>, Work) {
    let (file, written) = (Arc::clone(&copy.file), Arc::clone(&copy.written));
    let (writer, work) = Writer::by_hand(file, copy.path.clone(), written);
    let (feed, known) = (Script::default(), copy.file.known().expect("readable"));
    (WithLocalCopy { feed, copy: copy.clone(), writer, known, loading: None }, work)
}

/// Loads as the follower does, all of it, and takes these events. Nothing is written.
async fn load(
    feed: &mut WithLocalCopy<Script>,
    work: &mut Work,
    loaded: Loaded,
    events: Vec<FeedEvent>,
) {
    feed.feed.loads.push_back(loaded);
    feed.feed.events.extend(events);
    // Loading waits until what was told before is written: nothing.
    let (loaded, goes_on) = tokio::join!(feed.load(), async { work.gather() });
    assert!(goes_on);
    loaded.expect("a checkpoint").live.collect().await.expect("whole");
    while let Ok(event) = feed.next().await {
        feed.applied(&event, true);
    }
}

fn kept(copy: &LocalCopy) -> Option<(String, Vec<String>)> {
    let place = copy.file.known().expect("readable")?;
    let mut entries = Vec::new();
    let take = |batch| {
        entries.extend::<Vec<_>>(batch);
        true
    };
    copy.file.visit(take).expect("readable");
    Some((place.cursor.as_str().to_owned(), values(entries)))
}

fn is_behind(copy: &LocalCopy) -> bool {
    copy.status().expect("readable").behind
}

#[tokio::test]
async fn a_checkpoint_is_told_before_it_is_written_and_what_follows_comes_after_it() {
    let (_folder, copy) = open();
    let (mut feed, mut work) = by_hand(&copy);
    let events = vec![
        told("3", record(Op::Reinstate, "a", 0)),
        told("4", revoke("c")),
        FeedEvent::Undecodable { at: Cursor::new("5") },
    ];
    let first = checkpoint(1, "2", vec![revoke("b"), revoke("a")]);
    load(&mut feed, &mut work, first, events).await;
    assert!(is_behind(&copy));
    assert_eq!(kept(&copy), None, "never a cursor without its entries");
    assert!(work.gather());
    assert_eq!(kept(&copy), Some(("5".to_owned(), vec!["b".to_owned(), "c".to_owned()])));
    assert!(!is_behind(&copy));
}

#[tokio::test]
async fn a_checkpoint_that_is_left_half_written_leaves_the_copy_as_it_was() {
    let (_folder, copy) = open();
    let (mut feed, mut work) = by_hand(&copy);
    load(&mut feed, &mut work, checkpoint(1, "2", vec![revoke("a")]), vec![]).await;
    assert!(work.gather());
    let events = vec![told("8", revoke("y"))];
    load(&mut feed, &mut work, checkpoint(1, "7", vec![revoke("x")]), events).await;
    drop(feed);
    assert!(!work.gather(), "nobody is there any more");
    assert_eq!(kept(&copy), Some(("2".to_owned(), vec!["a".to_owned()])));
    assert!(!is_behind(&copy));
}

#[tokio::test]
async fn what_a_store_forgets_while_its_checkpoint_is_written_is_kept_and_owed() {
    let (_folder, copy) = open();
    let (mut feed, mut work) = by_hand(&copy);
    let events = vec![told("3", revoke("b"))];
    load(&mut feed, &mut work, checkpoint(1, "2", vec![revoke("a")]), events).await;
    assert!(is_behind(&copy));
    let thread = std::thread::spawn(move || while work.gather() {});
    feed.feed.loads.push_back(checkpoint(2, "1", vec![]));
    let live = feed.load().await.expect("a checkpoint").live;
    assert_eq!(values(live.collect().await.expect("whole")), ["a", "b"]);
    assert_eq!(owed(&copy), 2);
    drop(feed);
    thread.join().expect("ended");
}
