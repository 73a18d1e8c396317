//! A15 to A22: what a header may try.

use super::*;

fn header_with(member: &str, json: &str) -> String {
    format!(r#"{{"alg":"RS256","kid":"rsa","{member}":{json}}}"#)
}

#[test]
fn a15_a16_keys_in_the_header_are_not_used_and_not_fetched() {
    for (member, value) in [
        ("jwk", STRANGER.public_jwk().unwrap()),
        ("jwk", json!({"kty": "oct", "k": ""})),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("jku", json!("http://127.0.0.1:1/jwks.json")),
        ("jku", json!("https://login.example.com@evil.example/jwks.json")),
        ("x5u", json!("http://127.0.0.1:1/cert.pem")),
    ] {
        for kid in [json!("rsa"), json!("mine"), Value::Null] {
            let mut header = Map::new();
            header.insert(member.into(), value.clone());
            header.insert("kid".into(), kid);
            let token = STRANGER.sign(&header, &claims());
            let error = assert_refused(&token, member);
            assert!(matches!(error, TokenError::BadSignature | TokenError::UnknownKey));
        }
        // Beside a signature of ours they are noise; there is no socket in this room to fetch with.
        assert!(verify(&token_under(header_with(member, &value.to_string()))).is_ok(), "{member}");
    }
    let claims = claims_with(json!({ "iss": "http://127.0.0.1:1/" }));
    assert_eq!(verify(&RSA.sign(&Map::new(), &claims)).unwrap_err(), TokenError::UnknownIssuer);
}

#[test]
fn a17_a_kid_is_a_name_and_nothing_else() {
    for kid in [
        "../../../../dev/null",
        "/dev/null",
        "rsa' OR '1'='1",
        "rsa; cat /etc/passwd",
        "$(id)",
        "rsa\\u0000",
        "\\u0000",
        "${jndi:ldap://127.0.0.1:1/a}",
        "RSA",
        "rsa ",
        "rs",
        "",
        "http://127.0.0.1:1/key",
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#);
        assert_eq!(assert_refused(&token_under(header), kid), TokenError::UnknownKey, "{kid}");
        let empty = SigningKey::from_secret(Algorithm::HS256, b"").unwrap();
        let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
        let token = empty.sign_bytes(header.as_bytes(), claims().to_string().as_bytes());
        assert_refused(&token, kid);
    }
    for kid in ["[\"rsa\"]", "null", "1", "{}", "true"] {
        let header = format!(r#"{{"alg":"RS256","kid":{kid}}}"#);
        assert_eq!(assert_refused(&token_under(header), kid), TokenError::Malformed, "{kid}");
    }
}

#[test]
fn a18_a_kid_with_line_ends_or_of_6_kib_is_unknown_and_is_not_in_the_error() {
    for kid in ["rsa\\r\\nX: y".to_owned(), "k".repeat(3000)] {
        let token = token_under(format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#));
        let error = assert_refused(&token, &kid);
        assert_eq!(error, TokenError::UnknownKey);
        assert!(!format!("{error} {error:?}").contains("X:"));
    }
    let token = token_under(format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(6 * 1024)));
    assert_eq!(assert_refused(&token, "6 KiB"), TokenError::TooLong);
}

#[test]
fn a19_any_mention_of_crit_or_b64_is_refused() {
    for json in
        ["[\"exp\"]", "[\"b64\"]", "[\"x\"]", "[]", "\"exp\"", "null", "[\"\"]", "[1]", "{}"]
    {
        let token = token_under(header_with("crit", json));
        assert_eq!(assert_refused(&token, json), TokenError::CriticalHeader, "{json}");
    }
    for json in ["false", "true", "\"false\"", "null"] {
        let token = token_under(header_with("b64", json));
        assert_eq!(assert_refused(&token, json), TokenError::CriticalHeader, "{json}");
        let token = token_under(header_with("crit", &format!("[\"b64\"],\"b64\":{json}")));
        assert_eq!(assert_refused(&token, json), TokenError::CriticalHeader, "{json}");
    }
}

#[test]
fn a20_compressed_or_encrypted_payloads_are_refused_and_cty_changes_nothing() {
    for (member, json) in [("zip", "\"DEF\""), ("enc", "\"A256GCM\""), ("p2c", "2147483648")] {
        let token = token_under(header_with(member, json));
        assert_eq!(assert_refused(&token, member), TokenError::Malformed, "{member}");
    }
    let nested = RSA.sign_bytes(br#"{"alg":"RS256","kid":"rsa","cty":"JWT"}"#, token().as_bytes());
    assert_eq!(assert_refused(&nested, "nested"), TokenError::Malformed);
    assert!(verify(&token_under(header_with("cty", "\"JWT\""))).is_ok());
}

#[test]
fn a21_only_the_accepted_typ_values_pass() {
    for typ in [
        "logout+jwt",
        "refresh+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "id+jwt",
        "oauth-authz-req+jwt",
        "JWE",
        "JOSE",
        "at+jwt2",
        "at jwt",
        "",
        "application/dpop+jwt",
        "application/",
        "text/JWT",
        "application/application/JWT",
        "application/at/JWT",
    ] {
        let token = token_under(header_with("typ", &format!("\"{typ}\"")));
        assert_eq!(assert_refused(&token, typ), TokenError::TypeHeader, "{typ}");
    }
    for typ in ["null", "1", "[\"JWT\"]", "{}"] {
        let token = token_under(header_with("typ", typ));
        assert_eq!(assert_refused(&token, typ), TokenError::Malformed, "{typ}");
    }
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "APPLICATION/jwt"] {
        assert!(verify(&token_under(header_with("typ", &format!("\"{typ}\"")))).is_ok(), "{typ}");
    }
    assert!(verify(&token_under(r#"{"alg":"RS256","kid":"rsa"}"#)).is_ok(), "absent");
    let any = verifier(IssuerConfig { typ: TypeHeaders::Any, ..config() });
    assert!(verify_at(&any, &token_under(header_with("typ", "\"dpop+jwt\"")), NOW).is_ok());
}

#[test]
fn a22_encrypted_tokens_and_other_serialisations_are_refused() {
    let header = |json: &str| b64(json);
    let body = b64([7; 32]);
    for token in [
        format!(
            "{}.{body}.{body}.{body}.{body}",
            header(r#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa"}"#)
        ),
        format!("{}..{body}.{body}.{body}", header(r#"{"alg":"dir","enc":"A256GCM"}"#)),
        format!(
            "{}.{body}.{body}",
            header(r#"{"alg":"PBES2-HS512+A256KW","p2c":2147483648,"p2s":"AAAA"}"#)
        ),
        format!("{}..{body}", header(r#"{"alg":"RS256","kid":"rsa"}"#)),
        json!({"payload": body, "signatures": [{"protected": body, "signature": body}]})
            .to_string(),
    ] {
        assert_refused(&token, &token);
    }
}
