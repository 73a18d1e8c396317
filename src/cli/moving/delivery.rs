//! From another program's block list to the gateway: what was read, what is asked for it, what became of it.

use std::fmt::Write as _;

use http::Method;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::args::{Reach, SourceArgs};
use crate::cli::client::{Client, json as answer_of};
use crate::cli::control::show;
use crate::cli::output::{items, plain};
use crate::clock::UnixTime;

/// One token id that another program has blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    pub(super) jti: String,
    /// Until when; `None`: as long as a token may live.
    pub(super) expires_at: Option<UnixTime>,
}

/// What a key or a row turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Blocked(Blocked),
    /// There, and not revoked: an allow-list's entry.
    Allowed,
    /// Its time is over.
    Expired,
    /// Nothing that a block list holds.
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "a table's rows are all of a kind")
    )]
    Other,
    /// Why it can't be taken.
    Bad(&'static str),
}

/// What is asked of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Revoke(Blocked),
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "only `follow` gives back"))]
    Reinstate(String),
}

/// The way to the gateway, and what became of everything so far.
pub(super) struct Delivery<'a> {
    reach: &'a Reach,
    issuer: Option<&'a str>,
    reason: &'static str,
    pub(super) tally: Tally,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    read: u64,
    pub(super) accepted: u64,
    allowed: u64,
    expired: u64,
    other: u64,
    pub(super) refused: u64,
    /// The first of them: what, and why not.
    pub(super) named: Vec<(String, String)>,
}

/// Lines in one call: as many as the gateway writes at once.
const BATCH: usize = 5000;
/// Refusals that are named; the others are only counted.
const MOST_NAMED: usize = 1000;
/// What is shown of a key that is none of ours.
const MOST_SHOWN: usize = 80;

// === impl Delivery ===

impl<'a> Delivery<'a> {
    pub(super) fn new(reach: &'a Reach, source: &'a SourceArgs, reason: &'static str) -> Self {
        Self { reach, issuer: source.issuer.as_deref(), reason, tally: Tally::default() }
    }

    /// Takes what was read into account; what is to be revoked is appended.
    pub(super) fn take(&mut self, what: &str, read: Read, changes: &mut Vec<Change>) {
        self.tally.read += 1;
        match read {
            Read::Blocked(blocked) => changes.push(Change::Revoke(blocked)),
            Read::Allowed => self.tally.allowed += 1,
            Read::Expired => self.tally.expired += 1,
            Read::Other => self.tally.other += 1,
            Read::Bad(problem) => self.tally.refuse(what, problem.to_owned()),
        }
    }

    /// Sends the changes in as few calls as may be; each is confirmed when this returns.
    pub(super) async fn send(&mut self, changes: &[Change]) -> Result<(), Failure> {
        for batch in changes.chunks(BATCH) {
            let mut lines = String::new();
            for change in batch {
                // Writing to a string does not fail.
                let _ = writeln!(lines, "{}", self.line(change));
            }
            // A connection each: the gateway may have been started anew since the last one.
            let mut client = Client::connect(self.reach).await?;
            let body = Full::from(lines).map_err(|never| match never {}).boxed_unsync();
            let media = Some("application/x-ndjson");
            let target = "/v1/revocations/import";
            let (_status, report) =
                answer_of(client.send(Method::POST, target, media, body).await?).await?;
            self.tally.add(batch, &report);
        }
        Ok(())
    }

    fn line(&self, change: &Change) -> Value {
        let (op, jti) = match change {
            Change::Revoke(blocked) => ("revoke", &blocked.jti),
            Change::Reinstate(jti) => ("reinstate", jti),
        };
        let mut line = json!({ "op": op, "claim": "jti", "value": jti, "reason": self.reason });
        if let Some(issuer) = self.issuer {
            line["issuer"] = issuer.into();
        }
        if let Change::Revoke(Blocked { expires_at: Some(end), .. }) = change {
            line["expires_at"] = json!(end);
        }
        line
    }

    /// Says what became of everything; bad ones did not stop the rest, and make the command fail.
    pub(super) fn end(&self) -> Result<(), Failure> {
        show(self.reach, &self.tally.report(), |_| self.tally.words())?;
        match self.tally.refused {
            0 => Ok(()),
            bad => Err(Failure::Failed(anyhow::anyhow!("{bad} entries were refused"))),
        }
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, batch: &[Change], report: &Value) {
        self.accepted += report["accepted"].as_u64().unwrap_or_default();
        let named = items(&report["rejected"]);
        for one in named {
            let line = one["line"].as_u64().and_then(|line| usize::try_from(line).ok());
            let change = line.and_then(|line| batch.get(line.checked_sub(1)?));
            let problem = one["problem"].as_str().unwrap_or_default();
            self.refuse(change.map_or("", Change::jti), problem.to_owned());
        }
        let all = report["rejected_total"].as_u64().unwrap_or_default();
        self.refused += all.saturating_sub(named.len() as u64);
    }

    fn refuse(&mut self, what: &str, problem: String) {
        self.refused += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push((what.chars().take(MOST_SHOWN).collect(), problem));
        }
    }

    fn report(&self) -> Value {
        let named = self.named.iter().map(|(entry, why)| json!({ "entry": entry, "problem": why }));
        json!({
            "read": self.read, "accepted": self.accepted, "not_revoked": self.allowed,
            "expired": self.expired, "other": self.other,
            "rejected": named.collect::<Vec<_>>(), "rejected_total": self.refused,
        })
    }

    fn words(&self) -> String {
        let mut text = String::new();
        for (what, problem) in &self.named {
            text += &format!("{}: {}\n", plain(what), plain(problem));
        }
        let Self { read, accepted, allowed, expired, other, refused, .. } = self;
        text + &format!(
            "{read} read: {accepted} accepted, {allowed} not revoked, {expired} expired, \
             {other} of another kind, {refused} refused\n"
        )
    }
}

// === impl Change ===

impl Change {
    fn jti(&self) -> &str {
        match self {
            Self::Revoke(blocked) => &blocked.jti,
            Self::Reinstate(jti) => jti,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_named_by_its_entry_and_the_rest_counted() {
        let change = |jti: &str| Change::Reinstate(jti.to_owned());
        let batch = [change("a"), change("b")];
        let mut tally = Tally::default();
        let rejected = json!([{ "line": 2, "problem": "value: is empty" }]);
        let report = json!({ "accepted": 1, "rejected": rejected, "rejected_total": 5 });
        tally.add(&batch, &report);
        assert_eq!(tally.named, [("b".to_owned(), "value: is empty".to_owned())]);
        assert_eq!((tally.accepted, tally.refused), (1, 5));
    }
}
