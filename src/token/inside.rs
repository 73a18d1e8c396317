//! The credential inside a JSON body: one member of its one object, found where it stands.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::BearerError;
use super::places::Reading;
use super::strict_json::Text;

/// A JSON text, as far as a member of it is looked for.
enum Shape<'r> {
    Object(Members<'r>),
    /// Something else, which is read as nothing where Python would (`null`, `0`, `""`, `[]`, `false`).
    Other {
        nothing: bool,
    },
    Broken,
}

/// The members of an object, each as it was written.
struct Members<'r>(Vec<(Cow<'r, str>, &'r RawValue)>);

struct MembersVisitor;

/// The member's text, where the body has it. An empty one, and whatever Python takes for nothing, is none.
pub(super) fn member<'r>(
    body: &'r [u8],
    name: &str,
    reading: Reading,
) -> Result<Option<&'r str>, BearerError> {
    let members = match shape(body) {
        Shape::Object(members) => members,
        // The library crashes on these; a list of things to do carries no credential elsewhere.
        Shape::Other { nothing: false } if reading == Reading::Flask => {
            return Err(BearerError::Malformed);
        }
        Shape::Other { .. } | Shape::Broken => return Ok(None),
    };
    let mut values = members.0.iter().filter(|(it, _)| *it == name).map(|(_, value)| value.get());
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(BearerError::Repeated);
    }
    if is_nothing(first) {
        return Ok(None);
    }
    // A token has one text: nothing in it is escaped.
    serde_json::from_str(first).map(Some).map_err(|_cause| BearerError::Malformed)
}

/// The body without these members, everything else as it was written; `None` where none is there.
pub(crate) fn without<'n>(
    body: &[u8],
    names: impl Iterator<Item = &'n str> + Clone,
) -> Option<Vec<u8>> {
    let Shape::Object(members) = shape(body) else { return None };
    let ours = |it: &str| names.clone().any(|name| name == it);
    if !members.0.iter().any(|(name, _)| ours(name)) {
        return None;
    }
    let mut rest = Vec::with_capacity(body.len());
    for (name, value) in members.0.iter().filter(|(name, _)| !ours(name)) {
        rest.push(if rest.is_empty() { b'{' } else { b',' });
        // Text is always JSON.
        serde_json::to_writer(&mut rest, name).ok()?;
        rest.push(b':');
        rest.extend_from_slice(value.get().as_bytes());
    }
    if rest.is_empty() {
        rest.push(b'{');
    }
    rest.push(b'}');
    Some(rest)
}

fn shape(body: &[u8]) -> Shape<'_> {
    let Ok(text) = std::str::from_utf8(body) else { return Shape::Broken };
    if text.trim_ascii_start().starts_with('{') {
        return serde_json::from_str(text).map_or(Shape::Broken, Shape::Object);
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => Shape::Other { nothing: is_nothing(value.get()) },
        Err(_) => Shape::Broken,
    }
}

/// What Python takes for false.
fn is_nothing(json: &str) -> bool {
    let inner = |open, close| {
        json.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close)).map(str::trim_ascii)
    };
    matches!(json, "null" | "false" | "\"\"")
        || inner('[', ']') == Some("")
        || inner('{', '}') == Some("")
        || json.parse::<f64>().is_ok_and(|number| number == 0.0)
}

// === impl Members ===

impl<'de: 'r, 'r> Deserialize<'de> for Members<'r> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(|Members(members)| Self(members))
    }
}

// === impl MembersVisitor ===

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Text(name)) = access.next_key()? {
            members.push((name, access.next_value()?));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_member_s_one_text() {
        use BearerError::{Malformed, Repeated};
        for (body, flask, strict) in [
            (r#"{"t":"x"}"#, Ok(Some("x")), Ok(Some("x"))),
            (r#" { "a": [1, {"t": 2}], "\u0074" : "x" } "#, Ok(Some("x")), Ok(Some("x"))),
            (r#"{"t":"x","t":"x"}"#, Ok(Some("x")), Ok(Some("x"))),
            (r#"{"t":"x","t":"y"}"#, Err(Repeated), Err(Repeated)),
            (r#"{"t":"x\u002ey"}"#, Err(Malformed), Err(Malformed)),
            (r#"{"t":7}"#, Err(Malformed), Err(Malformed)),
            (r#"{"t":["x"]}"#, Err(Malformed), Err(Malformed)),
            (r#"{"t":""}"#, Ok(None), Ok(None)),
            (r#"{"t":null}"#, Ok(None), Ok(None)),
            (r#"{"t":-0.0}"#, Ok(None), Ok(None)),
            (r#"{"t":[ ]}"#, Ok(None), Ok(None)),
            (r#"{"T":"x"}"#, Ok(None), Ok(None)),
            (r#"{}"#, Ok(None), Ok(None)),
            (r#"["x"]"#, Err(Malformed), Ok(None)),
            (r#""x""#, Err(Malformed), Ok(None)),
            ("7", Err(Malformed), Ok(None)),
            ("[]", Ok(None), Ok(None)),
            ("null", Ok(None), Ok(None)),
            ("", Ok(None), Ok(None)),
            (r#"{"t":"x""#, Ok(None), Ok(None)),
            (r#"{"t":"x"} {}"#, Ok(None), Ok(None)),
        ] {
            assert_eq!(member(body.as_bytes(), "t", Reading::Flask), flask, "{body}");
            assert_eq!(member(body.as_bytes(), "t", Reading::Strict), strict, "{body}");
        }
        assert_eq!(member(b"{\"t\":\"\xff\"}", "t", Reading::Flask), Ok(None));
    }

    #[test]
    fn a_member_is_taken_out_and_the_others_stay_as_they_were() {
        let out = |body: &str| {
            without(body.as_bytes(), ["t"].into_iter()).map(|it| String::from_utf8(it).unwrap())
        };
        for (body, want) in [
            (r#"{"a":1.50,"t":"x","b":[1, 2]}"#, Some(r#"{"a":1.50,"b":[1, 2]}"#)),
            (r#"{"t":"x"}"#, Some("{}")),
            (r#"{"t":1,"a":2,"\u0074":3}"#, Some(r#"{"a":2}"#)),
            (r#"{"\"":1,"t":2}"#, Some(r#"{"\"":1}"#)),
            (r#"{"a":{"t":1}}"#, None),
            (r#"["t"]"#, None),
            ("{", None),
        ] {
            assert_eq!(out(body).as_deref(), want, "{body}");
        }
    }
}
