//! The parts that need no server.

use bytes::Bytes;
use uuid::Uuid;

use super::log::{after, parts};
use super::said::{Entry, Message, Said};
use super::scan::{App, Folded};
use super::subject::{self, Place};
use super::trace::Trace;
use crate::clock::UnixTime;
use crate::revocation::{Name, Op, Revocation, wire};

fn revoke(value: &str, cutoff: Option<u64>, expires: u64) -> Revocation {
    Revocation {
        id: Uuid::now_v7(),
        op: Op::Revoke,
        name: Name { issuer: "i".into(), claim: "jti".into(), value: value.into() },
        issued_before: cutoff.map(UnixTime::from_secs),
        expires_at: UnixTime::from_secs(expires),
        at: UnixTime::EPOCH,
        actor: None,
        reason: None,
        token: None,
    }
}

fn reinstate(value: &str) -> Revocation {
    Revocation { op: Op::Reinstate, ..revoke(value, None, 100) }
}

fn message(record: &Revocation, sequence: u64, since: u64) -> Message {
    let subject = subject::entry("S", &record.name).into();
    let payload = Bytes::from(wire::encode(record));
    Message { subject, sequence, time: i128::from(sequence), since, payload }
}

fn entry(record: &Revocation, sequence: u64, since: u64) -> (Entry, Message) {
    let message = message(record, sequence, since);
    match message.said("S") {
        Said::Entry(entry) => (entry, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_digest_is_what_the_document_says() {
    // printf 'i\0jti\0a' | sha256sum | cut -c1-40
    let digest = subject::digest_of(&revoke("a", None, 0).name);
    assert_eq!(digest, "4aac77276f1b4a91706b4947ac9853d0f1936057");
    assert_ne!(digest, subject::digest_of(&revoke("b", None, 0).name));
}

#[test]
fn subjects_have_their_places() {
    for (text, place) in [
        ("S.entry.abc", Place::Entry("abc")),
        ("S.app.1", Place::App("1")),
        ("S.app.shop.eu.1", Place::App("1")),
        ("S.meta.epoch", Place::Epoch),
        ("S.meta.sweep", Place::Sweep),
        ("S.meta.other", Place::Unknown),
        ("S.entry", Place::Unknown),
        ("S", Place::Unknown),
        ("SX.entry.abc", Place::Unknown),
        ("", Place::Unknown),
    ] {
        assert_eq!(subject::place("S", text), place, "{text}");
    }
}

#[test]
fn cursors_compare_like_sequences() {
    let mut cursors = Vec::new();
    for sequence in [1, 2, 9, 10, 11, 99, 100, u64::MAX] {
        cursors.push(subject::just_before(sequence));
        cursors.push(subject::cursor(sequence));
    }
    assert!(cursors.is_sorted_by(|one, other| one < other), "{cursors:?}");
}

#[test]
fn a_batch_is_written_together_until_a_name_comes_again() {
    let lengths = |names: &[&str]| {
        let records: Vec<_> = names.iter().map(|name| revoke(name, None, 1)).collect();
        parts(&records).iter().map(|part| part.len()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(&[]), [0; 0]);
    assert_eq!(lengths(&["a", "b", "c"]), [3]);
    assert_eq!(lengths(&["a", "b", "a", "a", "c"]), [2, 1, 2]);
    let many: Vec<_> = (0..600).map(|name| name.to_string()).collect();
    assert_eq!(lengths(&many.iter().map(String::as_str).collect::<Vec<_>>()), [256, 256, 88]);
}

#[test]
fn a_record_is_merged_with_what_stands_there() {
    let stands = entry(&revoke("a", Some(5), 300), 7, 3).0;
    let (merged, since) = after(Some(&stands), &revoke("a", Some(9), 200));
    assert_eq!(
        (merged.issued_before, merged.expires_at.as_secs(), since),
        (Some(UnixTime::from_secs(9)), 300, 3)
    );
    let tombstone = entry(&reinstate("a"), 8, 3).0;
    let (merged, since) = after(Some(&tombstone), &revoke("a", None, 50));
    assert_eq!(
        (merged.expires_at.as_secs(), since),
        (50, 8),
        "begins anew where it was reinstated"
    );
    assert_eq!(after(None, &revoke("a", None, 50)).1, 0);
    assert_eq!(after(Some(&stands), &reinstate("a")).0.op, Op::Reinstate);
}

#[test]
fn what_applications_said_before_a_reinstatement_is_void() {
    let app = |sequence, expires| App { sequence, record: revoke("a", None, expires) };
    let folded = |entry, apps| Folded { name: revoke("a", None, 0).name, entry, apps };
    let expiry = |folded: Folded| folded.live().map(|live| live.expires_at.as_secs());
    assert_eq!(expiry(folded(None, vec![app(5, 300), app(6, 200)])), Some(300));
    let tombstone = || Some(entry(&reinstate("a"), 8, 0));
    assert_eq!(expiry(folded(tombstone(), vec![app(5, 300)])), None);
    assert_eq!(expiry(folded(tombstone(), vec![app(5, 300), app(9, 200)])), Some(200));
    let again = || Some(entry(&revoke("a", None, 100), 12, 8));
    assert_eq!(expiry(folded(again(), vec![app(5, 300)])), Some(100));
    assert_eq!(expiry(folded(again(), vec![app(5, 300), app(10, 200)])), Some(200));
}

#[test]
fn a_tail_that_was_lost_is_not_borne_out() {
    let mut trace = Trace::default();
    let (read, at_seven) = entry(&revoke("a", None, 100), 7, 0);
    trace.saw(&at_seven, &read);
    let [witness] = &trace.witnesses()[..] else { panic!("one witness") };
    let now = UnixTime::from_secs(50);
    assert!(witness.is_borne_out(Some(&at_seven), now), "still there");
    let later = message(&read.record, 9, 0);
    assert!(witness.is_borne_out(Some(&later), now), "superseded");
    let earlier = message(&read.record, 3, 0);
    assert!(!witness.is_borne_out(Some(&earlier), now), "the servers went back");
    let other = Message { time: 1, ..at_seven.clone() };
    assert!(!witness.is_borne_out(Some(&other), now), "its sequence was given to another");
    assert!(!witness.is_borne_out(None, now), "gone while alive");
    assert!(witness.is_borne_out(None, UnixTime::from_secs(101)), "swept when dead");
}

#[test]
fn the_latest_few_entries_are_witnesses() {
    let mut trace = Trace::default();
    for sequence in 1..=20 {
        let (read, message) = entry(&revoke(&(sequence % 12).to_string(), None, 100), sequence, 0);
        trace.saw(&message, &read);
    }
    let sequences: Vec<_> = trace.witnesses().iter().map(|witness| witness.sequence).collect();
    assert_eq!(sequences, [20, 19, 18, 17, 16, 15, 14, 13]);
    let (old, message) = entry(&revoke("old", None, 100), 2, 0);
    trace.saw(&message, &old);
    assert_eq!(trace.witnesses()[0].sequence, 20, "an older one is none");
}
