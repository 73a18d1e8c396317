//! Waiting until the other nodes enforce what this one does.
//!
//! The question says where this node is, now that the record is in its set, and what must be in force:
//! a node that follows the same memory and has come so far, and has it in force, answers. Who must
//! answer is read from the store after the record was made.

use std::time::Duration;

use futures_util::future::join;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::control::{Nodes, Wait};
use crate::revocation::{
    Audience, FeedError, Held, MAX_MESSAGE, NodeName, NodeRoster, Question, Revocation, Signal,
};

use super::{Cluster, Known, lock};

/// Who has answered, and what is known of those who should.
struct Tally {
    confirmed: Vec<NodeName>,
    /// The nodes were listed after the record was made.
    listed: bool,
    problem: Option<String>,
}

/// A question that is asked; forgotten when it is dropped.
struct Asked<'c, R> {
    cluster: &'c Cluster<R>,
    id: Uuid,
    answers: mpsc::UnboundedReceiver<NodeName>,
}

/// After so long it is asked again: messages may get lost, and dead nodes drop out.
const FIRST: Duration = Duration::from_millis(100);
const AGAIN: Duration = Duration::from_millis(250);
/// Why nobody can say that these are all.
const LOST: &str = "the store has lost its memory a moment ago: a node may not be listed yet";

// === impl Cluster ===

impl<R: NodeRoster> Cluster<R> {
    /// Waits for the nodes: for this record, or else for everything so far.
    pub(in crate::app) async fn confirm(
        &self,
        record: Option<&Revocation>,
        wait: Wait,
        limit: Duration,
    ) -> Nodes {
        let own = self.own().clone();
        if wait == Wait::Own {
            return Nodes::of(own);
        }
        let mut tally = Tally { confirmed: vec![own], listed: false, problem: None };
        // In a box: few wait for others, and whoever does not is to carry nothing of it.
        let gathering = self.gather(record, wait, Instant::now() + limit, &mut tally);
        let complete = Box::pin(gathering).await;
        let outcome = match (complete, tally.listed) {
            (true, _) => "confirmed",
            (false, true) => "missing",
            (false, false) => "unknown",
        };
        self.metrics.waits.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
        let missing = self.missing(&tally);
        if !complete {
            let names: Vec<_> = missing.iter().map(|node| &*node.name).collect();
            tracing::warn!(missing = ?names, problem = ?tally.problem, "waited in vain for the nodes");
        }
        Nodes { confirmed: tally.confirmed, missing, problem: tally.problem, complete }
    }

    /// Lists the nodes that live, and remembers them.
    pub(super) async fn list(&self) -> Result<(), FeedError> {
        let live = self.roster().nodes().await?;
        let now = Instant::now();
        let mut known = lock(&self.known);
        for node in live {
            let left = node.presence.duration().saturating_sub(node.seen);
            let node = node.presence.node;
            known.insert(node.id, Known { node, until: now + left });
        }
        known.retain(|_, known| known.until > now);
        self.metrics.nodes.set(i64::try_from(known.len()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Asks until it is enough or the time is over; whether it was enough.
    async fn gather(
        &self,
        record: Option<&Revocation>,
        wait: Wait,
        deadline: Instant,
        tally: &mut Tally,
    ) -> bool {
        let mut asked = Asked::new(self);
        let mut pause = FIRST;
        loop {
            let (told, listed) = join(
                timeout_at(deadline, self.ask(asked.id, record, deadline)),
                timeout_at(deadline, self.list()),
            )
            .await;
            tally.listed |= matches!(listed, Ok(Ok(())));
            tally.problem = problem(told, listed);
            if wait == Wait::All && tally.problem.is_none() && self.voice.may_lack_nodes() {
                tally.problem = Some(LOST.to_owned());
            }
            let look = deadline.min(Instant::now() + pause);
            loop {
                if self.is_enough(wait, tally) {
                    return true;
                }
                let Ok(Some(node)) = timeout_at(look, asked.answers.recv()).await else { break };
                if !tally.confirmed.contains(&node) {
                    tally.confirmed.push(node);
                }
            }
            if Instant::now() >= deadline {
                return false;
            }
            pause = AGAIN;
        }
    }

    async fn ask(
        &self,
        id: Uuid,
        record: Option<&Revocation>,
        deadline: Instant,
    ) -> Result<(), FeedError> {
        let status = self.applied.status();
        let (Some(epoch), Some(cursor)) = (status.epoch, status.cursor) else {
            return Err(FeedError::Refused("this node has no checkpoint yet".to_owned()));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let question = Question {
            id,
            from: self.own().id,
            epoch,
            cursor,
            held: record.and_then(Held::of).into_iter().collect(),
            settled: record.is_none(),
            within: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        };
        let mut message = Signal::Question(question.clone()).to_bytes();
        if message.len() > MAX_MESSAGE {
            let without = Question { held: Vec::new(), settled: true, ..question };
            message = Signal::Question(without).to_bytes();
        }
        self.roster().tell(Audience::All, message).await
    }

    fn is_enough(&self, wait: Wait, tally: &Tally) -> bool {
        match wait {
            Wait::Own => true,
            Wait::All => {
                tally.listed && !self.voice.may_lack_nodes() && self.missing(tally).is_empty()
            }
            Wait::Nodes(count) => tally.confirmed.len() >= count as usize,
        }
    }

    fn missing(&self, tally: &Tally) -> Vec<NodeName> {
        let now = Instant::now();
        let known = lock(&self.known);
        let live = known.values().filter(|known| known.until > now).map(|known| &known.node);
        let mut missing: Vec<_> = live
            .filter(|node| !tally.confirmed.iter().any(|it| it.id == node.id))
            .cloned()
            .collect();
        missing.sort_by(|one, other| one.name.cmp(&other.name));
        missing
    }
}

// === impl Asked ===

impl<'c, R> Asked<'c, R> {
    fn new(cluster: &'c Cluster<R>) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        let id = Uuid::new_v4();
        lock(&cluster.waiting).insert(id, sender);
        Self { cluster, id, answers }
    }
}

impl<R> Drop for Asked<'_, R> {
    fn drop(&mut self) {
        lock(&self.cluster.waiting).remove(&self.id);
    }
}

type Called = Result<Result<(), FeedError>, tokio::time::error::Elapsed>;

/// Why it can't be known: in the end the last of it counts.
fn problem(told: Called, listed: Called) -> Option<String> {
    match (listed, told) {
        (Ok(Err(error)), _) => Some(format!("the nodes can't be listed: {error}")),
        (Err(_elapsed), _) => Some("the nodes can't be listed in time".to_owned()),
        (_, Ok(Err(error))) => Some(format!("the nodes can't be asked: {error}")),
        (_, Err(_elapsed)) => Some("the nodes can't be asked in time".to_owned()),
        (Ok(Ok(())), Ok(Ok(()))) => None,
    }
}
