//! The third seam to a store: who follows it ([`NodeRoster`]). Nodes announce themselves for a time, and
//! can speak to each other; what they say is [`Signal`]. The contract suite defines it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::UnixTime;

use super::{Cursor, Epoch, FeedError, Name, Op, Revocation, RevocationSet};

/// What a node is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeName {
    /// As configured, or the host's name. Several nodes may have the same.
    pub name: Arc<str>,
    /// Its own, drawn when the process starts.
    pub id: Uuid,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Who.
    #[serde(flatten)]
    pub node: NodeName,
    /// For how long this holds, in milliseconds: who has not said it again by then is gone.
    pub lasts: u64,
    /// The memory of the store that it follows; `None` before the first checkpoint.
    pub epoch: Option<Epoch>,
    /// Everything up to here is in its set.
    pub cursor: Option<Cursor>,
    /// Milliseconds since it last knew that it had applied everything; `None`: it never did.
    pub staleness: Option<u64>,
}

/// A node that announced itself, and whose time is not over by the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveNode {
    /// What it said.
    pub presence: Presence,
    /// How long ago.
    pub seen: Duration,
}

/// Who is to hear something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every node, the speaker too.
    All,
    /// One of them.
    Node(Uuid),
}

/// What comes in for a node.
#[derive(Debug)]
pub struct Ear(mpsc::Receiver<Vec<u8>>);

/// What nodes say to each other, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// To all: say when you have come so far.
    Question(Question),
    /// To the one who asked.
    Answer {
        /// The question's id.
        question: Uuid,
        /// Who has come so far.
        node: NodeName,
    },
    /// To all: this node has stopped.
    Leaving(Uuid),
}

/// Where the node that asks is, and what is in force there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its own.
    pub id: Uuid,
    /// Who asks.
    pub from: Uuid,
    /// The memory that the cursor is of.
    pub epoch: Epoch,
    /// The position that must be reached.
    pub cursor: Cursor,
    /// What must be in force besides. A log that leaves out what was superseded may be past a record
    /// that it has not told.
    pub held: Vec<Held>,
    /// Whether everything must be known to be applied, by a look at the store after the question.
    pub settled: bool,
    /// Milliseconds after which nobody wants to know any more.
    pub within: u64,
}

/// An entry, as far as another node can test it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What it names.
    #[serde(flatten)]
    pub name: Name,
    /// Tokens issued by then are revoked; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub issued_before: Option<UnixTime>,
    /// From then on it may be forgotten.
    pub expires_at: UnixTime,
}

/// Bytes of a message that every store carries.
pub const MAX_MESSAGE: usize = 7 * 1024;

/// Who follows the store. Nothing here is durable, and nothing depends on it but knowing who follows:
/// a store without it (a missing right) takes and gives revocations all the same.
pub trait NodeRoster: Clone + Send + Sync + 'static {
    /// Says that this node is there, for as long as the presence lasts.
    fn announce(&self, presence: &Presence) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// Takes the announcement back.
    fn withdraw(&self, id: Uuid) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// Every node whose announcement holds, by the store's clock.
    fn nodes(&self) -> impl Future<Output = Result<Vec<LiveNode>, FeedError>> + Send;

    /// Says something of at most [`MAX_MESSAGE`] bytes to whoever listens now. It may get lost.
    fn tell(
        &self,
        to: Audience,
        message: Vec<u8>,
    ) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// Hears what is said to all and to this node from now on.
    fn listen(&self, id: Uuid) -> impl Future<Output = Result<Ear, FeedError>> + Send;
}

// === impl Presence ===

impl Presence {
    /// How long it holds.
    pub const fn duration(&self) -> Duration {
        Duration::from_millis(self.lasts)
    }

    /// As a store keeps it.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("plain members have a JSON text")
    }

    /// Of what a store has kept; `None`: another version's.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

// === impl Ear ===

impl Ear {
    /// Both ends; an adapter's task holds the first for as long as its connection lives.
    pub fn channel() -> (mpsc::Sender<Vec<u8>>, Self) {
        let (sender, receiver) = mpsc::channel(1024);
        (sender, Self(receiver))
    }

    /// The next message; `None`: the connection has ended, and others may have been missed.
    pub async fn hear(&mut self) -> Option<Vec<u8>> {
        self.0.recv().await
    }
}

// === impl Signal ===

impl Signal {
    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain members have a JSON text")
    }

    /// Of what came in; `None`: another version's, or a stranger's.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

// === impl Held ===

impl Held {
    /// What the record leaves in force; `None` for one that takes nothing back.
    pub fn of(record: &Revocation) -> Option<Self> {
        let Revocation { name, issued_before, expires_at, .. } = record;
        let held = Self {
            name: name.clone().canonical(),
            issued_before: *issued_before,
            expires_at: *expires_at,
        };
        (record.op == Op::Revoke).then_some(held)
    }

    /// Whether the set has it in force, or it is over.
    pub fn is_in(&self, set: &RevocationSet, now: UnixTime) -> bool {
        // The last token that it is about: an older entry with an earlier cut-off lets it pass.
        let last = self.issued_before.unwrap_or(UnixTime::from_secs(u64::MAX));
        self.expires_at <= now || set.holds(&self.name, Some(last), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::fixtures::{reinstate, revoke};

    const NOW: UnixTime = UnixTime::from_secs(50);

    fn until(cut_off: Option<u64>) -> Revocation {
        revoke("sub", "alice", cut_off, 100)
    }

    #[test]
    fn an_entry_is_held_when_no_token_of_it_passes() {
        let set = RevocationSet::new();
        let held = |record: &Revocation| Held::of(record).expect("a revocation").is_in(&set, NOW);
        assert!(!held(&until(Some(10))));
        set.apply(&until(Some(10)));
        assert!(held(&until(Some(10))) && held(&until(Some(9))));
        assert!(!held(&until(Some(11))) && !held(&until(None)), "wider than what is held");
        set.apply(&until(None));
        assert!(held(&until(None)) && held(&until(Some(11))));
        assert!(held(&revoke("sub", "bob", None, 50)), "what is over needs no entry");
        assert_eq!(Held::of(&reinstate("sub", "alice")), None);
    }

    #[test]
    fn what_is_said_is_read_as_it_was_meant_and_what_is_not_understood_is_nothing() {
        let node = NodeName { name: "gw".into(), id: Uuid::from_u128(7) };
        let question = Question {
            id: Uuid::from_u128(1),
            from: node.id,
            epoch: Epoch(Uuid::from_u128(2)),
            cursor: Cursor::new("5"),
            held: Held::of(&until(Some(3))).into_iter().collect(),
            settled: false,
            within: 2000,
        };
        let answer = Signal::Answer { question: question.id, node: node.clone() };
        for signal in [Signal::Question(question), answer, Signal::Leaving(node.id)] {
            assert_eq!(Signal::from_bytes(&signal.to_bytes()), Some(signal));
        }
        let (epoch, cursor, staleness) = (None, None, Some(12));
        let presence = Presence { node, lasts: 4000, epoch, cursor, staleness };
        assert_eq!(Presence::from_text(&presence.to_text()), Some(presence));
        for odd in ["", "{}", "\"later\"", "{\"question\":{}}", "[1]"] {
            assert_eq!(Signal::from_bytes(odd.as_bytes()), None, "{odd}");
            assert_eq!(Presence::from_text(odd), None, "{odd}");
        }
    }
}
