//! JSON that can be read in exactly one way: no member twice, bounded depth and size (RFC 8725 §2.4).
//!
//! serde_json refuses a byte-order mark, trailing bytes, comments, NaN, numbers out of range, lone
//! surrogates and text that is not UTF-8 by itself; what it lets through is refused here.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep lists and objects may nest.
const DEPTH: u32 = 32;
/// How many members all objects together may have.
const MEMBERS: u32 = 256;

/// The text is not a JSON object, or could be read in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotStrict;

/// What is left of the bounds; copies share the count of members.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'b> {
    depth: u32,
    members: &'b Cell<u32>,
}

/// Text that borrows from the input unless it had escapes in it.
pub(super) struct Text<'de>(pub(super) Cow<'de, str>);

struct ObjectVisitor<'b>(Bounds<'b>);
struct ValueVisitor<'b>(Bounds<'b>);
struct TextVisitor;

// === impl Bounds ===

impl<'b> Bounds<'b> {
    /// The bounds inside one more list or object.
    pub(super) fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth, ..self })
    }

    /// Counts one member.
    pub(super) fn member<E: de::Error>(self) -> Result<(), E> {
        let left = self.members.get().checked_sub(1);
        self.members.set(left.ok_or_else(|| E::custom("too many members"))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounds<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor(self))
    }
}

// === impl Text ===

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

// === impl ObjectVisitor ===

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let bounds = self.0.deeper()?;
        let mut members = Map::new();
        // Names are compared after their escapes are undone: "a" and "\u0061" are one name.
        while let Some(name) = access.next_key::<String>()? {
            bounds.member()?;
            let value = access.next_value_seed(bounds)?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a member twice"));
            }
        }
        Ok(members)
    }
}

// === impl ValueVisitor ===

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let bounds = self.0.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(bounds)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        ObjectVisitor(self.0).visit_map(access).map(Value::Object)
    }
}

// === impl TextVisitor ===

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// Reads one JSON object and nothing after it.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, NotStrict> {
    parse_with(bytes, |bounds, de| de.deserialize_map(ObjectVisitor(bounds)))
}

/// Reads one JSON text with a reader of the caller's, inside the same bounds.
pub(super) fn parse_with<'de, T>(
    bytes: &'de [u8],
    read: impl FnOnce(
        Bounds<'_>,
        &mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>,
    ) -> serde_json::Result<T>,
) -> Result<T, NotStrict> {
    let members = Cell::new(MEMBERS);
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let value =
        read(Bounds { depth: DEPTH, members: &members }, &mut de).map_err(|_cause| NotStrict)?;
    de.end().map_err(|_cause| NotStrict)?;
    Ok(value)
}

/// Reads an object inside bounds that are already running.
pub(super) const fn object_visitor<'b, 'de>(
    bounds: Bounds<'b>,
) -> impl Visitor<'de, Value = Map<String, Value>> + use<'b, 'de> {
    ObjectVisitor(bounds)
}

#[cfg(test)]
#[path = "tests/strict_json.rs"]
mod tests;
