//! The keys that may have signed an issuer's tokens, each with its one algorithm (RFC 8725 §3.1).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use thiserror::Error;

use super::jws::Jws;
use super::signature::Ready;
use super::{TokenError, jwk, pem};

/// The longest key set that is read, in bytes.
pub(super) const MAX_DOCUMENT: usize = 256 * 1024;
/// The most keys a set may have.
const MAX_KEYS: usize = 64;

/// One key for one algorithm.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Option<Arc<str>>,
    algorithm: Algorithm,
    key: Ready,
}

/// An issuer's keys; never empty.
#[derive(Clone)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    /// Places in `keys` by `kid`; a key without its own algorithm is there once for each it may use.
    by_id: HashMap<Arc<str>, SmallVec<[usize; 1]>, foldhash::fast::RandomState>,
    /// Keys from a PEM file or a secret have no `kid` and are meant whatever the header's says.
    any_id: bool,
    dropped: usize,
}

/// Why no keys could be had; for operators, so it may say what was wrong, never the key.
#[derive(Debug, Error)]
pub enum KeysError {
    /// Longer than 256 KiB.
    #[error("the key set is longer than 256 KiB")]
    TooLong,
    /// Not a JSON object with a list `keys`.
    #[error("this is not a JWK set (RFC 7517): a JSON object with a list `keys` is wanted")]
    NotAKeySet(#[source] serde_json::Error),
    /// More than 64 keys.
    #[error("the key set has more than 64 keys")]
    TooManyKeys,
    /// Every key was dropped, or there was none.
    #[error("no key of the set can verify tokens with the configured algorithms ({dropped} unfit)")]
    NoneUsable {
        /// How many there were.
        dropped: usize,
    },
    /// A private key where a public one belongs.
    #[error("this is a private key; the gateway wants the public key or the certificate")]
    PrivateKey,
    /// No public key or certificate, or several keys.
    #[error("exactly one `PUBLIC KEY`, or a `CERTIFICATE`, is wanted in the PEM file")]
    NotOnePublicKey,
    /// A key that can't be used.
    #[error("the key is not RSA of 2048 to 8192 bits, EC on P-256 or P-384, or Ed25519")]
    UnsupportedKey,
    /// None of the issuer's algorithms fits the key.
    #[error("none of the configured algorithms fits the key")]
    NoAlgorithm,
    /// A secret shorter than its algorithm's hash (RFC 7518 §3.2).
    #[error("the secret has {length} bytes; {algorithm:?} wants at least {wanted}")]
    SecretTooShort {
        /// Its length in bytes.
        length: usize,
        /// The least that is accepted.
        wanted: usize,
        /// The algorithm that asks for it.
        algorithm: Algorithm,
    },
    /// The file could not be read.
    #[error("the key file {} could not be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

#[derive(Deserialize)]
struct Document<'d> {
    #[serde(borrow)]
    keys: Vec<&'d RawValue>,
}

// === impl VerifyingKey ===

impl VerifyingKey {
    pub(super) fn new(id: Option<Arc<str>>, algorithm: Algorithm, key: DecodingKey) -> Self {
        Self { id, algorithm, key: Ready::new(key, algorithm) }
    }

    /// Its `kid`.
    pub const fn id(&self) -> Option<&Arc<str>> {
        self.id.as_ref()
    }

