//! Fields that end at each hop (RFC 9110 §7.6.1): removed both ways, before the gateway sets its own.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::request::{IdentityNames, is_plain, reads_like_reserved};

/// Hop-by-hop whether or not `Connection` says so. As text: names of another length are told apart at once.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Meant for the next hop alone too in a request, though not of RFC 9110's list.
const REQUEST_ONLY: [&str; 2] = ["http2-settings", "expect"];

/// Trailer fields are at most this many.
const TRAILERS: usize = 64;
/// Trailer fields are at most this long together, bytes.
const TRAILER_BYTES: usize = 8 * 1024;

/// Removes a request's. With `trailers`, says upstream that we take trailers if the client does.
pub(super) fn strip_request(headers: &mut HeaderMap, trailers: bool) {
    let wants_trailers = trailers && lists(headers, &header::TE, "trailers");
    strip(headers, &REQUEST_ONLY, trailers);
    if wants_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes an answer's. With `trailers`, the announcement of trailers stays.
pub(super) fn strip_response(headers: &mut HeaderMap, trailers: bool) {
    strip(headers, &[], trailers);
}

/// Keeps of a trailer section what may follow a body (RFC 9110 §6.5.1): no framing, no routing, no
/// credentials, nothing that only the gateway may say.
pub(super) fn strip_trailers(trailers: &mut HeaderMap, identity: &IdentityNames) {
    let bytes: usize = trailers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
    if trailers.len() > TRAILERS || bytes > TRAILER_BYTES {
        trailers.clear();
        return;
    }
    let unfit: SmallVec<[HeaderName; 4]> =
        trailers.keys().filter(|name| !may_trail(name, identity)).cloned().collect();
    for name in &unfit {
        trailers.remove(name);
    }
}

/// Whether a field of this name ends here, in a request and in an answer.
pub(super) fn ends_here(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

/// Whether a request's field of this name ends here.
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    ends_here(name) || REQUEST_ONLY.contains(&name.as_str())
}

fn strip(headers: &mut HeaderMap, also: &[&str], keep_trailer: bool) {
    if headers.contains_key(header::CONNECTION) {
        let nominated: SmallVec<[HeaderName; 4]> = nominated(headers).collect();
        for name in &nominated {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP.iter().chain(also) {
        if !(keep_trailer && *name == "trailer") {
            headers.remove(*name);
        }
    }
}

/// The fields that `Connection` names.
fn nominated(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
}

/// Whether a list field has the word, without case.
pub(super) fn lists(headers: &HeaderMap, field: &HeaderName, word: &str) -> bool {
    headers
        .get_all(field)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

fn may_trail(name: &HeaderName, identity: &IdentityNames) -> bool {
    const CREDENTIALS: [HeaderName; 2] = [header::SET_COOKIE, header::WWW_AUTHENTICATE];
    is_plain(name)
        && !reads_like_reserved(name)
        && !identity.matches(name)
        && !ends_here(name)
        && !CREDENTIALS.contains(name)
        && !name.as_str().starts_with("content-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn hop_by_hop_fields_and_what_connection_names_are_removed() {
        let mut headers = map(&[
            ("connection", "close, X-One"),
            ("connection", "x-two,,é"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAA"),
            ("expect", "100-continue"),
        ]);
        strip_request(&mut headers, false);
        assert_eq!(headers, map(&[("x-three", "3")]));
    }

    #[test]
    fn trailers_are_announced_only_where_the_route_allows_them() {
        let fields = [("te", "gzip, Trailers"), ("trailer", "grpc-status")];
        let mut headers = map(&fields);
        strip_request(&mut headers, true);
        assert_eq!(headers, map(&[("te", "trailers"), ("trailer", "grpc-status")]));
        let mut headers = map(&fields);
        strip_response(&mut headers, false);
        assert!(headers.is_empty());
    }

    #[test]
    fn trailers_hold_no_framing_routing_or_identity() {
        let subject = HeaderName::from_static("x-auth-subject");
        let identity = IdentityNames::new([&subject]);
        let mut trailers = map(&[
            ("grpc-status", "0"),
            ("x_auth_subject", "a"),
            ("x-auth-subject", "a"),
            ("host", "b"),
            ("content-length", "5"),
            ("authorization", "Bearer x"),
            ("x-forwarded-for", "::1"),
            ("set-cookie", "a=b"),
            ("transfer-encoding", "chunked"),
        ]);
        strip_trailers(&mut trailers, &identity);
        assert_eq!(trailers, map(&[("grpc-status", "0")]));
        let mut many: HeaderMap = (0..65)
            .map(|n| (format!("x-{n}").parse().unwrap(), HeaderValue::from_static("v")))
            .collect();
        strip_trailers(&mut many, &identity);
        assert!(many.is_empty());
    }

    proptest! {
        #[test]
        fn removal_is_idempotent_and_keeps_end_to_end_fields(
            fields in proptest::collection::vec(("(connection|te|x-a|x-b|accept|upgrade)", "[a-z, -]{0,12}"), 0..8),
            trailers: bool,
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &fields {
                headers.append(
                    name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
            }
            let named: Vec<HeaderName> = nominated(&headers).collect();
            let before = headers.clone();
            strip_request(&mut headers, trailers);
            for name in before.keys() {
                let ends = ends_here(name) || named.contains(name);
                prop_assert!(ends || headers.get(name) == before.get(name), "{name}");
                prop_assert!(!ends || name == header::TE || !headers.contains_key(name), "{name}");
            }
            let once = headers.clone();
            strip_request(&mut headers, trailers);
            prop_assert_eq!(once, headers);
        }
    }
}
