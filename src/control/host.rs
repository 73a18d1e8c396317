//! Whether a request was really meant for this port: `Host` (DNS rebinding) and `Origin` (CSRF).

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use super::ControlError;

/// Where a connection came in: the address it was made to, or `None` for a Unix socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival(pub(super) Option<SocketAddr>);

/// Refuses what was sent to another host, or by a page of another origin.
pub(super) fn check(head: &Parts, arrival: Arrival) -> Result<(), ControlError> {
    let host = one_host(&head.headers)?;
    if let Some(local) = arrival.0 {
        let host = host.ok_or(ControlError::BadHost)?;
        let named = std::iter::once(host.as_bytes());
        // An absolute-form target (RFC 9112 §3.2.2) names a host of its own.
        let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
        if !named.chain(target).all(|authority| is_own(authority, local)) {
            return Err(ControlError::ForeignHost);
        }
    }
    check_origin(&head.headers, host.filter(|_| arrival.0.is_some()))
}

fn one_host(headers: &HeaderMap) -> Result<Option<&HeaderValue>, ControlError> {
    let mut hosts = headers.get_all(HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(ControlError::BadHost);
    }
    Ok(first)
}

/// The loopback names and the address the connection was made to, with its port.
fn is_own(authority: &[u8], local: SocketAddr) -> bool {
    let Ok(authority) = Authority::try_from(authority) else { return false };
    // Authority also takes `user@host`, which is no Host.
    if authority.as_str().contains('@') || authority.port_u16().unwrap_or(80) != local.port() {
        return false;
    }
    let host = authority.host();
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok_and(|address| {
        let address = address.to_canonical();
        address == local.ip().to_canonical()
            || address == IpAddr::from([127, 0, 0, 1])
            || address == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
    })
}

/// A browser says `Origin` and `Sec-Fetch-Site`; a program says neither.
fn check_origin(headers: &HeaderMap, host: Option<&HeaderValue>) -> Result<(), ControlError> {
    let own = |origin: &HeaderValue| {
        let origin = origin.as_bytes().strip_prefix(b"http://");
        origin.is_some() && origin == host.map(HeaderValue::as_bytes)
    };
    if !headers.get_all(ORIGIN).iter().all(own) {
        return Err(ControlError::ForeignOrigin);
    }
    let ours = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if !headers.get_all("sec-fetch-site").iter().all(ours) {
        return Err(ControlError::ForeignOrigin);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ports_own_addresses_are_its_hosts() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 9901));
        let outside = SocketAddr::from(([192, 0, 2, 7], 9901));
        let table: &[(&str, SocketAddr, bool)] = &[
            ("127.0.0.1:9901", loopback, true),
            ("localhost:9901", loopback, true),
            ("LOCALHOST:9901", loopback, true),
            ("[::1]:9901", loopback, true),
            ("192.0.2.7:9901", outside, true),
            ("127.0.0.1:9901", outside, true),
            ("192.0.2.7:9901", loopback, false),
            ("192.0.2.8:9901", outside, false),
            ("127.0.0.1", loopback, false),
            ("127.0.0.1:80", loopback, false),
            ("localhost.:9901", loopback, false),
            ("localhost.evil.test:9901", loopback, false),
            ("evil.test:9901", loopback, false),
            ("evil.test", loopback, false),
            ("evil@127.0.0.1:9901", loopback, false),
            ("2130706433:9901", loopback, false),
            ("0x7f.1:9901", loopback, false),
            ("0.0.0.0:9901", loopback, false),
            ("127.0.0.1:99999", loopback, false),
            ("", loopback, false),
        ];
        for (authority, local, own) in table {
            assert_eq!(is_own(authority.as_bytes(), *local), *own, "{authority} at {local}");
        }
    }
}
