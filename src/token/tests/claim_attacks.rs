//! A26 to A31, A35: the claims that say who, whom for and which.

use super::*;

/// Signs the claims with this member's JSON in place and verifies.
fn with(name: &str, json: &str) -> Result<Verified, TokenError> {
    verify(&token_of(claims_text(name, json)))
}

fn without(name: &str) -> Result<Verified, TokenError> {
    verify(&token_of(claims_with(json!({ name: null })).to_string()))
}

#[test]
fn a26_iss_is_compared_exactly() {
    assert_eq!(without("iss").unwrap_err(), TokenError::UnknownIssuer);
    for json in ["null", "1", "{}", "[]", "true", r#"["https://login.example.com/"]"#] {
        assert_eq!(with("iss", json).unwrap_err(), TokenError::Malformed, "{json}");
    }
    for iss in [
        "https://login.example.com",
        "https://login.example.com//",
        "https://login.example.com/x",
        "https://LOGIN.example.com/",
        "HTTPS://login.example.com/",
        "http://login.example.com/",
        "https://login.example.com/\\u0000",
        " https://login.example.com/",
        "https://login.example.com/ ",
        "",
        "*",
    ] {
        let error = with("iss", &format!("\"{iss}\"")).unwrap_err();
        assert_eq!(error, TokenError::UnknownIssuer, "{iss}");
    }
    for twice in [
        r#""https://login.example.com/","iss":"https://evil.example/""#,
        r#""https://evil.example/","iss":"https://login.example.com/""#,
        r#""https://evil.example/","\u0069ss":"https://login.example.com/""#,
    ] {
        assert_eq!(with("iss", twice).unwrap_err(), TokenError::Malformed, "{twice}");
    }
    assert!(with("iss", r#""https:\/\/login.example.com\/""#).is_ok(), "the same text");
}

#[test]
fn a27_aud_is_text_or_a_list_of_texts_that_names_us_exactly() {
    assert_eq!(without("aud").unwrap_err(), TokenError::AudienceNotAccepted);
    for json in
        ["null", "1", "{}", "true", "[1]", "[null]", r#"[["orders-api"]]"#, r#"["orders-api",1]"#]
    {
        assert_eq!(with("aud", json).unwrap_err(), TokenError::Malformed, "{json}");
    }
    for json in [
        r#""""#,
        "[]",
        r#"[""]"#,
        r#""other""#,
        r#""orders-api2""#,
        r#""orders-ap""#,
        r#""Orders-Api""#,
        r#""orders-api,billing-api""#,
        r#""orders-api billing-api""#,
        r#""orders-api\u0000""#,
        r#"["other","another"]"#,
        r#"" orders-api""#,
        r#""*""#,
    ] {
        assert_eq!(with("aud", json).unwrap_err(), TokenError::AudienceNotAccepted, "{json}");
    }
    assert_eq!(with("aud", r#""x","aud":"orders-api""#).unwrap_err(), TokenError::Malformed);
    for json in [r#""orders-api""#, r#"["orders-api"]"#, r#"["other","billing-api"]"#] {
        assert!(with("aud", json).is_ok(), "{json}");
    }
    let any = verifier(IssuerConfig { audiences: Audiences::Any, ..config() });
    let token = token_of(claims_with(json!({ "aud": null })).to_string());
    assert!(verify_at(&any, &token, NOW).is_ok());
    let token = token_of(claims_text("aud", "7"));
    assert_eq!(verify_at(&any, &token, NOW).unwrap_err(), TokenError::Malformed);
}

#[test]
fn a28_a30_sub_and_jti_are_text_and_not_empty() {
    for name in ["sub", "jti"] {
        assert_eq!(without(name).unwrap_err(), TokenError::MissingClaim, "{name}");
        assert_eq!(with(name, "\"\"").unwrap_err(), TokenError::MissingClaim, "{name}");
        for json in ["null", "1", "[]", "[\"a\"]", "{}", "true", "1.5"] {
            assert_eq!(with(name, json).unwrap_err(), TokenError::Malformed, "{name}: {json}");
        }
        let twice = format!(r#""revoked","{name}":"fresh""#);
        assert_eq!(with(name, &twice).unwrap_err(), TokenError::Malformed, "{name}");
        let escaped =
            format!(r#""revoked","\u00{:02x}{}":"fresh""#, name.as_bytes()[0], &name[1..]);
        assert_eq!(with(name, &escaped).unwrap_err(), TokenError::Malformed, "{name}");
    }
}

#[test]
fn a29_an_odd_sub_arrives_as_it_was_signed_for_forwarding_to_judge() {
    for (json, text) in [
        (r#""a\r\nX-Admin: 1""#, "a\r\nX-Admin: 1"),
        (r#""a\u0000b""#, "a\0b"),
        (r#""\u010a""#, "\u{10a}"),
        (r#""a,b""#, "a,b"),
    ] {
        assert_eq!(with("sub", json).unwrap().claims().subject(), Some(text));
    }
}

#[test]
fn what_the_issuer_requires_must_be_there_whatever_its_name() {
    let require = vec![Box::from("sid"), Box::from("realm")];
    let gate = verifier(IssuerConfig { require, ..config() });
    let at = |other| verify_at(&gate, &token_of(claims_with(other).to_string()), NOW);
    assert_eq!(at(json!({"sid": "s"})).unwrap_err(), TokenError::MissingClaim);
    assert_eq!(at(json!({"sid": "", "realm": 1})).unwrap_err(), TokenError::MissingClaim);
    assert!(at(json!({"sid": "s", "realm": [1], "jti": null, "sub": null})).is_ok());
    let token = token_of(claims_text("sid", "null,\"realm\":1"));
    assert_eq!(verify_at(&gate, &token, NOW).unwrap_err(), TokenError::MissingClaim);
}

#[test]
fn a35_near_misses_of_one_another_are_different_tokens_and_all_accepted() {
    let mut digests = std::collections::BTreeSet::new();
    for jti in ["0a1b2c", "0A1B2C", "0a1b2", "0a1b2cd", "0a1b2c ", "\u{e9}", "e\u{301}"] {
        let verified = verify(&token_of(claims_with(json!({ "jti": jti })).to_string())).unwrap();
        assert_eq!(verified.claims().token_id(), Some(jti));
        assert!(digests.insert(*verified.digest()));
    }
}

#[test]
fn tokens_without_iss_belong_to_the_issuer_that_says_so_and_to_its_key() {
    let issuer = |name: &str, key: &SigningKey| {
        let config = IssuerConfig { name: name.into(), issuer: None, ..config() };
        let issuer = TrustedIssuer::new(config);
        issuer.set_keys(KeySet::parse_jwks(key.jwks().as_bytes(), &EVERY_ALGORITHM).unwrap());
        Arc::new(issuer)
    };
    let bare = claims_with(json!({ "iss": null }));
    let token = RSA.sign(&Map::new(), &bare);
    let flask = Verifier::new(vec![issuer("flask", &RSA)]);
    assert_eq!(&**verify_at(&flask, &token, NOW).unwrap().scope(), "flask");
    let error = verify_at(&flask, &super::token(), NOW).unwrap_err();
    assert_eq!(error, TokenError::UnknownIssuer, "iss there, although none is expected");
    let two = Verifier::new(vec![issuer("flask", &RSA), issuer("django", &EC)]);
    assert_eq!(&**verify_at(&two, &token, NOW).unwrap().issuer(), "flask");
    let token = EC.sign(&Map::new(), &bare);
    assert_eq!(&**verify_at(&two, &token, NOW).unwrap().issuer(), "django");
    let token = ED.sign(&Map::new(), &bare);
    assert_eq!(verify_at(&two, &token, NOW).unwrap_err(), TokenError::UnknownIssuer);
    two.issuers()[1].clear_keys();
    assert_eq!(verify_at(&two, &token, NOW).unwrap_err(), TokenError::KeysUnavailable);
    let token = RSA.sign(&Map::new(), &bare);
    assert!(verify_at(&two, &token, NOW).is_ok(), "one issuer's trouble is not another's");
}

#[test]
fn an_issuers_key_does_not_sign_for_another_issuer() {
    let other = IssuerConfig { name: "other".into(), issuer: Some("other".into()), ..config() };
    let issuers = [(config(), &*RSA), (other, &*EC)].map(|(config, key)| {
        let issuer = TrustedIssuer::new(config);
        issuer.set_keys(KeySet::parse_jwks(key.jwks().as_bytes(), &EVERY_ALGORITHM).unwrap());
        Arc::new(issuer)
    });
    let gate = Verifier::new(issuers.into());
    let forged = EC.sign(&Map::new(), &claims());
    assert_eq!(verify_at(&gate, &forged, NOW).unwrap_err(), TokenError::UnknownKey);
    let own = EC.sign(&Map::new(), &claims_with(json!({ "iss": "other" })));
    assert_eq!(&**verify_at(&gate, &own, NOW).unwrap().issuer(), "other");
}
