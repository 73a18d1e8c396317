//! The table of known token attacks (security.md A), row by row, against [`Verifier::verify`].

mod claim_attacks;
mod date_attacks;
mod disguises;
mod form_attacks;
mod header_attacks;
mod key_attacks;
mod kinds;
mod signature_attacks;
mod wycheproof;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use crate::clock::UnixTime;

use super::mint::SigningKey;
use super::{
    Audiences, BearerToken, IssuerConfig, KeySet, KeysConfig, MaxLifetime, TokenError, TokenType,
    TokenTypeFrom, TokenTypeRule, TrustedIssuer, TypeHeaders, Verified, Verifier,
};

/// The second all these tests happen in.
pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const ISS: &str = "https://login.example.com/";

pub(super) static RSA: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::RS256, "rsa"));
pub(super) static EC: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256, "ec"));
pub(super) static ED: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::EdDSA, "ed"));
/// Somebody else's key.
pub(super) static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::RS256, "rsa"));

/// A verifier of one issuer with the three keys.
pub(super) static GATE: LazyLock<Verifier> = LazyLock::new(|| verifier(config()));

pub(super) const EVERY_ALGORITHM: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// One of each, in that order; making an RSA key takes a while.
pub(super) static KEYS: LazyLock<[SigningKey; 12]> =
    LazyLock::new(|| EVERY_ALGORITHM.map(|algorithm| SigningKey::generate(algorithm).unwrap()));

fn key(algorithm: Algorithm, kid: &str) -> SigningKey {
    SigningKey::generate(algorithm).unwrap().with_kid(kid)
}

/// The configuration of `gateway.reference.toml`'s example, with every algorithm.
pub(super) fn config() -> IssuerConfig {
    let texts = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect::<Vec<_>>();
    IssuerConfig {
        name: "main".into(),
        issuer: Some(ISS.into()),
        audiences: Audiences::OneOf(texts(&["orders-api", "billing-api"])),
        algorithms: EVERY_ALGORITHM.to_vec(),
        keys: KeysConfig::Discovery,
        leeway: Duration::from_secs(30),
        max_lifetime: MaxLifetime {
            access: Duration::from_secs(86_400),
            refresh: Duration::from_secs(90 * 86_400),
        },
        require: texts(&["exp", "iat", "sub", "jti"]),
        text_dates: false,
        typ: TypeHeaders::OneOf(texts(&["at+jwt", "JWT"])),
        token_type: TokenTypeRule {
            from: TokenTypeFrom::Claim("type".into()),
            access: texts(&["access"]),
            refresh: texts(&["refresh"]),
            missing: Some(TokenType::Access),
            other: None,
        },
        own_claims: None,
    }
}

/// A verifier of one issuer with the three keys.
pub(super) fn verifier(config: IssuerConfig) -> Verifier {
    let keys: Vec<_> = [&*RSA, &*EC, &*ED].map(|key| key.public_jwk().unwrap()).into();
    with_jwks(config, &json!({ "keys": keys }))
}

pub(super) fn with_jwks(config: IssuerConfig, jwks: &Value) -> Verifier {
    let issuer = TrustedIssuer::new(config);
    let allowed = issuer.config().algorithms.clone();
    issuer.set_keys(KeySet::parse_jwks(jwks.to_string().as_bytes(), &allowed).unwrap());
    Verifier::new(vec![Arc::new(issuer)])
}

/// A claims set that is accepted.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISS, "aud": "orders-api", "sub": "alice", "jti": "0a1b2c", "type": "access",
        "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 600,
    })
}

/// Those claims with some put in their place; null takes one away.
pub(super) fn claims_with(other: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    for (name, value) in other.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    claims
}

pub(super) fn token() -> String {
    RSA.sign(&Map::new(), &claims())
}

