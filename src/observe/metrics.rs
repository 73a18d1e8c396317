//! Every metric, its name and its help, in one place. `docs/metrics.md` is held against it by a test.
//!
//! Handles are resolved when routes, upstreams and issuers are built, so that counting on the request
//! path is one atomic addition, to a line of the worker's own. Labels come from the configuration, never from a client.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::sharded::{Durations, Tally};

/// A gauge that holds a fraction.
pub type FloatGauge = Gauge<f64, AtomicU64>;

/// Label names and values of one series; names are constants, values configured words.
pub type Labels = Vec<(&'static str, String)>;

/// Every metric of the process. Cloning shares the counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests answered, by route, outcome (`forwarded`, `rejected`, `shadowed`, `client_gone`) and reason.
    pub requests: Family<Labels, Tally>,
    /// From the request's head to the end of the answer, by route.
    pub request_seconds: Family<Labels, Durations>,
    /// Open client connections.
    pub connections: Gauge,
    /// Connections accepted.
    pub connections_accepted: Counter,
    /// Connections closed before a request, by reason (`limit`, `tls`, `timeout`, `sniff`).
    pub connections_refused: Family<Labels, Counter>,
    /// Request header fields dropped because their name reads like a reserved one's.
    pub headers_dropped: Tally,
    /// Connections opened to upstreams, by upstream.
    pub upstream_connections: Family<Labels, Counter>,
    /// Attempts that failed, by upstream and reason.
    pub upstream_failures: Family<Labels, Counter>,
    /// 1 when the endpoint is used, by upstream and endpoint.
    pub upstream_healthy: Family<Labels, Gauge>,
    /// Verified tokens found in the cache.
    pub token_cache_hits: Tally,
    /// Tokens that had to be verified.
    pub token_cache_misses: Tally,
    /// Key sets fetched, by issuer and outcome (`loaded`, `unchanged`, `failed`).
    pub key_fetches: Family<Labels, Counter>,
    /// Verifying keys loaded, by issuer.
    pub keys: Family<Labels, Gauge>,
    /// When the keys were last confirmed, UNIX seconds, by issuer.
    pub keys_confirmed: Family<Labels, Gauge>,
    /// Live entries, by claim.
    pub revocation_entries: Family<Labels, Gauge>,
    /// Tokens looked for in the answers of services that issue them, by route and outcome.
    pub registrations: Family<Labels, Counter>,
    /// Records applied, by op.
    pub revocation_records: Family<Labels, Counter>,
    /// Log entries that could not be decoded.
    pub revocation_undecodable: Counter,
    /// Records that had expired before they were published.
    pub revocation_born_expired: Counter,
    /// Expired entries swept.
    pub revocation_swept: Counter,
    /// Registered tokens that can be listed.
    pub register_tokens: Gauge,
    /// Times a token could not be listed because the register was full.
    pub register_unlisted: Counter,
    /// Times a token that was seen was told later because too many were.
    pub register_seen_late: Counter,
    /// Seconds since everything was last known to be applied.
    pub revocation_staleness: FloatGauge,
    /// 1 while the feed answers.
    pub feed_connected: Gauge,
    /// Times the store came back with another memory.
    pub epoch_changes: Counter,
    /// From a record's `at` to its being applied here.
    pub propagation_seconds: Histogram,
    /// Entries that the store is known to lack.
    pub revocation_owed: Gauge,
    /// Entries that this node has given back to the store.
    pub revocation_given_back: Counter,
    /// 1 while this node's own copy is written.
    pub local_copy_written: Gauge,
    /// Questions that callbacks were asked, by callback.
    pub callback_asked: Family<Labels, Counter>,
    /// Requests for which a kept verdict was found, by callback.
    pub callback_cached: Family<Labels, Tally>,
    /// Verdicts that questions brought, by callback and verdict (`allow`, `deny`, `inactive`).
    pub callback_verdicts: Family<Labels, Counter>,
    /// Questions that brought no verdict, by callback and reason.
    pub callback_failures: Family<Labels, Counter>,
    /// Requests let through because no answer came, by callback.
    pub callback_passed_while_down: Family<Labels, Counter>,
    /// From a question to its answer, by callback.
    pub callback_seconds: Family<Labels, Histogram, fn() -> Histogram>,
    /// Nodes that live, as they were listed last.
    pub nodes: Gauge,
    /// Waits for other nodes, by outcome (`confirmed`, `missing`, `unknown`).
    pub waits: Family<Labels, Counter>,
    /// Control calls, by call and status.
    pub control_requests: Family<Labels, Counter>,
    /// Access-log lines dropped because the writer was behind.
    pub log_dropped: Counter,
    /// The running configuration's number.
    pub config_generation: Gauge,
    /// Reloads, by outcome (`applied`, `refused`).
    pub config_reloads: Family<Labels, Counter>,
}

