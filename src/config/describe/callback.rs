//! `[callbacks.name]` as it is in force.

use serde_json::{Value, json};

use super::{SECRET, shown};
use crate::config::units::{format_duration, format_size};
use crate::config::{CallbackConfig, CallbackEndpoint, CallbackKind, WhenDown};

pub(super) fn callback(config: &CallbackConfig) -> Value {
    let mut described = match &config.kind {
        CallbackKind::Introspection { endpoint: at, client_id, client_secret: _ } => {
            let mut described = endpoint(at);
            described["kind"] = "introspection".into();
            described["client_id"] = (**client_id).into();
            described["client_secret"] = SECRET.into();
            described
        }
        CallbackKind::Http { endpoint: at, bearer_secret } => {
            let mut described = endpoint(at);
            described["kind"] = "http".into();
            described["bearer_secret"] = bearer_secret.as_ref().map(|_| SECRET).into();
            described
        }
        CallbackKind::Closure => json!({ "kind": "closure" }),
    };
    described["timeout"] = format_duration(config.timeout).into();
    described["concurrency"] = config.concurrency.into();
    described["when_down"] = match config.when_down {
        WhenDown::Reject => "reject".into(),
        WhenDown::Allow => "allow".into(),
    };
    described["cache"] = json!({
        "ttl": format_duration(config.cache.ttl),
        "refused_ttl": format_duration(config.cache.refused_ttl),
        "entries": config.cache.entries,
        "bytes": format_size(config.cache.bytes),
    });
    described
}

/// Without the query, which may hold a key.
fn endpoint(endpoint: &CallbackEndpoint) -> Value {
    let url = endpoint.url.to_string();
    let shown_url = match url.split_once('?') {
        Some((before, _)) => format!("{before}?{SECRET}"),
        None => url,
    };
    json!({ "url": shown_url, "tls": { "ca": endpoint.ca.as_deref().map(shown) } })
}
