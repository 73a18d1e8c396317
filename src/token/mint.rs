//! Keys that sign tokens: for `portcullis token`, the demonstration, tests and benches. No request
//! comes through here.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::secret::Secret;

use super::keys::hash_length;

/// A key that signs with one algorithm.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
    id: Option<String>,
    material: Material,
}

/// Why there is no signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MintError {
    /// The system gave no randomness, or the cryptography refused.
    #[error("no key could be made")]
    Generate,
    /// The text is not a private key for the algorithm.
    #[error("this is not a private key in PEM for that algorithm")]
    NotAPrivateKey,
    /// HMAC with a public-key algorithm or the other way round.
    #[error("the algorithm does not fit that kind of key")]
    Algorithm,
}

/// What the key was made of, to be written down again.
#[derive(Clone)]
enum Material {
    Pem(Secret),
    Secret(Secret),
}

// === impl SigningKey ===

impl SigningKey {
    /// Makes a new key; RSA has 2048 bits, a secret the length of its hash.
    pub fn generate(algorithm: Algorithm) -> Result<Self, MintError> {
        if let Some(length) = hash_length(algorithm) {
            let mut secret = vec![0; length];
            rand::fill(&mut secret).map_err(|_cause| MintError::Generate)?;
            return Self::from_secret(algorithm, &secret);
        }
        let der = generate_pkcs8(algorithm).map_err(|_cause| MintError::Generate)?;
        Self::from_pem(algorithm, &pem("PRIVATE KEY", &der))
    }

    /// Takes a private key in PEM (PKCS #8; PKCS #1 for RSA as well). Its `kid` is its thumbprint.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, MintError> {
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()).ok(),
            Algorithm::EdDSA => ed_from_pem(pem),
            it if hash_length(it).is_none() => EncodingKey::from_rsa_pem(pem.as_bytes()).ok(),
            _ => return Err(MintError::Algorithm),
        };
        let key = key.ok_or(MintError::NotAPrivateKey)?;
        let material = Material::Pem(Secret::new(pem.as_bytes().to_vec()));
        let mut it = Self { algorithm, key, id: None, material }.tried()?;
        let jwk = Jwk::from_encoding_key(&it.key, algorithm);
        let id = jwk.and_then(|jwk| jwk.thumbprint(ThumbprintHash::SHA256));
        it.id = Some(id.map_err(|_cause| MintError::NotAPrivateKey)?);
        Ok(it)
    }

    /// Takes a shared secret, for the HMAC algorithms. It has no `kid` until it is given one.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, MintError> {
        if hash_length(algorithm).is_none() {
            return Err(MintError::Algorithm);
        }
        let material = Material::Secret(Secret::new(secret.to_vec()));
        Self { algorithm, key: EncodingKey::from_secret(secret), id: None, material }.tried()
    }

    /// The same key under another `kid`.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.id = Some(kid.into());
        self
    }

    /// The same key without a `kid`.
    #[must_use]
    pub fn without_kid(mut self) -> Self {
        self.id = None;
        self
    }

    /// Its `kid`.
    pub fn kid(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half as a JWK; `None` for a secret, which has none.
    pub fn public_jwk(&self) -> Option<Value> {
        if hash_length(self.algorithm).is_some() {
            return None;
        }
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).ok()?;
        let mut value = serde_json::to_value(jwk).ok()?;
        value["use"] = "sig".into();
        if let Some(id) = &self.id {
            value["kid"] = id.as_str().into();
        }
        Some(value)
    }

    /// A JWK set of the public half; of a secret, an empty one.
    pub fn jwks(&self) -> String {
        let keys: Vec<_> = self.public_jwk().into_iter().collect();
        json!({ "keys": keys }).to_string()
    }

    /// The private key in PEM; `None` for a secret.
    pub fn to_pem(&self) -> Option<Secret> {
        match &self.material {
            Material::Pem(pem) => Some(pem.clone()),
            Material::Secret(_) => None,
        }
    }

    /// The shared secret; `None` for a key pair.
    pub fn to_secret(&self) -> Option<Secret> {
        match &self.material {
            Material::Pem(_) => None,
            Material::Secret(secret) => Some(secret.clone()),
        }
    }

    /// Signs claims under the usual header (`alg`, `typ: JWT`, `kid`) with these members put in its
    /// place or beside them; a member that is null takes the usual one away.
    pub fn sign(&self, header: &Map<String, Value>, claims: &Value) -> String {
        let mut members = Map::new();
        members.insert("alg".into(), format!("{:?}", self.algorithm).into());
        members.insert("typ".into(), "JWT".into());
        members.extend(self.id.as_ref().map(|id| ("kid".into(), id.as_str().into())));
        members.extend(header.clone());
        members.retain(|_, value| !value.is_null());
        self.sign_bytes(
            Value::Object(members).to_string().as_bytes(),
            claims.to_string().as_bytes(),
        )
    }

    /// Signs a header and payload as they are, whatever they are.
    pub fn sign_bytes(&self, header: &[u8], payload: &[u8]) -> String {
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.signature(token.as_bytes());
        token.push('.');
        token.push_str(&signature);
        token
    }

    /// The signature of a signing input, in base64url.
    pub fn signature(&self, signing_input: &[u8]) -> String {
        jsonwebtoken::crypto::sign(signing_input, &self.key, self.algorithm)
            .expect("the key has signed when it was taken")
    }

    fn tried(self) -> Result<Self, MintError> {
        jsonwebtoken::crypto::sign(b"", &self.key, self.algorithm)
            .map_err(|_cause| MintError::NotAPrivateKey)?;
        Ok(self)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, {:?}, ..)", self.algorithm, self.id)
    }
}

/// An Ed25519 key of either PKCS #8 version; jsonwebtoken makes JWKs of version 1 only.
fn ed_from_pem(pem: &str) -> Option<EncodingKey> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
    Some(EncodingKey::from_ed_der(pair.to_pkcs8v1().ok()?.as_ref()))
}

fn generate_pkcs8(algorithm: Algorithm) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let random = SystemRandom::new();
    let document = match algorithm {
        Algorithm::ES256 => {
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?
        }
        Algorithm::ES384 => {
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random)?
        }
        Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8(&random)?,
        _ => {
            let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048)?;
            let der: Pkcs8V1Der<'_> = pair.as_der()?;
            return Ok(der.as_ref().to_vec());
        }
    };
    Ok(document.as_ref().to_vec())
}

/// DER in PEM, 64 letters a line (RFC 7468 §2).
fn pem(label: &str, der: &[u8]) -> String {
    let mut pem = format!("-----BEGIN {label}-----\n");
    let encoded = STANDARD.encode(der);
    let mut text = &*encoded;
    while let Some((line, rest)) = text.split_at_checked(64) {
        pem.extend([line, "\n"]);
        text = rest;
    }
    pem.extend([text, if text.is_empty() { "" } else { "\n" }]);
    pem.extend(["-----END ", label, "-----\n"]);
    pem
}

#[cfg(test)]
#[path = "tests/mint.rs"]
mod tests;
