//! Allow-list mode, and what is seen.

use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::revocation::fixtures::revoke;
use crate::revocation::{
    Enforceable, IssuerScope, Name, Op, RegisterConfig, Revocation, RevocationMode, TokenDetails,
    TokenFilter,
};
use crate::token::TokenType;

const NOW: UnixTime = UnixTime::from_secs(1000);
const EXP: u64 = 2000;

fn revocations(mode: RevocationMode, most: usize) -> Revocations {
    let revocations = Revocations::new(&["tenant".into()], Duration::from_secs(10));
    revocations.freshness().confirm(Instant::now());
    let register = RegisterConfig { max_tokens: most, seen_every: Duration::from_secs(30) };
    revocations.configure_register(mode, Some(&register).filter(|_| most > 0));
    revocations
}

fn token(revocations: &Revocations, claims: Value) -> Arc<Named> {
    Arc::new(revocations.name(Verified::for_test("i", TokenType::Access, claims)))
}

fn alice(id: &str) -> Value {
    json!({ "jti": id, "sub": "alice", "iat": 900, "exp": EXP, "sid": "s1", "tenant": ["a", "b"] })
}

fn admit(revocations: &Revocations, named: &Arc<Named>) -> Result<(), RevocationError> {
    revocations.admit(named, TokenTypes::BOTH, WhenStale::Reject, NOW).map(drop)
}

/// The records that a batch would write.
fn batch(
    revocations: &Revocations,
    told: &mut tokio::sync::mpsc::Receiver<Arc<Named>>,
) -> Vec<Revocation> {
    let named = std::iter::from_fn(|| told.try_recv().ok());
    named.filter_map(|named| revocations.seen_record(&named, NOW)).collect()
}

#[test]
fn in_allow_list_mode_only_registered_tokens_pass() {
    let revocations = revocations(RevocationMode::AllowList, 10);
    let (known, unknown) = (token(&revocations, alice("a")), token(&revocations, alice("b")));
    let nameless = token(&revocations, json!({ "sub": "alice", "exp": EXP }));
    let record = revocations.registration(known.verified(), None, NOW).expect("it has a jti");
    assert_eq!(admit(&revocations, &known), Err(RevocationError::NotRegistered));
    revocations.apply(&record);
    assert_eq!(admit(&revocations, &known), Ok(()));
    assert_eq!(admit(&revocations, &unknown), Err(RevocationError::NotRegistered));
    assert_eq!(admit(&revocations, &nameless), Err(RevocationError::NoTokenId));
    assert!(revocations.registration(nameless.verified(), None, NOW).is_none());
    let unchecked = revocations.admit(&unknown, TokenTypes::NONE, WhenStale::Reject, NOW);
    assert!(unchecked.is_ok(), "a kind that is not checked needs no registration");
    revocations.apply(&revoke("jti", "a", None, 3000));
    assert_eq!(admit(&revocations, &known), Err(RevocationError::RevokedToken));
}

#[test]
fn a_registration_of_another_issuer_or_of_a_revocation_s_name_registers_nothing() {
    let revocations = revocations(RevocationMode::AllowList, 0);
    let named = token(&revocations, alice("a"));
    let record = revocations.registration(named.verified(), None, NOW).expect("a record");
    let elsewhere = Name { issuer: "j".into(), ..record.name.clone() };
    revocations.apply(&Revocation { name: elsewhere, ..record });
    revocations.apply(&revoke("sub", "a", None, 3000));
    assert_eq!(admit(&revocations, &named), Err(RevocationError::NotRegistered));
}

#[test]
fn in_deny_list_mode_the_register_changes_nothing() {
    for most in [0, 10] {
        let revocations = revocations(RevocationMode::DenyList, most);
        let named = token(&revocations, alice("a"));
        assert_eq!(admit(&revocations, &named), Ok(()));
        let record = revocations.registration(named.verified(), None, NOW).expect("a record");
        revocations.apply(&record);
        assert_eq!(admit(&revocations, &named), Ok(()));
    }
}

#[test]
fn a_token_that_is_seen_is_recorded_once_a_batch_with_both_times() {
    let revocations = revocations(RevocationMode::DenyList, 10);
    let mut told = revocations.take_seen().expect("the first to ask");
    assert!(revocations.take_seen().is_none());
    let named = token(&revocations, alice("a"));
    for second in [1000, 1001, 1001, 1007] {
        revocations.note_seen(&named, UnixTime::from_secs(second));
    }
    let records = batch(&revocations, &mut told);
    let [record] = &records[..] else { panic!("one record, not {records:?}") };
    let details = record.token.as_deref().expect("details");
    let seen = (details.first_seen, details.last_seen).map_seconds();
    assert_eq!((record.op, seen), (Op::Register, (Some(1000), Some(1007))));
    revocations.apply(record);
    assert!(batch(&revocations, &mut told).is_empty());
    revocations.note_seen(&named, UnixTime::from_secs(1007));
    assert!(batch(&revocations, &mut told).is_empty(), "nothing new");
    revocations.note_seen(&named, UnixTime::from_secs(1040));
    assert_eq!(batch(&revocations, &mut told).len(), 1);
}

