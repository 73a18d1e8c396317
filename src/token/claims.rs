//! The claims set of a token, read in exactly one way (RFC 7519 §4, RFC 8725 §3.7).

use serde::de::DeserializeSeed as _;
use serde_json::Value;

use crate::clock::UnixTime;

use super::members::{Members, MembersSeed};
use super::{TokenError, strict_json};

/// The first date that is refused, so that no sum of dates and leeways comes near a wrap.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// A claims set: strict JSON, no member twice, registered claims of the right type.
#[derive(Clone, Debug)]
pub struct Claims {
    members: Members,
    expires_at: Option<UnixTime>,
    not_before: Option<UnixTime>,
    issued_at: Option<UnixTime>,
    text_dates: bool,
}

/// A claim by name, or inside objects: `realm_access.roles`. A claim whose own name holds the dots wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

// === impl Claims ===

impl Claims {
    /// Reads a claims set: strict JSON, and every registered claim that is there of its own type.
    ///
    /// A registered claim of another type is [`TokenError::Malformed`], never "absent"; whether an
    /// absent one is missed is the issuer's rule.
    pub fn parse(payload: &[u8]) -> Result<Self, TokenError> {
        let claims = Self::parse_with_text_dates(payload)?;
        if claims.text_dates { Err(TokenError::Malformed) } else { Ok(claims) }
    }

    /// The same, but a date may be text that holds a whole number, for issuers that are known for it.
    pub(super) fn parse_with_text_dates(payload: &[u8]) -> Result<Self, TokenError> {
        let members =
            strict_json::parse_with(payload, |bounds, de| MembersSeed(bounds).deserialize(de))
                .map_err(|_cause| TokenError::Malformed)?;
        for name in ["iss", "sub", "jti"] {
            if members.find(name).is_some_and(|value| !value.is_string()) {
                return Err(TokenError::Malformed);
            }
        }
        if members.find("aud").is_some_and(|audience| !is_text_or_texts(audience)) {
            return Err(TokenError::Malformed);
        }
        Ok(Self {
            expires_at: date(&members, "exp", f64::floor)?,
            not_before: date(&members, "nbf", f64::ceil)?,
            issued_at: date(&members, "iat", f64::floor)?,
            text_dates: ["exp", "nbf", "iat"]
                .iter()
                .any(|name| members.find(name).is_some_and(Value::is_string)),
            members,
        })
    }

    /// Whether a date is text, which RFC 7519 §2 does not know.
    pub(super) const fn has_text_dates(&self) -> bool {
        self.text_dates
    }

    /// Every member, as the token has it.
    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// The member of that name, whatever its type.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.find(name)
    }

    /// The value at the end of the path.
    pub fn at(&self, path: &ClaimPath) -> Option<&Value> {
        if let Some(value) = self.members.find(path.as_str()) {
            return Some(value);
        }
        let mut steps = path.as_str().split('.');
        let first = self.members.find(steps.next()?)?;
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

    /// The audiences of `aud`, text or list (RFC 7519 §4.1.3).
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let audience = self.member("aud");
        let listed = audience.and_then(Value::as_array);
        let single = audience.and_then(Value::as_str);
        single.into_iter().chain(listed.into_iter().flatten().filter_map(Value::as_str))
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

/// A NumericDate (RFC 7519 §2): a number that is finite, not negative and below 2^63.
fn date(
    members: &Members,
    name: &str,
    round: fn(f64) -> f64,
) -> Result<Option<UnixTime>, TokenError> {
    let Some(value) = members.find(name) else { return Ok(None) };
    let seconds = match value {
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => whole,
            (None, Some(part)) if (0.0..TWO_TO_63).contains(&part) => round(part) as u64,
            _ => return Err(TokenError::Malformed),
        },
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_err(|_cause| TokenError::Malformed)?
        }
        _ => return Err(TokenError::Malformed),
    };
    if seconds >= 1 << 63 {
        return Err(TokenError::Malformed);
    }
    Ok(Some(UnixTime::from_secs(seconds)))
}

fn is_text_or_texts(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(values) => values.iter().all(Value::is_string),
        _ => false,
    }
}

#[cfg(test)]
#[path = "tests/claims.rs"]
mod tests;
