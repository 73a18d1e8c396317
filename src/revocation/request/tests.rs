//! The defaults of a request to revoke.

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_000_000);
const DAY: u64 = 86_400;
/// Leeway twice (ours at `exp`, the issuer's at `iat`) and the margin for clocks.
const SLACK: u64 = 30 + 30 + 60;

fn enforceable(issuers: &[&str]) -> Enforceable {
    let issuers = issuers.iter().map(|scope| IssuerScope {
        scope: (*scope).into(),
        longest: Duration::from_secs(DAY),
        leeway: Duration::from_secs(30),
        family: None,
    });
    Enforceable { issuers: issuers.collect(), claims: vec!["tenant".into()] }
}

fn making() -> Making {
    Making::begin(NOW, Some("ops".into()))
}

fn draft(claim: &str) -> Draft {
    let value = if claim == "iss" { "i" } else { "x" };
    Draft { claim: claim.into(), value: value.into(), ..Draft::default() }
}

fn complete(draft: Draft) -> Revocation {
    draft.complete(&enforceable(&["i"]), &mut making()).expect("a record")
}

#[test]
fn the_only_issuer_is_the_default_and_else_it_is_required() {
    assert_eq!(&*complete(draft("jti")).name.issuer, "i");
    for (issuers, asked, field) in
        [(&[][..], None, "issuer"), (&["a", "b"], None, "issuer"), (&["a"], Some("b"), "issuer")]
    {
        let draft = Draft { issuer: asked.map(Into::into), ..draft("jti") };
        let error = draft.complete(&enforceable(issuers), &mut making()).expect_err("no issuer");
        assert_eq!(error.field(), Some(field));
    }
}

#[test]
fn a_claim_that_is_not_checked_is_refused() {
    for claim in ["jti", "token", "sub", "sid", "client_id", "azp", "iss", "kid", "tenant"] {
        complete(draft(claim));
    }
    for claim in ["email", "", "JTI"] {
        let error =
            draft(claim).complete(&enforceable(&["i"]), &mut making()).expect_err("no claim");
        assert_eq!(error.field(), Some("claim"));
    }
    assert_eq!(&*complete(draft("azp")).name.claim, "client_id");
}

#[test]
fn values_that_can_not_be_kept_are_refused_with_their_field() {
    for (value, reason, field) in [
        ("a\0".to_owned(), "", "value"),
        ("v".repeat(5000), "", "value"),
        ("x".into(), "\0", "reason"),
    ] {
        let draft = Draft { value: value.into(), reason: Some(reason.into()), ..draft("jti") };
        let error = draft.complete(&enforceable(&["i"]), &mut making()).expect_err("not kept");
        assert_eq!(error.field(), Some(field));
    }
}

#[test]
fn subjects_clients_and_issuers_are_cut_off_now_so_that_a_new_login_works() {
    for (claim, want) in [
        ("sub", Some(NOW)),
        ("client_id", Some(NOW)),
        ("azp", Some(NOW)),
        ("iss", Some(NOW)),
        ("jti", None),
        ("sid", None),
        ("token", None),
        ("kid", None),
        ("tenant", None),
    ] {
        assert_eq!(complete(draft(claim)).issued_before, want, "{claim}");
    }
    let given = Draft { issued_before: Some(UnixTime::from_secs(5)), ..draft("jti") };
    assert_eq!(complete(given).issued_before, Some(UnixTime::from_secs(5)));
}

#[test]
fn an_entry_outlives_the_last_token_that_it_can_name() {
    let now = NOW.as_secs();
    let table = [
        // claim, given expires_at, given issued_before, want
        ("jti", None, None, now + DAY + SLACK),
        ("jti", Some(now + 100), None, now + 100 + 90),
        ("token", Some(now + 100), None, now + 100 + 90),
        ("jti", Some(now), None, now + DAY + SLACK),
        ("jti", Some(5), None, now + DAY + SLACK),
        ("jti", Some(now + 2 * DAY), None, now + 2 * DAY + 90),
        ("sub", None, None, now + DAY + SLACK),
        ("sub", Some(now + 100), None, now + DAY + SLACK),
        ("sub", Some(now + 2 * DAY), None, now + 2 * DAY + 90),
        ("sub", None, Some(now + DAY), now + 2 * DAY + SLACK),
        ("sub", None, Some(5), now + DAY + SLACK),
        ("sid", Some(5), None, now + DAY + SLACK),
        ("jti", Some(u64::MAX), None, u64::MAX),
    ];
    for (claim, expires_at, issued_before, want) in table {
        let draft = Draft {
            expires_at: expires_at.map(UnixTime::from_secs),
            issued_before: issued_before.map(UnixTime::from_secs),
            ..draft(claim)
        };
        let record = complete(draft);
        assert_eq!(record.expires_at.as_secs(), want, "{claim} {expires_at:?} {issued_before:?}");
    }
}

#[test]
fn an_entry_of_a_refresh_token_outlives_its_last_access_token() {
    let now = NOW.as_secs();
    let mut with_families = enforceable(&["i"]);
    with_families.issuers[0].family = Some(Duration::from_secs(900));
    for (claim, asked, want) in [
        ("jti", Some(now + 100), now + 100 + 90 + 930),
        // Expired already: its last access token has not.
        ("jti", Some(now - 600), now - 600 + 90 + 930),
        ("jti", Some(now - 9000), now + DAY + SLACK),
        ("token", Some(now + 100), now + 100 + 90),
        ("jti", None, now + DAY + SLACK),
    ] {
        let expires_at = asked.map(UnixTime::from_secs);
        let draft = Draft { expires_at, ..draft(claim) };
        let record = draft.complete(&with_families, &mut making()).expect("a record");
        assert_eq!(record.expires_at.as_secs(), want, "{claim} {asked:?}");
    }
}

#[test]
fn both_names_of_a_client_s_claim_name_the_same_entry() {
    let (one, other) = (complete(draft("azp")), complete(draft("client_id")));
    assert_eq!(one.name, other.name);
    assert_ne!(one.id, other.id);
}

#[test]
fn taking_back_an_issuer_names_it() {
    let both = enforceable(&["i", "k"]);
    let record = draft("iss").complete(&both, &mut making()).expect("the value says which");
    assert_eq!((&*record.name.issuer, &*record.name.value), ("i", "i"));
    let crossed = Draft { issuer: Some("k".into()), ..draft("iss") };
    let error = crossed.complete(&both, &mut making()).expect_err("matches nothing");
    assert_eq!(error.field(), Some("value"));
    let unknown = Draft { value: "x".into(), ..draft("iss") };
    let error = unknown.complete(&both, &mut making()).expect_err("no such issuer");
    assert_eq!(error.field(), Some("issuer"));
}
