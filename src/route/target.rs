//! The one reading of a request's path: what is matched is what is forwarded (security.md B21–B23).
//!
//! A path that a server behind could read in a second way is refused here: empty and dot segments,
//! encoded separators, encoded encodings, path parameters. What is left is matched decoded, so that
//! `/%61dmin` is `/admin`, and sent on byte for byte as it came.

use std::borrow::Cow;

use thiserror::Error;

/// Why a path can't be judged (400).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// It is not a path that begins with a slash.
    #[error("the target has no path")]
    NoPath,
    /// It can be read in more than one way.
    #[error("the path is ambiguous")]
    Ambiguous,
    /// It has a byte that RFC 3986 §3.3 does not allow, or does not decode to UTF-8.
    #[error("the path is malformed")]
    Malformed,
}

/// A byte that needs nothing but to be there.
const PLAIN: u8 = 0;
const SLASH: u8 = 1;
const DOT: u8 = 2;
/// One that has to be looked at.
const OTHER: u8 = 4;

/// Each byte's kind.
const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'/' => SLASH,
            b'.' => DOT,
            byte if is_plain(byte) => PLAIN,
            _ => OTHER,
        };
        byte += 1;
    }
    kinds
};

/// The path as it is matched: decoded, borrowed when there is nothing to decode.
pub fn judge(path: &str) -> Result<Cow<'_, str>, TargetError> {
    if !path.starts_with('/') {
        return Err(TargetError::NoPath);
    }
    if is_simple(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let encoded = scan(path.as_bytes())?;
    let path = if encoded { Cow::Owned(decode(path)?) } else { Cow::Borrowed(path) };
    for segment in path.split('/').skip(1) {
        // A server behind may trim: `/admin%20` would be `/admin` to it.
        if segment == "." || segment == ".." || segment.trim() != segment {
            return Err(TargetError::Ambiguous);
        }
    }
    Ok(path)
}

/// Whether nothing is left to be judged, as with most paths: no encoding, no odd byte, and no slash or
/// dot after a slash. Without a branch, as it reads every path.
fn is_simple(path: &[u8]) -> bool {
    let (mut seen, mut last) = (0, PLAIN);
    for &byte in path {
        let kind = KINDS[usize::from(byte)];
        let after_slash = 0_u8.wrapping_sub(last & SLASH);
        seen |= kind & (OTHER | after_slash);
        last = kind;
    }
    seen == 0
}

/// Whether anything is percent-encoded; refuses what can't stand in a path, and empty segments.
fn scan(path: &[u8]) -> Result<bool, TargetError> {
    let mut encoded = false;
    let mut last = 0;
    for &byte in path {
        match byte {
            b'/' if last == b'/' => return Err(TargetError::Ambiguous),
            b';' | b'\\' | b'#' => return Err(TargetError::Ambiguous),
            b'%' => encoded = true,
            b'/' | b'.' => {}
            _ if is_plain(byte) => {}
            _ => return Err(TargetError::Malformed),
        }
        last = byte;
    }
    Ok(encoded)
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'~' | b':' | b'@')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=')
}

/// Decodes once, and refuses what would decode to a separator or decode again.
fn decode(path: &str) -> Result<String, TargetError> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = after;
            continue;
        }
        let byte = hex_pair(after).ok_or(TargetError::Malformed)?;
        rest = &after[2..];
        match byte {
            b'/' | b'\\' | b';' | b'?' | b'#' => return Err(TargetError::Ambiguous),
            _ if byte.is_ascii_control() => return Err(TargetError::Malformed),
            _ => decoded.push(byte),
        }
    }
    // An encoded encoding, its digits perhaps encoded too: `%252e`, `%25%32%65`.
    let encodes = |at: usize| decoded[at] == b'%' && hex_pair(&decoded[at + 1..]).is_some();
    if (0..decoded.len()).any(encodes) {
        return Err(TargetError::Ambiguous);
    }
    // An overlong or broken sequence is what one decoder drops and another keeps.
    String::from_utf8(decoded).map_err(|_not_utf8| TargetError::Malformed)
}

fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*text.first()?)? * 16 + digit(*text.get(1)?)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_and_legally_odd_paths_pass() {
        for (path, matched) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/", "/a/"),
            ("/%61dmin", "/admin"),
            ("/caf%C3%A9", "/café"),
            ("/a%20b", "/a b"),
            ("/100%25", "/100%"),
            ("/100%25/x", "/100%/x"),
            ("/a:b@c!$&'()*+,=~", "/a:b@c!$&'()*+,=~"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
        ] {
            assert_eq!(judge(path).as_deref(), Ok(matched), "{path}");
        }
    }

    #[test]
    fn paths_that_can_be_read_in_two_ways_are_refused() {
        for path in [
            "//a",
            "/a//b",
            "/a//",
            "/./a",
            "/a/.",
            "/a/..",
            "/../a",
            "/%2e/a",
            "/a/%2E%2e/b",
            "/a/.%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a;b",
            "/a%3bb",
            "/%252e",
            "/%252f",
            "/a%3fb",
            "/a%23b",
            "/a#b",
            "/%2561dmin",
            "/a%20",
            "/%20a",
            "/a%c2%a0/b",
            "/%25%36%31dmin",
            "/%25%32%65%25%32%65/a",
            "/%256%31",
        ] {
            assert_eq!(judge(path), Err(TargetError::Ambiguous), "{path}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for path in [
            "/a%", "/a%2", "/a%zz", "/%00", "/%0d%0a", "/%7f", "/%ff", "/%c0%ae", "/%c0%af", "/é",
            "/a|b", "/a\"b", "/a b", "/a\tb",
        ] {
            assert_eq!(judge(path), Err(TargetError::Malformed), "{path}");
        }
        for path in ["", "*", "a/b", "http://a/b"] {
            assert_eq!(judge(path), Err(TargetError::NoPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_decodes_no_further(path in "/[a-z%0-9./A-F]{0,24}") {
            if let Ok(matched) = judge(&path) {
                prop_assert!(!matched.contains("//"));
                prop_assert!(matched.split('/').all(|segment| segment != "." && segment != ".."));
                prop_assert!(matched.is_ascii() || path.contains('%'));
            }
        }
    }
}
