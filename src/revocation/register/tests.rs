//! The register: what it lists, what it forgets, what it refuses.

use proptest::prelude::*;

use super::index::NAMES;
use super::*;

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

fn record(issuer: &str, subject: &str, id: &str, expires: u64) -> Revocation {
    let details = TokenDetails {
        subject: Some(subject.into()).filter(|_| !subject.is_empty()),
        token_type: Some("access".into()),
        issued_at: Some(at(1)),
        expires_at: Some(at(expires)),
        ..TokenDetails::default()
    };
    Revocation {
        id: Uuid::now_v7(),
        op: Op::Register,
        name: Name::registered(issuer.into(), id.into()),
        issued_before: None,
        expires_at: at(expires + 60),
        at: UnixTime::EPOCH,
        actor: None,
        reason: None,
        token: Some(Arc::new(details)),
    }
}

fn seen(record: &Revocation, first: u64, last: u64) -> Revocation {
    let details = TokenDetails {
        first_seen: Some(at(first)),
        last_seen: Some(at(last)),
        ..record.token.as_deref().cloned().unwrap_or_default()
    };
    Revocation { token: Some(Arc::new(details)), ..record.clone() }
}

/// A register of so many tokens with these in it; nothing names them in the set.
fn register(most: usize, records: &[Revocation]) -> Register {
    let register = Register::default();
    register.resize(most);
    records.iter().for_each(|record| register.note(record, |_| Box::default()));
    register
}

fn page(register: &Register, filter: &TokenFilter, after: Option<&TokenKey>) -> TokenPage {
    register.page(filter, after, 2, Judge { set: &RevocationSet::new(), now: at(50) })
}

/// The ids of every page.
fn ids(register: &Register, issuer: Option<&str>, subject: Option<&str>) -> Vec<String> {
    let filter = TokenFilter { issuer: issuer.map(Into::into), subject: subject.map(Into::into) };
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = page(register, &filter, after.as_ref());
        ids.extend(page.items.iter().map(|it| format!("{}/{}", it.issuer, it.token_id)));
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

#[test]
fn a_subject_s_tokens_are_listed_in_order_and_nobody_else_s() {
    let all = [("i", "u", "b"), ("i", "u", "a"), ("i", "u", "c"), ("j", "u", "a"), ("i", "v", "d")];
    let records = all.map(|(issuer, subject, id)| record(issuer, subject, id, 100));
    let register = register(10, &records);
    let table: [(Option<&str>, Option<&str>, &[&str]); 6] = [
        (Some("i"), Some("u"), &["i/a", "i/b", "i/c"]),
        (None, Some("u"), &["i/a", "i/b", "i/c", "j/a"]),
        (Some("i"), None, &["i/a", "i/b", "i/c", "i/d"]),
        (None, None, &["i/a", "i/b", "i/c", "i/d", "j/a"]),
        (Some("k"), Some("u"), &[]),
        (None, Some(""), &[]),
    ];
    for (issuer, subject, want) in table {
        assert_eq!(ids(&register, issuer, subject), want, "{issuer:?} {subject:?}");
    }
}

#[test]
fn an_expired_token_is_not_listed_and_forgotten_a_while_later() {
    let register = register(10, &[record("i", "u", "old", 49), record("i", "u", "new", 50)]);
    assert_eq!(ids(&register, None, None), ["i/new"]);
    assert!(
        register.find(None, "old", Judge { set: &RevocationSet::new(), now: at(50) }).is_empty()
    );
    assert_eq!((register.prune(at(109)), register.prune(at(110))), (0, 1));
    assert_eq!(register.counts(), (1, 0));
}

#[test]
fn a_full_register_lists_no_further_token_but_goes_on_with_those_it_has() {
    let known = record("i", "u", "a", 100);
    let register = register(1, &[known.clone(), record("i", "u", "b", 100)]);
    register.note(&seen(&known, 5, 9), |_| Box::default());
    assert_eq!((ids(&register, None, None), register.counts()), (vec!["i/a".to_owned()], (1, 1)));
    assert!(!register.has_room());
    assert_eq!(register.last_seen("i", "a"), Some(Some(at(9))));
    assert_eq!(register.last_seen("i", "b"), None);
    register.prune(at(1000));
    assert!(register.has_room());
}

#[test]
fn a_token_whose_subject_is_told_later_moves_to_it() {
    let register = register(10, &[record("i", "", "a", 100), record("i", "u", "a", 90)]);
    let found = register.find(Some("i"), "a", Judge { set: &RevocationSet::new(), now: at(50) });
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].subject.as_deref(), found[0].expires_at), (Some("u"), Some(at(90))));
    assert_eq!(found[0].kept_until, at(160), "the later of the two");
    assert_eq!(ids(&register, None, Some("u")), ["i/a"]);
    assert!(ids(&register, None, Some("")).is_empty());
}

#[test]
fn one_id_of_two_issuers_is_two_tokens() {
    let register = register(10, &[record("i", "u", "a", 100), record("j", "u", "a", 100)]);
    let find = |issuer| {
        register.find(issuer, "a", Judge { set: &RevocationSet::new(), now: at(50) }).len()
    };
    assert_eq!((find(None), find(Some("i")), find(Some("k"))), (2, 1, 0));
}

#[test]
fn a_register_that_is_off_keeps_nothing() {
    let off = register(0, &[record("i", "u", "a", 100)]);
    assert_eq!((off.counts(), off.is_on()), ((0, 0), false));
    let on = register(5, &[record("i", "u", "a", 100)]);
    on.resize(0);
    assert_eq!(on.counts(), (0, 0));
}

#[test]
fn what_one_token_is_named_by_is_bounded() {
    let register = Register::default();
    register.resize(5);
    for round in 0..200_u8 {
        register.note(&record("i", "u", "a", 100), |_| Box::from([[round; 16]]));
    }
    let names = register.read(|index| index.row("i", "a").map(|(_, row)| row.fingerprints.len()));
    assert_eq!(names, Some(NAMES));
}

proptest! {
    /// In whatever order a token's records come, the register says the same of its times.
    #[test]
    fn seen_times_do_not_depend_on_the_order(times in proptest::collection::vec((1..40_u64, 0..40_u64), 1..8), seed in any::<u64>()) {
        let records: Vec<_> = times.iter().map(|(first, more)| seen(&record("i", "u", "a", 100), *first, first + more)).collect();
        let mut shuffled: Vec<_> = records.iter().chain(&records).cloned().collect();
        shuffled.sort_by_key(|it| u64::try_from(it.id.as_u128() >> 64).unwrap_or(0).wrapping_mul(seed | 1));
        let of = |records: &[Revocation]| {
            let mut found = register(3, records).find(None, "a", Judge { set: &RevocationSet::new(), now: at(50) });
            found.pop().map(|it| (it.first_seen, it.last_seen))
        };
        let first = times.iter().map(|(first, _)| *first).min().map(at);
        let last = times.iter().map(|(first, more)| first + more).max().map(at);
        prop_assert_eq!(of(&records), Some((first, last)));
        prop_assert_eq!(of(&shuffled), Some((first, last)));
    }
}
