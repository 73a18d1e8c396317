//! The running gateway as its control port sees it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::Value;

use crate::clock::{Clock, UnixTime};
use crate::config::Config;
use crate::control::{Ask, AskError, Gatehouse, Nodes, RegisterAsk, ReloadReport, SeenNode, Wait};
use crate::feed::local::LocalCopy;
use crate::feed::{Log, Roster};
use crate::gateway::{Explained, Gateway, Inquiry};
use crate::observe::metrics::Metrics;
use crate::revocation::follower::{AppliedCursor, FeedStatus};
use crate::revocation::{
    Cursor, Enforceable, FeedError, Filter, IssuerScope, Making, Name, NodeName, Op, Page,
    Revocation, RevocationLog, Revocations,
};
use crate::shutdown::Drain;
use crate::snapshot::Snapshot;
use crate::token::IssuerConfig;

use super::asked;
use super::cluster::Cluster;
use super::status;
use super::tasks::Tasks;

/// What control calls act on.
#[derive(Debug)]
pub struct House {
    gateway: Arc<Gateway>,
    log: Log,
    copy: Option<LocalCopy>,
    applied: AppliedCursor,
    cluster: Arc<Cluster<Roster>>,
    origin: Option<PathBuf>,
    tasks: Tasks,
    drains: OnceLock<(Drain, Drain)>,
    reloading: Mutex<()>,
    /// What can be asked for, and the generation of the configuration that says so.
    enforceable: ArcSwapOption<(u64, Enforceable)>,
}

/// How long an acknowledged record may take to this node's own set before the call gives up.
const APPLY_LIMIT: Duration = Duration::from_secs(5);

// === impl House ===

impl House {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        (log, applied, cluster): (Log, AppliedCursor, Arc<Cluster<Roster>>),
        origin: Option<PathBuf>,
        tasks: Tasks,
    ) -> Self {
        let (drains, reloading) = (OnceLock::new(), Mutex::new(()));
        let enforceable = ArcSwapOption::empty();
        let copy = None;
        Self { gateway, log, copy, applied, cluster, origin, tasks, drains, reloading, enforceable }
    }

    /// This node's own copy of the store, if it has one.
    pub(super) fn with_copy(self, copy: Option<LocalCopy>) -> Self {
        Self { copy, ..self }
    }

    /// Starts what the first snapshot needs; `serving` is the data plane's own drain.
    pub(super) fn start_tasks(&self, background: &Drain, serving: &Drain) {
        let drains = self.drains.get_or_init(|| (background.clone(), serving.clone()));
        self.follow(&self.gateway.snapshot(), &drains.0);
    }

    pub(super) const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    pub(super) const fn copy(&self) -> Option<&LocalCopy> {
        self.copy.as_ref()
    }

    pub(super) const fn applied(&self) -> &AppliedCursor {
        &self.applied
    }

    pub(super) fn node(&self) -> &NodeName {
        self.cluster.own()
    }

    /// The clock that decides.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.gateway.clock()
    }

    /// The counters, to be shared.
    pub fn metrics_shared(&self) -> &Arc<Metrics> {
        self.gateway.metrics()
    }

    /// Reads the configuration again and swaps it in; on any problem nothing changes.
    pub fn reload_now(&self) -> Result<ReloadReport, Vec<String>> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.try_reload();
        let word = if outcome.is_ok() { "applied" } else { "refused" };
        let label = vec![("outcome", word.to_owned())];
        self.metrics().config_reloads.get_or_create(&label).inc();
        match &outcome {
            Ok(report) => tracing::info!(generation = report.generation, "configuration reloaded"),
            Err(problems) => {
                for problem in problems {
                    tracing::error!(%problem, "the new configuration is refused; the old one goes on");
                }
            }
        }
        outcome
    }

    /// Opens the access log's file again.
    pub fn reopen_log(&self) {
        self.gateway.log().reopen();
    }

    fn try_reload(&self) -> Result<ReloadReport, Vec<String>> {
        let Some(origin) = &self.origin else {
            return Err(vec!["the gateway was not started from a file".to_owned()]);
        };
        let config = Config::load(origin)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let before = self.gateway.snapshot();
        let changes = status::changes(&before.config, &config);
        let next = Snapshot::build(Arc::new(config), self.metrics_shared(), Some(&before))
            .map_err(|error| vec![error.to_string()])?;
        let generation = next.generation;
        let revocation = &next.config.revocation;
        // Before the swap: tokens of the new generation are named by the new claims.
        let revocations = self.gateway.revocations();
        revocations.reconfigure(&revocation.claims, revocation.max_staleness);
        revocations.configure_register(revocation.mode, revocation.register.as_ref());
        let next = Arc::new(next);
        self.gateway.swap(Arc::clone(&next));
        if let Some((background, _)) = self.drains.get() {
            self.follow(&next, background);
        }
        self.metrics().config_generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        Ok(ReloadReport { generation, changes })
    }

    fn follow(&self, snapshot: &Snapshot, drain: &Drain) {
        self.tasks.follow(snapshot, self.metrics_shared(), self.clock(), drain);
    }

    /// Made once for each configuration: an import asks for every line.
    pub(super) fn enforceable(&self) -> Arc<(u64, Enforceable)> {
        if let Some(made) = &*self.enforceable.load()
            && made.0 == self.gateway.generation()
        {
            return Arc::clone(made);
        }
        let snapshot = self.gateway.snapshot();
        let issuers = snapshot.verifier.issuers().iter().map(|issuer| IssuerScope {
            scope: Arc::clone(issuer.scope()),
            longest: issuer.config().max_lifetime.longest(),
            leeway: issuer.config().leeway,
            family: has_families(issuer.config()).then(|| issuer.config().max_lifetime.access),
        });
        let claims = snapshot.config.revocation.claims.clone();
        let enforceable = Enforceable { issuers: issuers.collect(), claims };
        let made = Arc::new((snapshot.generation, enforceable));
        self.enforceable.store(Some(Arc::clone(&made)));
        made
    }

    fn holds_all(&self, names: &[(Name, UnixTime)]) -> bool {
        let (set, now) = (self.gateway.revocations().set(), self.clock().now());
        names.iter().all(|(name, end)| *end <= now || set.holds(name, None, now))
    }
}

