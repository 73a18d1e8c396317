//! A verifying key from a PEM file: a public key, or the one in a certificate (RFC 7468).

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{self, ParsedPublicKey};
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::server::ParsedCertificate;

use super::jwk::RSA_ALGORITHMS;
use super::keys::{KeysError, VerifyingKey};

/// The uses of the file's one key.
pub(super) fn parse(pem: &[u8], allowed: &[Algorithm]) -> Result<Vec<VerifyingKey>, KeysError> {
    let (key, possible) = usable(&public_key(pem)?)?;
    let uses: Vec<_> = allowed
        .iter()
        .filter(|algorithm| possible.contains(algorithm))
        .map(|algorithm| VerifyingKey::new(None, *algorithm, key.clone()))
        .collect();
    if uses.is_empty() { Err(KeysError::NoAlgorithm) } else { Ok(uses) }
}

/// The DER of the `SubjectPublicKeyInfo`. Of a chain, the first certificate is meant.
fn public_key(pem: &[u8]) -> Result<Vec<u8>, KeysError> {
    let (mut keys, mut certificates) = (Vec::new(), Vec::new());
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|_cause| KeysError::NotOnePublicKey)?;
        match kind {
            SectionKind::PublicKey => keys.push(der),
            SectionKind::Certificate => certificates.push(der),
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err(KeysError::PrivateKey);
            }
            _ => {}
        }
    }
    match (keys.len(), certificates.into_iter().next()) {
        (1, None) => Ok(keys.swap_remove(0)),
        (0, Some(der)) => {
            let der = CertificateDer::from(der);
            let certificate =
                ParsedCertificate::try_from(&der).map_err(|_cause| KeysError::UnsupportedKey)?;
            Ok(certificate.subject_public_key_info().to_vec())
        }
        _ => Err(KeysError::NotOnePublicKey),
    }
}

/// The key and the algorithms of its kind; each kind refuses the others' encodings.
fn usable(der: &[u8]) -> Result<(DecodingKey, &'static [Algorithm]), KeysError> {
    if ParsedPublicKey::new(&signature::ED25519, der).is_ok() {
        return Ok((DecodingKey::from_ed_der(der), &[Algorithm::EdDSA]));
    }
    if ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, der).is_ok() {
        return Ok((DecodingKey::from_ec_der(der), &[Algorithm::ES256]));
    }
    if ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, der).is_ok() {
        return Ok((DecodingKey::from_ec_der(der), &[Algorithm::ES384]));
    }
    match PublicEncryptingKey::from_der(der) {
        Ok(key) if (2048..=8192).contains(&key.key_size_bits()) => {
            Ok((DecodingKey::from_rsa_der(der), RSA_ALGORITHMS))
        }
        _ => Err(KeysError::UnsupportedKey),
    }
}
