//! A bearer token as it stands in a request, and the one strict form of the field that carries it.
//!
//! Whether a credential has a token's form is asked only of those that are not known: what is equal, byte
//! by byte, to a token that was verified has it.

use std::fmt;

use super::BearerError;

/// A token as it stands in the request; not yet believed, never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BearerToken<'r>(&'r str);

/// A credential in its place; never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'r> {
    /// It was read.
    Read(BearerToken<'r>),
    /// It may still turn out to be malformed.
    Unread(&'r [u8]),
}

// === impl BearerToken ===

impl<'r> BearerToken<'r> {
    /// Wraps text that is one credential.
    pub const fn new(text: &'r str) -> Self {
        Self(text)
    }

    /// The token's text.
    pub const fn as_str(self) -> &'r str {
        self.0
    }
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

// === impl Credential ===

impl<'r> Credential<'r> {
    /// The credential as it came, whatever it is.
    pub const fn as_bytes(self) -> &'r [u8] {
        match self {
            Self::Read(token) => token.0.as_bytes(),
            Self::Unread(bytes) => bytes,
        }
    }

    /// The token, if it has the form of one.
    pub fn token(self) -> Result<BearerToken<'r>, BearerError> {
        match self {
            Self::Read(token) => Ok(token),
            Self::Unread(bytes) => b64token(bytes),
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// The credential of a header field; `None` where there is none of the scheme.
pub(super) fn in_field<'r>(
    value: &'r [u8],
    scheme: Option<&str>,
) -> Result<Option<Credential<'r>>, BearerError> {
    match scheme {
        Some(scheme) => after_scheme(value, scheme.as_bytes()),
        None if value.is_empty() => Ok(None),
        None => Ok(Some(Credential::Unread(value))),
    }
}

/// `credentials = scheme SP b64token` (RFC 6750 §2.1); `None` for another scheme.
fn after_scheme<'r>(value: &'r [u8], scheme: &[u8]) -> Result<Option<Credential<'r>>, BearerError> {
    let Some(rest) = strip_scheme(value, scheme) else {
        // A second credential behind a comma would be seen by some readers and not by others.
        let joined = value.split(|byte| *byte == b',').skip(1);
        return match joined.map(<[u8]>::trim_ascii).any(|part| strip_scheme(part, scheme).is_some())
        {
            true => Err(BearerError::Repeated),
            false => Ok(None),
        };
    };
    match rest.strip_prefix(b" ") {
        Some(token) => Ok(Some(Credential::Unread(token))),
        None if rest.contains(&b',') => Err(BearerError::Repeated),
        None => Err(BearerError::Malformed),
    }
}

/// What follows the scheme, unless the scheme's name goes on (`BearerX`, `Bearer:`).
fn strip_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    let goes_on = match rest.first() {
        None | Some(b' ') => false,
        Some(byte) => *byte == b':' || is_tchar(*byte),
    };
    (start.eq_ignore_ascii_case(scheme) && !goes_on).then_some(rest)
}

/// One or more letters of the alphabet, then any number of `=`.
fn b64token(value: &[u8]) -> Result<BearerToken<'_>, BearerError> {
    let padding = value.iter().rev().take_while(|byte| **byte == b'=').count();
    let letters = &value[..value.len() - padding];
    if !letters.is_empty() && only_letters(letters) {
        return std::str::from_utf8(value)
            .map(BearerToken)
            .map_err(|_cause| BearerError::Malformed);
    }
    Err(if value.contains(&b',') { BearerError::Repeated } else { BearerError::Malformed })
}

/// Whether all are letters of a `b64token`. Without a branch and without an early end, so that many
/// bytes are tested at once: this reads every token that is not known.
fn only_letters(bytes: &[u8]) -> bool {
    let odd = |byte: u8| {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        let dash_dot_slash = byte.wrapping_sub(b'-') < 3;
        let other = (byte == b'_') | (byte == b'~') | (byte == b'+');
        !(letter | digit | dash_dot_slash | other)
    };
    !bytes.iter().fold(false, |found, byte| found | odd(*byte))
}

/// A letter of a `token` (RFC 9110 §5.6.2).
const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
#[path = "tests/bearer.rs"]
mod tests;
