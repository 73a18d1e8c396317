//! Cookies and query parameters taken apart where they stand, nothing copied and nothing decoded twice.
//! The media type that says whether a body is read so.

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http::request::Parts;

/// One `name=value` of a `Cookie` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CookiePair<'r> {
    /// The pair as it was sent.
    pub(crate) whole: &'r [u8],
}

/// Text of a query as it was sent: `%` escapes and `+` in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coded<'r>(pub(crate) &'r str);

// === impl CookiePair ===

impl<'r> CookiePair<'r> {
    /// Its value when the name is this one, without the quotes it may have (RFC 6265 §4.1.1).
    pub(crate) fn value_of(self, name: &str) -> Option<&'r [u8]> {
        let at = self.whole.iter().position(|byte| *byte == b'=')?;
        let (found, value) = (&self.whole[..at], self.whole[at + 1..].trim_ascii());
        let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        (found.trim_ascii() == name.as_bytes()).then_some(bare.unwrap_or(value))
    }
}

// === impl Coded ===

impl<'r> Coded<'r> {
    /// Whether it says this, once its escapes are undone.
    pub(crate) fn is(self, plain: &str) -> bool {
        self.after(plain) == Some("")
    }

    /// What it says, once its escapes are undone.
    pub(crate) fn decoded(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len());
        let mut rest = self.0.as_bytes();
        while let Some((byte, length)) = first_byte(rest) {
            bytes.push(byte);
            rest = &rest[length..];
        }
        bytes
    }

    /// What stands after this, once the escapes of the beginning are undone.
    pub(crate) fn after(self, plain: &str) -> Option<&'r str> {
        let mut rest = self.0;
        for wanted in plain.bytes() {
            let (byte, length) = first_byte(rest.as_bytes())?;
            if byte != wanted {
                return None;
            }
            // An escape is ASCII, and a byte beyond it stands alone only in the operator's own text.
            rest = rest.get(length..)?;
        }
        Some(rest)
    }
}

/// The pairs of a `Cookie` field.
pub(crate) fn cookies(field: &[u8]) -> impl Iterator<Item = CookiePair<'_>> {
    let pairs = field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    pairs.filter(|pair| !pair.is_empty()).map(|whole| CookiePair { whole })
}

/// The pairs of a query (WHATWG URL §5.1), names and values as they stand.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (Coded<'_>, Coded<'_>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (Coded(n), Coded(v)))
}

/// Whether the body is said to be JSON (RFC 6839 §3.1).
pub(crate) fn is_json(head: &Parts) -> bool {
    let Some(media) = media_type(head) else { return false };
    let ours = media.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("application/"));
    let rest = media.get(12..).unwrap_or_default();
    let suffix = rest.len().checked_sub(5).and_then(|at| rest.get(at..));
    ours && (rest.eq_ignore_ascii_case("json")
        || suffix.is_some_and(|end| end.eq_ignore_ascii_case("+json")))
}

/// Whether the body is said to be a form in the query's own coding.
pub(crate) fn is_form(head: &Parts) -> bool {
    media_type(head).is_some_and(|it| it.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// The media type without its parameters; none where the field does not come exactly once.
fn media_type(head: &Parts) -> Option<&str> {
    let mut fields = head.headers.get_all(CONTENT_TYPE).iter();
    let text = fields.next().map(HeaderValue::to_str)?.ok()?;
    if fields.next().is_some() {
        return None;
    }
    Some(text.split(';').next().unwrap_or_default().trim())
}

/// The first byte that is meant, and how many it is written with.
fn first_byte(text: &[u8]) -> Option<(u8, usize)> {
    let hex = |at: usize| char::from(*text.get(at)?).to_digit(16);
    match *text.first()? {
        b'+' => Some((b' ', 1)),
        b'%' => match (hex(1), hex(2)) {
            (Some(high), Some(low)) => Some(((high * 16 + low) as u8, 3)),
            _ => Some((b'%', 1)),
        },
        byte => Some((byte, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_however_it_is_escaped() {
        for (coded, plain, want) in [
            ("jwt", "jwt", true),
            ("%6awt", "jwt", true),
            ("%6Aw%74", "jwt", true),
            ("JWT", "jwt", false),
            ("jwt2", "jwt", false),
            ("jw", "jwt", false),
            ("a+b", "a b", true),
            ("a%20b", "a b", true),
            ("a%2", "a%2", true),
            ("%", "%", true),
        ] {
            assert_eq!(Coded(coded).is(plain), want, "{coded}");
        }
        assert_eq!(Coded("a%2Bb+c%4").decoded(), b"a+b c%4");
        assert_eq!(Coded("Bearer%20abc").after("Bearer "), Some("abc"));
        assert_eq!(Coded("Bearerabc").after("Bearer "), None);
    }

    #[test]
    fn a_body_is_what_its_one_media_type_says() {
        for (fields, json, form) in [
            (&["application/json"][..], true, false),
            (&["Application/JSON ; charset=utf-8"], true, false),
            (&["application/problem+json"], true, false),
            (&["application/x+JSON"], true, false),
            (&["application/jsonx"], false, false),
            (&["text/json"], false, false),
            (&["application/"], false, false),
            (&["application/json", "application/json"], false, false),
            (&["application/x-www-form-urlencoded; a=b"], false, true),
            (&["multipart/form-data; boundary=x"], false, false),
            (&[], false, false),
        ] {
            let mut request = http::Request::get("/");
            for field in fields {
                request = request.header(CONTENT_TYPE, *field);
            }
            let head = request.body(()).expect("a request").into_parts().0;
            assert_eq!((is_json(&head), is_form(&head)), (json, form), "{fields:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_between_others_and_without_its_quotes() {
        let value = |field: &'static str, name| {
            cookies(field.as_bytes()).find_map(|pair| pair.value_of(name))
        };
        assert_eq!(value("a=1; b=2;c=3", "b"), Some(&b"2"[..]));
        assert_eq!(value("a=1; b=\"2\"", "b"), Some(&b"2"[..]));
        assert_eq!(value("ab=1; b", "b"), None);
        assert_eq!(value("A=1", "a"), None);
        assert_eq!(value("a=b=c", "a"), Some(&b"b=c"[..]));
    }
}
