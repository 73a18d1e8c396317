//! What runs: one immutable picture of the configuration, swapped as a whole.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use thiserror::Error;

use crate::access::{Access, AccessRule};
use crate::callback::{Callback, CallbackSetupError, Callbacks, Closures};
use crate::config::{
    Config, DestinationConfig, ErrorForm, ErrorProfile, ForwardConfig, RegisterFrom, RouteConfig,
    UpstreamConfig,
};
use crate::forward::Upstream;
use crate::observe::metrics::{Labels, Metrics};
use crate::observe::sharded::{Durations, Tally};
use crate::peer::TrustedProxies;
use crate::reject::REASONS;
use crate::request::{HeadLimits, IdentityNames};
use crate::revocation::WhenStale;
use crate::route::{PathPattern, RouteConflict, RouteTable};
use crate::token::{IssuerConfig, KeysError, TrustedIssuer, Verifier};

/// Groups of endpoints, by name.
pub type Upstreams = HashMap<Arc<str>, Arc<Upstream>>;

/// One configuration, running.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the configurations of this process.
    pub generation: u64,
    /// What it was built from.
    pub config: Arc<Config>,
    /// Which route takes a request.
    pub routes: RouteTable<Arc<Route>>,
    /// Counts requests that no route takes.
    pub unrouted: Arc<RouteCounters>,
    /// Checks tokens.
    pub verifier: Verifier,
    /// Groups of endpoints, by name.
    pub upstreams: Upstreams,
    /// Who else is asked about tokens.
    pub callbacks: Callbacks,
    /// Whose forwarding fields are believed.
    pub trusted_proxies: TrustedProxies,
    /// Header fields that any route sets from claims.
    pub identity: Arc<IdentityNames>,
    /// Bounds of a request.
    pub limits: HeadLimits,
    /// What the operator has changed about refusals of requests that no route takes.
    pub error_form: Option<Arc<ErrorForm>>,
}

/// One route, running.
#[derive(Debug)]
pub struct Route {
    /// Its name in log, metrics and challenge.
    pub name: Arc<str>,
    /// Who is let through.
    pub access: Access,
    /// Who else is asked.
    pub callback: Option<Arc<Callback>>,
    /// What happens when the revocation state is too old.
    pub when_stale: WhenStale,
    /// Where requests go.
    pub destination: Destination,
    /// What goes upstream.
    pub forward: ForwardConfig,
    /// Where its answers hold tokens that are registered.
    pub register_from: RegisterFrom,
    /// The form of refusals.
    pub errors: ErrorProfile,
    /// What the operator has changed about it.
    pub error_form: Option<Arc<ErrorForm>>,
    /// Lets pass what would be refused for its token.
    pub shadow: bool,
    /// Whether a credential may stand in a body, which is then read first.
    pub reads_body: bool,
    /// Its share of the metrics.
    pub counters: RouteCounters,
}

/// Where a route's requests go.
#[derive(Debug)]
pub enum Destination {
    /// They are forwarded.
    Upstream(Arc<Upstream>),
    /// The gateway answers, as bearers' self-service below this path (without its last slash).
    SelfService(Box<str>),
}

/// Handles to one route's metrics.
#[derive(Debug)]
pub struct RouteCounters {
    name: Arc<str>,
    metrics: Arc<Metrics>,
    forwarded: Tally,
    /// Refusals by the place of their reason in [`REASONS`], resolved at the first of each.
    rejected: Box<[OnceLock<Tally>]>,
    seconds: Durations,
}

