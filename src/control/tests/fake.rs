//! An in-memory gateway that keeps what it is told, and fails when it is told to. The tests of the command line
//! (`tests/it/cli_control.rs`) have it too.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::{Clock, SystemClock, UnixTime};
use crate::control::{Ask, AskError, Gatehouse, Nodes, RegisterAsk, ReloadReport, SeenNode, Wait};
use crate::gateway::{Explained, Inquiry};
use crate::observe::Metrics;
use crate::revocation::{
    Cursor, Draft, Enforceable, FeedError, Filter, IssuerScope, Making, Name, NodeName, Op, Page,
    Presence, RegisterConfig, RegisterDraft, Revocation, RevocationMode, Revocations,
};

pub(super) const ISSUER: &str = "https://issuer.test/";
pub(super) const OTHER: &str = "https://other.test/";

pub(super) struct Fake {
    pub(super) live: Mutex<BTreeMap<Name, Revocation>>,
    pub(super) appends: AtomicUsize,
    /// Appends that still succeed; the others fail. `usize::MAX` is "all".
    pub(super) fail_after: AtomicUsize,
    pub(super) reload_refused: AtomicBool,
    pub(super) unready: AtomicBool,
    /// The other node does not confirm.
    pub(super) slow_node: AtomicBool,
    metrics: Metrics,
    pub(super) revocations: Revocations,
}

impl Fake {
    pub(super) fn new() -> Arc<Self> {
        let revocations = Revocations::new(&[], Duration::from_secs(10));
        let register = RegisterConfig { max_tokens: 100, seen_every: Duration::from_secs(30) };
        revocations.configure_register(RevocationMode::DenyList, Some(&register));
        Arc::new(Self {
            live: Mutex::default(),
            appends: AtomicUsize::new(0),
            fail_after: AtomicUsize::new(usize::MAX),
            reload_refused: AtomicBool::new(false),
            unready: AtomicBool::new(false),
            slow_node: AtomicBool::new(false),
            metrics: Metrics::default(),
            revocations,
        })
    }

    pub(super) fn entries(&self) -> Vec<Revocation> {
        self.live.lock().unwrap().values().cloned().collect()
    }

    pub(super) fn counted(&self, call: &str, status: &str) -> u64 {
        let labels = vec![("call", call.to_owned()), ("status", status.to_owned())];
        self.metrics.control_requests.get_or_create(&labels).get()
    }

    fn away(&self) -> Option<FeedError> {
        let done = self.appends.load(Ordering::SeqCst);
        let away = done >= self.fail_after.load(Ordering::SeqCst);
        away.then(|| FeedError::Unreachable(Box::new(io::Error::other("the fake store is away"))))
    }
}

impl Gatehouse for Fake {
    fn making(&self, actor: &Arc<str>) -> Making {
        Making::begin(UnixTime::from_secs(1_000), Some(Arc::clone(actor)))
    }

    fn complete(&self, ask: Ask, making: &mut Making) -> Result<Revocation, AskError> {
        let refuse = |field, problem: &str| Err(AskError::Field { field, problem: problem.into() });
        let (name, draft) = match ask {
            Ask::Token { token, reason } => {
                if token.expose() == b"unloaded" {
                    return Err(AskError::NotReady);
                }
                if !token.expose().starts_with(b"good.") {
                    return refuse("token", "is not signed by a key of a configured issuer");
                }
                let value = String::from_utf8_lossy(&token.expose()[5..]).into();
                let name = Name { issuer: ISSUER.into(), claim: "jti".into(), value };
                (name, Draft { reason, ..Draft::default() })
            }
            Ask::Claim(draft) => {
                if !["jti", "sub", "sid"].contains(&&*draft.claim) {
                    return refuse("claim", "is not a claim this gateway revokes by");
                }
                let issuer = draft.issuer.clone().unwrap_or_else(|| ISSUER.into());
                let (claim, value) = (Arc::clone(&draft.claim), Arc::clone(&draft.value));
                (Name { issuer, claim, value }, draft)
            }
        };
        let default = (&*name.claim == "sub").then_some(UnixTime::from_secs(1_000));
        Ok(Revocation {
            id: making.id(),
            op: Op::Revoke,
            issued_before: draft.issued_before.or(default),
            expires_at: draft.expires_at.unwrap_or(UnixTime::from_secs(9_000)),
            at: making.at(),
            actor: making.actor(),
            reason: draft.reason,
            token: None,
            name,
        })
    }

