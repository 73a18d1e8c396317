//! `keys` and `algorithms` of an issuer: they decide over each other (RFC 8725 §3.1).

use std::net::IpAddr;

use http::Uri;
use jsonwebtoken::Algorithm;

use super::secret;
use crate::config::raw::{NOT_YET, Node, Table};
use crate::token::KeysConfig;

const SOURCES: [&str; 5] = ["jwks_url", "discovery", "jwks_file", "pem_file", "secret"];

const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// An issuer's keys and the algorithms they may be used with; `issuer` is its `iss`.
pub(super) fn keys(
    table: &Table<'_>,
    issuer: Option<&str>,
) -> Option<(KeysConfig, Vec<Algorithm>)> {
    const HELP: &str = "one of jwks_url, discovery = true, jwks_file, pem_file, secret";
    let given = table.read("algorithms", |node| node.distinct(algorithm));
    let (node, keys) = table.require("keys", HELP, |node| Some((node.clone(), node.table()?)))?;
    let discovery = keys.read("discovery", Node::flag).unwrap_or(false);
    let chosen: Vec<&str> = SOURCES
        .into_iter()
        .filter(|key| keys.has(key) && (*key != "discovery" || discovery))
        .collect();
    let [source] = chosen[..] else {
        let problem = match chosen.len() {
            0 => "no source of keys".to_owned(),
            _ => format!("several sources of keys: {}", chosen.join(", ")),
        };
        return node.wrong_but(problem, HELP);
    };
    let hmac = source == "secret";
    let defaults =
        if hmac { vec![Algorithm::HS256] } else { vec![Algorithm::RS256, Algorithm::ES256] };
    let suits = table.read("algorithms", |node| refuse_mismatch(node, given.as_deref()?, hmac));
    let algorithms = given.unwrap_or(defaults);
    let keys = match source {
        "jwks_url" => KeysConfig::JwksUrl(keys.read("jwks_url", fetched)?),
        "discovery" => discovered(table, issuer)?,
        "jwks_file" => KeysConfig::JwksFile(keys.read("jwks_file", Node::file)?),
        "pem_file" => KeysConfig::PemFile(keys.read("pem_file", Node::file)?),
        _ => KeysConfig::Secret(keys.read("secret", |node| hmac_secret(node, &algorithms))?),
    };
    if table.has("algorithms") {
        suits?;
    }
    Some((keys, algorithms))
}

fn algorithm(node: &Node<'_>) -> Option<Algorithm> {
    if node.text()?.eq_ignore_ascii_case("none") {
        return node.wrong_but(
            "a token without signature is never accepted",
            "RFC 8725 §3.2; a route that needs no token says auth = \"none\"",
        );
    }
    match node.text()? {
        // Near in letters, far in meaning: the nearest word would mislead.
        "ES512" | "ES256K" => node.wrong_but(NOT_YET, "this version has ES256 and ES384"),
        "Ed25519" => node.wrong_but("\"Ed25519\" is not known here", "did you mean \"EdDSA\"?"),
        _ => node.word(&ALGORITHMS),
    }
}

const fn hash_bytes(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::HS256 => Some(32),
        Algorithm::HS384 => Some(48),
        Algorithm::HS512 => Some(64),
        _ => None,
    }
}

/// A public key must never be taken for an HMAC secret.
fn refuse_mismatch(node: &Node<'_>, algorithms: &[Algorithm], hmac: bool) -> Option<()> {
    let mut mismatched = algorithms.iter().filter(|a| hash_bytes(**a).is_some() != hmac);
    match (mismatched.next(), hmac) {
        (None, _) => Some(()),
        (Some(other), true) => node.wrong_but(
            format!("{other:?} is not verified with a secret"),
            "HS256, HS384 or HS512 with `keys.secret`",
        ),
        (Some(other), false) => node.wrong_but(
            format!("{other:?} is verified with a secret, and `keys` names public keys"),
            "HS256, HS384 and HS512 go with `keys.secret` only",
        ),
    }
}

/// RFC 7518 §3.2: a key of the hash's size or longer.
fn hmac_secret(node: &Node<'_>, algorithms: &[Algorithm]) -> Option<crate::secret::Secret> {
    let hungriest = algorithms.iter().max_by_key(|algorithm| hash_bytes(**algorithm));
    let hungriest = *hungriest.unwrap_or(&Algorithm::HS256);
    let least = hash_bytes(hungriest).unwrap_or(32);
    let why = format!("{hungriest:?} needs {least} or more (RFC 7518 §3.2)");
    secret::secret(node, least, &why)
}

fn discovered(table: &Table<'_>, issuer: Option<&str>) -> Option<KeysConfig> {
    let Some(node) = table.node("issuer") else {
        let help = "discovery begins at the issuer's URL; name a jwks_url instead";
        return table.wrong_but("`keys.discovery` needs `issuer`", help);
    };
    issuer?;
    fetched(&node)?;
    Some(KeysConfig::Discovery)
}

/// A URL that keys may be fetched from: nobody on the way may change them.
fn fetched(node: &Node<'_>) -> Option<Uri> {
    let text = node.text()?;
    let Some(uri) = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some()) else {
        node.hide();
        return node.wrong_but("expected a URL", "\"https://login.example.com/jwks.json\"");
    };
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if authority.contains('@') {
        node.hide();
        return node.wrong("a URL with a user or password is not taken");
    }
    if text.contains('#') {
        return node.wrong("a URL to fetch has no fragment");
    }
    match uri.scheme_str() {
        Some("https") => Some(uri),
        Some("http") if uri.host().is_some_and(is_loopback) => Some(uri),
        Some("http") => node.wrong_but(
            "keys fetched without TLS can be exchanged on the way",
            "https, or http on a loopback address",
        ),
        _ => node.wrong_but("keys are fetched over https", "\"https://…\""),
    }
}

/// RFC 6761 §6.3 reserves `localhost`.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|ip| ip.to_canonical().is_loopback())
}
