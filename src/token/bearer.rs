//! The credential in a request: found in the places a route names, in strict order.

use std::fmt;

use http::HeaderName;

/// Where a route looks for the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSource {
    /// The header field.
    pub header: HeaderName,
    /// The scheme before the token, compared without case; `None`: the field is the token.
    pub scheme: Option<Box<str>>,
}

/// A token as it stands in the request; not yet believed, never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BearerToken<'r>(&'r str);

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