#[test]
fn in_allow_list_mode_being_seen_registers_nothing() {
    let revocations = revocations(RevocationMode::AllowList, 10);
    let mut told = revocations.take_seen().expect("the first to ask");
    let (known, unknown) = (token(&revocations, alice("a")), token(&revocations, alice("b")));
    revocations.apply(&revocations.registration(known.verified(), None, NOW).expect("a record"));
    revocations.note_seen(&known, NOW);
    // By a route that does not check it.
    revocations.note_seen(&unknown, NOW);
    let records = batch(&revocations, &mut told);
    assert_eq!(records.iter().map(|it| &*it.name.value).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_full_register_takes_no_new_tokens_by_being_seen() {
    let revocations = revocations(RevocationMode::DenyList, 1);
    let mut told = revocations.take_seen().expect("the first to ask");
    let (one, other) = (token(&revocations, alice("a")), token(&revocations, alice("b")));
    revocations.note_seen(&one, NOW);
    batch(&revocations, &mut told).iter().for_each(|record| {
        revocations.apply(record);
    });
    revocations.note_seen(&other, NOW);
    assert!(batch(&revocations, &mut told).is_empty());
    assert_eq!(revocations.register_counts(), (1, 1));
}

#[test]
fn a_register_that_is_off_notes_nothing() {
    let revocations = revocations(RevocationMode::DenyList, 0);
    let mut told = revocations.take_seen().expect("the first to ask");
    revocations.note_seen(&token(&revocations, alice("a")), NOW);
    assert!(told.try_recv().is_err());
}

#[test]
fn a_listed_token_is_revoked_by_whatever_names_it() {
    let table = [
        ("jti", "a", None, true),
        ("sub", "alice", Some(900), true),
        ("sub", "alice", Some(899), false),
        ("sid", "s1", None, true),
        ("tenant", "b", None, true),
        ("kid", "k1", None, true),
        ("iss", "i", None, true),
        ("jti", "b", None, false),
        ("registered", "b", None, false),
    ];
    for (claim, value, cutoff, want) in table {
        let revocations = revocations(RevocationMode::DenyList, 10);
        let named = token(&revocations, alice("a"));
        let record = revocations.registration(named.verified(), None, NOW).expect("a record");
        revocations.apply(&record);
        revocations.apply(&revoke(claim, value, cutoff, 3000));
        let page = revocations.tokens(&TokenFilter::default(), None, 10, NOW);
        let found: Vec<_> = page.items.iter().map(|it| (&*it.token_id, it.revoked)).collect();
        assert_eq!(found, [("a", want)], "{claim} {value} {cutoff:?}");
    }
}

#[test]
fn revoking_and_reinstating_a_listed_token_is_seen_at_once() {
    let revocations = revocations(RevocationMode::AllowList, 10);
    let named = token(&revocations, alice("a"));
    revocations.apply(&revocations.registration(named.verified(), None, NOW).expect("a record"));
    let found = || revocations.find_tokens(Some("i"), "a", NOW).pop().expect("it is there");
    let revocation = found().revocation(Some("ops".into()), None, NOW);
    assert_eq!(revocation.expires_at.as_secs(), EXP + 360, "as long as any leeway lets it be used");
    revocations.apply(&revocation);
    assert!(found().revoked && admit(&revocations, &named).is_err());
    revocations.apply(&found().reinstatement(Some("ops".into()), None, NOW));
    assert!(!found().revoked && admit(&revocations, &named).is_ok());
}

#[test]
fn a_token_with_too_many_claims_is_registered_without_them() {
    let revocations = revocations(RevocationMode::AllowList, 10);
    let many: Vec<String> = (0..3000).map(|n| format!("tenant-{n}")).collect();
    let named = token(&revocations, json!({ "jti": "a", "exp": EXP, "tenant": many }));
    let record = revocations.registration(named.verified(), None, NOW).expect("a record");
    assert!(record.token.is_some_and(|details| details.claims.is_empty()));
    let long = token(&revocations, json!({ "jti": "x".repeat(5000), "exp": EXP }));
    assert!(revocations.registration(long.verified(), None, NOW).is_none());
}

#[test]
fn a_token_is_registered_by_what_is_said_of_it() {
    let issuer = IssuerScope {
        scope: "i".into(),
        longest: Duration::from_secs(600),
        leeway: Duration::from_secs(5),
        family: None,
    };
    let enforceable = Enforceable { issuers: vec![issuer], claims: vec![] };
    let draft = |id: &str, expires| RegisterDraft {
        token_id: id.into(),
        expires_at: expires,
        details: TokenDetails { subject: Some("alice".into()), ..TokenDetails::default() },
        ..Default::default()
    };
    let complete = |draft: RegisterDraft| draft.complete(&enforceable, None, NOW);
    let record = complete(draft("a", Some(UnixTime::from_secs(EXP)))).expect("a record");
    assert_eq!(record.expires_at.as_secs(), EXP + 65);
    assert_eq!(
        record.token.as_deref().and_then(|it| it.expires_at).map(UnixTime::as_secs),
        Some(EXP)
    );
    let lasting = complete(draft("a", None)).expect("a record");
    assert_eq!(lasting.expires_at.as_secs(), 1000 + 600 + 5 + 65);
    assert!(complete(draft("", None)).is_err());
    let elsewhere = RegisterDraft { issuer: Some("j".into()), ..draft("a", None) };
    assert!(complete(elsewhere).is_err());
}

/// Times as their seconds.
trait Seconds {
    fn map_seconds(self) -> (Option<u64>, Option<u64>);
}

impl Seconds for (Option<UnixTime>, Option<UnixTime>) {
    fn map_seconds(self) -> (Option<u64>, Option<u64>) {
        (self.0.map(UnixTime::as_secs), self.1.map(UnixTime::as_secs))
    }
}
