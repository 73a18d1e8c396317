//! A05, A32, A44 to A48: which keys are taken and which key a token gets.

use super::*;

fn jwk(key: &SigningKey, changes: &Value) -> Value {
    let mut jwk = key.public_jwk().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
            value => jwk[name] = value.clone(),
        }
    }
    jwk
}

#[test]
fn a32_a_kid_that_is_not_in_the_set_is_unknown_and_asks_for_a_refresh() {
    let gate = verifier(config());
    let token = STRANGER.clone().with_kid("new").sign(&Map::new(), &claims());
    assert_eq!(verify_at(&gate, &token, NOW).unwrap_err(), TokenError::UnknownKey);
    let wanted = gate.issuers()[0].refresh_wanted();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::pin::pin!(wanted).poll(&mut context).is_ready());
    let token = STRANGER.sign(&Map::new(), &claims());
    assert_eq!(verify_at(&gate, &token, NOW).unwrap_err(), TokenError::BadSignature);
    let wanted = gate.issuers()[0].refresh_wanted();
    assert!(std::pin::pin!(wanted).poll(&mut context).is_pending(), "a known kid asks for nothing");
}

fn unfit_keys() -> Vec<(&'static str, Value)> {
    let x = RSA.public_jwk().unwrap()["n"].as_str().unwrap().to_owned();
    let own = |changes| jwk(&STRANGER, &changes);
    let p256 = key(Algorithm::ES256, "bad");
    let ec = |changes| jwk(&p256, &changes);
    vec![
        ("HMAC", json!({"kty": "oct", "kid": "bad", "alg": "HS256", "k": b64([7; 32])})),
        ("HMAC, empty", json!({"kty": "oct", "kid": "bad", "k": ""})),
        ("1024 bits", own(json!({"kid": "bad", "n": b64([0xff; 128])}))),
        ("even modulus", own(json!({"kid": "bad", "n": b64([0xfe; 256])}))),
        ("e = 1", own(json!({"kid": "bad", "e": "AQ"}))),
        ("e = 0", own(json!({"kid": "bad", "e": "AA"}))),
        ("e even", own(json!({"kid": "bad", "e": "BA"}))),
        ("e empty", own(json!({"kid": "bad", "e": ""}))),
        ("use enc", own(json!({"kid": "bad", "use": "enc"}))),
        ("use not text", own(json!({"kid": "bad", "use": ["sig"]}))),
        ("key_ops", own(json!({"kid": "bad", "key_ops": ["sign", "encrypt"]}))),
        ("key_ops text", own(json!({"kid": "bad", "key_ops": "verify"}))),
        ("alg of encryption", own(json!({"kid": "bad", "alg": "RSA-OAEP"}))),
        ("alg not text", own(json!({"kid": "bad", "alg": ["RS256"]}))),
        ("RSA as HS256", own(json!({"kid": "bad", "alg": "HS256"}))),
        ("RSA as ES256", own(json!({"kid": "bad", "alg": "ES256"}))),
        ("no n", own(json!({"kid": "bad", "n": null}))),
        ("n padded", own(json!({"kid": "bad", "n": format!("{x}=")}))),
        ("kid not text", own(json!({"kid": 7}))),
        ("P-256 as ES384", ec(json!({"alg": "ES384"}))),
        ("P-384 with coordinates of P-256", ec(json!({"crv": "P-384", "alg": null}))),
        ("P-521", ec(json!({"crv": "P-521", "alg": null}))),
        ("secp256k1", ec(json!({"crv": "secp256k1", "alg": "ES256K"}))),
        ("off the curve", ec(json!({"x": b64([1; 32])}))),
        ("the neutral element", ec(json!({"x": b64([0; 32]), "y": b64([0; 32])}))),
        ("short coordinate", ec(json!({"x": b64([1; 31])}))),
        ("EC as RSA", ec(json!({"kty": "RSA"}))),
        ("kty unknown", ec(json!({"kty": "AKP"}))),
        ("kty in lower case", ec(json!({"kty": "ec"}))),
        ("kty missing", ec(json!({"kty": null}))),
        ("Ed448", json!({"kty": "OKP", "crv": "Ed448", "x": b64([1; 57]), "kid": "bad"})),
        ("X25519", json!({"kty": "OKP", "crv": "X25519", "x": b64([9; 32]), "kid": "bad"})),
        ("Ed25519, 31 bytes", json!({"kty": "OKP", "crv": "Ed25519", "x": b64([1; 31])})),
        ("empty", json!({})),
        ("a list", json!([])),
        ("a number", json!(7)),
        ("null", json!(null)),
        ("text", json!("-----BEGIN PUBLIC KEY-----")),
    ]
}

#[test]
fn a44_unfit_keys_never_verify_and_good_ones_beside_them_go_on() {
    let unfit = unfit_keys();
    for (what, bad) in &unfit {
        let jwks = json!({"keys": [bad, RSA.public_jwk().unwrap(), bad]}).to_string();
        let keys = KeySet::parse_jwks(jwks.as_bytes(), &EVERY_ALGORITHM).unwrap();
        assert_eq!((keys.keys().len(), keys.dropped()), (1, 2), "{what}");
        assert!(keys.find(Some("rsa"), Algorithm::RS256).is_ok(), "{what}");
        let alone = json!({ "keys": [bad] }).to_string();
        let error = KeySet::parse_jwks(alone.as_bytes(), &EVERY_ALGORITHM).unwrap_err();
        assert!(matches!(error, super::super::KeysError::NoneUsable { dropped: 1 }), "{what}");
    }
    let all: Vec<_> = unfit.iter().map(|(_, bad)| bad.clone()).chain(RSA.public_jwk()).collect();
    let gate = with_jwks(config(), &json!({ "keys": all }));
    assert!(verify_at(&gate, &token(), NOW).is_ok());
}

