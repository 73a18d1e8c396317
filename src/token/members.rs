//! The members of a claims set.

use serde::de::{DeserializeSeed, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::strict_json::Bounds;
use super::tape::{Claim, Tape, TapeSeed};

/// An object's members in the order in which they came, each name once.
#[derive(Clone, Debug, Default)]
pub struct Members(Tape);

/// Reads an object of so many bytes inside the bounds.
pub(super) struct MembersSeed<'b>(pub(super) Bounds<'b>, pub(super) usize);

// === impl Members ===

impl Members {
    /// The same as a JSON object.
    pub fn to_object(&self) -> Map<String, Value> {
        self.0.root().to_object()
    }

    /// Every member where it lies.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Claim<'_>)> {
        self.0.root().members()
    }

    /// The member of that name where it lies.
    pub(super) fn look(&self, name: &str) -> Option<Claim<'_>> {
        self.0.root().member(name)
    }

    /// The value that lies there.
    pub(super) const fn at(&self, place: u32) -> Claim<'_> {
        self.0.claim(place)
    }

    /// What they occupy elsewhere, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.root().serialize(serializer)
    }
}

// === impl MembersSeed ===

impl<'de> DeserializeSeed<'de> for MembersSeed<'_> {
    type Value = Members;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members, D::Error> {
        TapeSeed { bounds: self.0, length: self.1 }.deserialize(deserializer).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::strict_json::parse_with;
    use crate::token::tape::FEW;

    fn read(json: &str) -> Option<Members> {
        parse_with(json.as_bytes(), |bounds, de| MembersSeed(bounds, json.len()).deserialize(de))
            .ok()
    }

    fn value(members: &Members, name: &str) -> Option<Value> {
        members.look(name).map(Claim::to_value)
    }

    fn many(names: impl Iterator<Item = usize>) -> Option<Members> {
        let members: Vec<String> = names.map(|name| format!("\"m{name}\":{name}")).collect();
        read(&format!("{{{}}}", members.join(",")))
    }

    #[test]
    fn no_name_is_there_twice_however_many_there_are() {
        for count in [1, 2, FEW - 1, FEW, FEW + 1, 200] {
            let members = many(0..count).expect("distinct names");
            assert_eq!(members.all().count(), count);
            assert_eq!(value(&members, "m0"), Some(Value::from(0)));
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
            (value(&members, "b\""), value(&members, "b")),
            (Some(Value::from(vec![Value::from(1), serde_json::json!({"c": null})])), None)
        );
    }

    #[test]
    fn what_is_asked_for_is_what_lies_there() {
        let json =
            r#"{"a":"x","b":{"c":[null,true,-1,1.5,"y",{"d":[]}],"e":{}},"f":[],"g":"","h":7}"#;
        let (members, tree) = (read(json).expect("an object"), serde_json::from_str::<Value>(json));
        let tree = tree.unwrap();
        for name in ["h", "b", "a", "f", "g"] {
            assert_eq!(value(&members, name).as_ref(), tree.get(name), "{name}");
        }
        let inner = members.look("b").and_then(|b| b.member("c")).unwrap();
        assert_eq!(inner.to_value(), tree["b"]["c"]);
        assert_eq!(inner.items().nth(4).and_then(Claim::as_str), Some("y"));
        assert_eq!(inner.items().count(), 6);
        assert!(members.look("a").unwrap().items().next().is_none());
        assert!(members.look("f").unwrap().members().next().is_none());
        assert_eq!(members.all().count(), 5);
        assert!(["c", "x", ""].into_iter().all(|name| members.look(name).is_none()));
    }
}
