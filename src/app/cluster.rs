//! This node among the others: it announces itself, answers how far it has come, and waits for them.
//!
//! A node that lives is one whose announcement holds. It lasts a little longer than `max_staleness`, so
//! that a node which is cut off refuses by itself (`when_stale`) before it drops out.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::backoff::{Backoff, jittered};
use crate::clock::Clock;
use crate::control::SeenNode;
use crate::observe::metrics::Metrics;
use crate::revocation::follower::{AppliedCursor, FeedStatus};
use crate::revocation::{Audience, FeedError, NodeName, NodeRoster, Question, Revocations, Signal};
use crate::shutdown::Drain;

mod announced;
mod name;
mod voice;
mod wait;

pub(super) use announced::Announced;
pub(super) use name::host_name;
pub(super) use voice::Voice;

/// This node, and what it knows of the others.
#[derive(Debug)]
pub(super) struct Cluster<R> {
    voice: Arc<Voice<R>>,
    applied: AppliedCursor,
    revocations: Arc<Revocations>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// Until when each that was listed holds: a store that forgets its list does not make them gone.
    known: Mutex<HashMap<Uuid, Known>>,
    /// Who waits for answers, by question.
    waiting: Mutex<HashMap<Uuid, mpsc::UnboundedSender<NodeName>>>,
    /// Questions of others that are not answered yet.
    answering: Mutex<HashSet<Uuid>>,
}

#[derive(Clone, Debug)]
struct Known {
    node: NodeName,
    until: Instant,
}

/// How often a node says that it is there.
const EVERY: Duration = Duration::from_secs(1);
/// Listings in a larger cluster are only each so many announcements.
const LIST_EACH: u32 = 5;
const SMALL: usize = 16;
/// How long a call to the store may take that nobody waits for.
const CALL: Duration = Duration::from_secs(5);
/// Questions of others that are answered at one time.
const AT_ONCE: usize = 1024;
/// The longest that anybody waits for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A heartbeat that an adapter gives out is no older than this.
const BEAT_AGE: Duration = Duration::from_millis(500);

// === impl Cluster ===

impl<R: NodeRoster> Cluster<R> {
    pub(super) fn new(
        voice: Arc<Voice<R>>,
        applied: AppliedCursor,
        revocations: Arc<Revocations>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        voice.follow(applied.clone());
        let (known, waiting, answering) = Default::default();
        Self { voice, applied, revocations, metrics, clock, known, waiting, answering }
    }

    pub(super) fn own(&self) -> &NodeName {
        self.voice.own()
    }

    /// Announces and listens until told to stop, and then takes its leave.
    pub(super) async fn run(self: Arc<Self>, mut drain: Drain) {
        tokio::select! {
            () = drain.begun() => {}
            () = self.announce() => {}
            () = self.listen() => {}
        }
        let id = self.own().id;
        let leaving = async {
            drop(self.roster().tell(Audience::All, Signal::Leaving(id).to_bytes()).await);
            self.roster().withdraw(id).await
        };
        match timeout(EVERY, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "this node's announcement stays until it ends")
            }
            Err(_elapsed) => tracing::debug!("this node's announcement stays until it ends"),
        }
    }

    /// The nodes that live, this one first.
    pub(super) async fn nodes(&self) -> Result<Vec<SeenNode>, FeedError> {
        let live = self.roster().nodes().await?;
        let own = SeenNode::own(self.voice.presence());
        let others = live.into_iter().filter(|live| live.presence.node.id != own.node.id);
        let mut nodes: Vec<_> = others.map(SeenNode::other).collect();
        nodes.sort_by(|one, other| {
            (&one.node.name, one.node.id).cmp(&(&other.node.name, other.node.id))
        });
        nodes.insert(0, own);
        Ok(nodes)
    }

    fn roster(&self) -> &R {
        self.voice.roster()
    }

    /// Never ends.
    async fn announce(&self) {
        let mut problem = None;
        let mut count = 0_u32;
        loop {
            let announced = self.voice.announce(CALL).await;
            note(&mut problem, announced, "this node can't announce itself: waits don't count it");
            let few = lock(&self.known).len() <= SMALL;
            if few || count.is_multiple_of(LIST_EACH) {
                // Who waits says what is wrong with it.
                drop(timeout(CALL, self.list()).await);
            }
            count = count.wrapping_add(1);
            sleep(jittered(EVERY)).await;
        }
    }

    /// Never ends.
    async fn listen(self: &Arc<Self>) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut problem = None;
        loop {
            let listening = timeout(CALL, self.roster().listen(self.own().id)).await;
            let late = || FeedError::Unreachable("no answer in time".into());
            match listening.unwrap_or_else(|_elapsed| Err(late())) {
                Ok(mut ear) => {
                    note(&mut problem, Ok(()), "");
                    backoff.reset();
                    while let Some(message) = ear.hear().await {
                        self.heard(&message);
                    }
                }
                Err(error) => {
                    note(
                        &mut problem,
                        Err(error),
                        "this node can't hear the others: waits time out",
                    );
                }
            }
            sleep(backoff.next_delay()).await;
        }
    }

    fn heard(self: &Arc<Self>, message: &[u8]) {
        match Signal::from_bytes(message) {
            Some(Signal::Question(question)) if question.from != self.own().id => {
                let mut answering = lock(&self.answering);
                // Asked again: the answer is on its way.
                if answering.len() < AT_ONCE && answering.insert(question.id) {
                    tokio::spawn(Arc::clone(self).answer(question));
                }
            }
            Some(Signal::Answer { question, node }) => {
                if let Some(waiting) = lock(&self.waiting).get(&question) {
                    // Nobody there: then nobody waits any more.
                    drop(waiting.send(node));
                }
            }
            Some(Signal::Leaving(id)) => drop(lock(&self.known).remove(&id)),
            Some(Signal::Question(_)) | None => {}
        }
    }

    async fn answer(self: Arc<Self>, question: Question) {
        let limit = Duration::from_millis(question.within).min(LONGEST_WAIT);
        let (id, from) = (question.id, question.from);
        if let Ok(true) = timeout(limit, self.has_come_to(&question, limit)).await {
            let answer = Signal::Answer { question: id, node: self.own().clone() };
            // One that is lost is asked for again.
            drop(self.roster().tell(Audience::Node(from), answer.to_bytes()).await);
        }
        lock(&self.answering).remove(&id);
    }

    /// Whether this node enforces all that the one who asks does.
    async fn has_come_to(&self, question: &Question, limit: Duration) -> bool {
        let asked = Instant::now();
        let set = self.revocations.set();
        let there = |status: &FeedStatus| {
            status.epoch == Some(question.epoch)
                && status.cursor.as_ref().is_some_and(|at| *at >= question.cursor)
                && question.held.iter().all(|held| held.is_in(set, self.clock.now()))
        };
        let there = self.applied.until(there, limit).await;
        if there && question.settled {
            self.looked_since(asked).await;
        }
        there
    }

    /// Ends when a look at the store that began after this moment has found everything applied.
    async fn looked_since(&self, moment: Instant) {
        let freshness = self.revocations.freshness();
        let known = |age: Duration| age + BEAT_AGE < moment.elapsed();
        while !freshness.staleness().is_some_and(known) {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Warns once of each problem, until it is over.
fn note(problem: &mut Option<String>, outcome: Result<(), FeedError>, what: &str) {
    let now = outcome.err().map(|error| error.to_string());
    if let Some(error) = now.as_ref().filter(|_| now != *problem) {
        tracing::warn!(%error, "{what}");
    }
    *problem = now;
}

#[cfg(test)]
mod tests;
