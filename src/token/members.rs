//! The members of a claims set: kept flat, and as a tree where somebody asks for one.

use std::sync::OnceLock;

use serde::de::{DeserializeSeed, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::strict_json::Bounds;
use super::tape::{Claim, Tape, TapeSeed};

/// An object's members in the order in which they came, each name once.
#[derive(Clone, Debug, Default)]
pub struct Members {
    tape: Tape,
    asked: OnceLock<Box<Asked>>,
}

/// A value as somebody asked for it, and those that were asked for later. Mostly it is none: what every
/// request needs is read where it lies.
#[derive(Clone, Debug)]
struct Asked {
    place: u32,
    value: Value,
    next: OnceLock<Box<Self>>,
}

/// Reads an object of so many bytes inside the bounds.
pub(super) struct MembersSeed<'b>(pub(super) Bounds<'b>, pub(super) usize);

/// What two texts that are asked for occupy, in bytes.
const ASKED: usize = 2 * (size_of::<Asked>() + 64);

// === impl Members ===

impl Members {
    /// The member of that name.
    pub fn find(&self, name: &str) -> Option<&Value> {
        self.look(name).map(|claim| self.value(claim))
    }

    /// The same as a JSON object.
    pub fn to_object(&self) -> Map<String, Value> {
        self.tape.root().to_object()
    }

    /// Every member where it lies.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Claim<'_>)> {
        self.tape.root().members()
    }

    /// The member of that name where it lies.
    pub(super) fn look(&self, name: &str) -> Option<Claim<'_>> {
        self.tape.root().member(name)
    }

    /// The value that lies there.
    pub(super) const fn at(&self, place: u32) -> Claim<'_> {
        self.tape.claim(place)
    }

    /// The value as a tree, which is made when it is first asked for.
    pub(super) fn value(&self, claim: Claim<'_>) -> &Value {
        let place = claim.place();
        let mut link = &self.asked;
        loop {
            let made = || Box::new(Asked { place, value: claim.to_value(), next: OnceLock::new() });
            let asked = link.get_or_init(made);
            if asked.place == place {
                return &asked.value;
            }
            link = &asked.next;
        }
    }

    /// What they occupy elsewhere, in bytes, with a claim or two that routes ask for.
    pub(super) fn bytes(&self) -> usize {
        self.tape.bytes() + ASKED
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.tape.root().serialize(serializer)
    }
}

// === impl MembersSeed ===

impl<'de> DeserializeSeed<'de> for MembersSeed<'_> {
    type Value = Members;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members, D::Error> {
        let tape = TapeSeed { bounds: self.0, length: self.1 }.deserialize(deserializer)?;
        Ok(Members { tape, asked: OnceLock::new() })
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

    fn many(names: impl Iterator<Item = usize>) -> Option<Members> {
        let members: Vec<String> = names.map(|name| format!("\"m{name}\":{name}")).collect();
        read(&format!("{{{}}}", members.join(",")))
    }

    #[test]
    fn no_name_is_there_twice_however_many_there_are() {
        for count in [1, 2, FEW - 1, FEW, FEW + 1, 200] {
            let members = many(0..count).expect("distinct names");
            assert_eq!(members.all().count(), count);
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

    #[test]
    fn what_is_asked_for_is_what_lies_there_and_the_same_each_time() {
        let json =
            r#"{"a":"x","b":{"c":[null,true,-1,1.5,"y",{"d":[]}],"e":{}},"f":[],"g":"","h":7}"#;
        let (members, tree) = (read(json).expect("an object"), serde_json::from_str::<Value>(json));
        let tree = tree.unwrap();
        for name in ["h", "b", "a", "f", "g", "b"] {
            let (once, again) = (members.find(name).unwrap(), members.find(name).unwrap());
            assert!(std::ptr::eq(once, again), "{name}");
            assert_eq!(Some(once), tree.get(name), "{name}");
        }
        let inner = members.look("b").and_then(|b| b.member("c")).unwrap();
        assert_eq!(members.value(inner), &tree["b"]["c"]);
        assert_eq!(inner.items().nth(4).and_then(Claim::as_str), Some("y"));
        assert_eq!(inner.items().count(), 6);
        assert!(members.look("a").unwrap().items().next().is_none());
        assert!(members.look("f").unwrap().members().next().is_none());
        assert_eq!(members.all().count(), 5);
        assert_eq!((members.find("c"), members.find("x"), members.find("")), (None, None, None));
    }
}
