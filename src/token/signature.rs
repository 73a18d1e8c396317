//! A key made ready to check signatures: parsed once, not for every token.
//!
//! jsonwebtoken reads and pins the key, and goes on verifying where the key's form is not known here;
//! its way costs a parsed key, an allocation and a boxed verifier for every token.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

use super::TokenError;
use super::jws::Jws;

/// One key for one algorithm, ready.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "one for each key, read on every verification")]
pub(super) enum Ready {
    /// A public key.
    Public(ParsedPublicKey),
    /// A public key whose algorithm signs a SHA-256 of the message.
    OfDigest(ParsedPublicKey),
    /// A shared secret.
    Secret(hmac::Key),
    /// A key that only jsonwebtoken knows what to do with, if it does.
    Other(DecodingKey, Algorithm),
}

// === impl Ready ===

impl Ready {
    /// Makes the key ready for its one algorithm; one of another family verifies nothing.
    pub(super) fn new(key: DecodingKey, algorithm: Algorithm) -> Self {
        let ready = if key.family() == algorithm.family() { ready(&key, algorithm) } else { None };
        ready.unwrap_or(Self::Other(key, algorithm))
    }

    /// Whether the signature is this key's.
    pub(super) fn verify(&self, jws: &Jws<'_>) -> Result<(), TokenError> {
        let message = jws.signing_input.as_bytes();
        let good = match self {
            Self::Public(key) => key.verify_sig(message, &jws.signature_bytes()?).is_ok(),
            // The token's name is the same digest: it is worked out once.
            Self::OfDigest(key) => {
                let signature = jws.signature_bytes()?;
                key.verify_digest_sig(jws.digest(), &signature).is_ok()
            }
            Self::Secret(key) => hmac::verify(key, message, &jws.signature_bytes()?).is_ok(),
            Self::Other(key, algorithm) => {
                return verify_elsewhere(key, *algorithm, jws);
            }
        };
        if good { Ok(()) } else { Err(TokenError::BadSignature) }
    }
}

fn ready(key: &DecodingKey, algorithm: Algorithm) -> Option<Ready> {
    if let Some(mac) = mac(algorithm) {
        return Some(Ready::Secret(hmac::Key::new(mac, key.try_get_as_bytes().ok()?)));
    }
    let public = match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => ParsedPublicKey::new(public(algorithm)?, bytes),
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            let der: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n, e }.as_der().ok()?;
            ParsedPublicKey::new(public(algorithm)?, der.as_ref())
        }
    };
    let sha_256 = matches!(algorithm, Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256);
    public.ok().map(if sha_256 { Ready::OfDigest } else { Ready::Public })
}

fn mac(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn public(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &ED25519,
        _ => return None,
    })
}

fn verify_elsewhere(
    key: &DecodingKey,
    algorithm: Algorithm,
    jws: &Jws<'_>,
) -> Result<(), TokenError> {
    let message = jws.signing_input.as_bytes();
    match jsonwebtoken::crypto::verify(jws.signature, message, key, algorithm) {
        Ok(true) => Ok(()),
        Ok(false) => Err(TokenError::BadSignature),
        Err(error) => match error.kind() {
            ErrorKind::Base64(_) => Err(TokenError::Malformed),
            _ => Err(TokenError::BadSignature),
        },
    }
}
