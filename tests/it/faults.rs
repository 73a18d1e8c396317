//! Three gateways on one broker that is killed, paused, cut off and emptied while tokens are revoked and
//! reinstated: at the end of each round every node equals the model, and an acknowledged revocation
//! never passes on the node that answered.
//!
//! `PORTCULLIS_FAULT_ROUNDS` says how many rounds (20), `PORTCULLIS_FAULT_SEED` which.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::client::{ask, get};
use crate::support::eventually::eventually;
use crate::support::gateway::{CREDENTIAL, ORDERS, Running, configuration};
use crate::support::issuer::TestIssuer;
use crate::support::upstream::TestUpstream;

#[cfg(feature = "redis")]
mod redis;

/// What can happen to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Killed, and started again on what it kept.
    Kill,
    /// Stands still with its connections open.
    Pause,
    /// All its connections are cut.
    Cut,
}

/// A broker that things happen to.
pub(crate) trait Broker {
    /// Starts an empty one that keeps what it acknowledges.
    fn start() -> Self;
    /// The lines of `[revocation]` that lead to it.
    fn table(&self) -> String;
    /// Does it.
    fn strike(&mut self, fault: Fault);
    /// Undoes it; the broker answers then.
    fn heal(&mut self, fault: Fault);
}

/// What is known of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Passes,
    Revoked,
    /// The last call was not acknowledged: either.
    Unsure,
}

struct Cluster<B> {
    broker: B,
    nodes: Vec<Running>,
    tokens: Vec<String>,
    model: Vec<Known>,
    /// By token, the nodes that acknowledged its revocation, since anybody tried to reinstate it.
    held: BTreeMap<usize, Vec<usize>>,
    random: u64,
    faults: BTreeMap<Fault, u32>,
    calls: u32,
    acknowledged: u32,
    _folders: Vec<tempfile::TempDir>,
}

const TOKENS: usize = 10;
const CALLS: usize = 5;
const FAULTS: [Fault; 3] = [Fault::Kill, Fault::Pause, Fault::Cut];

/// Runs it; any violation fails.
pub(crate) fn run<B: Broker>() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds = number("PORTCULLIS_FAULT_ROUNDS").unwrap_or(20);
    let seed = number("PORTCULLIS_FAULT_SEED").unwrap_or(0x5eed);
    let said = |cluster: &Cluster<B>, round| {
        format!(
            "seed {seed}, {round} rounds, faults {:?}, {} calls, {} acknowledged",
            cluster.faults, cluster.calls, cluster.acknowledged
        )
    };
    let mut cluster = Cluster::<B>::start(seed);
    for round in 0..rounds {
        let outcome = cluster.round();
        assert!(outcome.is_ok(), "violation: {outcome:?}, {}", said(&cluster, round));
    }
    eprintln!("{}, 0 violations", said(&cluster, rounds));
}

// === impl Cluster ===

impl<B: Broker> Cluster<B> {
    fn start(seed: u64) -> Self {
        let (broker, upstream, issuer) = (B::start(), TestUpstream::start(), TestIssuer::new());
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a folder")).collect();
        let start = |folder: &tempfile::TempDir| {
            let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
            write("jwks.json", &issuer.key.jwks()).expect("written");
            write("control.secret", CREDENTIAL).expect("written");
            let table = "embedded = { path = \"revocations.redb\" }";
            let text = configuration(&upstream, ORDERS).replace(table, &broker.table());
            Running::start(folder.path(), &text)
        };
        let nodes = folders.iter().map(start).collect();
        let token = |n| issuer.token(json!({ "jti": format!("token-{n}") }));
        let (tokens, model) = ((0..TOKENS).map(token).collect(), vec![Known::Passes; TOKENS]);
        let (held, faults) = (BTreeMap::new(), BTreeMap::new());
        let (calls, acknowledged, random) = (0, 0, seed | 1);
        let _folders = folders;
        Self { broker, nodes, tokens, model, held, random, faults, calls, acknowledged, _folders }
    }

    /// Calls, a fault somewhere among them, and then the whole must agree.
    fn round(&mut self) -> Result<(), String> {
        let (fault, at) = (FAULTS[self.below(FAULTS.len())], self.below(CALLS));
        for call in 0..CALLS {
            if call == at {
                self.broker.strike(fault);
                *self.faults.entry(fault).or_default() += 1;
            }
            self.call()?;
        }
        self.broker.heal(fault);
        self.settle();
        self.judge()
    }

    /// One call at one node.
    fn call(&mut self) -> Result<(), String> {
        let (node, token) = (self.below(self.nodes.len()), self.below(TOKENS));
        let revoke = self.below(3) > 0;
        let was = self.model[token];
        if !revoke {
            // From here on nobody promises that it is refused.
            self.held.remove(&token);
        }
        let done = self.say(node, token, revoke);
        self.calls += 1;
        self.acknowledged += u32::from(done);
        self.model[token] = match (done, revoke) {
            (true, true) => Known::Revoked,
            (true, false) => Known::Passes,
            // Whether it is known there or not, it is revoked.
            (false, true) if was == Known::Revoked => Known::Revoked,
            _ => Known::Unsure,
        };
        if done && revoke {
            self.held.entry(token).or_default().push(node);
        }
        self.promises()
    }

    /// An acknowledged revocation is in force at the node that answered.
    fn promises(&self) -> Result<(), String> {
        for (token, nodes) in &self.held {
            for node in nodes {
                if self.verdict(*node, *token) == Some(true) {
                    return Err(format!("token {token} passes at node {node}, which acknowledged"));
                }
            }
        }
        Ok(())
    }

    fn say(&self, node: usize, token: usize, revoke: bool) -> bool {
        let control = self.nodes[node].control;
        let asked = if revoke {
            let body = json!({ "claim": "jti", "value": format!("token-{token}") });
            ask(control, "POST", "/v1/revocations").json(&body)
        } else {
            let target = format!("/v1/revocations?claim=jti&value=token-{token}");
            ask(control, "DELETE", &target)
        };
        let answer = asked.bearer(CREDENTIAL).try_send();
        answer.is_ok_and(|answer| (200..300).contains(&answer.status))
    }

    /// Whether the token passes there; `None`: the node says that it can't know.
    fn verdict(&self, node: usize, token: usize) -> Option<bool> {
        let asked = get(self.nodes[node].data, "/orders/1").bearer(&self.tokens[token]);
        match asked.send().status {
            200 => Some(true),
            401 => Some(false),
            503 => None,
            status => panic!("{status}"),
        }
    }

    /// Every node is ready, and what is unsure is said again.
    fn settle(&mut self) {
        for node in &self.nodes {
            eventually("every node is ready", || {
                (get(node.control, "/readyz").send().status == 200).then_some(())
            });
        }
        for token in 0..TOKENS {
            if self.model[token] == Known::Unsure {
                eventually("a revocation is acknowledged", || {
                    self.say(token % self.nodes.len(), token, true).then_some(())
                });
                self.model[token] = Known::Revoked;
            }
        }
    }

    fn judge(&self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            for token in 0..TOKENS {
                let wanted = self.model[token] == Known::Passes;
                let what = format!("token {token} at node {node}: passes = {wanted}");
                // The other nodes hear of the last calls a moment later.
                eventually(&what, || (self.verdict(node, token) == Some(wanted)).then_some(()));
            }
        }
        self.promises()
    }

    /// A number below `end` (xorshift).
    fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % end as u64).expect("below a usize")
    }
}
