//! The set against a model, and under many threads.

use std::collections::BTreeMap;
use std::sync::Barrier;

use proptest::prelude::*;

use super::*;
use crate::revocation::fixtures::{reinstate, revoke};

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn covers(set: &RevocationSet, claim: &str, value: &str, iat: Option<u64>, now: u64) -> bool {
    covers_still(set, &Absence::default(), claim, (value, iat, now))
}

/// The same for a token that may have been looked up before.
fn covers_still(
    set: &RevocationSet,
    absent: &Absence,
    claim: &str,
    (value, iat, now): (&str, Option<u64>, u64),
) -> bool {
    let slot = set.slot(canonical(claim));
    let fingerprint = set.fingerprint_of(slot, "i", canonical(claim), value);
    set.revokes(&[fingerprint], absent, iat.map(at), at(now)).is_some()
}

#[test]
fn an_entry_is_twenty_four_bytes() {
    assert_eq!(size_of::<(Fingerprint, Entry)>(), 24);
}

#[test]
fn merging_keeps_the_later_expiry_and_the_wider_cutoff() {
    for (one, other, cutoff, expires) in [
        ((Some(5), 10), (Some(7), 8), Some(7), 10),
        ((Some(5), 10), (None, 20), None, 20),
        ((None, 20), (Some(5), 10), None, 20),
        ((None, 1), (None, 1), None, 1),
    ] {
        let set = RevocationSet::new();
        set.apply(&revoke("sub", "a", one.0, one.1));
        set.apply(&revoke("sub", "a", other.0, other.1));
        assert_eq!(set.len(), 1);
        assert!(covers(&set, "sub", "a", cutoff, expires), "{one:?} {other:?}");
        assert_eq!(covers(&set, "sub", "a", Some(8), expires), cutoff.is_none());
        assert!(!covers(&set, "sub", "a", None, expires + 1), "{one:?} {other:?}");
    }
}

#[test]
fn an_entry_that_was_dead_does_not_widen_a_later_one() {
    let set = RevocationSet::new();
    set.apply(&revoke("sub", "a", None, 100));
    let later = Revocation { at: at(101), ..revoke("sub", "a", Some(101), 200) };
    set.apply(&later);
    assert!(covers(&set, "sub", "a", Some(101), 150));
    assert!(!covers(&set, "sub", "a", Some(102), 150), "a new login works");
}

#[test]
fn a_cutoff_catches_its_own_second_and_tokens_without_iat() {
    let set = RevocationSet::new();
    set.apply(&revoke("sub", "a", Some(50), 100));
    for (iat, want) in [(Some(49), true), (Some(50), true), (Some(51), false), (None, true)] {
        assert_eq!(covers(&set, "sub", "a", iat, 60), want, "{iat:?}");
    }
}

#[test]
fn an_expired_entry_revokes_nothing_before_it_is_swept() {
    let set = RevocationSet::new();
    set.apply(&revoke("jti", "a", None, 100));
    assert!(covers(&set, "jti", "a", None, 100));
    assert!(!covers(&set, "jti", "a", None, 101));
    assert_eq!((set.sweep(at(100)), set.len()), (0, 1));
    assert_eq!((set.sweep(at(101)), set.len()), (1, 0));
}

#[test]
fn reinstating_removes_exactly_that_entry() {
    let set = RevocationSet::new();
    for (claim, value) in [("jti", "a"), ("jti", "b"), ("sub", "a")] {
        set.apply(&revoke(claim, value, None, 100));
    }
    assert_eq!(set.apply(&reinstate("jti", "a")), Applied::Removed);
    assert_eq!(set.apply(&reinstate("jti", "a")), Applied::Unchanged);
    assert!(!covers(&set, "jti", "a", None, 1));
    assert!(covers(&set, "jti", "b", None, 1) && covers(&set, "sub", "a", None, 1));
}

#[test]
fn azp_and_client_id_are_one_claim() {
    let set = RevocationSet::new();
    set.apply(&revoke("azp", "app", None, 100));
    assert!(covers(&set, "client_id", "app", None, 1));
    set.apply(&reinstate("client_id", "app"));
    assert!(set.is_empty());
}

#[test]
fn dates_past_2106_never_shorten_an_entry() {
    for far in [u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX] {
        let set = RevocationSet::new();
        set.apply(&revoke("sub", "a", Some(far), far));
        assert!(covers(&set, "sub", "a", Some(far), u64::MAX), "{far}");
        assert_eq!(set.sweep(UnixTime::MAX), 0);
    }
}