    /// The one algorithm it verifies.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the signature is this key's.
    pub(super) fn verify(&self, jws: &Jws<'_>) -> Result<(), TokenError> {
        self.key.verify(jws)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

// === impl KeySet ===

impl KeySet {
    /// Reads a JWK set. Keys that can't or mustn't verify are dropped and counted; the good ones
    /// beside them stay. `allowed` bounds every key, and says what a key without `alg` may do.
    pub fn parse_jwks(json: &[u8], allowed: &[Algorithm]) -> Result<Self, KeysError> {
        if json.len() > MAX_DOCUMENT {
            return Err(KeysError::TooLong);
        }
        let document: Document<'_> = serde_json::from_slice(json).map_err(KeysError::NotAKeySet)?;
        if document.keys.len() > MAX_KEYS {
            return Err(KeysError::TooManyKeys);
        }
        let read: Vec<_> = document.keys.iter().map(|raw| jwk::parse(raw.get(), allowed)).collect();
        let ids: Vec<_> = document.keys.iter().map(|raw| jwk::key_id(raw.get())).collect();
        let mut keys = Vec::new();
        let mut dropped = 0;
        for (index, uses) in read.into_iter().enumerate() {
            // A `kid` on two keys names neither; one of them may be somebody's who got a key in.
            let doubled = ids[index].is_some()
                && ids.iter().filter(|other| **other == ids[index]).count() > 1;
            match uses {
                Some(uses) if !doubled => keys.extend(uses),
                _ => dropped += 1,
            }
        }
        Self::of(keys, dropped, false)
    }

    /// Reads one public key, or the key of a certificate, in PEM.
    pub fn parse_pem(pem: &[u8], allowed: &[Algorithm]) -> Result<Self, KeysError> {
        if pem.len() > MAX_DOCUMENT {
            return Err(KeysError::TooLong);
        }
        Self::of(pem::parse(pem, allowed)?, 0, true)
    }

    /// A shared secret for those HMAC algorithms of the issuer's list.
    pub fn from_secret(secret: &[u8], allowed: &[Algorithm]) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for &algorithm in allowed {
            let Some(wanted) = hash_length(algorithm) else { continue };
            if secret.len() < wanted {
                let length = secret.len();
                return Err(KeysError::SecretTooShort { length, wanted, algorithm });
            }
            keys.push(VerifyingKey::new(None, algorithm, DecodingKey::from_secret(secret)));
        }
        if keys.is_empty() {
            return Err(KeysError::NoAlgorithm);
        }
        Self::of(keys, 0, true)
    }

    fn of(keys: Vec<VerifyingKey>, dropped: usize, any_id: bool) -> Result<Self, KeysError> {
        if keys.is_empty() {
            return Err(KeysError::NoneUsable { dropped });
        }
        let mut by_id = HashMap::<_, SmallVec<_>, _>::default();
        for (index, key) in keys.iter().enumerate() {
            if let Some(id) = &key.id {
                by_id.entry(Arc::clone(id)).or_default().push(index);
            }
        }
        Ok(Self { keys, by_id, any_id, dropped })
    }

    /// The key for a header's `kid` and `alg`. Without `kid`: the one key that fits, if it is one.
    pub fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&VerifyingKey, TokenError> {
        match id {
            Some(id) if !self.any_id => {
                let places = self.by_id.get(id).ok_or(TokenError::UnknownKey)?;
                let mut named = places.iter().map(|place| &self.keys[*place]);
                named.find(|key| key.algorithm == algorithm).ok_or(TokenError::AlgorithmNotAllowed)
            }
            _ => {
                let mut fitting = self.keys.iter().filter(|key| key.algorithm == algorithm);
                match (fitting.next(), fitting.next()) {
                    (Some(key), None) => Ok(key),
                    (Some(_), Some(_)) => Err(TokenError::UnknownKey),
                    (None, _) => Err(TokenError::AlgorithmNotAllowed),
                }
            }
        }
    }

    /// The keys, one for each algorithm it may be used with.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// How many keys of the document were unfit.
    pub const fn dropped(&self) -> usize {
        self.dropped
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("keys", &self.keys)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

/// The output of an HMAC algorithm's hash in bytes; `None` for other algorithms.
pub(super) const fn hash_length(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::HS256 => Some(32),
        Algorithm::HS384 => Some(48),
        Algorithm::HS512 => Some(64),
        _ => None,
    }
}

#[cfg(test)]
#[path = "tests/keys.rs"]
mod tests;
