//! A claims set laid flat: its values one after the other, their text in one piece. Two allocations,
//! where a tree of maps and strings has dozens, for each token that is kept.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value};
use smallvec::SmallVec;

use super::strict_json::Bounds;

/// An object's members in the order in which they came, each name once.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    /// The object itself stands first.
    nodes: Vec<Node>,
    text: String,
}

/// One value of a claims set, where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'c> {
    tape: &'c Tape,
    at: u32,
}

/// Reads an object inside the bounds.
pub(super) struct TapeSeed<'b> {
    pub(super) bounds: Bounds<'b>,
    /// How long the JSON is: its text is no longer.
    pub(super) length: usize,
}

/// A value, a name, or the beginning of what holds others: those are between it and `end`.
#[derive(Clone, Copy, Debug)]
enum Node {
    Null,
    Bool(bool),
    Whole(u64),
    Negative(i64),
    Part(f64),
    Text { at: u32, length: u32 },
    List { end: u32 },
    Object { end: u32 },
}

/// Writes a value down.
struct ValueSeed<'b, 't> {
    bounds: Bounds<'b>,
    tape: &'t mut Tape,
}

/// Writes a name down.
struct NameSeed<'t>(&'t mut Tape);

/// So many members a token seldom has more of: up to that their names are compared without memory of their own.
const FEW: usize = 24;

// === impl Tape ===

impl Tape {
    /// The object.
    pub(super) const fn root(&self) -> Claim<'_> {
        Claim { tape: self, at: 0 }
    }

    /// The value that stands there.
    pub(super) const fn claim(&self, at: u32) -> Claim<'_> {
        Claim { tape: self, at }
    }

    /// What it occupies elsewhere, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.text.capacity()
    }

    fn node(&self, at: u32) -> Node {
        self.nodes.get(at as usize).copied().unwrap_or(Node::Null)
    }

    /// Where the next one stands.
    fn after(&self, at: u32) -> u32 {
        match self.node(at) {
            Node::List { end } | Node::Object { end } => end,
            _ => at + 1,
        }
    }

    fn text(&self, at: u32) -> Option<&str> {
        match self.node(at) {
            Node::Text { at, length } => {
                let (at, length) = (at as usize, length as usize);
                self.text.get(at..at + length)
            }
            _ => None,
        }
    }

    /// Where the next node will stand. No text that is read here is as long as that.
    fn end(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    fn push_text(&mut self, text: &str) {
        let at = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        self.nodes.push(Node::Text { at, length });
    }

    /// Says where what began at `from` ends.
    fn close(&mut self, from: u32, node: Node) {
        if let Some(open) = self.nodes.get_mut(from as usize) {
            *open = node;
        }
    }
}

impl Default for Tape {
    fn default() -> Self {
        Self { nodes: vec![Node::Object { end: 1 }], text: String::new() }
    }
}

// === impl Claim ===

impl<'c> Claim<'c> {
    /// Where it stands; no other value of the tape stands there.
    pub(super) const fn place(self) -> u32 {
        self.at
    }

