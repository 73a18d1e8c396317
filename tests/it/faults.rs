//! Three gateways on one broker that is killed, paused, cut off, emptied and set back while tokens are
//! revoked and reinstated: at the end of each round every node equals the model, and an acknowledged
//! revocation never passes on the node that answered, nor on any once `wait=all` was confirmed.
//!
//! `PORTCULLIS_FAULT_ROUNDS` says how many rounds (12), `PORTCULLIS_FAULT_SEED` which.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::brokers::{Broker, Nodes};
use crate::support::client::{ask, get};
use crate::support::eventually::eventually;
use crate::support::gateway::CREDENTIAL;

/// What can happen to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Killed, and started again.
    Kill,
    /// Stands still for up to four seconds, with its connections open.
    Pause,
    /// All its connections are cut.
    Cut,
    /// Emptied while it runs.
    Empty,
    /// Comes back as it was before.
    SetBack,
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
    nodes: Nodes,
    tokens: Vec<String>,
    model: Vec<Known>,
    /// By token, the nodes that acknowledged its revocation, since anybody tried to reinstate it.
    held: BTreeMap<usize, Vec<usize>>,
    random: u64,
    faults: BTreeMap<Fault, u32>,
    calls: u32,
    acknowledged: u32,
    /// By every node, as `wait=all` was told.
    confirmed: u32,
}

/// What a call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    /// On disk, and in force at the node that answered.
    Here,
    /// In force at every node.
    Everywhere,
}

const NODES: usize = 3;
const TOKENS: usize = 10;
const CALLS: usize = 5;
/// Not for long: a node that can't answer is named, and that is an answer too.
const WAITING: &str = "/v1/revocations?wait=all&timeout=500ms";
/// Milliseconds.
const PAUSE_AT_MOST: usize = 4000;
const FAULTS: [Fault; 5] = [Fault::Kill, Fault::Pause, Fault::Cut, Fault::Empty, Fault::SetBack];

/// Runs it; any violation fails.
fn run<B: Broker + Sync>(which: &str) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds = number("PORTCULLIS_FAULT_ROUNDS").unwrap_or(12);
    let seed = number("PORTCULLIS_FAULT_SEED").unwrap_or(0x5eed);
    let said = |cluster: &Cluster<B>, round| {
        format!(
            "{which}: seed {seed}, {round} rounds, faults {:?}, {} calls, {} acknowledged, {} confirmed by all",
            cluster.faults, cluster.calls, cluster.acknowledged, cluster.confirmed
        )
    };
    let mut cluster = Cluster::<B>::start(seed);
    for round in 0..rounds {
        let outcome = cluster.round();
        assert!(outcome.is_ok(), "violation: {outcome:?}, {}", said(&cluster, round));
    }
    report(&format!("{}, 0 violations", said(&cluster, rounds)));
}

#[expect(clippy::print_stderr, reason = "whoever runs many rounds wants to see how many")]
fn report(line: &str) {
    eprintln!("{line}");
}

// === impl Fault ===

impl Fault {
    fn strike(self, broker: &mut impl Broker) {
        match self {
            Self::Kill => broker.kill(),
            Self::Pause => broker.pause(),
            Self::Cut => broker.cut(),
            Self::Empty => broker.empty(),
            Self::SetBack => broker.forget(),
        }
    }

    /// Whether the broker forgets what it has acknowledged.
    fn loses<B: Broker>(self) -> bool {
        matches!(self, Self::Empty | Self::SetBack) || self == Self::Kill && !B::KEEPS
    }
}

// === impl Cluster ===

impl<B: Broker + Sync> Cluster<B> {
    fn start(seed: u64) -> Self {
        let mut broker = B::start();
        let nodes = Nodes::start(&broker.table(), NODES);
        nodes.revoke(0, "before");
        broker.remember();
        // So that there is something to lose from the first round on.
        nodes.revoke(0, "always");
        let tokens = (0..TOKENS).map(|n| nodes.token(&format!("token-{n}"))).collect();
        let model = vec![Known::Passes; TOKENS];
        let (held, faults) = (BTreeMap::new(), BTreeMap::new());
        // Neighbours differ, and none is zero.
        let random = seed.wrapping_mul(2) | 1;
        let (calls, acknowledged, confirmed) = (0, 0, 0);
        Self { broker, nodes, tokens, model, held, random, faults, calls, acknowledged, confirmed }
    }

    /// Calls, a fault somewhere among them, and then the whole must agree.
    fn round(&mut self) -> Result<(), String> {
        let (fault, at) = (FAULTS[self.below(FAULTS.len())], self.below(CALLS));
        let before = self.memory(None);
        let mut given_back = Vec::new();
        for call in 0..CALLS {
            if call == at {
                fault.strike(&mut self.broker);
                *self.faults.entry(fault).or_default() += 1;
            }
            let paused = (call == at && fault == Fault::Pause).then(|| self.below(PAUSE_AT_MOST));
            given_back.extend(self.call(paused)?);
        }
        if fault == Fault::Kill {
            self.broker.again();
        }
        if fault.loses::<B>() {
            // A node that had not heard of it gives the revocation back: it is in doubt.
            for token in given_back {
                if self.model[token] == Known::Passes {
                    self.model[token] = Known::Unsure;
                }
            }
            // Every node has noticed, and what was lost is back.
            self.memory(Some(&before));
        }
        self.settle();
        self.judge()
    }

