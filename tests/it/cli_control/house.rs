//! A small in-memory gateway behind a control port.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::clock::{Clock, SystemClock, UnixTime};
use portcullis::control::{
    Ask, AskError, Gatehouse, Nodes, RegisterAsk, ReloadReport, SeenNode, Wait,
};
use portcullis::gateway::{AnswerTold, Check, Explained, Inquiry};
use portcullis::observe::Metrics;
use portcullis::revocation::{
    Cursor, Draft, Enforceable, FeedError, Filter, IssuerScope, Name, NodeName, Op, Page, Presence,
    RegisterConfig, Revocation, RevocationMode, Revocations,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// What the commands' port stands before.
pub(super) struct House {
    pub(super) live: Mutex<BTreeMap<Name, Revocation>>,
    metrics: Metrics,
    revocations: Revocations,
}

impl House {
    pub(super) fn new() -> Self {
        let revocations = Revocations::new(&[], Duration::from_secs(10));
        let register = RegisterConfig { max_tokens: 100, seen_every: Duration::from_secs(30) };
        revocations.configure_register(RevocationMode::DenyList, Some(&register));
        Self { live: Mutex::default(), metrics: Metrics::default(), revocations }
    }
}

impl Gatehouse for House {
    fn complete(&self, ask: Ask, actor: &Arc<str>) -> Result<Revocation, AskError> {
        let draft = match ask {
            Ask::Claim(draft) => draft,
            Ask::Token { token, reason } => {
                let value = String::from_utf8_lossy(token.expose()).into();
                Draft { claim: "jti".into(), value, reason, ..Draft::default() }
            }
        };
        if &*draft.claim == "email" {
            return Err(AskError::Field { field: "claim", problem: "can't be revoked by".into() });
        }
        let issuer = draft.issuer.unwrap_or_else(|| "https://i.test/".into());
        Ok(Revocation {
            id: Uuid::now_v7(),
            op: Op::Revoke,
            name: Name { issuer, claim: draft.claim, value: draft.value },
            issued_before: draft.issued_before,
            expires_at: draft.expires_at.unwrap_or(UnixTime::from_secs(1_767_225_600)),
            at: UnixTime::from_secs(1_767_139_200),
            actor: Some(Arc::clone(actor)),
            reason: draft.reason,
            token: None,
        })
    }

    fn register(&self, ask: RegisterAsk, actor: &Arc<str>) -> Result<Revocation, AskError> {
        let RegisterAsk::Named(draft) = ask else {
            return Err(AskError::Field { field: "token", problem: "is none of ours".into() });
        };
        let issuers = vec![IssuerScope {
            scope: "https://i.test/".into(),
            longest: Duration::from_secs(3600),
            leeway: Duration::ZERO,
            family: None,
        }];
        let enforceable = Enforceable { issuers, claims: vec![] };
        let record = draft.complete(&enforceable, Some(Arc::clone(actor)), SystemClock.now());
        record.map_err(|error| AskError::Field { field: "jti", problem: error.to_string() })
    }

    fn explain(&self, inquiry: &Inquiry) -> Explained {
        let check = |check, outcome, detail: &str| Check {
            check,
            outcome,
            reason: None,
            detail: Some(detail.to_owned()),
        };
        let answer = |_token| AnswerTold {
            status: 401,
            code: "token-revoked",
            challenge: None,
            body: String::new(),
        };
        Explained {
            outcome: if inquiry.token.is_some() { "rejected" } else { "forwarded" },
            route: Some(inquiry.method.as_str().into()),
            checks: vec![check("route", "passed", inquiry.target.path())],
            entries: self.live.lock().unwrap().keys().cloned().collect(),
            answer: inquiry.token.as_ref().map(answer),
            ..Explained::default()
        }
    }

    fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        let mut live = self.live.lock().unwrap();
        for record in records {
            self.revocations.apply(&record);
            match record.op {
                Op::Revoke | Op::Register => drop(live.insert(record.name.clone(), record)),
                Op::Reinstate => drop(live.remove(&record.name)),
            }
        }
        Ok(Cursor::new("1"))
    }

    async fn list(
        &self,
        filter: Filter,
        after: Option<Name>,
        limit: usize,
    ) -> Result<Page, FeedError> {
        let live = self.live.lock().unwrap();
        let mut items = live.values().filter(|one| {
            after.as_ref().is_none_or(|after| one.name > *after)
                && filter.claim.as_ref().is_none_or(|claim| *claim == one.name.claim)
                && filter.value.as_ref().is_none_or(|value| *value == one.name.value)
        });
        let page: Vec<Revocation> = items.by_ref().take(limit).cloned().collect();
        let next = items.next().and_then(|_more| page.last()).map(|one| one.name.clone());
        Ok(Page { items: page, next })
    }

    async fn reload(&self) -> Result<ReloadReport, Vec<String>> {
        Err(vec!["gateway.toml:3:1: unknown key `adress`\n  | adress".into()])
    }

    fn readiness(&self) -> Result<(), String> {
        Ok(())
    }

    fn status(&self) -> Value {
        json!({ "feed": { "connected": true } })
    }

    fn config(&self) -> Value {
        json!({})
    }

    async fn confirm(&self, _: Option<&Revocation>, wait: Wait, _: Duration) -> Nodes {
        let mut nodes = Nodes::of(node("gw-1"));
        if wait == Wait::All {
            nodes.confirmed.push(node("gw-2"));
        }
        if matches!(wait, Wait::Nodes(count) if count > 1) {
            (nodes.missing, nodes.complete) = (vec![node("gw-2")], false);
        }
        nodes
    }

    async fn nodes(&self) -> Result<Vec<SeenNode>, FeedError> {
        let (node, cursor) = (node("gw-1"), Some(Cursor::new("41")));
        let presence = Presence { node, lasts: 9000, epoch: None, cursor, staleness: Some(300) };
        Ok(vec![SeenNode::own(presence)])
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

fn node(name: &str) -> NodeName {
    NodeName { name: name.into(), id: Uuid::nil() }
}