    fn register(&self, ask: RegisterAsk, actor: &Arc<str>) -> Result<Revocation, AskError> {
        let draft = match ask {
            RegisterAsk::Named(draft) => draft,
            RegisterAsk::Token(token) if token.expose().starts_with(b"good.") => {
                let token_id = String::from_utf8_lossy(&token.expose()[5..]).into();
                RegisterDraft { token_id, ..RegisterDraft::default() }
            }
            RegisterAsk::Token(_) => {
                let problem = "is not signed by a key of a configured issuer".into();
                return Err(AskError::Field { field: "token", problem });
            }
        };
        let issuer = |scope: &str| IssuerScope {
            scope: scope.into(),
            longest: Duration::from_secs(3600),
            leeway: Duration::ZERO,
            family: None,
        };
        let issuers = vec![issuer(ISSUER), issuer(OTHER)];
        let draft = RegisterDraft { issuer: draft.issuer.or(Some(ISSUER.into())), ..draft };
        let enforceable = Enforceable { issuers, claims: Vec::new() };
        let record = draft.complete(&enforceable, Some(Arc::clone(actor)), SystemClock.now());
        record.map_err(|error| AskError::Field {
            field: error.field().unwrap_or("body"),
            problem: error.to_string(),
        })
    }

    fn explain(&self, inquiry: &Inquiry) -> Explained {
        let (method, target) = (&inquiry.method, &inquiry.target);
        let asked = format!("{method} {} {target}", inquiry.host.to_str().unwrap());
        let lives = |name: &&Name| inquiry.token.is_some() && *name.claim == *"jti";
        Explained {
            outcome: "rejected",
            route: Some(asked.into()),
            entries: self.live.lock().unwrap().keys().filter(lives).cloned().collect(),
            ..Explained::default()
        }
    }

    fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        tokio::task::yield_now().await;
        if let Some(error) = self.away() {
            return Err(error);
        }
        let mut live = self.live.lock().unwrap();
        for record in records {
            self.revocations.apply(&record);
            match record.op {
                Op::Revoke | Op::Register => drop(live.insert(record.name.clone(), record)),
                Op::Reinstate => drop(live.remove(&record.name)),
            }
        }
        let done = self.appends.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Cursor::new(&format!("{done:08}")))
    }

    async fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page, FeedError> {
        if let Some(error) = self.away() {
            return Err(error);
        }
        let live = self.live.lock().unwrap();
        let wanted =
            |part: &Option<Arc<str>>, own: &Arc<str>| part.as_ref().is_none_or(|p| p == own);
        let mut items = live.values().filter(|record| {
            after.as_ref().is_none_or(|after| record.name > *after)
                && wanted(&filter.issuer, &record.name.issuer)
                && wanted(&filter.claim, &record.name.claim)
                && wanted(&filter.value, &record.name.value)
        });
        let page: Vec<Revocation> = items.by_ref().take(limit).cloned().collect();
        let next = items.next().and_then(|_more| page.last()).map(|record| record.name.clone());
        Ok(Page { items: page, next })
    }

    async fn reload(&self) -> Result<ReloadReport, Vec<String>> {
        if self.reload_refused.load(Ordering::SeqCst) {
            let unknown = "gateway.toml:3:1: unknown key `adress`\n  | adress";
            return Err(vec![unknown.into(), "a second one".into()]);
        }
        Ok(ReloadReport { generation: 2, changes: vec!["routes: 1 added".into()] })
    }

    fn readiness(&self) -> Result<(), String> {
        let unready = self.unready.load(Ordering::SeqCst);
        if unready { Err("no checkpoint yet".into()) } else { Ok(()) }
    }

    fn status(&self) -> Value {
        json!({ "feed": { "connected": true } })
    }

    fn config(&self) -> Value {
        json!({ "control": { "credentials": [{ "name": "ops", "secret": "redacted" }] } })
    }

    async fn confirm(&self, _: Option<&Revocation>, wait: Wait, _: Duration) -> Nodes {
        let mut nodes = Nodes::of(node("one"));
        if wait != Wait::Own {
            nodes.complete = !self.slow_node.load(Ordering::SeqCst);
            let other = if nodes.complete { &mut nodes.confirmed } else { &mut nodes.missing };
            other.push(node("two"));
        }
        nodes
    }

    async fn nodes(&self) -> Result<Vec<SeenNode>, FeedError> {
        let presence = Presence {
            node: node("one"),
            lasts: 9000,
            epoch: None,
            cursor: Some(Cursor::new("41")),
            staleness: Some(300),
        };
        self.away().map_or_else(|| Ok(vec![SeenNode::own(presence)]), Err)
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// A node of this name; the same each time.
pub(super) fn node(name: &str) -> NodeName {
    NodeName { name: name.into(), id: Uuid::nil() }
}