    /// The store's memory, once every node follows it, owes it nothing, and it is not the old one.
    fn memory(&self, old: Option<&Value>) -> Value {
        eventually("the nodes agree whose memory it is", || {
            let status: Vec<_> = (0..NODES).map(|node| self.nodes.status(node)).collect();
            let epoch = &status[0]["feed"]["epoch"];
            let whole = |status: &Value| {
                status["feed"]["connected"] == true
                    && status["feed"]["epoch"] == *epoch
                    && status["local_copy"]["owed"] == 0
            };
            (status.iter().all(whole) && old != Some(epoch)).then(|| epoch.clone())
        })
    }

    /// One call at one node, in the midst of which a pause ends; the token that was given back by it.
    fn call(&mut self, paused: Option<usize>) -> Result<Option<usize>, String> {
        let (node, token) = (self.below(NODES), self.below(TOKENS));
        let (revoke, wait) = (self.below(3) > 0, self.below(2) > 0);
        let was = self.model[token];
        if !revoke {
            // From here on nobody promises that it is refused.
            self.held.remove(&token);
        }
        let said = std::thread::scope(|scope| {
            if let Some(milliseconds) = paused {
                let (length, broker) = (Duration::from_millis(milliseconds as u64), &self.broker);
                scope.spawn(move || {
                    std::thread::park_timeout(length);
                    broker.resume();
                });
            }
            self.say(node, token, revoke, wait)
        });
        let done = said != Said::Nothing;
        self.calls += 1;
        self.confirmed += u32::from(said == Said::Everywhere);
        self.acknowledged += u32::from(done);
        self.model[token] = match (done, revoke) {
            (true, true) => Known::Revoked,
            (true, false) => Known::Passes,
            // Whether it is known there or not, it is revoked.
            (false, true) if was == Known::Revoked => Known::Revoked,
            _ => Known::Unsure,
        };
        if done && revoke {
            let nodes = if said == Said::Everywhere { 0..NODES } else { node..node + 1 };
            self.held.entry(token).or_default().extend(nodes);
        }
        self.promises()?;
        Ok((done && !revoke).then_some(token))
    }

    /// A revocation is in force wherever it was said to be.
    fn promises(&self) -> Result<(), String> {
        for (token, nodes) in &self.held {
            for node in nodes {
                if self.verdict(*node, *token) == Some(true) {
                    return Err(format!(
                        "token {token} passes at node {node}, which was said to refuse it"
                    ));
                }
            }
        }
        Ok(())
    }

    fn say(&self, node: usize, token: usize, revoke: bool, wait: bool) -> Said {
        let control = self.nodes.running[node].control;
        let asked = if revoke {
            let body = json!({ "claim": "jti", "value": format!("token-{token}") });
            let target = if wait { WAITING } else { "/v1/revocations" };
            ask(control, "POST", target).json(&body)
        } else {
            let target = format!("/v1/revocations?claim=jti&value=token-{token}");
            ask(control, "DELETE", &target)
        };
        match asked.bearer(CREDENTIAL).try_send().map(|answer| answer.status) {
            Ok(201) if wait => Said::Everywhere,
            Ok(200..300) => Said::Here,
            _ => Said::Nothing,
        }
    }

    /// Whether the token passes there; `None`: the node says that it can't know.
    fn verdict(&self, node: usize, token: usize) -> Option<bool> {
        let asked = get(self.nodes.running[node].data, "/orders/1").bearer(&self.tokens[token]);
        match asked.send().status {
            200 => Some(true),
            401 => Some(false),
            503 => None,
            status => panic!("{status}"),
        }
    }

    /// Every node is ready, and what is unsure is said again.
    fn settle(&mut self) {
        (0..NODES).for_each(|node| self.nodes.ready(node));
        for token in 0..TOKENS {
            if self.model[token] == Known::Unsure {
                eventually("a revocation is acknowledged", || {
                    let said = self.say(token % NODES, token, true, false);
                    (said != Said::Nothing).then_some(())
                });
                self.model[token] = Known::Revoked;
            }
        }
    }

    fn judge(&self) -> Result<(), String> {
        for node in 0..NODES {
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

#[cfg(feature = "redis")]
#[test]
fn three_nodes_on_redis_agree_whatever_happens_to_it() {
    run::<crate::support::servers::redis::RedisServer>("Redis");
}

#[cfg(feature = "redis")]
#[test]
fn three_nodes_on_a_redis_that_keeps_nothing_agree_whatever_happens_to_it() {
    run::<crate::broker_memory::Volatile>("Redis without persistence");
}

#[cfg(feature = "redis")]
#[test]
fn three_nodes_on_a_redis_that_fails_over_to_a_replica_that_lags_agree() {
    run::<crate::support::brokers::RedisPair>("Redis failing over");
}

#[cfg(feature = "nats")]
#[test]
fn three_nodes_on_jetstream_agree_whatever_happens_to_it() {
    run::<crate::support::servers::nats::NatsServer>("JetStream");
}

#[cfg(feature = "postgres")]
#[test]
fn three_nodes_on_postgres_agree_whatever_happens_to_it() {
    run::<crate::support::brokers::Postgres>("PostgreSQL");
}
