//! What hyper lets through and a gateway must not: one message, one meaning, one authority.
//!
//! Pure. Runs before a route is looked for; paths are `route`'s business.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Version};
use thiserror::Error;

mod authority;

#[cfg(test)]
mod tests;

pub use authority::{authority, checked_authority, host};

use authority::named_authority;

/// Why a request has no single meaning, or is too large to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// `Host` is missing, repeated, malformed or contradicts the target (RFC 9112 §3.2).
    #[error("the request does not name one authority")]
    BadAuthority,
    /// The body's length can be read in two ways (RFC 9112 §6).
    #[error("the request's framing is ambiguous")]
    BadFraming,
    /// A field name reads like a reserved one's, or `Connection` nominates a field that must stay.
    #[error("a header field could be taken for another")]
    BadHeader,
    /// The target is not a path of this server.
    #[error("the request target is not a path")]
    BadTarget,
    /// The target is longer than allowed.
    #[error("the request target is too long")]
    TargetTooLong,
    /// The head has too many fields or bytes.
    #[error("the request's header section is too large")]
    HeadersTooLarge,
    /// The declared body is longer than allowed.
    #[error("the request's body is too large")]
    BodyTooLarge,
    /// A method that is never forwarded.
    #[error("the method is not allowed")]
    MethodNotAllowed,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    #[error("the expectation cannot be met")]
    ExpectationFailed,
}

/// Bounds of a request's head and declared body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Target, bytes.
    pub target_bytes: usize,
    /// Header fields.
    pub headers: usize,
    /// All header fields together, bytes.
    pub header_bytes: usize,
    /// Declared body, bytes.
    pub body_bytes: u64,
}

/// Names that only the gateway may set, in their normal form: lower case, everything else than a letter
/// or a digit as `-`, which is how many a server reads them (CGI, RFC 3875 §4.1.18).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityNames(Vec<Box<[u8]>>);

/// What one walk over a head's fields tells: each rule looks only for fields that are there.
#[derive(Default)]
struct Fields<'r> {
    bytes: usize,
    host: Option<&'r HeaderValue>,
    /// More than one `Host`.
    hosts: bool,
    /// `Content-Length` or `Transfer-Encoding`.
    framing: bool,
    connection: bool,
    expect: bool,
    /// A name with other characters than letters, digits and `-`.
    odd: bool,
}

/// Fields whose look-alikes are refused, besides the identity fields and `x-forwarded-*`.
const RESERVED: [&[u8]; 14] = [
    b"authorization",
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"forwarded",
    b"x-real-ip",
    b"cookie",
    b"te",
    b"trailer",
    b"upgrade",
    b"expect",
    b"x-request-id",
    b"proxy-authorization",
];

/// End-to-end fields that `Connection` may not nominate, besides `x-forwarded-*`.
const STAYS: [&str; 10] = [
    "authorization",
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "cookie",
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "expect",
];

/// Longest method name.
const METHOD_BYTES: usize = 16;

/// What a field's name is of, to be read in one way.
const PLAIN: [bool; 256] = letters_digits_and(b"-");

// === impl IdentityNames ===

impl IdentityNames {
    /// The fields that any route sets.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n HeaderName>) -> Self {
        let mut normal: Vec<Box<[u8]>> = names
            .into_iter()
            .map(|name| name.as_str().bytes().map(normal_byte).collect())
            .collect();
        normal.sort_unstable();
        normal.dedup();
        Self(normal)
    }

    /// Whether the name is one of them, or reads like one.
    pub fn matches(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|identity| reads_like(name, identity))
    }
}

// === impl Fields ===

impl<'r> Fields<'r> {
    fn of(headers: &'r HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let name = name.as_str();
            // As HTTP/1 spells them: name, colon, space, value, CR LF.
            fields.bytes += name.len() + value.len() + 4;
            match name {
                "host" => fields.hosts |= fields.host.replace(value).is_some(),
                "content-length" | "transfer-encoding" => fields.framing = true,
                "connection" => fields.connection = true,
                "expect" => fields.expect = true,
                _ => fields.odd |= !all_plain(name),
            }
        }
        fields
    }
}

// === free functions ===

/// Judges a head by everything that needs no configuration but bounds, then removes fields whose names
/// have odd characters, which servers read in different ways. Returns how many; one that reads like a
/// reserved field is refused instead.
pub fn clean(
    parts: &mut Parts,
    limits: &HeadLimits,
    identity: &IdentityNames,
) -> Result<usize, RequestError> {
    let has_odd_names = check(parts, limits)?;
    if has_odd_names { drop_odd_names(&mut parts.headers, identity) } else { Ok(0) }
}

fn drop_odd_names(
    headers: &mut HeaderMap,
    identity: &IdentityNames,
) -> Result<usize, RequestError> {
    let odd: Vec<HeaderName> = headers.keys().filter(|name| !is_plain(name)).cloned().collect();
    if odd.iter().any(|name| reads_like_reserved(name) || identity.matches(name)) {
        return Err(RequestError::BadHeader);
    }
    for name in &odd {
        headers.remove(name);
    }
    Ok(odd.len())
}