impl Gatehouse for House {
    fn complete(&self, ask: Ask, making: &mut Making) -> Result<Revocation, AskError> {
        asked::revocation(ask, &self.gateway, &self.enforceable().1, making)
    }

    fn making(&self, actor: &Arc<str>) -> Making {
        Making::begin(self.clock().now(), Some(Arc::clone(actor)))
    }

    fn register(&self, ask: RegisterAsk, actor: &Arc<str>) -> Result<Revocation, AskError> {
        let (enforceable, actor) = (self.enforceable(), Some(Arc::clone(actor)));
        asked::registration(ask, &self.gateway, &enforceable.1, actor, self.clock().now())
    }

    fn explain(&self, inquiry: &Inquiry) -> Explained {
        self.gateway.explain(inquiry)
    }

    fn revocations(&self) -> &Revocations {
        self.gateway.revocations()
    }

    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        let names = revoked_names(&records);
        let cursor = self.log.append(records).await?;
        // The set is asked too: a cursor of another epoch says nothing about this record, and a log that
        // leaves out what was superseded is past it before it has told what did.
        let there = |status: &FeedStatus| {
            status.cursor.as_ref().is_some_and(|at| *at >= cursor) && self.holds_all(&names)
        };
        if self.applied.until(there, APPLY_LIMIT).await {
            return Ok(cursor);
        }
        Err(not_applied(&cursor))
    }

    async fn enforced(&self, upto: Cursor) -> Result<(), FeedError> {
        match self.applied.reached(&upto, APPLY_LIMIT).await {
            true => Ok(()),
            false => Err(not_applied(&upto)),
        }
    }

    async fn record(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        self.log.append(records).await
    }

    async fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page, FeedError> {
        self.log.list(filter, after, limit).await
    }

    async fn confirm(&self, record: Option<&Revocation>, wait: Wait, limit: Duration) -> Nodes {
        self.cluster.confirm(record, wait, limit).await
    }

    async fn nodes(&self) -> Result<Vec<SeenNode>, FeedError> {
        self.cluster.nodes().await
    }

    async fn reload(&self) -> Result<ReloadReport, Vec<String>> {
        self.reload_now()
    }

    fn readiness(&self) -> Result<(), String> {
        if self.drains.get().is_none_or(|(_, serving)| serving.has_begun()) {
            return Err("draining".to_owned());
        }
        status::readiness(&self.gateway)
    }

    fn warning(&self) -> Option<String> {
        status::warning(self)
    }

    fn status(&self) -> Value {
        status::status(self)
    }

    fn config(&self) -> Value {
        self.gateway.snapshot().config.describe()
    }

    fn metrics(&self) -> &Metrics {
        self.gateway.metrics()
    }
}

fn not_applied(cursor: &Cursor) -> FeedError {
    FeedError::Refused(format!("recorded at {cursor}, but not applied here in time"))
}

/// What the records revoke or register in the end, and until when.
fn revoked_names(records: &[Revocation]) -> Vec<(Name, UnixTime)> {
    let named = |record: &Revocation| (record.name.clone(), record.expires_at);
    if records.iter().all(|record| record.op == Op::Revoke) {
        return records.iter().map(named).collect();
    }
    let last: HashMap<&Name, &Revocation> = records.iter().map(|it| (&it.name, it)).collect();
    let revoked = last.into_values().filter(|record| record.op != Op::Reinstate);
    revoked.map(named).collect()
}

fn has_families(issuer: &IssuerConfig) -> bool {
    issuer.own_claims.as_ref().is_some_and(|own| own.family.is_some())
}
