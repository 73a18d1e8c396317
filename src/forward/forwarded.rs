//! What the upstream is told about the client: set by us, and believed only from trusted proxies.
//!
//! `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `X-Real-IP` are always set. `Forwarded`
//! (RFC 7239) is continued when a trusted proxy began it, and removed otherwise.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::peer::{Peer, Scheme, TrustedProxies};

use super::head::OwnFields;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Sets the fields of a request that came from `peer` for `host`. `believed`: what the peer says about
/// those before it is there, and kept; else there is nothing of the family.
pub(super) fn set(
    (headers, own): (&mut HeaderMap, &mut OwnFields),
    peer: &Peer,
    host: &HeaderValue,
    believed: bool,
) {
    if believed {
        if headers.contains_key(header::FORWARDED) {
            let client = peer.client.ip().to_canonical();
            continue_forwarded(headers, client, peer.scheme, host);
        }
        if headers.contains_key(FOR) {
            continue_list(headers, &FOR, &peer.address);
        }
    }
    let fields = [
        (FOR, peer.address.clone()),
        (REAL_IP, peer.address.clone()),
        (PROTO, HeaderValue::from_static(peer.scheme.as_str())),
        (HOST, host.clone()),
        (PORT, peer.port.clone()),
    ];
    own.extend(fields.into_iter().filter(|(name, _)| !(believed && headers.contains_key(name))));
}

/// The client's own address: the peer's, or what trusted proxies say about it, nearest untrusted first.
pub fn client_address(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedProxies) -> IpAddr {
    let mut client = peer.to_canonical();
    let listed = headers.get_all(FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: SmallVec<[&str; 4]> = listed.flat_map(|value| value.split(',')).collect();
    for hop in hops.iter().rev() {
        if !trusted.contains(client) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(before) => client = before.to_canonical(),
            Err(_) => break,
        }
    }
    client
}

/// Whether the name is of the family.
pub(super) fn is_forwarded(name: &HeaderName) -> bool {
    let text = name.as_str();
    text.starts_with("x-forwarded") || text == "forwarded" || text == "x-real-ip"
}

/// Removes everything of the family, also the members we do not know.
pub(super) fn strip(headers: &mut HeaderMap) {
    let family: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| is_forwarded(name)).cloned().collect();
    for name in &family {
        headers.remove(name);
    }
}

/// Appends to a list field and makes one line of it, so that no reader takes only the first.
fn continue_list(headers: &mut HeaderMap, name: &HeaderName, last: &HeaderValue) {
    let mut list = Vec::with_capacity(64);
    for value in headers.get_all(name) {
        if !value.is_empty() {
            list.extend_from_slice(value.as_bytes());
            list.extend_from_slice(b", ");
        }
    }
    list.extend_from_slice(last.as_bytes());
    let value = HeaderValue::from_bytes(&list).unwrap_or_else(|_| last.clone());
    headers.insert(name.clone(), value);
}

/// RFC 7239 §4: one element a hop.
fn continue_forwarded(headers: &mut HeaderMap, client: IpAddr, scheme: Scheme, host: &HeaderValue) {
    let mut element = match client {
        IpAddr::V4(v4) => format!("for={v4}"),
        IpAddr::V6(v6) => format!("for=\"[{v6}]\""),
    };
    element.push_str(";proto=");
    element.push_str(scheme.as_str());
    if let Ok(host) = host.to_str() {
        // Judged before: it has neither quotes nor backslashes.
        element.push_str(";host=\"");
        element.push_str(host);
        element.push('"');
    }
    if let Ok(element) = HeaderValue::try_from(element) {
        continue_list(headers, &header::FORWARDED, &element);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(client: &str) -> Peer {
        let local = "127.0.0.1:8443".parse().unwrap();
        Peer::new(client.parse().unwrap(), local, Scheme::Https)
    }

    /// The head that is sent.
    fn set(mut headers: HeaderMap, peer: &Peer, trusted: bool) -> HeaderMap {
        let mut own = OwnFields::new();
        if !trusted {
            strip(&mut headers);
        }
        super::set((&mut headers, &mut own), peer, &AUTHORITY, trusted);
        assert!(own.iter().all(|(name, _)| !headers.contains_key(name)));
        headers.extend(own);
        headers
    }

    fn text(headers: &HeaderMap, name: &str) -> String {
        headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    fn sent(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    const AUTHORITY: HeaderValue = HeaderValue::from_static("api.example");

    #[test]
    fn an_untrusted_peer_is_not_believed() {
        let mut headers = sent("x-forwarded-for", "10.0.0.1");
        for name in ["forwarded", "x-real-ip", "x-forwarded-proto", "x-forwarded-prefix"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("evil"));
        }
        let headers = set(headers, &peer("192.0.2.7:1"), false);
        assert_eq!(text(&headers, "x-forwarded-for"), "192.0.2.7");
        assert_eq!(text(&headers, "x-real-ip"), "192.0.2.7");
        assert_eq!(text(&headers, "x-forwarded-proto"), "https");
        assert_eq!(text(&headers, "x-forwarded-host"), "api.example");
        assert_eq!(text(&headers, "x-forwarded-port"), "8443");
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn a_trusted_proxy_s_chain_is_continued_in_one_line() {
        let mut headers = sent("x-forwarded-for", "203.0.113.5");
        headers.append(FOR, HeaderValue::from_static("10.0.0.1"));
        headers.insert(header::FORWARDED, HeaderValue::from_static("for=203.0.113.5"));
        headers.insert(PROTO, HeaderValue::from_static("http"));
        let headers = set(headers, &peer("[::ffff:10.0.0.2]:1"), true);
        assert_eq!(text(&headers, "x-forwarded-for"), "203.0.113.5, 10.0.0.1, 10.0.0.2");
        assert_eq!(headers.get_all(FOR).iter().count(), 1);
        assert_eq!(text(&headers, "x-forwarded-proto"), "http");
        let forwarded = "for=203.0.113.5, for=10.0.0.2;proto=https;host=\"api.example\"";
        assert_eq!(text(&headers, "forwarded"), forwarded);
    }

    #[test]
    fn the_client_is_the_nearest_hop_that_is_not_trusted() {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let headers = sent("x-forwarded-for", "1.1.1.1, 203.0.113.5, 10.0.0.1");
        for (peer, want) in [("10.0.0.2", "203.0.113.5"), ("192.0.2.1", "192.0.2.1")] {
            let got = client_address(&headers, peer.parse().unwrap(), &trusted);
            assert_eq!(got.to_string(), want);
        }
    }
}
