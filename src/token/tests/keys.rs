//! Reading key documents: bounds, PEM, secrets, files.

use std::sync::LazyLock;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::secret::Secret;
use crate::token::mint::SigningKey;
use crate::token::tests::{EC, ED, EVERY_ALGORITHM, RSA, config};
use crate::token::{IssuerConfig, KeysConfig, TrustedIssuer};

static PAIR: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap());

fn pem(text: &str) -> Result<KeySet, KeysError> {
    KeySet::parse_pem(text.as_bytes(), &EVERY_ALGORITHM)
}

#[test]
fn a_document_is_bounded_in_bytes_and_keys() {
    let jwk = RSA.public_jwk().unwrap().to_string();
    let document = |count: usize| {
        let keys: Vec<_> =
            (0..count).map(|i| jwk.replace("\"rsa\"", &format!("\"k{i}\""))).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    };
    let parse = |text: &str| KeySet::parse_jwks(text.as_bytes(), &EVERY_ALGORITHM);
    assert_eq!(parse(&document(64)).unwrap().keys().len(), 64);
    assert!(matches!(parse(&document(65)), Err(KeysError::TooManyKeys)));
    let long = document(1) + &" ".repeat(MAX_DOCUMENT);
    assert!(matches!(parse(&long), Err(KeysError::TooLong)));
}

#[test]
fn what_is_no_key_set_is_refused() {
    for text in
        ["", "[]", "{}", "null", "{\"keys\":{}}", "{\"keys\":1}", "<html>", "{\"keys\":[]}{}"]
    {
        let error = KeySet::parse_jwks(text.as_bytes(), &EVERY_ALGORITHM).unwrap_err();
        assert!(matches!(error, KeysError::NotAKeySet(_)), "{text}: {error}");
    }
    let none = KeySet::parse_jwks(b"{\"keys\":[]}", &EVERY_ALGORITHM).unwrap_err();
    assert!(matches!(none, KeysError::NoneUsable { dropped: 0 }));
}

#[test]
fn an_algorithm_that_the_issuer_does_not_list_drops_the_key() {
    let error = KeySet::parse_jwks(RSA.jwks().as_bytes(), &[Algorithm::ES256]).unwrap_err();
    assert!(matches!(error, KeysError::NoneUsable { dropped: 1 }));
}

#[test]
fn a_public_key_and_a_certificate_in_pem_verify_whatever_the_kid() {
    let certificate =
        CertificateParams::new(vec!["a".into()]).unwrap().self_signed(&*PAIR).unwrap();
    let signer = SigningKey::from_pem(Algorithm::ES256, &PAIR.serialize_pem()).unwrap();
    let token = signer.sign(&serde_json::Map::new(), &serde_json::json!({}));
    let jws = Jws::split(crate::token::BearerToken::new(&token)).unwrap();
    for text in [PAIR.public_key_pem(), certificate.pem()] {
        let keys = pem(&text).unwrap();
        assert_eq!(keys.keys().len(), 1);
        for kid in [None, Some("any")] {
            assert!(keys.find(kid, Algorithm::ES256).unwrap().verify(&jws).is_ok());
        }
        assert!(keys.find(None, Algorithm::RS256).is_err());
        let error = KeySet::parse_pem(text.as_bytes(), &[Algorithm::RS256]).unwrap_err();
        assert!(matches!(error, KeysError::NoAlgorithm));
    }
}

#[test]
fn every_kind_of_public_key_is_told_from_its_pem() {
    for (scheme, algorithm) in [
        (&rcgen::PKCS_RSA_SHA256, Algorithm::PS384),
        (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
        (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
    ] {
        let pair = KeyPair::generate_for(scheme).unwrap();
        let signer = SigningKey::from_pem(algorithm, &pair.serialize_pem()).unwrap();
        let token = signer.sign(&serde_json::Map::new(), &serde_json::json!({}));
        let jws = Jws::split(crate::token::BearerToken::new(&token)).unwrap();
        let keys = pem(&pair.public_key_pem()).unwrap();
        assert!(keys.find(None, algorithm).unwrap().verify(&jws).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn a_private_key_and_other_pem_are_refused() {
    for key in [&*RSA, &*EC, &*ED] {
        let text = key.to_pem().unwrap();
        let error = KeySet::parse_pem(text.expose(), &EVERY_ALGORITHM).unwrap_err();
        assert!(matches!(error, KeysError::PrivateKey));
    }
    let public = PAIR.public_key_pem();
    for text in ["", "text", "-----BEGIN PUBLIC KEY-----\n", &format!("{public}{public}")] {
        assert!(matches!(pem(text), Err(KeysError::NotOnePublicKey)), "{text}");
    }
    let junk = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    assert!(matches!(pem(junk), Err(KeysError::UnsupportedKey)));
    assert!(matches!(
        pem(&junk.replace("PUBLIC KEY", "CERTIFICATE")),
        Err(KeysError::UnsupportedKey)
    ));
}

#[test]
fn a_secret_is_as_long_as_its_hash_at_least() {
    for (algorithm, wanted) in
        [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
    {
        assert!(KeySet::from_secret(&vec![1; wanted], &[algorithm]).is_ok());
        for length in [0, 1, wanted - 1] {
            let error = KeySet::from_secret(&vec![1; length], &[algorithm]).unwrap_err();
            assert!(matches!(error, KeysError::SecretTooShort { .. }), "{error}");
        }
    }
    let error = KeySet::from_secret(&[1; 64], &[Algorithm::RS256]).unwrap_err();
    assert!(matches!(error, KeysError::NoAlgorithm));
}

#[test]
fn an_issuer_loads_what_is_at_hand() {
    let folder = tempfile::tempdir().unwrap();
    let (jwks, pem) = (folder.path().join("jwks.json"), folder.path().join("key.pem"));
    std::fs::write(&jwks, RSA.jwks()).unwrap();
    std::fs::write(&pem, PAIR.public_key_pem()).unwrap();
    let load = |keys| {
        let issuer = TrustedIssuer::new(IssuerConfig { keys, ..config() });
        issuer.load_local().map(|()| issuer.keys().map(|keys| keys.keys().len()))
    };
    assert_eq!(load(KeysConfig::JwksFile(jwks)).unwrap(), Some(1));
    assert_eq!(load(KeysConfig::PemFile(pem)).unwrap(), Some(1));
    assert_eq!(load(KeysConfig::Secret(Secret::new(vec![1; 64]))).unwrap(), Some(3));
    assert_eq!(load(KeysConfig::Discovery).unwrap(), None);
    let missing = load(KeysConfig::PemFile(folder.path().join("none")));
    assert!(matches!(missing, Err(KeysError::Read { .. })));
}
