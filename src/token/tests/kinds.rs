//! A31: what a token is for, and what is no access token although it is rightly signed.

use super::*;

fn rule(claim: &str, access: &[&str], refresh: &[&str]) -> TokenTypeRule {
    let words = |words: &[&str]| words.iter().map(|word| Box::from(*word)).collect();
    TokenTypeRule {
        from: TokenTypeFrom::Claim(claim.into()),
        access: words(access),
        refresh: words(refresh),
        missing: None,
        other: None,
    }
}

fn kind(rule: &TokenTypeRule, other: Value) -> Result<TokenType, TokenError> {
    let gate = verifier(IssuerConfig { token_type: rule.clone(), ..config() });
    let token = token_of(claims_with(other).to_string());
    verify_at(&gate, &token, NOW).map(|verified| verified.token_type())
}

#[test]
fn a31_the_word_decides_and_an_unknown_word_is_another_kind() {
    let flask = config().token_type;
    for (word, want) in [
        (json!("access"), Ok(TokenType::Access)),
        (json!("refresh"), Ok(TokenType::Refresh)),
        (json!(null), Ok(TokenType::Access)),
        (json!("Access"), Err(TokenError::UnknownType)),
        (json!("id"), Err(TokenError::UnknownType)),
        (json!(""), Err(TokenError::UnknownType)),
        (json!(1), Err(TokenError::UnknownType)),
        (json!(["access"]), Err(TokenError::UnknownType)),
    ] {
        assert_eq!(kind(&flask, json!({ "type": word })), want, "{word}");
    }
}

#[test]
fn a31_keycloak_and_cognito_words_are_told_apart() {
    let keycloak = rule("typ", &["Bearer"], &["Refresh", "Offline"]);
    for (word, want) in [
        ("Bearer", Ok(TokenType::Access)),
        ("Refresh", Ok(TokenType::Refresh)),
        ("Offline", Ok(TokenType::Refresh)),
        ("ID", Err(TokenError::UnknownType)),
        ("Logout", Err(TokenError::UnknownType)),
    ] {
        assert_eq!(kind(&keycloak, json!({ "typ": word })), want, "{word}");
    }
    assert_eq!(kind(&keycloak, json!({})), Err(TokenError::UnknownType), "the word is missing");
    let cognito = rule("token_use", &["access"], &[]);
    assert_eq!(kind(&cognito, json!({"token_use": "access"})), Ok(TokenType::Access));
    assert_eq!(kind(&cognito, json!({"token_use": "id"})), Err(TokenError::UnknownType));
}

#[test]
fn a31_a_logout_token_is_no_leave_to_do_anything() {
    for events in
        [json!({"http://schemas.openid.net/event/backchannel-logout": {}}), json!({}), json!(1)]
    {
        let error = kind(&config().token_type, json!({ "events": events })).unwrap_err();
        assert_eq!(error, TokenError::UnknownType);
    }
}

#[test]
fn a31_the_word_may_be_in_the_header() {
    let in_typ = TokenTypeRule {
        from: TokenTypeFrom::Header("typ".into()),
        ..rule("", &["at+jwt"], &["rt+jwt"])
    };
    let gate = verifier(IssuerConfig { token_type: in_typ, typ: TypeHeaders::Any, ..config() });
    for (typ, want) in [
        ("\"at+jwt\"", Ok(TokenType::Access)),
        ("\"rt+jwt\"", Ok(TokenType::Refresh)),
        ("\"JWT\"", Err(TokenError::UnknownType)),
    ] {
        let token = token_under(format!(r#"{{"alg":"RS256","kid":"rsa","typ":{typ}}}"#));
        assert_eq!(verify_at(&gate, &token, NOW).map(|it| it.token_type()), want, "{typ}");
    }
    let token = token_under(r#"{"alg":"RS256","kid":"rsa"}"#);
    assert_eq!(verify_at(&gate, &token, NOW).unwrap_err(), TokenError::UnknownType);
    let custom =
        TokenTypeRule { from: TokenTypeFrom::Header("use".into()), ..rule("", &["a"], &[]) };
    let gate = verifier(IssuerConfig { token_type: custom, ..config() });
    let token = token_under(r#"{"alg":"RS256","kid":"rsa","use":["a"]}"#);
    assert_eq!(verify_at(&gate, &token, NOW).unwrap_err(), TokenError::UnknownType);
}

#[test]
fn tokens_as_flask_jwt_extended_makes_them_are_accepted() {
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let issuer = TrustedIssuer::new(IssuerConfig {
        name: "flask".into(),
        issuer: None,
        audiences: Audiences::Any,
        algorithms: vec![Algorithm::HS256],
        keys: KeysConfig::Secret(key.to_secret().unwrap()),
        ..config()
    });
    issuer.load_local().unwrap();
    let gate = Verifier::new(vec![Arc::new(issuer)]);
    for (word, kind) in [("access", TokenType::Access), ("refresh", TokenType::Refresh)] {
        let claims = json!({
            "fresh": false, "iat": NOW, "jti": "6f1a2b3c-4d5e-4f60-8a7b-9c0d1e2f3a4b", "type": word,
            "sub": "alice", "nbf": NOW, "csrf": "0d1e2f3a-4d5e-4f60-8a7b-9c0d6f1a2b3c",
            "exp": NOW + 900,
        });
        let verified = verify_at(&gate, &key.sign(&Map::new(), &claims), NOW).unwrap();
        assert_eq!((verified.token_type(), &**verified.scope()), (kind, "flask"));
        assert_eq!(verified.key_id(), None);
    }
}