// === impl Metrics ===

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut it = Self::unregistered();
        it.register_data_plane();
        it.register_keys_and_revocations();
        it.register_local_copy();
        it.register_tokens();
        it.register_callbacks();
        it.register_control();
        it
    }

    fn unregistered() -> Self {
        Self {
            registry: Registry::default(),
            requests: Family::default(),
            request_seconds: Family::default(),
            connections: Gauge::default(),
            connections_accepted: Counter::default(),
            connections_refused: Family::default(),
            headers_dropped: Tally::default(),
            upstream_connections: Family::default(),
            upstream_failures: Family::default(),
            upstream_healthy: Family::default(),
            token_cache_hits: Tally::default(),
            token_cache_misses: Tally::default(),
            key_fetches: Family::default(),
            keys: Family::default(),
            keys_confirmed: Family::default(),
            revocation_entries: Family::default(),
            registrations: Family::default(),
            revocation_records: Family::default(),
            revocation_undecodable: Counter::default(),
            revocation_born_expired: Counter::default(),
            revocation_swept: Counter::default(),
            register_tokens: Gauge::default(),
            register_unlisted: Counter::default(),
            register_seen_late: Counter::default(),
            revocation_staleness: FloatGauge::default(),
            feed_connected: Gauge::default(),
            epoch_changes: Counter::default(),
            propagation_seconds: propagation_histogram(),
            revocation_owed: Gauge::default(),
            revocation_given_back: Counter::default(),
            local_copy_written: Gauge::default(),
            callback_asked: Family::default(),
            callback_cached: Family::default(),
            callback_verdicts: Family::default(),
            callback_failures: Family::default(),
            callback_passed_while_down: Family::default(),
            callback_seconds: Family::new_with_constructor(callback_histogram),
            nodes: Gauge::default(),
            waits: Family::default(),
            control_requests: Family::default(),
            log_dropped: Counter::default(),
            config_generation: Gauge::default(),
            config_reloads: Family::default(),
        }
    }

    /// The exposition text (`text/plain; version=1.0.0`, OpenMetrics).
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }

    fn register_data_plane(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("portcullis");
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register(
            "request_seconds",
            "From the request's head to the end of the answer",
            self.request_seconds.clone(),
        );
        registry.register("connections", "Open client connections", self.connections.clone());
        registry.register(
            "connections_accepted",
            "Client connections accepted",
            self.connections_accepted.clone(),
        );
        registry.register(
            "connections_refused",
            "Client connections closed before a request",
            self.connections_refused.clone(),
        );
        registry.register(
            "headers_dropped",
            "Request header fields dropped for a name that reads like a reserved one",
            self.headers_dropped.clone(),
        );
        registry.register(
            "upstream_connections",
            "Connections opened to upstreams",
            self.upstream_connections.clone(),
        );
        registry.register(
            "upstream_failures",
            "Attempts at an upstream that failed",
            self.upstream_failures.clone(),
        );
        registry.register(
            "upstream_healthy",
            "1 when the endpoint is used",
            self.upstream_healthy.clone(),
        );
        registry.register(
            "token_cache_hits",
            "Verified tokens found in the cache",
            self.token_cache_hits.clone(),
        );
        registry.register(
            "token_cache_misses",
            "Tokens that had to be verified",
            self.token_cache_misses.clone(),
        );
        registry.register("log_dropped", "Access-log lines dropped", self.log_dropped.clone());
    }

    fn register_tokens(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("portcullis");
        registry.register(
            "register_tokens",
            "Registered tokens that can be listed",
            self.register_tokens.clone(),
        );
        registry.register(
            "register_unlisted",
            "Times a token could not be listed because the register was full",
            self.register_unlisted.clone(),
        );
        registry.register(
            "register_seen_late",
            "Times a token that was seen was told later because too many were",
            self.register_seen_late.clone(),
        );
    }

    fn register_keys_and_revocations(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("portcullis");
        registry.register("key_fetches", "Key sets fetched", self.key_fetches.clone());
        registry.register("keys", "Verifying keys loaded", self.keys.clone());
        registry.register(
            "keys_confirmed_timestamp_seconds",
            "When the issuer's keys were last confirmed",
            self.keys_confirmed.clone(),
        );
        registry.register(
            "revocation_entries",
            "Live revocation entries",
            self.revocation_entries.clone(),
        );
        registry.register(
            "revocation_records",
            "Revocation records applied",
            self.revocation_records.clone(),
        );
        registry.register(
            "revocation_undecodable",
            "Log entries that could not be decoded",
            self.revocation_undecodable.clone(),
        );
        registry.register(
            "revocation_born_expired",
            "Revocation records that had expired before they were published",
            self.revocation_born_expired.clone(),
        );
        registry.register(
            "revocation_swept",
            "Expired revocation entries swept",
            self.revocation_swept.clone(),
        );
        registry.register(
            "revocation_staleness_seconds",
            "Since everything was last known to be applied",
            self.revocation_staleness.clone(),
        );
        registry.register(
            "feed_connected",
            "1 while the feed answers",
            self.feed_connected.clone(),
        );
        registry.register(
            "propagation_seconds",
            "From a record's making to its being applied here",
            self.propagation_seconds.clone(),
        );
    }

    fn register_local_copy(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("portcullis");
        registry.register(
            "epoch_changes",
            "Times the store came back with another memory",
            self.epoch_changes.clone(),
        );
        registry.register(
            "revocation_owed",
            "Entries that the store is known to lack",
            self.revocation_owed.clone(),
        );
        registry.register(
            "revocation_given_back",
            "Entries that this node has given back to the store",
            self.revocation_given_back.clone(),
        );
        registry.register(
            "local_copy_written",
            "1 while this node's own copy is written",
            self.local_copy_written.clone(),
        );
    }

    fn register_callbacks(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("portcullis");
        registry.register("callback_asked", "Questions asked", self.callback_asked.clone());
        registry.register(
            "callback_cached",
            "Requests for which a kept verdict was found",
            self.callback_cached.clone(),
        );
        registry.register(
            "callback_verdicts",
            "Verdicts that questions brought",
            self.callback_verdicts.clone(),
        );
        registry.register(
            "callback_failures",
            "Questions that brought no verdict",
            self.callback_failures.clone(),
        );
        registry.register(
            "callback_passed_while_down",
            "Requests let through because no answer came",
            self.callback_passed_while_down.clone(),
        );
        registry.register(
            "callback_seconds",
            "From a question to its answer",
            self.callback_seconds.clone(),
        );
    }

    fn register_control(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("portcullis");
        registry.register("nodes", "Nodes that live, as listed last", self.nodes.clone());
        registry.register("waits", "Waits for other nodes", self.waits.clone());
        registry.register("control_requests", "Control calls", self.control_requests.clone());
        registry.register(
            "config_generation",
            "The running configuration's number",
            self.config_generation.clone(),
        );
        registry.register(
            "registrations",
            "Tokens looked for in answers of services that issue them",
            self.registrations.clone(),
        );
        registry.register("config_reloads", "Configuration reloads", self.config_reloads.clone());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// 500 µs to 30 s, the longest time-out.
fn callback_histogram() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ])
}

/// 100 µs to 60 s.
fn propagation_histogram() -> Histogram {
    Histogram::new([
        0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0,
    ])
}
