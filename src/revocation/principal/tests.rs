//! Who is let through.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::revocation::fixtures::revoke;
use crate::revocation::{Op, Revocation};
use crate::token::{OwnClaims, TokenType};

const NOW: UnixTime = UnixTime::from_secs(1000);

fn loaded(claims: &[&str]) -> Revocations {
    let claims: Vec<Arc<str>> = claims.iter().map(|claim| (*claim).into()).collect();
    let revocations = Revocations::new(&claims, Duration::from_secs(10));
    revocations.freshness().confirm(Instant::now());
    revocations
}

fn token(revocations: &Revocations, kind: TokenType, claims: Value) -> Arc<Named> {
    Arc::new(revocations.name(Verified::for_test("i", kind, claims)))
}

fn admit(revocations: &Revocations, named: &Arc<Named>) -> Result<(), RevocationError> {
    revocations.admit(named, TokenTypes::BOTH, WhenStale::Reject, NOW).map(drop)
}

#[test]
fn every_claim_that_names_a_token_revokes_it() {
    let claims = json!({
        "jti": "j", "sub": "u", "sid": "s", "client_id": "c", "azp": "z", "n": 7, "flag": true,
        "groups": ["g1", "g2", 3, {"x": 1}, null], "realm": {"id": "r"}, "nothing": null,
    });
    let digest = URL_SAFE_NO_PAD.encode([7; 32]);
    let table = [
        ("jti", "j", Err(RevocationError::RevokedToken)),
        ("token", &*digest, Err(RevocationError::RevokedToken)),
        ("sub", "u", Err(RevocationError::RevokedSubject)),
        ("sid", "s", Err(RevocationError::RevokedSession)),
        ("client_id", "c", Err(RevocationError::RevokedClient)),
        ("client_id", "z", Err(RevocationError::RevokedClient)),
        ("azp", "c", Err(RevocationError::RevokedClient)),
        ("iss", "i", Err(RevocationError::RevokedIssuer)),
        ("kid", "k1", Err(RevocationError::RevokedKey)),
        ("n", "7", Err(RevocationError::RevokedClaim)),
        ("flag", "true", Err(RevocationError::RevokedClaim)),
        ("groups", "g2", Err(RevocationError::RevokedClaim)),
        ("groups", "3", Err(RevocationError::RevokedClaim)),
        ("realm.id", "r", Err(RevocationError::RevokedClaim)),
        ("jti", "J", Ok(())),
        ("jti", "u", Ok(())),
        ("sub", "j", Ok(())),
        ("nothing", "null", Ok(())),
        ("groups", "null", Ok(())),
        ("unlisted", "x", Ok(())),
        ("iss", "another", Ok(())),
    ];
    for (claim, value, want) in table {
        let revocations = loaded(&["n", "flag", "groups", "realm.id", "nothing", "jti"]);
        let named = token(&revocations, TokenType::Access, claims.clone());
        assert_eq!(admit(&revocations, &named), Ok(()), "before {claim}");
        revocations.set().apply(&revoke(claim, value, None, 2000));
        assert_eq!(admit(&revocations, &named), want, "{claim}={value}");
    }
}

fn of_family(revocations: &Revocations, claim: &str, claims: Value) -> Arc<Named> {
    let family = Some(ClaimPath::from(claim));
    let own = OwnClaims { identity: None, family };
    let verified = Verified::for_test("i", TokenType::Access, claims).with_own_claims(own);
    Arc::new(revocations.name(verified))
}

#[test]
fn an_identity_under_another_name_is_revoked_as_the_subject() {
    let revocations = loaded(&[]);
    let own = OwnClaims { identity: Some("identity".into()), family: None };
    let claims = json!({ "identity": "alice", "sub": "7", "iat": 900 });
    let verified = Verified::for_test("i", TokenType::Access, claims).with_own_claims(own);
    assert_eq!(verified.subject(), Some("alice"));
    let named = Arc::new(revocations.name(verified));
    for (value, want) in [
        ("bob", Ok(())),
        ("alice", Err(RevocationError::RevokedSubject)),
        ("7", Err(RevocationError::RevokedSubject)),
    ] {
        let entry = revoke("sub", value, Some(950), 2000);
        revocations.set().apply(&entry);
        assert_eq!(admit(&revocations, &named), want, "{value}");
        revocations.set().apply(&Revocation { op: Op::Reinstate, ..entry });
    }
}

#[test]
fn issuers_without_families_name_their_tokens_as_before() {
    let revocations = loaded(&[]);
    let claims = json!({ "jti": "a", "refresh_jti": "r", "sid": "s" });
    let plain = token(&revocations, TokenType::Access, claims.clone());
    let familiar = of_family(&revocations, "refresh_jti", claims);
    assert_eq!(plain.fingerprints.len() + 1, familiar.fingerprints.len());
    revocations.set().apply(&revoke("jti", "r", None, 2000));
    assert_eq!(admit(&revocations, &plain), Ok(()));
    assert_eq!(admit(&revocations, &familiar), Err(RevocationError::RevokedToken));
}

