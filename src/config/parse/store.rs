//! `revocation.feed` and the tables of its stores.

use std::path::Path;

use super::secret;
use crate::config::raw::{Node, Table};
use crate::revocation::{FeedConfig, NatsConfig, PostgresConfig, RedisConfig, StoreTls, StoreUrl};
use crate::secret::Secret;

/// What `feed` may say.
#[derive(Clone, Copy)]
enum Kind {
    Embedded,
    Redis,
    Nats,
    Postgres,
}

/// What every store on a network has.
struct Remote {
    url: Option<StoreUrl>,
    username: Option<String>,
    password: Option<Secret>,
    tls: Option<StoreTls>,
}

const FEEDS: [(&str, Kind); 4] = [
    ("embedded", Kind::Embedded),
    ("redis", Kind::Redis),
    ("nats", Kind::Nats),
    ("postgres", Kind::Postgres),
];

/// The chosen store. The tables of the others are judged too, and not used.
pub(super) fn feed(table: &Table<'_>, embedded: &Path) -> FeedConfig {
    let kind = table.read("feed", |node| node.word(&FEEDS)).unwrap_or(Kind::Embedded);
    let (redis, nats) = (redis(table), nats(table));
    let postgres = postgres(table, matches!(kind, Kind::Postgres));
    match kind {
        Kind::Embedded => FeedConfig::Embedded { path: embedded.to_owned() },
        Kind::Redis => FeedConfig::Redis(redis),
        Kind::Nats => FeedConfig::Nats(nats),
        Kind::Postgres => FeedConfig::Postgres(postgres),
    }
}

fn redis(table: &Table<'_>) -> RedisConfig {
    let table = table.section("redis");
    let Remote { url, username, password, tls } =
        remote(&table, &["redis", "rediss", "redis+unix"]);
    let replicas = table.read("replicas", |node| node.integer(0..=5));
    RedisConfig {
        url: url.unwrap_or_else(|| StoreUrl::new("redis://127.0.0.1:6379/0")),
        stream: table.read("stream", key).unwrap_or_else(|| "portcullis:revocations".to_owned()),
        replicas: replicas.and_then(|count| u8::try_from(count).ok()).unwrap_or(0),
        username,
        password,
        tls,
    }
}

fn nats(table: &Table<'_>) -> NatsConfig {
    let table = table.section("nats");
    let Remote { url, username, password, tls } = remote(&table, &["nats", "tls"]);
    let replicas = table.read("replicas", |node| node.integer(1..=5));
    let stream = table.read("stream", stream).unwrap_or("REVOCATIONS");
    NatsConfig {
        url: url.unwrap_or_else(|| StoreUrl::new("nats://127.0.0.1:4222")),
        stream: stream.to_owned(),
        replicas: replicas.and_then(|count| u8::try_from(count).ok()).unwrap_or(1),
        username,
        password,
        credentials: table.read("credentials", Node::file),
        tls,
    }
}

fn postgres(parent: &Table<'_>, chosen: bool) -> PostgresConfig {
    let table = parent.section("postgres");
    let Remote { url, username, password, tls } = remote(&table, &["postgres", "postgresql"]);
    if chosen && !table.has("url") {
        let _: Option<()> = table.missing("url", "such as { env = \"DATABASE_URL\" }");
    }
    PostgresConfig {
        url: url.unwrap_or_else(|| StoreUrl::new("postgres://127.0.0.1/")),
        table: table.read("table", relation).unwrap_or_else(|| "revocations".to_owned()),
        username,
        password,
        tls,
    }
}

fn remote(table: &Table<'_>, schemes: &[&str]) -> Remote {
    let text = |node: &Node<'_>| node.text().map(str::to_owned);
    Remote {
        url: table.read("url", |node| url(node, schemes)),
        username: table.read("username", text),
        password: table.read("password", |node| secret::secret(node, 1, "")),
        tls: table.read("tls", |node| tls(&node.table()?)),
    }
}

/// A URL in the file, or where one with a password is.
fn url(node: &Node<'_>, schemes: &[&str]) -> Option<StoreUrl> {
    let place = "{ env = \"NAME\" } or { file = \"path\" }";
    let help = format!("{}://…, or {place}", schemes.join("://…, "));
    let text = if node.is_table() {
        let secret = secret::secret(node, 1, "")?;
        match std::str::from_utf8(secret.expose()) {
            Ok(text) => text.to_owned(),
            Err(_) => return node.wrong("the URL is not UTF-8"),
        }
    } else {
        let text = node.text()?.to_owned();
        let user = text.rsplit_once('@').map(|(before, _)| before);
        let user = user.map(|before| before.split_once("://").map_or(before, |(_, user)| user));
        if user.is_some_and(|user| user.contains(':')) || text.contains("password=") {
            node.hide();
            return node.wrong_but("a password is never written in this file", place);
        }
        text
    };
    let known = |part: &str| {
        part.trim().split_once("://").is_some_and(|(scheme, _)| schemes.contains(&scheme))
    };
    // A password may hold a comma: the first is judged, and what connects judges the rest.
    if known(&text) {
        return Some(StoreUrl::new(&text));
    }
    node.hide();
    node.wrong_but("expected the store's URL", help)
}

fn tls(table: &Table<'_>) -> Option<StoreTls> {
    let ca = table.read("ca", Node::file);
    let certificate = table.read("certificate", Node::file);
    let private_key = table.read("private_key", Node::file);
    let given = (table.has("certificate"), table.has("private_key"));
    if given.0 != given.1 {
        let lacking = if given.0 { "private_key" } else { "certificate" };
        let _: Option<()> = table.missing(lacking, "a certificate and its key go together");
    }
    Some(StoreTls { ca, identity: certificate.zip(private_key) })
}

/// A Redis key whose neighbours can share its slot.
fn key(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if text.len() > 256 || text.contains(['{', '}']) {
        return node.wrong("a key has at most 256 bytes, and no \"{\" or \"}\"");
    }
    Some(text.to_owned())
}

/// JetStream allows no space, dot, wildcard or path separator in a stream's name.
fn stream<'d>(node: &Node<'d>) -> Option<&'d str> {
    let name = node.label()?;
    if name.contains('.') {
        return node.wrong("a stream's name has no \".\"");
    }
    Some(name)
}

/// A table's name that needs no quotes.
fn relation(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let sound = |part: &str| {
        part.len() <= 48
            && part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    if text.split('.').count() > 2 || !text.split('.').all(sound) {
        return node.wrong_but(
            "a table is named in small letters, digits and \"_\"",
            "\"revocations\" or \"schema.revocations\"",
        );
    }
    Some(text.to_owned())
}
