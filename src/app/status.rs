//! What the running gateway says of itself: readiness, status, and what a reload changes.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::{Config, RouteConfig};
use crate::feed::local::CopyStatus;
use crate::forward::Endpoint;
use crate::gateway::Gateway;
use crate::revocation::WhenStale;

use super::House;

/// Ready: keys for every issuer, first checkpoint applied, and not stale where a route refuses then.
/// Sockets are bound before.
pub(super) fn readiness(gateway: &Gateway) -> Result<(), String> {
    let revocations = gateway.revocations();
    if !revocations.freshness().is_loaded() {
        return Err("the revocation checkpoint is not loaded yet".to_owned());
    }
    let snapshot = gateway.snapshot();
    let minds = |route: &RouteConfig| route.when_stale == WhenStale::Reject;
    if revocations.is_stale() && snapshot.config.routes.iter().any(minds) {
        return Err(stale(gateway));
    }
    let keyless = snapshot.verifier.issuers().iter().find(|issuer| issuer.keys().is_none());
    match keyless {
        Some(issuer) => Err(format!("no keys are loaded for issuer \"{}\"", issuer.config().name)),
        None => Ok(()),
    }
}

/// What is wrong with a node that is ready.
pub(super) fn warning(house: &House) -> Option<String> {
    if let Some(CopyStatus { owed: owed @ 1.., .. }) = copy_status(house) {
        return Some(format!(
            "the revocation store has lost its memory: {owed} entries that this node still enforces are to be given back to it"
        ));
    }
    house.gateway().revocations().is_stale().then(|| stale(house.gateway()))
}

fn stale(gateway: &Gateway) -> String {
    let heard = match gateway.revocations().freshness().staleness() {
        Some(age) => format!("its store was last heard of {} s ago", age.as_secs()),
        None => "its store has not answered since the start".to_owned(),
    };
    format!("the revocation state is stale: {heard}")
}

fn copy_status(house: &House) -> Option<CopyStatus> {
    house.copy()?.status().ok()
}

pub(super) fn status(house: &House) -> Value {
    let gateway = house.gateway();
    let snapshot = gateway.snapshot();
    let feed = house.applied().status();
    let revocations = gateway.revocations();
    let staleness = revocations.freshness().staleness();
    let entries = revocations.set().counts().into_iter();
    let issuers = snapshot.verifier.issuers().iter().map(|issuer| {
        let keys = issuer.keys().map_or(0, |keys| keys.keys().len());
        json!({ "name": issuer.config().name, "keys": keys })
    });
    let upstreams = snapshot.upstreams.values().map(|upstream| {
        let endpoint = |endpoint: &Arc<Endpoint>| {
            json!({ "uri": endpoint.uri().to_string(), "healthy": endpoint.is_healthy() })
        };
        let endpoints: Vec<Value> = upstream.endpoints().iter().map(endpoint).collect();
        json!({ "name": upstream.name(), "endpoints": endpoints })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "node": house.node(),
        "generation": snapshot.generation,
        "ready": readiness(gateway).err().map_or(Value::Bool(true), Value::from),
        "feed": {
            "kind": snapshot.config.revocation.feed.kind(),
            "connected": feed.connected,
            "epoch": feed.epoch,
            "cursor": feed.cursor,
            "last_error": feed.last_error,
            "staleness_seconds": staleness.map(|age| age.as_secs_f64()),
            "applied": feed.applied,
            "undecodable": feed.undecodable,
            "epoch_changes": feed.epoch_changes,
            "restored": feed.restored,
        },
        "local_copy": house.copy().map(|copy| {
            let status = copy_status(house);
            json!({
                "path": copy.path().display().to_string(),
                "written": status.is_some_and(|status| status.written),
                "behind": status.is_some_and(|status| status.behind),
                "owed": status.map(|status| status.owed),
                "given_back": status.map(|status| status.given_back),
            })
        }),
        "entries": entries.map(|(claim, count)| (claim.to_string(), Value::from(count)))
            .collect::<serde_json::Map<_, _>>(),
        "issuers": issuers.collect::<Vec<_>>(),
        "upstreams": upstreams.collect::<Vec<_>>(),
        "routes": snapshot.config.routes.iter().map(|route| &route.name).collect::<Vec<_>>(),
    })
}

/// What is different, in words; what is bound or opened at start needs a restart.
pub(super) fn changes(before: &Config, after: &Config) -> Vec<String> {
    let (old, new) = (&before.revocation, &after.revocation);
    let at_start = [
        ("feed", old.feed != new.feed),
        ("local_copy", old.local_copy != new.local_copy),
        ("node", old.node != new.node),
    ];
    let (before, after) = (before.describe(), after.describe());
    let mut changes = Vec::new();
    for (table, value) in after.as_object().into_iter().flatten() {
        if before.get(table) == Some(value) {
            continue;
        }
        changes.push(match table.as_str() {
            "listener" | "control" | "log" => format!("{table}: takes effect at the next start"),
            _ => format!("{table}: changed"),
        });
    }
    let changed = at_start.iter().filter(|(_, changed)| *changed);
    changes.extend(
        changed.map(|(key, _)| format!("revocation.{key}: takes effect at the next start")),
    );
    changes
}
