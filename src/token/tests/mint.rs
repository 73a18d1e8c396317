//! Minted keys and tokens are what the gateway takes.

use super::*;
use crate::token::tests::{EVERY_ALGORITHM, KEYS, RSA, unb64};

fn header_of(token: &str) -> Value {
    serde_json::from_slice(&unb64(token.split('.').next().unwrap())).unwrap()
}

#[test]
fn a_key_survives_being_written_down() {
    for (algorithm, key) in EVERY_ALGORITHM.into_iter().zip(&*KEYS) {
        let again = match (key.to_pem(), key.to_secret()) {
            (Some(pem), None) => {
                let pem = std::str::from_utf8(pem.expose()).unwrap().to_owned();
                assert!(pem.lines().all(|line| line.len() <= 64), "{algorithm:?}");
                SigningKey::from_pem(algorithm, &pem).unwrap()
            }
            (None, Some(secret)) => SigningKey::from_secret(algorithm, secret.expose()).unwrap(),
            _ => panic!("{algorithm:?} is one of the two"),
        };
        assert_eq!(key.kid(), again.kid());
        assert_eq!(key.public_jwk(), again.public_jwk());
        assert_eq!(key.public_jwk().is_some(), key.to_pem().is_some());
    }
}

#[test]
fn a_published_key_has_no_private_part() {
    for (algorithm, key) in EVERY_ALGORITHM.into_iter().zip(&*KEYS) {
        let jwks: Value = serde_json::from_str(&key.jwks()).unwrap();
        for jwk in jwks["keys"].as_array().unwrap() {
            for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(jwk.get(member).is_none(), "{algorithm:?}: {member}");
            }
            assert_eq!(jwk["alg"], format!("{algorithm:?}"));
            assert_eq!((&jwk["use"], jwk["kid"].as_str()), (&"sig".into(), key.kid()));
        }
    }
}

#[test]
fn the_header_is_the_usual_one_with_changes() {
    let key = SigningKey::generate(Algorithm::HS256).unwrap().with_kid("k");
    let sign = |members: Value| header_of(&key.sign(members.as_object().unwrap(), &json!({})));
    assert_eq!(sign(json!({})), json!({"alg": "HS256", "typ": "JWT", "kid": "k"}));
    assert_eq!(
        sign(json!({"typ": "at+jwt", "kid": null, "x": 1})),
        json!({"alg": "HS256", "typ": "at+jwt", "x": 1})
    );
    let bare = key.without_kid().sign(&Map::new(), &json!({}));
    assert_eq!(header_of(&bare), json!({"alg": "HS256", "typ": "JWT"}));
}

#[test]
fn what_is_no_key_for_the_algorithm_is_refused() {
    let rsa = RSA.to_pem().unwrap();
    let rsa = std::str::from_utf8(rsa.expose()).unwrap();
    for (algorithm, text, want) in [
        (Algorithm::ES256, rsa, MintError::NotAPrivateKey),
        (Algorithm::EdDSA, rsa, MintError::NotAPrivateKey),
        (Algorithm::HS256, rsa, MintError::Algorithm),
        (Algorithm::RS256, "", MintError::NotAPrivateKey),
        (Algorithm::RS256, "-----BEGIN PRIVATE KEY-----", MintError::NotAPrivateKey),
    ] {
        assert_eq!(SigningKey::from_pem(algorithm, text).err(), Some(want), "{algorithm:?}");
    }
    let error = SigningKey::from_secret(Algorithm::RS256, b"secret").err();
    assert_eq!(error, Some(MintError::Algorithm));
}
