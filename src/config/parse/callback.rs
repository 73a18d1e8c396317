//! `[callbacks.name]`: who else is asked about a token.

use std::sync::Arc;

use http::Uri;

use super::{keys, secret};
use crate::config::raw::{Node, Table};
use crate::config::units::{millis, seconds};
use crate::config::{CallbackCache, CallbackConfig, CallbackEndpoint, CallbackKind, WhenDown};
use crate::secret::Secret;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Introspection,
    Http,
    Closure,
}

/// What only some kinds have.
struct Given {
    url: Option<Uri>,
    client_id: Option<Box<str>>,
    client_secret: Option<Secret>,
    bearer_secret: Option<Secret>,
    ca: Option<std::path::PathBuf>,
}

const KINDS: [(&str, Kind); 3] =
    [("introspection", Kind::Introspection), ("http", Kind::Http), ("closure", Kind::Closure)];

pub(super) fn callbacks(rows: &[(&str, Node<'_>)]) -> Option<Vec<CallbackConfig>> {
    let read: Vec<Option<CallbackConfig>> =
        rows.iter().map(|(name, node)| callback(name, node)).collect();
    read.into_iter().collect()
}

fn callback(name: &str, node: &Node<'_>) -> Option<CallbackConfig> {
    const DOWN: [(&str, WhenDown); 2] = [("reject", WhenDown::Reject), ("allow", WhenDown::Allow)];
    node.refuse_unless_label(name);
    let table = node.table()?;
    let kind = table.require("kind", "introspection, http or closure", |node| node.word(&KINDS));
    let given = given(&table);
    let timeout = table.read("timeout", |node| node.duration(millis(10)..=seconds(30)));
    let concurrency = table.read("concurrency", |node| node.integer(1..=10_000));
    let when_down = table.read("when_down", |node| node.word(&DOWN));
    let cache = cache(&table.section("cache"));
    Some(CallbackConfig {
        name: Arc::from(name),
        kind: of_kind(&table, kind?, given)?,
        timeout: timeout.unwrap_or(seconds(1)),
        concurrency: concurrency.and_then(|count| usize::try_from(count).ok()).unwrap_or(64),
        when_down: when_down.unwrap_or(WhenDown::Reject),
        cache: cache?,
    })
}

/// Everything is read whatever the kind, so that no mistake hides another.
fn given(table: &Table<'_>) -> Given {
    let plain = table.read("allow_plain_http", Node::flag).unwrap_or(false);
    Given {
        url: table.read("url", |node| url(node, plain)),
        client_id: table.read("client_id", |node| node.text().map(Box::from)),
        client_secret: table.read("client_secret", |node| secret::secret(node, 1, "")),
        bearer_secret: table.read("bearer_secret", |node| secret::secret(node, 1, "")),
        ca: table.section("tls").read("ca", Node::file),
    }
}

fn of_kind(table: &Table<'_>, kind: Kind, given: Given) -> Option<CallbackKind> {
    let silent: &[&'static str] = match kind {
        Kind::Introspection => &["bearer_secret"],
        Kind::Http => &["client_id", "client_secret"],
        Kind::Closure => {
            &["url", "allow_plain_http", "client_id", "client_secret", "bearer_secret", "tls"]
        }
    };
    let mut sound = true;
    for key in silent {
        if let Some(node) = table.node(key) {
            sound = false;
            let _: Option<()> = node.wrong("says nothing for a callback of this kind");
        }
    }
    if kind == Kind::Closure {
        return sound.then_some(CallbackKind::Closure);
    }
    let missing = |key: &'static str, help| {
        if table.has(key) { None } else { table.missing::<()>(key, help) }
    };
    let _ = missing("url", "such as \"https://login.example.com/token/introspection\"");
    if kind == Kind::Introspection {
        let _ = missing("client_id", "who we are at the endpoint");
        let _ = missing("client_secret", "such as { env = \"INTROSPECTION_SECRET\" }");
    }
    let endpoint = CallbackEndpoint { url: given.url?, ca: given.ca };
    if !sound {
        return None;
    }
    if kind == Kind::Http {
        return Some(CallbackKind::Http { endpoint, bearer_secret: given.bearer_secret });
    }
    let (client_id, client_secret) = (given.client_id?, given.client_secret?);
    Some(CallbackKind::Introspection { endpoint, client_id, client_secret })
}

fn cache(table: &Table<'_>) -> Option<CallbackCache> {
    let life = |node: &Node<'_>| node.duration(seconds(0)..=seconds(24 * 3600));
    let ttl = table.read("ttl", life).unwrap_or(seconds(10));
    let refused_ttl = table.read("refused_ttl", life).unwrap_or_else(|| ttl.min(seconds(5)));
    let entries = table.read("entries", |node| node.integer(1..=10_000_000));
    let bytes = table.read("bytes", |node| node.size(64 << 10..=16 << 30));
    if refused_ttl > ttl {
        let node = table.node("refused_ttl")?;
        return node.wrong_but("a refusal is not kept longer than a permit", "at most `ttl`");
    }
    let entries = entries.and_then(|count| usize::try_from(count).ok()).unwrap_or(10_000);
    Some(CallbackCache { ttl, refused_ttl, entries, bytes: bytes.unwrap_or(16 << 20) })
}

/// Where tokens or claims are sent: nobody on the way may read or change them.
fn url(node: &Node<'_>, plain: bool) -> Option<Uri> {
    const FORM: &str = "\"https://login.example.com/token/introspection\"";
    let text = node.text()?;
    let Some(uri) = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some()) else {
        node.hide();
        return node.wrong_but("expected a URL", FORM);
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        node.hide();
        return node.wrong("a URL with a user or password is not taken");
    }
    if text.contains('#') {
        return node.wrong("a URL to ask has no fragment");
    }
    match uri.scheme_str() {
        Some("https") => Some(uri),
        Some("http") if plain || uri.host().is_some_and(keys::is_loopback) => Some(uri),
        Some("http") => node.wrong_but(
            "what is sent without TLS can be read and changed on the way",
            "https, http on a loopback address, or `allow_plain_http = true`",
        ),
        _ => node.wrong_but("a callback is asked over https", FORM),
    }
}
