//! A member's text as it stands in what was read, and what records of one issuer have in common.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A member's text: borrowed from what was read, unless it is escaped there.
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

struct TextVisitor;

// === impl Text ===

impl Text<'_> {
    /// A text of its own.
    pub(crate) fn shared(self) -> Arc<str> {
        self.0.into()
    }

    /// The last text again, when it is the same.
    pub(crate) fn shared_with(&self, last: &mut Option<Arc<str>>) -> Arc<str> {
        match last {
            Some(last) if **last == *self.0 => Arc::clone(last),
            _ => Arc::clone(last.insert((*self.0).into())),
        }
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// `Option<Cow<str>>` alone would copy (serde borrows only what says so itself).
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

// === impl TextVisitor ===

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_borrowed_unless_it_is_escaped() {
        let plain: Text<'_> = serde_json::from_str(r#""a b""#).expect("text");
        assert!(matches!(plain.0, Cow::Borrowed("a b")));
        let escaped: Text<'_> = serde_json::from_str(r#""a\u0020b""#).expect("text");
        assert!(matches!(&escaped.0, Cow::Owned(text) if text == "a b"));
    }

    #[test]
    fn a_text_that_comes_again_is_kept_once() {
        let (mut last, text) = (None, |text| Text(Cow::Borrowed(text)));
        let first = text("a").shared_with(&mut last);
        assert!(Arc::ptr_eq(&first, &text("a").shared_with(&mut last)));
        assert_eq!(&*text("b").shared_with(&mut last), "b");
        assert_eq!(&*text("a").shared_with(&mut last), "a");
    }
}
