//! A23 to A25 and the longest life: every date is a number, and compared with one reading of time.

use super::*;

const LEEWAY: u64 = 30;

fn with(name: &str, json: &str) -> Result<Verified, TokenError> {
    verify(&token_of(claims_text(name, json)))
}

fn outcome(name: &str, json: &str) -> Option<TokenError> {
    with(name, json).err()
}

/// What is no NumericDate, whichever claim it is in.
fn odd_dates() -> Vec<String> {
    let mut odd: Vec<String> = [
        "null",
        "\"\"",
        "true",
        "false",
        "[]",
        "{}",
        "-1",
        "-0.5",
        "-1e30",
        "1e300",
        "1e400",
        "\"2100-01-01T00:00:00Z\"",
        "9223372036854775808",
        "18446744073709551621",
        "-9223372036854775808",
        "1e19",
        "9.3e18",
    ]
    .map(String::from)
    .into();
    odd.extend([format!("\"{}\"", NOW + 600), format!("[{}]", NOW + 600)]);
    odd.extend([format!("{0},\"exp\":{0}", NOW + 600), format!("{0},\"nbf\":{0}", NOW - 60)]);
    odd
}

#[test]
fn a23_a24_a25_what_is_no_date_is_refused_in_every_place() {
    for name in ["exp", "nbf", "iat"] {
        for json in odd_dates() {
            assert_eq!(outcome(name, &json), Some(TokenError::Malformed), "{name}: {json}");
        }
        let twice = format!("{0},\"{name}\":{0}", NOW);
        assert_eq!(outcome(name, &twice), Some(TokenError::Malformed), "{name} twice");
    }
}

#[test]
fn a23_an_expired_token_is_refused_at_exp_plus_leeway() {
    let token = RSA.sign(&Map::new(), &claims());
    let exp = NOW + 600;
    for (now, refused) in [
        (exp - 1, false),
        (exp, false),
        (exp + LEEWAY - 1, false),
        (exp + LEEWAY, true),
        (exp + LEEWAY + 1, true),
        (exp + 1_000_000, true),
        (u64::MAX, true),
    ] {
        let outcome = verify_at(&GATE, &token, now).err();
        assert_eq!(outcome, refused.then_some(TokenError::Expired), "{now}");
    }
    let short = verify_at(&GATE, &token, NOW).unwrap();
    assert_eq!(short.valid_until(), UnixTime::from_secs(exp + LEEWAY));
}

#[test]
fn a23_exp_must_be_there_under_its_name_and_in_the_future() {
    for json in ["0", "1", "0.0", "-0", "-0.0", "1.5"] {
        assert_eq!(outcome("exp", json), Some(TokenError::Expired), "{json}");
    }
    let token = token_of(claims_with(json!({"exp": null, "EXP": NOW + 600})).to_string());
    assert_eq!(verify(&token).unwrap_err(), TokenError::MissingClaim);
    assert_eq!(outcome("exp", &(NOW - LEEWAY).to_string()), Some(TokenError::Expired));
    assert_eq!(outcome("exp", &(NOW - LEEWAY + 1).to_string()), None);
    assert_eq!(outcome("exp", &format!("{}.9", NOW - LEEWAY)), Some(TokenError::Expired));
    assert_eq!(outcome("exp", &format!("{}.5", NOW + 600)), None);
    assert_eq!(outcome("exp", "1.8000006e9"), None);
}

#[test]
fn a23_a_bad_signature_is_told_before_expiry() {
    let token = STRANGER.sign(&Map::new(), &claims_with(json!({ "exp": 1 })));
    assert_eq!(verify(&token).unwrap_err(), TokenError::BadSignature);
}

#[test]
fn a24_a_token_is_refused_until_nbf_less_leeway() {
    assert_eq!(outcome("nbf", &(NOW + LEEWAY).to_string()), None);
    assert_eq!(outcome("nbf", &(NOW + LEEWAY + 1).to_string()), Some(TokenError::NotYetValid));
    assert_eq!(outcome("nbf", &format!("{}.1", NOW + LEEWAY)), Some(TokenError::NotYetValid));
    assert_eq!(outcome("nbf", "9223372036854775807"), Some(TokenError::NotYetValid));
    let token = token_of(claims_with(json!({ "nbf": null })).to_string());
    assert!(verify(&token).is_ok());
}

#[test]
fn a25_an_iat_in_the_future_is_refused() {
    assert_eq!(outcome("iat", &(NOW + LEEWAY).to_string()), None);
    assert_eq!(outcome("iat", &(NOW + LEEWAY + 1).to_string()), Some(TokenError::NotYetValid));
    assert_eq!(outcome("iat", &format!("{}.9", NOW + LEEWAY)), None, "rounded down");
}

#[test]
fn a_token_may_not_live_longer_than_its_kind() {
    let life = |kind: &str, seconds: u64| {
        let other = json!({"type": kind, "iat": NOW, "nbf": null, "exp": NOW + seconds});
        verify(&token_of(claims_with(other).to_string())).err()
    };
    assert_eq!(life("access", 86_400), None);
    assert_eq!(life("access", 86_401), Some(TokenError::LifetimeTooLong));
    assert_eq!(life("refresh", 86_401), None);
    assert_eq!(life("refresh", 90 * 86_400), None);
    assert_eq!(life("refresh", 90 * 86_400 + 1), Some(TokenError::LifetimeTooLong));
    assert_eq!(outcome("exp", "9223372036854775807"), Some(TokenError::LifetimeTooLong));
}

#[test]
fn without_iat_the_life_is_counted_from_now() {
    let gate = verifier(IssuerConfig { require: Vec::new(), ..config() });
    let at = |other| {
        let token = token_of(claims_with(other).to_string());
        verify_at(&gate, &token, NOW).map(|it| it.valid_until().as_secs())
    };
    let longest = NOW + 86_400 + LEEWAY;
    assert_eq!(at(json!({"iat": null, "exp": longest})), Ok(longest + LEEWAY));
    let error = at(json!({"iat": null, "exp": longest + 1})).unwrap_err();
    assert_eq!(error, TokenError::LifetimeTooLong);
}

#[test]
fn without_exp_a_token_ends_with_the_longest_life_and_without_both_it_is_refused() {
    let gate = verifier(IssuerConfig { require: Vec::new(), ..config() });
    let at = |other, now| {
        let token = token_of(claims_with(other).to_string());
        verify_at(&gate, &token, now).map(|it| it.valid_until().as_secs())
    };
    let end = NOW + 86_400 + LEEWAY;
    let endless = || json!({"exp": null, "iat": NOW});
    assert_eq!(at(endless(), NOW), Ok(end));
    assert_eq!(at(endless(), end - 1), Ok(end));
    assert_eq!(at(endless(), end), Err(TokenError::Expired));
    assert_eq!(at(json!({"exp": null, "iat": null}), NOW), Err(TokenError::MissingClaim));
    assert_eq!(
        verify(&token_of(claims_with(endless()).to_string())).err(),
        Some(TokenError::MissingClaim)
    );
}
