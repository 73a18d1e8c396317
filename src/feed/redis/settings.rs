//! Whether the server is set to keep what it is given: said once, at the first connection.

use redis::aio::MultiplexedConnection;

/// Warns of settings under which revocations can be lost. A user without the right to ask is not warned.
pub(super) async fn warn(connection: &mut MultiplexedConnection, replicas: u8) {
    let appends = setting(connection, "appendonly").await;
    let saves = setting(connection, "save").await;
    match (appends.as_deref(), saves.as_deref()) {
        (Some("no"), Some("")) => tracing::warn!(
            "Redis keeps nothing on disk (appendonly no, no save points): after its restart only the running \
             gateways know what was revoked"
        ),
        (Some("no"), _) => tracing::warn!(
            "Redis is set to lose revocations when it stops between two save points (appendonly no)"
        ),
        (None, _) => tracing::info!("Redis does not say whether it keeps revocations on disk"),
        _ => {
            let syncs = setting(connection, "appendfsync").await;
            if syncs.as_deref().is_some_and(|word| word != "always") {
                tracing::info!("Redis may lose the last second at a power cut (appendfsync)");
            }
        }
    }
    let evicts = setting(connection, "maxmemory-policy").await;
    if evicts.as_deref().is_some_and(|policy| policy != "noeviction") {
        tracing::warn!("Redis is set to evict keys when its memory is full (maxmemory-policy)");
    }
    if has_replicas(connection).await {
        warn_of_failover(connection, replicas).await;
    }
}

async fn warn_of_failover(connection: &mut MultiplexedConnection, replicas: u8) {
    if replicas == 0 {
        tracing::warn!(
            "Redis acknowledges before its replicas have a record: after a failover only the running gateways \
             know the newest (revocation.redis.replicas)"
        );
    }
    let least = setting(connection, "min-replicas-to-write").await;
    if least.as_deref() == Some("0") {
        tracing::warn!(
            "a Redis primary that is cut off from its replicas would go on taking revocations that others \
             never hear of (min-replicas-to-write 0)"
        );
    }
}

async fn has_replicas(connection: &mut MultiplexedConnection) -> bool {
    let told = redis::cmd("INFO").arg("replication").query_async::<String>(connection).await;
    let count =
        |text: &str| text.strip_prefix("connected_slaves:").is_some_and(|n| n.trim() != "0");
    told.is_ok_and(|told| told.lines().any(count))
}

async fn setting(connection: &mut MultiplexedConnection, name: &str) -> Option<String> {
    let asked = redis::cmd("CONFIG").arg("GET").arg(name).query_async(connection).await;
    let pair: Vec<String> = asked.ok()?;
    pair.into_iter().nth(1)
}
