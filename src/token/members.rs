//! The members of a claims set side by side: one piece of memory for each token that is kept, where a map
//! has one for every few members and one for every name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::strict_json::{Bounds, Text};

/// An object's members in the order in which they came, each name once.
#[derive(Clone, Debug, Default)]
pub struct Members(Vec<(Cow<'static, str>, Value)>);

/// Reads an object inside the bounds.
pub(super) struct MembersSeed<'b>(pub(super) Bounds<'b>);

/// Room for what a token mostly has.
const USUAL: usize = 16;
/// Up to so many members each is compared with every other one.
const FEW: usize = 24;

// === impl Members ===

impl Members {
    /// The member of that name.
    pub fn find(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, value)| value)
    }

    /// Every member.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// The same as a JSON object.
    pub fn to_object(&self) -> Map<String, Value> {
        self.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }

    fn has_doubles(&self) -> bool {
        if self.0.len() <= FEW {
            let before = |place: usize| self.0[..place].iter();
            let doubled = |(place, (name, _)): (usize, &(Cow<'static, str>, Value))| {
                before(place).any(|(other, _)| other == name)
            };
            return self.0.iter().enumerate().any(doubled);
        }
        let mut names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

// === impl MembersSeed ===

impl<'de> DeserializeSeed<'de> for MembersSeed<'_> {
    type Value = Members;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MembersSeed<'_> {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let bounds = self.0.deeper()?;
        let mut members = Members(Vec::with_capacity(USUAL));
        // Names are compared after their escapes are undone: "a" and "\u0061" are one name.
        while let Some(Text(name)) = access.next_key()? {
            bounds.member()?;
            members.0.push((kept(name), access.next_value_seed(bounds)?));
        }
        if members.has_doubles() { Err(A::Error::custom("a member twice")) } else { Ok(members) }
    }
}

/// The name without memory of its own, if it is one that many tokens have.
fn kept(name: Cow<'_, str>) -> Cow<'static, str> {
    let known: &[&'static str] = match name.len() {
        3 => &["iss", "sub", "aud", "exp", "iat", "jti", "nbf", "azp", "sid", "typ", "scp", "acr"],
        4 => &["type", "name", "csrf"],
        5 => &["scope", "email", "fresh", "roles", "nonce"],
        9 => &["client_id", "auth_time"],
        10 => &["given_name"],
        11 => &["family_name"],
        12 => &["realm_access"],
        14 => &["email_verified"],
        15 => &["resource_access", "allowed-origins"],
        18 => &["preferred_username"],
        _ => &[],
    };
    match known.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::strict_json::parse_with;

    fn read(json: &str) -> Option<Members> {
        parse_with(json.as_bytes(), |bounds, de| MembersSeed(bounds).deserialize(de)).ok()
    }

    fn many(names: impl Iterator<Item = usize>) -> Option<Members> {
        let members: Vec<String> = names.map(|name| format!("\"m{name}\":{name}")).collect();
        read(&format!("{{{}}}", members.join(",")))
    }

    #[test]
    fn no_name_is_there_twice_however_many_there_are() {
        for count in [1, 2, FEW - 1, FEW, FEW + 1, 200] {
            let members = many(0..count).expect("distinct names");
            assert_eq!(members.iter().count(), count);
            assert_eq!(members.find("m0"), Some(&Value::from(0)));
            for doubled in [0, count / 2, count - 1] {
                assert!(many((0..count).chain([doubled])).is_none(), "{doubled} of {count}");
            }
        }
        assert!(read(r#"{"iss":1,"\u0069ss":2}"#).is_none());
        assert!(read(r#"{"":1,"":2}"#).is_none());
    }

    #[test]
    fn what_is_read_is_said_again() {
        let json = r#"{"sub":"a","b\"":[1,{"c":null}],"exp":1.5}"#;
        let members = read(json).expect("an object");
        assert_eq!(serde_json::to_string(&members).unwrap(), json);
        assert_eq!(
            Value::Object(members.to_object()),
            serde_json::from_str::<Value>(json).unwrap()
        );
        assert_eq!(
            (members.find("b\""), members.find("b")),
            (Some(&Value::from(vec![Value::from(1), serde_json::json!({"c": null})])), None)
        );
    }
}
