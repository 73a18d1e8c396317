//! The claims set of a token, read in exactly one way (RFC 7519 §4, RFC 8725 §3.7).

use serde::de::DeserializeSeed as _;
use serde_json::Value;

use crate::clock::UnixTime;

use super::tape::{Claim, Tape, TapeSeed};
use super::{TokenError, strict_json};

/// The first date that is refused, so that no sum of dates and leeways comes near a wrap.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// A claims set: strict JSON, no member twice, registered claims of the right type.
#[derive(Clone, Debug)]
pub struct Claims {
    tape: Tape,
    registered: Registered,
    expires_at: Option<UnixTime>,
    not_before: Option<UnixTime>,
    issued_at: Option<UnixTime>,
}

/// Where claims stand that are asked for again and again; 0, where no member's value stands, is absent.
#[derive(Clone, Copy, Debug, Default)]
struct Registered {
    iss: u32,
    sub: u32,
    jti: u32,
    aud: u32,
    /// Whether a date is text.
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
        if claims.has_text_dates() { Err(TokenError::Malformed) } else { Ok(claims) }
    }

    /// The same, but a date may be text that holds a whole number, for issuers that are known for it.
    pub(super) fn parse_with_text_dates(payload: &[u8]) -> Result<Self, TokenError> {
        let length = payload.len();
        let tape = strict_json::parse_with(payload, |bounds, de| {
            TapeSeed { bounds, length }.deserialize(de)
        });
        let tape = tape.map_err(|_cause| TokenError::Malformed)?;
        let (mut expires_at, mut not_before, mut issued_at) = (None, None, None);
        let mut registered = Registered::default();
        for (name, claim) in tape.root().members() {
            match name {
                "iss" => registered.iss = text(claim)?,
                "sub" => registered.sub = text(claim)?,
                "jti" => registered.jti = text(claim)?,
                "aud" => registered.aud = text_or_texts(claim)?,
                "exp" => expires_at = Some(date(claim, f64::floor)?),
                "nbf" => not_before = Some(date(claim, f64::ceil)?),
                "iat" => issued_at = Some(date(claim, f64::floor)?),
                _ => continue,
            }
            registered.text_dates |=
                matches!(name, "exp" | "nbf" | "iat") && claim.as_str().is_some();
        }
        Ok(Self { tape, registered, expires_at, not_before, issued_at })
    }

    /// Whether a date is text, which RFC 7519 §2 does not know.
    pub(super) const fn has_text_dates(&self) -> bool {
        self.registered.text_dates
    }

    /// All of them, as the token has them: an object.
    pub(crate) const fn object(&self) -> Claim<'_> {
        self.tape.root()
    }

    /// The member of that name where it lies, whatever its type.
    pub(crate) fn look(&self, name: &str) -> Option<Claim<'_>> {
        let Registered { sub, jti, .. } = self.registered;
        // Where these two stand is known, and most routes ask for one.
        match name {
            "sub" => (sub > 0).then(|| self.tape.claim(sub)),
            "jti" => (jti > 0).then(|| self.tape.claim(jti)),
            _ => self.object().member(name),
        }
    }

    /// The value at the end of the path where it lies.
    pub(crate) fn look_at(&self, path: &ClaimPath) -> Option<Claim<'_>> {
        if let Some(claim) = self.look(path.as_str()) {
            return Some(claim);
        }
        let mut steps = path.as_str().split('.');
        let first = self.look(steps.next()?)?;
        steps.try_fold(first, Claim::member)
    }

    /// `iss`, when it is text.
    pub fn issuer(&self) -> Option<&str> {
        self.tape.claim(self.registered.iss).as_str()
    }

    /// `sub`, when it is text.
    pub fn subject(&self) -> Option<&str> {
        self.tape.claim(self.registered.sub).as_str()
    }

    /// `jti`, when it is text.
    pub fn token_id(&self) -> Option<&str> {
        self.tape.claim(self.registered.jti).as_str()
    }

    /// The audiences of `aud`, text or list (RFC 7519 §4.1.3).
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let audience = self.tape.claim(self.registered.aud);
        audience.as_str().into_iter().chain(audience.items().filter_map(Claim::as_str))
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
        let listed = self.look("scp").into_iter().flat_map(Claim::items);
        ["scope", "scp"]
            .into_iter()
            .filter_map(|name| self.look(name)?.as_str())
            .flat_map(|text| text.split(' '))
            .chain(listed.filter_map(Claim::as_str))
            .filter(|scope| !scope.is_empty())
    }

    /// What they occupy elsewhere, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.tape.bytes()
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
fn date(claim: Claim<'_>, round: fn(f64) -> f64) -> Result<UnixTime, TokenError> {
    let seconds = match (claim.as_str(), claim.scalar()) {
        (None, Some(Value::Number(number))) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => whole,
            (None, Some(part)) if (0.0..TWO_TO_63).contains(&part) => round(part) as u64,
            _ => return Err(TokenError::Malformed),
        },
        (Some(text), _) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_err(|_cause| TokenError::Malformed)?
        }
        _ => return Err(TokenError::Malformed),
    };
    if seconds >= 1 << 63 {
        return Err(TokenError::Malformed);
    }
    Ok(UnixTime::from_secs(seconds))
}

/// Where the text stands.
fn text(claim: Claim<'_>) -> Result<u32, TokenError> {
    claim.as_str().map(|_| claim.place()).ok_or(TokenError::Malformed)
}

/// Where the text, or the list of nothing but texts, stands.
fn text_or_texts(claim: Claim<'_>) -> Result<u32, TokenError> {
    if claim.is_list() && claim.items().all(|item| item.as_str().is_some()) {
        return Ok(claim.place());
    }
    text(claim)
}

#[cfg(test)]
#[path = "tests/claims.rs"]
mod tests;
