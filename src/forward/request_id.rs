//! The request's name in logs, errors and upstream: a trusted proxy's, or a new one.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use uuid::Uuid;

/// One request's id: a UUID, or up to 128 plain characters from a trusted proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

/// The field it travels in.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

thread_local! {
    static SOURCE: (RandomState, Cell<u64>) = (RandomState::new(), const { Cell::new(0) });
}

// === impl RequestId ===

impl RequestId {
    /// The id a trusted proxy gave, or a new one.
    pub fn from_request(headers: &HeaderMap, trusted: bool) -> Self {
        if !trusted {
            return Self::new();
        }
        let mut given = headers.get_all(X_REQUEST_ID).iter();
        match (given.next(), given.next()) {
            (Some(id), None) if is_plain_id(id) => Self(id.clone()),
            _ => Self::new(),
        }
    }

    /// A new id: a UUID of version 4, made without a system call.
    pub fn new() -> Self {
        // A keyed hash of a counter: the key is the thread's own secret, so no id can be guessed.
        let (high, low) = SOURCE.with(|(key, counter)| {
            let count = counter.get();
            counter.set(count.wrapping_add(1));
            (key.hash_one((count, 0_u8)), key.hash_one((count, 1_u8)))
        });
        let bytes = Uuid::from_u64_pair(high, low).into_bytes();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }

    /// As a header field's value.
    pub const fn as_header(&self) -> &HeaderValue {
        &self.0
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === free functions ===

/// Whether the field is of a trace context.
pub(super) fn is_trace(name: &HeaderName) -> bool {
    name == TRACEPARENT || name == TRACESTATE
}

/// Removes a trace context that is not one (W3C Trace Context §3.2); a valid one passes untouched.
pub(super) fn check_trace(headers: &mut HeaderMap) {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (Some(first), second) = (given.next(), given.next()) else {
        headers.remove(TRACESTATE);
        return;
    };
    if second.is_some() || !is_traceparent(first.as_bytes()) {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
    }
}

fn is_plain_id(id: &HeaderValue) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'=');
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(plain)
}

/// `version-traceid-parentid-flags`, lower-case hex, ids not all zero; later versions may go on.
fn is_traceparent(text: &[u8]) -> bool {
    let hex = |part: &[u8]| part.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    let zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
    let Some((head, rest)) = text.split_at_checked(55) else { return false };
    let dashes = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    let version = &head[..2];
    let ends = rest.is_empty() || (version != b"00" && rest[0] == b'-');
    dashes
        && ends
        && version != b"ff"
        && hex(version)
        && hex(&head[3..35])
        && hex(&head[36..52])
        && hex(&head[53..])
        && !zero(&head[3..35])
        && !zero(&head[36..52])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn only_a_trusted_proxy_names_a_request() {
        let headers = with(X_REQUEST_ID, "abc-1");
        assert_eq!(RequestId::from_request(&headers, true).to_string(), "abc-1");
        assert_ne!(RequestId::from_request(&headers, false).to_string(), "abc-1");
        let odd = with(X_REQUEST_ID, "a b");
        assert_ne!(RequestId::from_request(&odd, true).to_string(), "a b");
    }

    #[test]
    fn new_ids_are_distinct_uuids() {
        let ids: std::collections::HashSet<String> =
            (0..1000).map(|_| RequestId::new().to_string()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| Uuid::parse_str(id).unwrap().get_version_num() == 4));
    }

    #[test]
    fn only_a_valid_trace_context_passes() {
        for (value, want) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("", false),
        ] {
            let mut headers = with(TRACEPARENT, value);
            headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
            check_trace(&mut headers);
            assert_eq!(headers.len(), if want { 2 } else { 0 }, "{value}");
        }
    }
}