/// A token of the usual header, rightly signed, with this payload as it is.
pub(super) fn token_of(payload: impl AsRef<[u8]>) -> String {
    RSA.sign_bytes(br#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#, payload.as_ref())
}

/// A token of the usual claims, rightly signed by the RSA key, with this header as it is.
pub(super) fn token_under(header: impl AsRef<[u8]>) -> String {
    RSA.sign_bytes(header.as_ref(), claims().to_string().as_bytes())
}

/// The text of the claims with a member's JSON put in place as it is: not through a JSON writer.
pub(super) fn claims_text(name: &str, json: &str) -> String {
    let mut text = claims_with(json!({ name: null })).to_string();
    text.truncate(text.len() - 1);
    format!("{text},\"{name}\":{json}}}")
}

/// The verdict of the gate with the three keys. What it accepts jsonwebtoken must accept as well
/// (A52): no reading of ours may be laxer than everybody else's.
pub(super) fn verify(token: &str) -> Result<Verified, TokenError> {
    let verdict = verify_at(&GATE, token, NOW);
    if verdict.is_ok() {
        let algorithm = jsonwebtoken::decode_header(token).unwrap().alg;
        let key = [&*RSA, &*EC, &*ED].into_iter().find(|it| it.algorithm() == algorithm).unwrap();
        let jwk = serde_json::from_value(key.public_jwk().unwrap()).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        let mut theirs = jsonwebtoken::Validation::new(algorithm);
        theirs.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        theirs.set_issuer(&[ISS]);
        theirs.set_audience(&["orders-api", "billing-api"]);
        // Their clock is the machine's, not `NOW`.
        (theirs.validate_exp, theirs.validate_nbf) = (false, false);
        jsonwebtoken::decode::<Value>(token, &key, &theirs).unwrap();
    }
    verdict
}

pub(super) fn verify_at(gate: &Verifier, token: &str, now: u64) -> Result<Verified, TokenError> {
    gate.verify(BearerToken::new(token), UnixTime::from_secs(now))
}

#[track_caller]
pub(super) fn assert_refused(token: &str, what: &str) -> TokenError {
    verify(token).err().unwrap_or_else(|| panic!("accepted: {what}"))
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The token with another signature.
pub(super) fn with_signature(token: &str, signature: impl AsRef<[u8]>) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", b64(signature))
}

pub(super) fn signature_of(token: &str) -> Vec<u8> {
    unb64(token.rsplit_once('.').unwrap().1)
}

#[test]
fn a_good_token_of_each_key_is_accepted_and_known_by_its_parts() {
    for key in [&*RSA, &*EC, &*ED] {
        let token = key.sign(&Map::new(), &claims());
        let verified = verify(&token).unwrap();
        assert_eq!(verified.key_id(), key.kid());
        assert_eq!(&**verified.issuer(), "main");
        assert_eq!(&**verified.scope(), ISS);
        assert_eq!(verified.token_type(), TokenType::Access);
        assert_eq!(verified.valid_until(), UnixTime::from_secs(NOW + 630));
        assert_eq!(verified.claims().subject(), Some("alice"));
        let (signed, _) = token.rsplit_once('.').unwrap();
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, signed.as_bytes());
        assert_eq!(verified.digest(), sha256.as_ref());
    }
}

#[test]
fn every_supported_algorithm_signs_and_verifies_and_no_other_key_does() {
    for (algorithm, key) in EVERY_ALGORITHM.into_iter().zip(&*KEYS) {
        let key = key.clone().with_kid("k");
        let keys = match key.to_secret() {
            Some(secret) => KeySet::from_secret(secret.expose(), &[algorithm]),
            None => KeySet::parse_jwks(key.jwks().as_bytes(), &[algorithm]),
        };
        let issuer = Arc::new(TrustedIssuer::new(config()));
        issuer.set_keys(keys.unwrap());
        let gate = Verifier::new(vec![issuer]);
        let token = key.sign(&Map::new(), &claims());
        assert!(verify_at(&gate, &token, NOW).is_ok(), "{algorithm:?}");
        let other = self::key(algorithm, "k").sign(&Map::new(), &claims());
        let error = verify_at(&gate, &other, NOW).unwrap_err();
        assert_eq!(error, TokenError::BadSignature, "{algorithm:?}");
    }
}

#[test]
fn neither_tokens_nor_keys_nor_claims_errors_show_secrets_when_printed() {
    let token = token();
    let secret = SigningKey::from_secret(Algorithm::HS256, &[0x41; 32]).unwrap();
    let keys = KeySet::from_secret(&[0x41; 32], &[Algorithm::HS256]).unwrap();
    let shown = format!("{:?} {:?} {:?} {:?}", BearerToken::new(&token), secret, keys, *RSA);
    for part in token.split('.').chain(["AAAA", "65, 65", "PRIVATE"]) {
        assert!(!shown.contains(part), "{shown}");
    }
}
