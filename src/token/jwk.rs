//! One JSON Web Key: what it may verify, or that it may not (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::header::algorithm_named;
use super::keys::VerifyingKey;
use super::strict_json;

/// The algorithms an RSA key may be used with.
pub(super) const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The smallest RSA modulus that is used (RFC 7518 §3.3), and the largest that can be, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Primes whose residues give away a modulus of CVE-2017-15361 (ROCA).
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

type Jwk = Map<String, Value>;

/// The uses of a key, one for each algorithm; `None` when it has none.
pub(super) fn parse(json: &str, allowed: &[Algorithm]) -> Option<Vec<VerifyingKey>> {
    let jwk = strict_json::parse_object(json.as_bytes()).ok()?;
    if !is_for_verifying(&jwk) {
        return None;
    }
    // `oct` is left out on purpose: a secret that is published is none (RFC 8725 §2.1).
    let (key, possible) = match text(&jwk, "kty")? {
        "RSA" => rsa(&jwk)?,
        "EC" => ec(&jwk)?,
        "OKP" => okp(&jwk)?,
        _ => return None,
    };
    let own = match jwk.get("alg") {
        None => None,
        Some(name) => Some(algorithm_named(name.as_str()?)?),
    };
    let id: Option<Arc<str>> = match jwk.get("kid") {
        None => None,
        Some(id) => Some(id.as_str()?.into()),
    };
    let uses: Vec<_> = allowed
        .iter()
        .filter(|algorithm| possible.contains(algorithm))
        .filter(|algorithm| own.is_none_or(|own| own == **algorithm))
        .map(|algorithm| VerifyingKey::new(id.clone(), *algorithm, key.clone()))
        .collect();
    (!uses.is_empty()).then_some(uses)
}

/// The `kid` of a key that may be unfit otherwise.
pub(super) fn key_id(json: &str) -> Option<Box<str>> {
    let jwk: Value = serde_json::from_str(json).ok()?;
    Some(jwk.get("kid")?.as_str()?.into())
}

/// `use` and `key_ops` (RFC 7517 §4.2, §4.3).
fn is_for_verifying(jwk: &Jwk) -> bool {
    let use_fits = jwk.get("use").is_none_or(|it| it.as_str() == Some("sig"));
    let ops_fit = jwk.get("key_ops").is_none_or(|ops| {
        ops.as_array().is_some_and(|ops| ops.iter().any(|op| op.as_str() == Some("verify")))
    });
    use_fits && ops_fit
}

fn rsa(jwk: &Jwk) -> Option<(DecodingKey, &'static [Algorithm])> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
    let bits = (n.len() * 8).checked_sub(n.first()?.leading_zeros() as usize)?;
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !RSA_BITS.contains(&bits) || !odd(n) || !odd(e) || e == [1] || has_roca_fingerprint(n) {
        return None;
    }
    let der: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n, e }.as_der().ok()?;
    accepted(&signature::RSA_PKCS1_2048_8192_SHA256, der.as_ref())?;
    Some((DecodingKey::from_rsa_raw_components(n, e), RSA_ALGORITHMS))
}

fn ec(jwk: &Jwk) -> Option<(DecodingKey, &'static [Algorithm])> {
    let (length, algorithm, algorithms): (_, &'static dyn VerificationAlgorithm, &[_]) =
        match text(jwk, "crv")? {
            "P-256" => (32, &signature::ECDSA_P256_SHA256_FIXED, &[Algorithm::ES256]),
            "P-384" => (48, &signature::ECDSA_P384_SHA384_FIXED, &[Algorithm::ES384]),
            _ => return None,
        };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    // RFC 7518 §6.2.1.2: coordinates have the field's full length.
    if x.len() != length || y.len() != length {
        return None;
    }
    let point = [&[4], &*x, &*y].concat();
    accepted(algorithm, &point)?;
    Some((DecodingKey::from_ec_der(&point), algorithms))
}

fn okp(jwk: &Jwk) -> Option<(DecodingKey, &'static [Algorithm])> {
    if text(jwk, "crv")? != "Ed25519" {
        return None;
    }
    let x = bytes(jwk, "x")?;
    if x.len() != 32 {
        return None;
    }
    accepted(&signature::ED25519, &x)?;
    Some((DecodingKey::from_ed_der(&x), &[Algorithm::EdDSA]))
}

/// Asks the cryptography whether it would take the key, so that a point off its curve is not found
/// out one token at a time.
fn accepted(algorithm: &'static dyn VerificationAlgorithm, key: &[u8]) -> Option<()> {
    ParsedPublicKey::new(algorithm, key).ok().map(drop)
}

fn text<'j>(jwk: &'j Jwk, name: &str) -> Option<&'j str> {
    jwk.get(name)?.as_str()
}

fn bytes(jwk: &Jwk, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok()
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// A modulus made of powers of 65537 modulo every small prime can be factored (CVE-2017-15361).
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|&prime| {
        let residue =
            modulus.iter().fold(0, |residue, byte| (residue * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        for _ in 0..prime {
            if power == residue {
                return true;
            }
            power = power * (65_537 % prime) % prime;
        }
        false
    })
}

#[cfg(test)]
#[path = "tests/jwk.rs"]
mod tests;
