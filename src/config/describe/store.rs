//! The revocation store as the configuration has it, without its secrets.

use serde_json::{Value, json};

use super::{SECRET, shown};
use crate::revocation::{FeedConfig, NatsConfig, PostgresConfig, RedisConfig, StoreTls};
use crate::secret::Secret;

/// The table of the chosen store.
pub(super) fn store(config: &FeedConfig) -> Value {
    match config {
        FeedConfig::Embedded { path } => json!({ "path": shown(path) }),
        FeedConfig::Redis(config) => redis(config),
        FeedConfig::Nats(config) => nats(config),
        FeedConfig::Postgres(PostgresConfig { url, table, username, password, tls: store_tls }) => {
            json!({
                "url": url.shown(), "table": table, "username": username,
                "password": masked(password.as_ref()), "tls": tls(store_tls.as_ref()),
            })
        }
    }
}

fn redis(config: &RedisConfig) -> Value {
    json!({
        "url": config.url.shown(), "stream": config.stream, "replicas": config.replicas,
        "username": config.username, "password": masked(config.password.as_ref()),
        "tls": tls(config.tls.as_ref()),
    })
}

fn nats(config: &NatsConfig) -> Value {
    json!({
        "url": config.url.shown(), "stream": config.stream, "replicas": config.replicas,
        "username": config.username, "password": masked(config.password.as_ref()),
        "credentials": config.credentials.as_deref().map(shown), "tls": tls(config.tls.as_ref()),
    })
}

fn masked(secret: Option<&Secret>) -> Option<&'static str> {
    secret.map(|_| SECRET)
}

fn tls(config: Option<&StoreTls>) -> Value {
    let Some(StoreTls { ca, identity }) = config else { return Value::Null };
    let identity = identity.as_ref();
    json!({
        "ca": ca.as_deref().map(shown),
        "certificate": identity.map(|(certificate, _)| shown(certificate)),
        "private_key": identity.map(|(_, key)| shown(key)),
    })
}
