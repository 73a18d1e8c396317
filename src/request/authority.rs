//! Whom a request is for: one authority, whatever the target and `Host` say.

use std::net::Ipv6Addr;

use http::request::Parts;
use http::{HeaderValue, Version, header};

use super::{RequestError, letters_digits_and};

/// What a host's name or IPv4 address is of.
const IN_HOST: [bool; 256] = letters_digits_and(b"-._~");

/// The host (and port) the request is for, as the client wrote it; the only one it names.
pub fn authority(parts: &Parts) -> Result<&str, RequestError> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (host, None) => named_authority(parts, host),
        (_, Some(_)) => Err(RequestError::BadAuthority),
    }
}

/// The same, when `Host` has been found: it is not there twice.
pub(super) fn named_authority<'r>(
    parts: &'r Parts,
    host: Option<&'r HeaderValue>,
) -> Result<&'r str, RequestError> {
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    let text = |host: &'r HeaderValue| std::str::from_utf8(host.as_bytes());
    let host = host.map(text).transpose().map_err(|_cause| RequestError::BadAuthority)?;
    let named = match (target, host) {
        (Some(target), Some(host)) if same_authority(parts, target, host) => host,
        (None, Some(host)) => host,
        // HTTP/2 has `:authority` instead (RFC 9113 §8.3.1); HTTP/1 always needs Host here.
        (Some(target), None) if parts.version == Version::HTTP_2 => target,
        _ => return Err(RequestError::BadAuthority),
    };
    if valid_authority(named) { Ok(named) } else { Err(RequestError::BadAuthority) }
}

/// The authority of a head that was judged by [`clean`](super::clean): `Host`, or what HTTP/2 has instead.
pub fn checked_authority(parts: &Parts) -> &str {
    match parts.headers.get(header::HOST) {
        Some(host) => host.to_str().unwrap_or_default(),
        None => parts.uri.authority().map_or("", http::uri::Authority::as_str),
    }
}

/// The host of an authority, without its port.
pub fn host(authority: &str) -> &str {
    // `[::1]` has colons of its own.
    let last = authority.bytes().rposition(|byte| matches!(byte, b':' | b']'));
    match last {
        Some(at) if authority.as_bytes()[at] == b':' => &authority[..at],
        _ => authority,
    }
}

/// Whether target and Host name the same place: letters without case, the scheme's port implied.
fn same_authority(parts: &Parts, target: &str, host: &str) -> bool {
    let default = match parts.uri.scheme_str() {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => ":443",
        _ => ":80",
    };
    let bare = |text: &str| text.strip_suffix(default).map_or(text.len(), str::len);
    target[..bare(target)].eq_ignore_ascii_case(&host[..bare(host)])
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2) without userinfo, in the characters a name or address has.
fn valid_authority(text: &str) -> bool {
    let host = host(text);
    let port = &text[host.len()..];
    let port_ok = port.strip_prefix(':').is_none_or(|port| {
        !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
    });
    port_ok && valid_host(host)
}

fn valid_host(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[') {
        return inside.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
    }
    let known = host.bytes().fold(true, |known, byte| known & IN_HOST[usize::from(byte)]);
    known && !host.is_empty() && host.len() <= 255
}
