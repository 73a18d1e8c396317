//! A JWS in compact form taken apart: three segments, each canonical base64url (RFC 7515 §3.1, §7.1).

use std::cell::OnceCell;

use aws_lc_rs::digest::{Digest, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smallvec::SmallVec;

use super::{BearerToken, TokenError};

/// The longest token that is looked at, in bytes.
pub(super) const MAX_TOKEN: usize = 8 * 1024;

/// A segment decoded; headers fit without an allocation.
pub(super) type Decoded = SmallVec<[u8; 512]>;

/// The parts of a token, as they stand in its text.
pub(super) struct Jws<'t> {
    /// Header, dot, payload: what is signed.
    pub(super) signing_input: &'t str,
    /// The signature, in base64url.
    pub(super) signature: &'t str,
    header: &'t str,
    payload: &'t str,
    digest: OnceCell<Digest>,
}

// === impl Jws ===

impl<'t> Jws<'t> {
    /// Takes the token apart; looks at no more than the first four segments.
    pub(super) fn split(token: BearerToken<'t>) -> Result<Self, TokenError> {
        let text = token.as_str();
        if text.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let mut parts = text.splitn(4, '.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let signing_input = &text[..header.len() + 1 + payload.len()];
        Ok(Self { signing_input, signature, header, payload, digest: OnceCell::new() })
    }

    /// SHA-256 of the signing input: what many an algorithm signs, and what the token is called by.
    pub(super) fn digest(&self) -> &Digest {
        self.digest.get_or_init(|| digest(&SHA256, self.signing_input.as_bytes()))
    }

    /// The header's JSON.
    pub(super) fn header(&self) -> Result<Decoded, TokenError> {
        decode(self.header)
    }

    /// The payload's bytes.
    pub(super) fn payload(&self) -> Result<Decoded, TokenError> {
        decode(self.payload)
    }

    /// The signature's bytes.
    pub(super) fn signature_bytes(&self) -> Result<Decoded, TokenError> {
        decode(self.signature)
    }
}

/// One text for one value: the engine takes its alphabet only, no padding and no spare bits
/// (RFC 7515 §2, RFC 4648 §3.5).
fn decode(segment: &str) -> Result<Decoded, TokenError> {
    let mut bytes = Decoded::from_elem(0, base64::decoded_len_estimate(segment.len()));
    let length = URL_SAFE_NO_PAD
        .decode_slice(segment, &mut bytes)
        .map_err(|_cause| TokenError::Malformed)?;
    bytes.truncate(length);
    Ok(bytes)
}