#[test]
fn counts_follow_every_change() {
    let set = RevocationSet::new();
    let count = |claim: &str| {
        let counts = set.counts();
        counts.iter().find(|(name, _)| **name == *claim).map_or(0, |(_, count)| *count)
    };
    for i in 0..10 {
        set.apply(&revoke("jti", &i.to_string(), None, 10 + i));
        set.apply(&revoke("tenant", "t", None, 10 + i));
    }
    assert_eq!((count("jti"), count("tenant"), set.len()), (10, 1, 11));
    set.sweep(at(15));
    assert_eq!((count("jti"), count("tenant"), set.len()), (5, 1, 6));
    set.apply(&reinstate("tenant", "t"));
    assert_eq!((count("jti"), count("tenant"), set.len()), (5, 0, 5));
}

#[test]
fn memory_is_given_back_after_a_sweep() {
    let set = RevocationSet::new();
    for i in 0..50_000 {
        set.apply(&revoke("jti", &i.to_string(), None, 10));
    }
    let room = |set: &RevocationSet| set.parts.iter().map(DashMap::capacity).sum::<usize>();
    let before = room(&set);
    assert_eq!(set.sweep(at(11)), 50_000);
    assert!(room(&set) * 10 < before, "{} of {before}", room(&set));
}

#[test]
fn a_checkpoint_by_difference_keeps_what_it_holds() {
    let set = RevocationSet::new();
    for i in 0..1000 {
        set.apply(&revoke("jti", &i.to_string(), None, 100));
    }
    let kept = (500..1500).map(|i| set.put(&revoke("jti", &i.to_string(), None, 200)));
    let mut kept: Vec<_> = kept.collect();
    kept.sort_unstable();
    let gone: usize = (0..set.parts()).map(|part| set.retain_part(part, &kept)).sum();
    assert_eq!((gone, set.len()), (500, 1000));
    assert!(!covers(&set, "jti", "499", None, 1) && covers(&set, "jti", "500", None, 150));
}

#[test]
fn putting_replaces_what_a_later_record_narrowed() {
    let set = RevocationSet::new();
    set.apply(&revoke("sub", "a", None, 100));
    set.put(&revoke("sub", "a", Some(5), 50));
    assert!(covers(&set, "sub", "a", Some(5), 50) && !covers(&set, "sub", "a", Some(6), 50));
}

#[test]
fn what_is_put_at_once_is_counted_once_and_replaces_what_was_there() {
    let set = RevocationSet::new();
    set.apply(&revoke("sub", "a", None, 100));
    let entries = [
        revoke("sub", "a", Some(5), 50),
        revoke("sub", "b", None, 50),
        revoke("jti", "c", None, 50),
        revoke("jti", "c", None, 60),
    ];
    set.put_all(&entries);
    set.put_all(&entries[..2]);
    assert_eq!(set.len(), 3);
    assert!(covers(&set, "sub", "a", Some(5), 50) && !covers(&set, "sub", "a", Some(6), 50));
    assert!(covers(&set, "sub", "b", None, 50) && covers(&set, "jti", "c", None, 60));
    assert_eq!((set.sweep(at(61)), set.len()), (3, 0));
}

/// Once `apply` has returned on one thread, no read on another one misses the entry, whatever else
/// is added, removed and swept at the same time.
#[test]
fn what_was_applied_is_never_missed() {
    const ROUNDS: usize = 3000;
    let set = RevocationSet::new();
    let done = AtomicUsize::new(0);
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for i in 0..ROUNDS {
                set.apply(&revoke("jti", &i.to_string(), None, 100));
                done.store(i + 1, Ordering::SeqCst);
                // The claim's counter goes through zero again and again.
                set.apply(&revoke("sid", "s", None, 100));
                set.apply(&reinstate("sid", "s"));
            }
        });
        scope.spawn(|| {
            start.wait();
            while done.load(Ordering::SeqCst) < ROUNDS {
                set.apply(&revoke("jti", "short-lived", None, 1));
                set.sweep(at(50));
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                let mut reads = 0_usize;
                let absent: Vec<_> = (0..=ROUNDS).map(|_| Absence::default()).collect();
                let is_covered = |value: usize| {
                    let text = value.to_string();
                    covers_still(&set, &absent[value], "jti", (&text, None, 50))
                };
                while done.load(Ordering::SeqCst) < ROUNDS {
                    let known = done.load(Ordering::SeqCst);
                    if known > 0 {
                        let value = if reads.is_multiple_of(2) { known - 1 } else { reads % known };
                        assert!(is_covered(value), "missed {value}");
                    }
                    // Looked up in vain, mostly: it comes next.
                    is_covered((known + 1).min(ROUNDS));
                    reads += 1;
                }
            });
        }
    });
    assert_eq!(set.len(), ROUNDS);
}

