//! `forward` and the header names a route may set or read.

use http::HeaderName;

use crate::access::Access;
use crate::config::ForwardConfig;
use crate::config::raw::{Node, Table};
use crate::token::{ClaimPath, TokenSource};

/// Fields that frame the message, carry credentials or say where a request came from, and those of
/// one connection (RFC 9110 §7.6.1): the gateway's own business.
const RESERVED: [&str; 28] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-real-ip",
    "x-request-id",
    "x-http-method-override",
];

pub(super) fn forward(table: &Table<'_>, access: Option<&Access>) -> Option<ForwardConfig> {
    let token = table.read("token", Node::flag).unwrap_or(true);
    let trailers = table.read("trailers", Node::flag).unwrap_or(false);
    let claims = match access {
        Some(Access::Public) => {
            let problem = "says nothing where auth = \"none\": there are no verified claims";
            table.read("claims", |node| node.wrong::<()>(problem));
            Some(Vec::new())
        }
        Some(Access::Optional(rule) | Access::Required(rule)) => {
            let taken: Vec<_> =
                rule.token_from.iter().filter_map(TokenSource::header).cloned().collect();
            identity_headers(&table.section("claims"), &taken)
        }
        None => identity_headers(&table.section("claims"), &[]),
    };
    Some(ForwardConfig { token, claims: claims?, trailers })
}

/// The header a token is looked for in.
pub(super) fn token_header(node: &Node<'_>) -> Option<HeaderName> {
    let name = header_name(node)?;
    match name.as_str() {
        "authorization" | "proxy-authorization" => Some(name),
        "cookie" => {
            node.wrong_but("a token in a cookie is named by its cookie", "{ cookie = \"name\" }")
        }
        _ if is_reserved(&name) => node.wrong("this field is never a credential"),
        _ => Some(name),
    }
}

fn identity_headers(
    table: &Table<'_>,
    taken: &[HeaderName],
) -> Option<Vec<(ClaimPath, HeaderName)>> {
    let mut headers: Vec<(ClaimPath, HeaderName)> = Vec::new();
    let mut sound = true;
    for (claim, node) in table.named() {
        match identity_header(claim, &node, taken) {
            Some(name) if headers.iter().any(|(_, other)| *other == name) => {
                sound = false;
                let _: Option<()> = node.wrong("another claim goes into this header");
            }
            Some(name) => headers.push((claim.into(), name)),
            None => sound = false,
        }
    }
    sound.then_some(headers)
}

fn identity_header(claim: &str, node: &Node<'_>, taken: &[HeaderName]) -> Option<HeaderName> {
    let name = header_name(node)?;
    if claim.trim().is_empty() {
        return node.wrong("the claim's name is empty");
    }
    if is_reserved(&name) {
        return node.wrong_but("this field is the gateway's own", "such as \"X-Auth-Subject\"");
    }
    if taken.contains(&name) {
        return node.wrong("the route looks for the token in this header");
    }
    Some(name)
}

/// Servers that read `_` as `-` would take a client's own field for ours (security.md G).
fn header_name(node: &Node<'_>) -> Option<HeaderName> {
    let text = node.text()?;
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if plain && text.len() <= 64 => Some(name),
        _ => node.wrong("a header's name here is 1 to 64 letters, digits and \"-\""),
    }
}

fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-")
}
