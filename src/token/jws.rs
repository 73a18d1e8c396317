//! A JWS in compact form taken apart: three segments, each canonical base64url (RFC 7515 §3.1, §7.1).

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
        if ![header, payload, signature].into_iter().all(is_canonical) {
            return Err(TokenError::Malformed);
        }
        let signing_input = &text[..header.len() + 1 + payload.len()];
        Ok(Self { signing_input, signature, header, payload })
    }

    /// The header's JSON.
    pub(super) fn header(&self) -> Result<Decoded, TokenError> {
        decode(self.header)
    }

    /// The payload's bytes.
    pub(super) fn payload(&self) -> Result<Decoded, TokenError> {
        decode(self.payload)
    }
}

/// One text for one value: the alphabet only, no padding, no spare bits set (RFC 7515 §2, RFC 4648 §3.5).
fn is_canonical(segment: &str) -> bool {
    let spare_bits = match segment.len() % 4 {
        0 => 0,
        2 => 0b1111,
        3 => 0b11,
        _ => return false,
    };
    let mut last = 0;
    for byte in segment.bytes() {
        match value_of(byte) {
            Some(value) => last = value,
            None => return false,
        }
    }
    last & spare_bits == 0
}

const fn value_of(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

fn decode(segment: &str) -> Result<Decoded, TokenError> {
    let mut bytes = Decoded::from_elem(0, base64::decoded_len_estimate(segment.len()));
    let length =
        URL_SAFE_NO_PAD.decode_slice(segment, &mut bytes).map_err(|_| TokenError::Malformed)?;
    bytes.truncate(length);
    Ok(bytes)
}
