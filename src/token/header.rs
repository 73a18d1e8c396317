//! The JOSE header, read once and strictly (RFC 7515 §4, RFC 8725 §3).

use std::borrow::Cow;
use std::fmt;

use jsonwebtoken::Algorithm;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use smallvec::SmallVec;

use super::TokenError;
use super::strict_json::{self, Bounds, Text};

/// More members than any header in use has; it keeps the search for doubles short.
const MEMBERS: usize = 32;

/// The header of a JWS. Keys it offers (`jwk`, `x5c`) and names (`jku`, `x5u`) are never looked at.
pub(super) struct Header<'h> {
    /// The one algorithm the token claims.
    pub(super) algorithm: Algorithm,
    members: Members<'h>,
}

/// The members by name; a header in use has no more than a handful.
type Members<'h> = SmallVec<[(Cow<'h, str>, Member<'h>); 6]>;

/// A member's value: only text is ever used.
enum Member<'h> {
    Text(Cow<'h, str>),
    Other,
}

struct MembersVisitor<'b>(Bounds<'b>);
struct MemberSeed<'b>(Bounds<'b>);

// === impl Header ===

impl<'h> Header<'h> {
    /// Reads the decoded header segment.
    pub(super) fn parse(json: &'h [u8]) -> Result<Self, TokenError> {
        let members =
            strict_json::parse_with(json, |bounds, de| de.deserialize_map(MembersVisitor(bounds)))
                .map_err(|_cause| TokenError::Malformed)?;
        let mut alg = None;
        for (name, member) in &members {
            match (&**name, member) {
                // RFC 7515 §4.1.11, RFC 7797: we understand no extension, so any mention is refused.
                ("crit" | "b64", _) => return Err(TokenError::CriticalHeader),
                // A JWE, or a payload to be inflated first (RFC 8725 §3.6).
                ("enc" | "zip" | "p2c" | "p2s", _) => return Err(TokenError::Malformed),
                ("kid" | "typ", Member::Other) => return Err(TokenError::Malformed),
                ("alg", Member::Text(text)) => alg = algorithm_named(text),
                _ => {}
            }
        }
        Ok(Self { algorithm: alg.ok_or(TokenError::AlgorithmNotAllowed)?, members })
    }

    /// `kid`.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.text("kid")
    }

    /// `typ`.
    pub(super) fn typ(&self) -> Option<&str> {
        self.text("typ")
    }

    /// Whether there is a member of that name, of any type.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(it, _)| it == name)
    }

    /// A member that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.members.iter().find_map(|(it, member)| match member {
            Member::Text(text) if it == name => Some(&**text),
            _ => None,
        })
    }
}

// === impl MembersVisitor ===

impl<'de> Visitor<'de> for MembersVisitor<'_> {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let bounds = self.0.deeper()?;
        let mut members = Members::new();
        while let Some(Text(name)) = access.next_key()? {
            if members.len() == MEMBERS || members.iter().any(|(it, _)| *it == name) {
                return Err(de::Error::custom("a member twice, or too many"));
            }
            members.push((name, access.next_value_seed(MemberSeed(bounds))?));
        }
        Ok(members)
    }
}

// === impl MemberSeed ===

impl<'de> DeserializeSeed<'de> for MemberSeed<'_> {
    type Value = Member<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MemberSeed<'_> {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let bounds = self.0.deeper()?;
        while access.next_element_seed(bounds)?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        strict_json::object_visitor(self.0).visit_map(access).map(|_| Member::Other)
    }
}

/// The algorithms that are verified here, by their exact names (RFC 7518 §3.1, RFC 8037 §3.1).
pub(super) fn algorithm_named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "HS256" => Algorithm::HS256,
        "HS384" => Algorithm::HS384,
        "HS512" => Algorithm::HS512,
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "tests/header.rs"]
mod tests;