/// Why a configuration can't run.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// Two routes take the same requests.
    #[error("routes \"{0}\" and \"{1}\" take the same requests")]
    Conflict(Arc<str>, Arc<str>),
    /// An issuer's keys can't be loaded.
    #[error("issuer \"{0}\": {1}")]
    Keys(Arc<str>, #[source] KeysError),
    /// A callback can't be built.
    #[error("callback \"{0}\": {1}")]
    Callback(Arc<str>, #[source] CallbackSetupError),
}

// === impl Snapshot ===

impl Snapshot {
    /// Builds what runs. Issuers, upstreams and callbacks that did not change are taken over from
    /// `previous`, with their keys, connections and verdicts; so are its closures.
    pub fn build(
        config: Arc<Config>,
        metrics: &Arc<Metrics>,
        previous: Option<&Self>,
    ) -> Result<Self, SnapshotError> {
        let closures = previous.map(|it| it.callbacks.closures().clone()).unwrap_or_default();
        Self::build_with(config, metrics, previous, &closures)
    }

    /// The same with closures that the configuration's callbacks may name.
    pub fn build_with(
        config: Arc<Config>,
        metrics: &Arc<Metrics>,
        previous: Option<&Self>,
        closures: &Closures,
    ) -> Result<Self, SnapshotError> {
        let upstreams = upstreams(&config, metrics, previous);
        let before = previous.map(|previous| &previous.callbacks);
        let callbacks = Callbacks::build(&config.callbacks, closures, metrics, before)
            .map_err(|(name, error)| SnapshotError::Callback(name, error))?;
        let route = |row: &RouteConfig| Arc::new(Route::new(row, &upstreams, &callbacks, metrics));
        let routes: Vec<Arc<Route>> = config.routes.iter().map(route).collect();
        let patterns = config.routes.iter().map(|row| row.pattern.clone());
        let table = RouteTable::build(patterns.zip(routes.iter().cloned()))
            .map_err(|conflict| SnapshotError::between(&routes, &conflict))?;
        let headers = config.routes.iter().flat_map(|row| &row.forward.claims);
        let issuers = issuers(&config, previous)?;
        Ok(Self {
            generation: previous.map_or(1, |previous| previous.generation + 1),
            unrouted: Arc::new(RouteCounters::new("".into(), metrics)),
            verifier: Verifier::new(issuers),
            identity: Arc::new(IdentityNames::new(headers.map(|(_, header)| header))),
            trusted_proxies: config.listener.trusted_proxies.clone(),
            limits: HeadLimits::from(&config.listener.limits),
            error_form: config.error_forms.iter().find(|form| *form.name == *"rfc6750").cloned(),
            routes: table,
            upstreams,
            callbacks,
            config,
        })
    }
}

// === impl Route ===

impl Route {
    fn new(
        row: &RouteConfig,
        upstreams: &Upstreams,
        callbacks: &Callbacks,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let callback = row.access.rule().and_then(|rule| rule.callback.as_deref());
        Self {
            name: Arc::clone(&row.name),
            callback: callback.and_then(|name| callbacks.find(name)).cloned(),
            access: row.access.clone(),
            when_stale: row.when_stale,
            destination: Destination::new(row, upstreams),
            forward: row.forward.clone(),
            register_from: row.register_from.clone(),
            errors: row.errors,
            error_form: row.error_form.clone(),
            shadow: row.shadow,
            reads_body: row.access.rule().is_some_and(AccessRule::may_read_body),
            counters: RouteCounters::new(Arc::clone(&row.name), metrics),
        }
    }
}

// === impl Destination ===

impl Destination {
    fn new(row: &RouteConfig, upstreams: &Upstreams) -> Self {
        match &row.destination {
            DestinationConfig::Upstream(name) => {
                // The configuration refuses a route to an upstream that is not there.
                let upstream = upstreams.get(name).expect("the configuration names an upstream");
                Self::Upstream(Arc::clone(upstream))
            }
            DestinationConfig::SelfService => {
                let (PathPattern::Exact(path) | PathPattern::Prefix(path)) = &row.pattern.path;
                Self::SelfService(path.clone())
            }
        }
    }
}

// === impl RouteCounters ===

impl RouteCounters {
    fn new(name: Arc<str>, metrics: &Arc<Metrics>) -> Self {
        let route = vec![("route", name.to_string())];
        let forwarded = outcome(&name, "forwarded", "");
        Self {
            forwarded: metrics.requests.get_or_create(&forwarded).clone(),
            rejected: REASONS.map(|_| OnceLock::new()).into(),
            seconds: metrics.request_seconds.get_or_create(&route).clone(),
            metrics: Arc::clone(metrics),
            name,
        }
    }

    /// The route's name; empty for requests without one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts one request.
    pub fn count(&self, word: &str, reason: &str, elapsed: Duration) {
        self.seconds.observe(elapsed);
        match (word, reason) {
            ("forwarded", "") => self.forwarded.inc(),
            ("rejected", _) => match REASONS.binary_search(&reason) {
                Ok(place) => self.rejected[place].get_or_init(|| self.resolve(word, reason)).inc(),
                Err(_unheard) => self.resolve(word, reason).inc(),
            },
            _ => self.resolve(word, reason).inc(),
        };
    }

    fn resolve(&self, word: &str, reason: &str) -> Tally {
        self.metrics.requests.get_or_create(&outcome(&self.name, word, reason)).clone()
    }
}

// === impl SnapshotError ===

impl SnapshotError {
    fn between(routes: &[Arc<Route>], conflict: &RouteConflict) -> Self {
        let name = |place: usize| routes.get(place).map_or_else(|| "".into(), |it| it.name.clone());
        Self::Conflict(name(conflict.first), name(conflict.second))
    }
}

fn outcome(route: &str, outcome: &str, reason: &str) -> Labels {
    let label = |name, value: &str| (name, value.to_owned());
    vec![label("route", route), label("outcome", outcome), label("reason", reason)]
}

fn upstreams(config: &Config, metrics: &Metrics, previous: Option<&Snapshot>) -> Upstreams {
    let build = |wanted: &UpstreamConfig| {
        let before = previous.and_then(|previous| previous.upstreams.get(&wanted.name));
        let upstream = Upstream::build(wanted, before.map(|it| &**it), metrics);
        (Arc::clone(&wanted.name), Arc::new(upstream))
    };
    config.upstreams.iter().map(build).collect()
}

fn issuers(
    config: &Config,
    previous: Option<&Snapshot>,
) -> Result<Vec<Arc<TrustedIssuer>>, SnapshotError> {
    let before = previous.map_or(&[][..], |previous| previous.verifier.issuers());
    let issuer = |wanted: &IssuerConfig| {
        let same = before.iter().find(|issuer| issuer.config() == wanted).map(Arc::clone);
        let issuer = same.unwrap_or_else(|| {
            let issuer = TrustedIssuer::new(wanted.clone());
            before.iter().for_each(|earlier| issuer.inherit_keys(earlier));
            Arc::new(issuer)
        });
        let keys = issuer.read_local();
        let keys = keys.map_err(|error| SnapshotError::Keys(wanted.name.clone(), error))?;
        Ok((issuer, keys))
    };
    let issuers: Vec<_> = config.issuers.iter().map(issuer).collect::<Result<_, _>>()?;
    // Put in place only when all could be read: a refused reload changes nothing.
    let place = |(issuer, keys): (Arc<TrustedIssuer>, Option<_>)| {
        if let Some(keys) = keys {
            issuer.set_keys(keys);
        }
        issuer
    };
    Ok(issuers.into_iter().map(place).collect())
}