    /// Its text, when it is text.
    pub(crate) fn as_str(self) -> Option<&'c str> {
        self.tape.text(self.at)
    }

    /// Whether it is a list.
    pub(crate) fn is_list(self) -> bool {
        matches!(self.tape.node(self.at), Node::List { .. })
    }

    /// Whether it is null.
    pub(crate) fn is_null(self) -> bool {
        matches!(self.tape.node(self.at), Node::Null)
    }

    /// The number or boolean that it is.
    pub(crate) fn scalar(self) -> Option<Value> {
        match self.tape.node(self.at) {
            Node::Bool(value) => Some(value.into()),
            Node::Whole(value) => Some(value.into()),
            Node::Negative(value) => Some(value.into()),
            Node::Part(value) => Number::from_f64(value).map(Value::Number),
            Node::Null | Node::Text { .. } | Node::List { .. } | Node::Object { .. } => None,
        }
    }

    /// The values of the list that it is; none when it is something else.
    pub(crate) fn items(self) -> impl Iterator<Item = Self> {
        let end = match self.tape.node(self.at) {
            Node::List { end } => end,
            _ => self.at,
        };
        let within = move |at: &u32| *at < end;
        let first = Some(self.at + 1).filter(within);
        std::iter::successors(first, move |at| Some(self.tape.after(*at)).filter(within))
            .map(move |at| Self { at, ..self })
    }

    /// The members of the object that it is; none when it is something else.
    pub(crate) fn members(self) -> impl Iterator<Item = (&'c str, Self)> {
        let end = match self.tape.node(self.at) {
            Node::Object { end } => end,
            _ => self.at,
        };
        let within = move |at: &u32| *at < end;
        let first = Some(self.at + 1).filter(within);
        // A name, and its value right after it.
        std::iter::successors(first, move |at| Some(self.tape.after(*at + 1)).filter(within))
            .filter_map(move |at| Some((self.tape.text(at)?, Self { at: at + 1, ..self })))
    }

    /// The member of that name of the object that it is.
    pub(crate) fn member(self, name: &str) -> Option<Self> {
        self.members().find(|(it, _)| *it == name).map(|(_, value)| value)
    }

    /// The same as a tree.
    pub(crate) fn to_value(self) -> Value {
        match self.tape.node(self.at) {
            Node::Text { .. } => self.as_str().unwrap_or_default().into(),
            Node::List { .. } => Value::Array(self.items().map(Self::to_value).collect()),
            Node::Object { .. } => Value::Object(self.to_object()),
            _ => self.scalar().unwrap_or_default(),
        }
    }

    /// Its members as a map.
    pub(crate) fn to_object(self) -> Map<String, Value> {
        self.members().map(|(name, value)| (name.to_owned(), value.to_value())).collect()
    }

    fn has_doubles(self) -> bool {
        let mut names: SmallVec<[&str; FEW]> = self.members().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

impl Serialize for Claim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.tape.node(self.at) {
            Node::Text { .. } => serializer.serialize_str(self.as_str().unwrap_or_default()),
            Node::List { .. } => serializer.collect_seq(self.items()),
            Node::Object { .. } => serializer.collect_map(self.members()),
            _ => self.scalar().serialize(serializer),
        }
    }
}

// === impl TapeSeed ===

impl<'de> DeserializeSeed<'de> for TapeSeed<'_> {
    type Value = Tape;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tape, D::Error> {
        // A claims set has a name or a value every dozen bytes.
        let nodes = Vec::with_capacity(self.length / 12 + 4);
        let mut tape = Tape { nodes, text: String::with_capacity(self.length) };
        deserializer.deserialize_map(ValueSeed { bounds: self.bounds, tape: &mut tape })?;
        tape.nodes.shrink_to_fit();
        tape.text.shrink_to_fit();
        Ok(tape)
    }
}

// === impl ValueSeed ===

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.tape.nodes.push(Node::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.tape.nodes.push(Node::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.tape.nodes.push(Node::Negative(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.tape.nodes.push(Node::Whole(value));
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        if !value.is_finite() {
            return Err(E::custom("not a finite number"));
        }
        self.tape.nodes.push(Node::Part(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.tape.push_text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let (bounds, from) = (self.bounds.deeper()?, self.tape.end());
        self.tape.nodes.push(Node::Null);
        while access.next_element_seed(ValueSeed { bounds, tape: &mut *self.tape })?.is_some() {}
        self.tape.close(from, Node::List { end: self.tape.end() });
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let (bounds, from) = (self.bounds.deeper()?, self.tape.end());
        self.tape.nodes.push(Node::Null);
        while access.next_key_seed(NameSeed(&mut *self.tape))?.is_some() {
            bounds.member()?;
            access.next_value_seed(ValueSeed { bounds, tape: &mut *self.tape })?;
        }
        self.tape.close(from, Node::Object { end: self.tape.end() });
        // Names are compared after their escapes are undone: "a" and "\u0061" are one name.
        if self.tape.claim(from).has_doubles() {
            return Err(de::Error::custom("a member twice"));
        }
        Ok(())
    }
}

// === impl NameSeed ===

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.push_text(name);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests/tape.rs"]
mod tests;