/// Whether `name`, in normal form, is `normal`.
pub(crate) fn reads_like(name: &HeaderName, normal: &[u8]) -> bool {
    let name = name.as_str();
    name.len() == normal.len() && name.bytes().zip(normal).all(|(a, b)| normal_byte(a) == *b)
}

/// Whether the name has letters, digits and `-` alone.
pub(crate) fn is_plain(name: &HeaderName) -> bool {
    all_plain(name.as_str())
}

/// Whether the name is, or could be taken for, one that decides framing, routing or identity.
pub(crate) fn reads_like_reserved(name: &HeaderName) -> bool {
    const FORWARDED: &[u8] = b"x-forwarded-";
    let text = name.as_str().as_bytes();
    let forwarded = text.len() >= FORWARDED.len()
        && text.iter().zip(FORWARDED).all(|(a, b)| normal_byte(*a) == *b);
    forwarded || RESERVED.iter().any(|reserved| reads_like(name, reserved))
}

fn all_plain(name: &str) -> bool {
    name.bytes().fold(true, |plain, byte| plain & PLAIN[usize::from(byte)])
}

const fn normal_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Every rule; whether some field's name is odd.
fn check(parts: &Parts, limits: &HeadLimits) -> Result<bool, RequestError> {
    check_method(&parts.method)?;
    check_target(parts, limits)?;
    let fields = Fields::of(&parts.headers);
    if parts.headers.len() > limits.headers || fields.bytes > limits.header_bytes {
        return Err(RequestError::HeadersTooLarge);
    }
    if fields.hosts {
        return Err(RequestError::BadAuthority);
    }
    named_authority(parts, fields.host)?;
    let length = if fields.framing { check_framing(parts)? } else { None };
    if length.is_some_and(|length| length > limits.body_bytes) {
        return Err(RequestError::BodyTooLarge);
    }
    if fields.connection {
        check_nominations(&parts.headers)?;
    }
    if fields.expect {
        check_expectation(&parts.headers)?;
    }
    Ok(fields.odd)
}

fn check_method(method: &Method) -> Result<(), RequestError> {
    if matches!(*method, Method::GET | Method::POST | Method::PUT | Method::DELETE | Method::HEAD) {
        return Ok(());
    }
    let name = method.as_str();
    let never = matches!(name, "CONNECT" | "TRACE" | "TRACK");
    let odd = name.len() > METHOD_BYTES
        || !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_');
    if never || odd { Err(RequestError::MethodNotAllowed) } else { Ok(()) }
}

fn check_target(parts: &Parts, limits: &HeadLimits) -> Result<(), RequestError> {
    let uri = &parts.uri;
    let known_scheme = uri.scheme_str().is_none_or(|scheme| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    });
    let Some(target) = uri.path_and_query() else {
        return Err(RequestError::BadTarget);
    };
    if target.as_str().len() > limits.target_bytes {
        return Err(RequestError::TargetTooLong);
    }
    if known_scheme && target.path().starts_with('/') {
        Ok(())
    } else {
        Err(RequestError::BadTarget)
    }
}

/// The declared length, if there is one that can be read in one way only.
fn check_framing(parts: &Parts) -> Result<Option<u64>, RequestError> {
    let headers = &parts.headers;
    let length = content_length(headers)?;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(length);
    };
    let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    if !chunked || length.is_some() || parts.version != Version::HTTP_11 {
        return Err(RequestError::BadFraming);
    }
    Ok(None)
}

/// One number in its shortest spelling; repeated only as itself (RFC 9110 §8.6).
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, RequestError> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if values.any(|other| other != first) {
        return Err(RequestError::BadFraming);
    }
    let text = first.as_bytes();
    let canonical = text == b"0" || text.first().is_some_and(|byte| *byte != b'0');
    if !canonical || !text.iter().all(u8::is_ascii_digit) {
        return Err(RequestError::BadFraming);
    }
    let number = first.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or(RequestError::BadFraming)
}

/// `Connection` may not take away what decides what a request means (RFC 9110 §7.6.1).
fn check_nominations(headers: &HeaderMap) -> Result<(), RequestError> {
    let stays = |name: &[u8]| {
        let name = name.trim_ascii();
        STAYS.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
            || name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
    };
    let mut named = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    if named.any(stays) { Err(RequestError::BadHeader) } else { Ok(()) }
}

fn check_expectation(headers: &HeaderMap) -> Result<(), RequestError> {
    let met = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get_all(header::EXPECT).iter().all(met) {
        Ok(())
    } else {
        Err(RequestError::ExpectationFailed)
    }
}

/// Letters, digits and these: one look a byte, for every request's fields.
const fn letters_digits_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}
