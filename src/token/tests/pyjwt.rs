//! The library's words for what is wrong with a token, in the library's order.

use serde_json::{Value, json};

use super::*;
use crate::token::Credential;
use crate::token::tests::{NOW, b64, claims_with, config, token_of, token_under, verifier};

fn words(token: &str) -> Option<Fault> {
    let issuer = || IssuerConfig { require: vec!["sub".into()], ..config() };
    let gate = verifier(issuer());
    let now = UnixTime::from_secs(NOW);
    let error = gate.verify(BearerToken::new(token), now).expect_err("refused");
    let credential = Credential::Read(BearerToken::new(token));
    gate.fault(Found { credential, csrf: None }, error, now)
}

fn said(token: &str) -> String {
    match words(token) {
        Some(Fault::Invalid(words)) => words.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_that_cannot_be_read_is_told_where() {
    let text = |text: &str| b64(text);
    for (token, want) in [
        ("abc".to_owned(), "Not enough segments"),
        ("a.b".to_owned(), "Not enough segments"),
        ("a.b.c".to_owned(), "Invalid header padding"),
        (format!("{}.a.c", text("{}")), "Invalid payload padding"),
        (format!("{}.{}.c", text("{}"), text("{}")), "Invalid crypto padding"),
        (format!("{}..", text("[]")), "Invalid header string: must be a json object"),
        (token_of("[]"), "Invalid payload string: must be a json object"),
        (token_under("{}"), "Algorithm not specified"),
        (token_under(r#"{"alg":"none"}"#), "The specified alg value is not allowed"),
        (
            token_under(r#"{"alg":"RS256","kid":"rsa","crit":["x"]}"#),
            "Unsupported critical extension: x",
        ),
        (
            token_under(r#"{"alg":"RS256","kid":"rsa","crit":[]}"#),
            "Invalid 'crit' header: must be a non-empty list",
        ),
    ] {
        assert_eq!(said(&token), want, "{token}");
    }
}

#[test]
fn a_claim_that_is_wrong_is_named() {
    for (changes, want) in [
        (json!({ "sub": null }), "Missing claim: sub"),
        (json!({ "sub": 7 }), "Subject must be a string"),
        (json!({ "jti": 7 }), "JWT ID must be a string"),
        (json!({ "exp": [] }), "Expiration Time claim (exp) must be an integer."),
        (json!({ "nbf": "soon" }), "Not Before claim (nbf) must be an integer."),
        (json!({ "iat": {} }), "Issued At claim (iat) must be an integer."),
        (json!({ "nbf": NOW + 900 }), "The token is not yet valid (nbf)"),
        (json!({ "iat": NOW + 900 }), "The token is not yet valid (iat)"),
        (json!({ "aud": null }), "Token is missing the \"aud\" claim"),
        (json!({ "aud": "other" }), "Audience doesn't match"),
        (json!({ "aud": 7 }), "Invalid claim format in token"),
        (json!({ "iss": "other" }), "Invalid issuer"),
        (json!({ "iss": null }), "Token is missing the \"iss\" claim"),
        (json!({ "exp": 1, "sub": null }), "Missing claim: sub"),
    ] {
        assert_eq!(said(&token_of(claims_with(changes.clone()).to_string())), want, "{changes}");
    }
}

#[test]
fn an_expired_token_is_only_that_and_a_rule_of_ours_has_no_words() {
    let of = |changes: Value| words(&token_of(claims_with(changes).to_string()));
    assert_eq!(of(json!({ "exp": NOW - 900, "iat": NOW - 1000 })), Some(Fault::Expired));
    assert_eq!(of(json!({ "exp": -1 })), Some(Fault::Expired));
    assert_eq!(of(json!({ "exp": NOW + 90_000_000 })), None, "too long a life");
    let mut token = token_of(claims_with(json!({ "sub": 7 })).to_string());
    token.truncate(token.len() - 8);
    token.push_str("AAAAAAAA");
    assert_eq!(said(&token), "Signature verification failed", "and not what the claims are");
}
