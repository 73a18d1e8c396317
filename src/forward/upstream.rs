//! Upstreams: named groups of endpoints, which of them are up, and which one is next.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Uri;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::access::Permit;
use crate::config::{Balance, HealthConfig, UpstreamConfig};
use crate::observe::Metrics;
use crate::token::Claim;

use super::pool::Pools;

/// A group of endpoints, as one snapshot knows it. Shared by all workers.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    endpoints: Vec<Arc<Endpoint>>,
    balance: Balance,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) retries: u32,
    pub(super) health: Option<HealthConfig>,
    pub(super) counters: Counters,
}

/// One address of an upstream and whether it is up. Lives on over reloads that keep it.
#[derive(Debug)]
pub struct Endpoint {
    id: u64,
    uri: Uri,
    host: Box<str>,
    port: u16,
    healthy: AtomicBool,
    born: Instant,
    /// Milliseconds since `born` until which it is passed over.
    avoided_until: AtomicU64,
    gauge: Gauge,
}

/// Handles of the upstream's series, resolved once.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) connections: Counter,
    pub(super) connect: Counter,
    pub(super) timeout: Counter,
    pub(super) protocol: Counter,
}

/// Endpoints that already failed this request, by place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried(u64);

/// After a failed connect an endpoint is passed over this long, unless there is no other.
const COOLDOWN: Duration = Duration::from_secs(1);

static NEXT_ENDPOINT: AtomicU64 = AtomicU64::new(0);

// === impl Upstream ===

impl Upstream {
    /// Builds the group; endpoints that `previous` had too keep their state and connections.
    pub fn build(config: &UpstreamConfig, previous: Option<&Self>, metrics: &Metrics) -> Self {
        let known = previous.map_or(&[][..], |upstream| &upstream.endpoints);
        let endpoints = config
            .endpoints
            .iter()
            .map(|uri| {
                let kept = known.iter().find(|endpoint| endpoint.uri == *uri);
                let endpoint = kept.map_or_else(
                    || Arc::new(Endpoint::new(&config.name, uri, metrics)),
                    Arc::clone,
                );
                if config.health.is_none() {
                    endpoint.set_healthy(true);
                }
                endpoint
            })
            .collect();
        Self {
            name: Arc::clone(&config.name),
            endpoints,
            balance: config.balance.clone(),
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
            idle_timeout: config.idle_timeout,
            retries: config.retries,
            health: config.health.clone(),
            counters: Counters::new(&config.name, metrics),
        }
    }

    /// What routes call it.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its endpoints, in the configuration's order.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The endpoint for the next attempt: up and untried; else one that is only avoided; else none.
    pub(super) fn choose(
        &self,
        pools: &Pools,
        permit: &Permit,
        tried: Tried,
    ) -> Option<(usize, &Arc<Endpoint>)> {
        if let [only] = &*self.endpoints {
            return (only.is_healthy() && !tried.has(0)).then_some((0, only));
        }
        let now = Instant::now();
        let up = self.candidates(tried).filter(|(_, endpoint)| !endpoint.is_avoided(now));
        self.best(pools, permit, up).or_else(|| self.best(pools, permit, self.candidates(tried)))
    }

    fn candidates(&self, tried: Tried) -> impl Iterator<Item = (usize, &Arc<Endpoint>)> + Clone {
        let all = self.endpoints.iter().enumerate();
        all.filter(move |(place, endpoint)| endpoint.is_healthy() && !tried.has(*place))
    }

    fn best<'u>(
        &self,
        pools: &Pools,
        permit: &Permit,
        mut candidates: impl Iterator<Item = (usize, &'u Arc<Endpoint>)> + Clone,
    ) -> Option<(usize, &'u Arc<Endpoint>)> {
        let count = candidates.clone().count();
        if count == 0 {
            return None;
        }
        let turn = pools.next_turn();
        match &self.balance {
            Balance::RoundRobin => candidates.nth(turn % count),
            // Among equals in turn, so that a quiet gateway does not use one endpoint alone.
            Balance::LeastRequests => {
                let equals = candidates.clone().chain(candidates).skip(turn % count).take(count);
                equals.min_by_key(|(_, endpoint)| pools.in_flight(endpoint.id))
            }
            Balance::Hash(claim) => {
                let claims = permit.principal().map(crate::revocation::Principal::claims);
                let Some(value) = claims.and_then(|claims| claims.look_at(claim)) else {
                    return candidates.nth(turn % count);
                };
                // Rendezvous: when an endpoint goes, only its own subjects move.
                candidates.max_by_key(|(_, endpoint)| weight(value, endpoint))
            }
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn new(upstream: &str, uri: &Uri, metrics: &Metrics) -> Self {
        let labels = vec![("upstream", upstream.to_owned()), ("endpoint", uri.to_string())];
        let gauge = metrics.upstream_healthy.get_or_create(&labels).clone();
        gauge.set(1);
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        Self {
            id: NEXT_ENDPOINT.fetch_add(1, Ordering::Relaxed),
            uri: uri.clone(),
            host: host.into(),
            port: uri.port_u16().unwrap_or(80),
            healthy: AtomicBool::new(true),
            born: Instant::now(),
            avoided_until: AtomicU64::new(0),
            gauge,
        }
    }

    /// Its address as configured.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What active checks last found; true without checks.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    pub(super) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
        self.gauge.set(i64::from(healthy));
    }

    /// Passes it over for a moment.
    pub(super) fn avoid(&self) {
        let until = self.born.elapsed() + COOLDOWN;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.avoided_until.store(until, Ordering::Relaxed);
    }

    fn is_avoided(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.born).as_millis();
        age < u128::from(self.avoided_until.load(Ordering::Relaxed))
    }
}

// === impl Counters ===

impl Counters {
    fn new(upstream: &str, metrics: &Metrics) -> Self {
        let label = || ("upstream", upstream.to_owned());
        let failure = |reason: &str| {
            let labels = vec![label(), ("reason", reason.to_owned())];
            metrics.upstream_failures.get_or_create(&labels).clone()
        };
        Self {
            connections: metrics.upstream_connections.get_or_create(&vec![label()]).clone(),
            connect: failure("connect"),
            timeout: failure("timeout"),
            protocol: failure("protocol"),
        }
    }
}

// === impl Tried ===

impl Tried {
    /// Not again for this request.
    pub(super) const fn add(&mut self, place: usize) {
        self.0 |= Self::bit(place);
    }

    const fn has(self, place: usize) -> bool {
        self.0 & Self::bit(place) != 0
    }

    /// Beyond 63 endpoints the last ones share a bit, which only ends the attempts sooner.
    const fn bit(place: usize) -> u64 {
        1 << if place < 63 { place } else { 63 }
    }
}

// === free functions ===

/// The same in every worker, process and start.
fn weight(claim: Claim<'_>, endpoint: &Endpoint) -> u64 {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    match claim.as_str() {
        Some(text) => hasher.hash_one((text, &endpoint.uri)),
        None => hasher.hash_one((claim.to_value().to_string(), &endpoint.uri)),
    }
}

#[cfg(test)]
pub(super) mod tests;
