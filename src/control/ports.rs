//! What the control port needs from the running gateway.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::gateway::{Explained, Inquiry};
use crate::observe::Metrics;
use crate::revocation::{
    Cursor, Draft, Epoch, FeedError, Filter, LiveNode, Making, Name, NodeName, Page, Presence,
    RegisterDraft, Revocation, Revocations,
};
use crate::secret::Secret;

/// The running gateway, as its control port sees it.
pub trait Gatehouse: Send + Sync + 'static {
    /// Makes a whole record of what was asked: issuer, cut-off and expiry filled in by the rules of
    /// the running configuration. A posted token must be signed by a known key; it may have expired.
    fn complete(&self, ask: Ask, making: &mut Making) -> Result<Revocation, AskError>;

    /// Begins to make records, now and for this actor.
    fn making(&self, actor: &Arc<str>) -> Making;

    /// Makes the record that registers a token. A posted token must be good now, but for revocation.
    fn register(&self, ask: RegisterAsk, actor: &Arc<str>) -> Result<Revocation, AskError>;

    /// Judges a request that nobody has sent, and says how.
    fn explain(&self, inquiry: &Inquiry) -> Explained;

    /// What has been taken back, and which tokens are registered.
    fn revocations(&self) -> &Revocations;

    /// Makes the records durable, all or none, and returns once this node enforces them.
    fn append(
        &self,
        records: Vec<Revocation>,
    ) -> impl Future<Output = Result<Cursor, FeedError>> + Send;

    /// Makes the records durable, all or none. May return before this node enforces them: an
    /// [`Gatehouse::append`] that comes later returns once it enforces these too.
    fn record(
        &self,
        records: Vec<Revocation>,
    ) -> impl Future<Output = Result<Cursor, FeedError>> + Send {
        self.append(records)
    }

    /// Returns once this node enforces what was recorded up to there. At once, where [`Gatehouse::record`] has waited.
    fn enforced(&self, upto: Cursor) -> impl Future<Output = Result<(), FeedError>> + Send {
        let _ = upto;
        async { Ok(()) }
    }

    /// One page of the live entries.
    fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> impl Future<Output = Result<Page, FeedError>> + Send;

    /// Reads the configuration again; every problem when it is refused, and then nothing changed.
    fn reload(&self) -> impl Future<Output = Result<ReloadReport, Vec<String>>> + Send;

    /// `Err` with the reason, in words that may be shown to anyone.
    fn readiness(&self) -> Result<(), String>;

    /// What an operator must hear although the node is ready, in words that may be shown to anyone.
    fn warning(&self) -> Option<String> {
        None
    }

    /// Feed, epoch, cursor, staleness, entries, keys, routes, upstreams.
    fn status(&self) -> Value;

    /// The running configuration without its secrets.
    fn config(&self) -> Value;

    /// Where control calls are counted.
    fn metrics(&self) -> &Metrics;

    /// The exposition text.
    fn metrics_text(&self) -> String {
        self.metrics().render()
    }

    /// Waits until other nodes enforce the record, or without one everything so far. This node does.
    fn confirm(
        &self,
        record: Option<&Revocation>,
        wait: Wait,
        limit: Duration,
    ) -> impl Future<Output = Nodes> + Send;

    /// The nodes that live, this one first.
    fn nodes(&self) -> impl Future<Output = Result<Vec<SeenNode>, FeedError>> + Send;
}

/// How many nodes must enforce a record before the call returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// This one.
    #[default]
    Own,
    /// All that live.
    All,
    /// So many, this one included.
    Nodes(u32),
}

/// Which nodes enforce a record, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nodes {
    /// Those that said so, and this one.
    pub confirmed: Vec<NodeName>,
    /// Those that live and have not said so.
    pub missing: Vec<NodeName>,
    /// Why more can't be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether it was what the caller waited for.
    #[serde(skip)]
    pub complete: bool,
}

/// A node that lives.
#[derive(Clone, Debug, Serialize)]
pub struct SeenNode {
    /// Which.
    #[serde(flatten)]
    pub node: NodeName,
    /// Whether it is the one that answers.
    pub this: bool,
    epoch: Option<Epoch>,
    cursor: Option<Cursor>,
    staleness_seconds: Option<f64>,
    last_seen_seconds: f64,
}

/// What a caller wants to have revoked.
#[derive(Debug)]
pub enum Ask {
    /// A claim's value.
    Claim(Draft),
    /// The token that carries it: by `jti` if it has one, else by its digest.
    Token {
        /// The compact JWS, as it was posted.
        token: Secret,
        /// Why.
        reason: Option<Arc<str>>,
    },
}

/// What token a caller wants to have registered.
#[derive(Debug)]
pub enum RegisterAsk {
    /// The compact JWS, as it was posted.
    Token(Secret),
    /// What is said of one.
    Named(RegisterDraft),
}

/// Why no record could be made of what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// A member of the body is wrong. The problem never quotes a token.
    #[error("{field}: {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It can't be told yet: the keys that would tell are not loaded.
    #[error("the keys to check the token with are not loaded yet")]
    NotReady,
}

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadReport {
    /// The number of the configuration that now runs.
    pub generation: u64,
    /// What is different, in words; also what needs a restart to take effect.
    pub changes: Vec<String>,
}

// === impl Nodes ===

impl Nodes {
    /// Nobody was waited for: this one alone.
    pub fn of(own: NodeName) -> Self {
        Self { confirmed: vec![own], missing: Vec::new(), problem: None, complete: true }
    }
}

// === impl SeenNode ===

impl SeenNode {
    /// The one that answers.
    pub fn own(presence: Presence) -> Self {
        Self::new(presence, true, Duration::ZERO)
    }

    /// Another one, as it announced itself.
    pub fn other(LiveNode { presence, seen }: LiveNode) -> Self {
        Self::new(presence, false, seen)
    }

    fn new(presence: Presence, this: bool, seen: Duration) -> Self {
        let Presence { node, epoch, cursor, staleness, .. } = presence;
        // As old as it was said to be, and a little older by now.
        let staleness = staleness.map(|age| Duration::from_millis(age).saturating_add(seen));
        let staleness_seconds = staleness.map(|age| age.as_secs_f64());
        let last_seen_seconds = seen.as_secs_f64();
        Self { node, this, epoch, cursor, staleness_seconds, last_seen_seconds }
    }
}