proptest::proptest! {
    #[test]
    fn a_family_is_refused_and_given_back_with_its_refresh_token_and_nobody_else(
        tokens in proptest::collection::vec((0_u8..6, 0_u8..6), 1..24),
        steps in proptest::collection::vec((0_u8..6, proptest::bool::ANY), 1..24),
    ) {
        let revocations = loaded(&[]);
        let named: Vec<_> = tokens.iter().enumerate().map(|(at, (refresh, other))| {
            let claims = json!({ "jti": format!("a{at}"), "r": { "id": refresh.to_string() }, "sub": other.to_string() });
            (*refresh, of_family(&revocations, "r.id", claims))
        }).collect();
        let mut revoked = std::collections::HashSet::new();
        for (id, back) in steps {
            let entry = revoke("jti", &id.to_string(), None, 2000);
            if back {
                revoked.remove(&id);
                revocations.set().apply(&Revocation { op: Op::Reinstate, ..entry });
            } else {
                revoked.insert(id);
                revocations.set().apply(&entry);
            }
            for (refresh, token) in &named {
                let refused = admit(&revocations, token).is_err();
                proptest::prop_assert_eq!(refused, revoked.contains(refresh));
            }
        }
    }
}

#[test]
fn an_entry_of_another_issuer_does_not_reach_over() {
    let revocations = loaded(&[]);
    let named = token(&revocations, TokenType::Access, json!({"jti": "j"}));
    let mut record = revoke("jti", "j", None, 2000);
    record.name.issuer = "j".into();
    revocations.set().apply(&record);
    assert_eq!(admit(&revocations, &named), Ok(()));
}

#[test]
fn the_most_specific_entry_is_the_reason() {
    let revocations = loaded(&[]);
    let named = token(&revocations, TokenType::Access, json!({"jti": "j", "sub": "u"}));
    for (claim, value) in [("iss", "i"), ("sub", "u"), ("jti", "j")] {
        revocations.set().apply(&revoke(claim, value, None, 2000));
    }
    assert_eq!(admit(&revocations, &named), Err(RevocationError::RevokedToken));
}

#[test]
fn nothing_is_let_through_before_the_first_checkpoint() {
    let revocations = Revocations::new(&[], Duration::from_secs(10));
    let named = token(&revocations, TokenType::Access, json!({"jti": "j"}));
    for when_stale in [WhenStale::Reject, WhenStale::Allow] {
        let outcome = revocations.admit(&named, TokenTypes::BOTH, when_stale, NOW);
        assert_eq!(outcome.map(drop), Err(RevocationError::NotLoaded));
    }
}

#[test]
fn a_stale_state_rejects_or_goes_on_as_the_route_says() {
    let revocations = loaded(&[]);
    let good = token(&revocations, TokenType::Access, json!({"jti": "good"}));
    let bad = token(&revocations, TokenType::Access, json!({"jti": "bad"}));
    revocations.set().apply(&revoke("jti", "bad", None, 2000));
    revocations.reconfigure(&[], Duration::ZERO);
    revocations.freshness().confirm(Instant::now());
    while !revocations.is_stale() {
        std::hint::spin_loop();
    }
    for (named, when_stale, want) in [
        (&good, WhenStale::Reject, Err(RevocationError::Stale)),
        (&bad, WhenStale::Reject, Err(RevocationError::Stale)),
        (&good, WhenStale::Allow, Ok(())),
        (&bad, WhenStale::Allow, Err(RevocationError::RevokedToken)),
    ] {
        let outcome = revocations.admit(named, TokenTypes::BOTH, when_stale, NOW);
        assert_eq!(outcome.map(drop), want, "{when_stale:?}");
    }
}

#[test]
fn only_the_kinds_that_are_checked_are_looked_up() {
    let revocations = loaded(&[]);
    revocations.set().apply(&revoke("jti", "j", None, 2000));
    for kind in [TokenType::Access, TokenType::Refresh] {
        let named = token(&revocations, kind, json!({"jti": "j"}));
        for check in [TokenTypes::NONE, TokenTypes::ACCESS, TokenTypes::REFRESH, TokenTypes::BOTH] {
            let outcome = revocations.admit(&named, check, WhenStale::Reject, NOW);
            assert_eq!(outcome.is_ok(), !check.contains(kind), "{kind} {check:?}");
        }
    }
}

#[test]
fn counts_name_configured_claims_alone() {
    let revocations = loaded(&["tenant"]);
    for claim in ["jti", "tenant", "made-up"] {
        revocations.set().apply(&revoke(claim, "x", None, 2000));
    }
    let counts = revocations.counts();
    let count = |name: &str| counts.iter().find(|(claim, _)| **claim == *name).map(|(_, n)| *n);
    assert_eq!(
        (count("jti"), count("tenant"), count("made-up"), count("other")),
        (Some(1), Some(1), None, Some(1))
    );
}