#[test]
fn a44_a_kid_on_two_keys_names_neither() {
    let doubled = [jwk(&RSA, &json!({})), jwk(&STRANGER, &json!({})), jwk(&EC, &json!({}))];
    let gate = with_jwks(config(), &json!({ "keys": doubled }));
    for key in [&*RSA, &*STRANGER] {
        let token = key.sign(&Map::new(), &claims());
        assert_eq!(verify_at(&gate, &token, NOW).unwrap_err(), TokenError::UnknownKey);
    }
    assert!(verify_at(&gate, &EC.sign(&Map::new(), &claims()), NOW).is_ok());
    // Also when the other one of the two is unfit, or not even strict JSON.
    let unfit = jwk(&STRANGER, &json!({"use": "enc"}));
    let gate = with_jwks(config(), &json!({ "keys": [doubled[0], unfit, doubled[2]] }));
    assert_eq!(verify_at(&gate, &token(), NOW).unwrap_err(), TokenError::UnknownKey);
}

#[test]
fn a_key_without_alg_does_what_the_issuer_lists_for_its_kind_and_no_more() {
    let algorithms = vec![Algorithm::RS256, Algorithm::PS256, Algorithm::ES384, Algorithm::HS256];
    let own = |key: &SigningKey| jwk(key, &json!({"alg": null}));
    let jwks = json!({"keys": [own(&RSA), own(&EC), own(&ED)]}).to_string();
    let keys = KeySet::parse_jwks(jwks.as_bytes(), &algorithms).unwrap();
    assert_eq!((keys.keys().len(), keys.dropped()), (2, 2));
    for (algorithm, fits) in [
        (Algorithm::RS256, true),
        (Algorithm::PS256, true),
        (Algorithm::RS384, false),
        (Algorithm::ES384, false),
        (Algorithm::HS256, false),
    ] {
        assert_eq!(keys.find(Some("rsa"), algorithm).is_ok(), fits, "{algorithm:?}");
    }
}

#[test]
fn a_token_without_kid_gets_a_key_only_if_exactly_one_fits() {
    let token = RSA.clone().without_kid().sign(&Map::new(), &claims());
    assert_eq!(verify(&token).unwrap().key_id(), Some("rsa"));
    let second = jwk(&STRANGER, &json!({"kid": "second"}));
    let gate = with_jwks(config(), &json!({"keys": [RSA.public_jwk().unwrap(), second]}));
    assert_eq!(verify_at(&gate, &token, NOW).unwrap_err(), TokenError::UnknownKey);
}

#[test]
fn a46_a48_new_keys_count_at_once_and_old_ones_no_longer() {
    let gate = verifier(config());
    let issuer = &gate.issuers()[0];
    let before = gate.generation();
    let next = STRANGER.clone().with_kid("next");
    let token = next.sign(&Map::new(), &claims());
    assert!(verify_at(&gate, &token, NOW).is_err());
    issuer.set_keys(KeySet::parse_jwks(next.jwks().as_bytes(), &EVERY_ALGORITHM).unwrap());
    let with_next = gate.generation();
    assert!(with_next > before);
    assert!(verify_at(&gate, &token, NOW).is_ok());
    assert_eq!(verify_at(&gate, &super::token(), NOW).unwrap_err(), TokenError::UnknownKey);
    issuer.clear_keys();
    assert!(gate.generation() > with_next);
    let later = Verifier::new(gate.issuers().to_vec());
    assert!(later.generation() > gate.generation(), "other rules, perhaps fewer issuers");
    assert_eq!(verify_at(&gate, &token, NOW).unwrap_err(), TokenError::KeysUnavailable);
}

#[test]
fn every_verifier_of_an_issuer_hears_of_its_new_keys() {
    let other = IssuerConfig { issuer: Some("https://other.example/".into()), ..config() };
    let issuers = [config(), other].map(|config| Arc::new(TrustedIssuer::new(config)));
    let both = Verifier::new(issuers.to_vec());
    let [first, second] = issuers;
    let one = Verifier::new(vec![Arc::clone(&first)]);
    let before = [both.generation(), one.generation()];
    second.clear_keys();
    assert!(both.generation() > before[0]);
    assert_eq!(one.generation(), before[1], "not its issuer");
    let between = both.generation();
    first.clear_keys();
    assert!(both.generation() > between && one.generation() > before[1]);
    assert!(both.generation() >= first.generation().max(second.generation()));
}

#[test]
fn an_issuer_without_keys_is_our_fault_and_says_so() {
    let gate = Verifier::new(vec![Arc::new(TrustedIssuer::new(config()))]);
    assert_eq!(verify_at(&gate, &token(), NOW).unwrap_err(), TokenError::KeysUnavailable);
}