#[derive(Clone, Debug)]
enum Step {
    Revoke(u8, Option<u64>, u64),
    Reinstate(u8),
    Sweep(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, proptest::option::of(0..20_u64), 0..20_u64).prop_map(|(v, c, e)| Step::Revoke(v, c, e)),
        1 => (0..6_u8).prop_map(Step::Reinstate),
        1 => (0..20_u64).prop_map(Step::Sweep),
    ]
}

/// Claims of three slots, one of them not built in.
fn name(value: u8) -> (&'static str, String) {
    (["jti", "sub", "tenant"][usize::from(value % 3)], value.to_string())
}

proptest! {
    #[test]
    fn the_set_does_what_a_plain_map_does(steps in proptest::collection::vec(step(), 0..60)) {
        let set = RevocationSet::new();
        let mut model: BTreeMap<u8, (Option<u64>, u64)> = BTreeMap::new();
        let absent: [Absence; 6] = std::array::from_fn(|_| Absence::default());
        for step in steps {
            match step {
                Step::Revoke(value, cutoff, expires) => {
                    let (claim, text) = name(value);
                    set.apply(&revoke(claim, &text, cutoff, expires));
                    model
                        .entry(value)
                        .and_modify(|(old, end)| {
                            *old = old.zip(cutoff).map(|(one, other)| one.max(other));
                            *end = expires.max(*end);
                        })
                        .or_insert((cutoff, expires));
                }
                Step::Reinstate(value) => {
                    let (claim, text) = name(value);
                    set.apply(&reinstate(claim, &text));
                    model.remove(&value);
                }
                Step::Sweep(now) => {
                    let before = model.len();
                    model.retain(|_, (_, expires)| *expires >= now);
                    prop_assert_eq!(set.sweep(at(now)), before - model.len());
                }
            }
            prop_assert_eq!(set.len(), model.len());
            for value in 0..6 {
                let (claim, text) = name(value);
                let want = model.get(&value).is_some_and(|(_, expires)| 10 <= *expires);
                let is_covered = covers_still(&set, &absent[usize::from(value)], claim, (&text, None, 10));
                prop_assert_eq!(is_covered, want);
            }
        }
        for (value, iat, now) in (0..6).flat_map(|v| (0..20).map(move |t| (v, t, (t * 7) % 20))) {
            let (claim, text) = name(value);
            let want = model.get(&value).is_some_and(|(cutoff, expires)| {
                now <= *expires && cutoff.is_none_or(|cutoff| iat <= cutoff)
            });
            prop_assert_eq!(covers(&set, claim, &text, Some(iat), now), want);
        }
    }

    #[test]
    fn revocations_give_one_set_in_any_order_and_however_often(
        records in proptest::collection::vec((0..4_u8, proptest::option::of(0..20_u64), 0..20_u64), 1..20),
        seed in any::<u64>(),
    ) {
        let apply = |order: &[usize]| {
            let set = RevocationSet::new();
            for (value, cutoff, expires) in order.iter().map(|i| records[*i]) {
                let (claim, text) = name(value);
                set.apply(&revoke(claim, &text, cutoff, expires));
            }
            let seen = |(v, iat, now): (u8, u64, u64)| covers(&set, name(v).0, &name(v).1, Some(iat), now);
            (0..4).flat_map(|v| (0..20).map(move |t| (v, t, (t * 3) % 20))).map(seen).collect::<Vec<_>>()
        };
        let plain: Vec<_> = (0..records.len()).collect();
        let mut shuffled: Vec<_> = plain.iter().chain(&plain).copied().collect();
        shuffled.sort_by_key(|i| (*i as u64).wrapping_mul(seed | 1).rotate_left(23));
        prop_assert_eq!(apply(&plain), apply(&shuffled));
    }
}
