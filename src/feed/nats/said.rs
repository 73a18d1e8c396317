//! What one message of the stream says.

use std::str::FromStr;

use async_nats::Subject;
use serde::{Deserialize, Serialize};

use crate::revocation::wire::Decoder;
use crate::revocation::{Epoch, Op, Revocation};

use super::subject::{self, Place};

/// A message, whichever way it was read.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) subject: Subject,
    pub(super) sequence: u64,
    /// When the server took it, nanoseconds since 1970.
    pub(super) time: i128,
    /// The header [`SINCE`], or zero.
    pub(super) since: u64,
    pub(super) payload: bytes::Bytes,
}

/// What it says.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// A node, about a name.
    Entry(Entry),
    /// An application: a revocation, or a token that it issued.
    App(Revocation),
    /// The store's memory.
    Epoch(Epoch),
    /// Which tombstones are gone.
    Sweep(Sweep),
    /// Nothing that we understand, and why.
    Nothing(&'static str),
}

/// What the nodes last said about a name.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) record: Revocation,
    pub(super) sequence: u64,
    /// Where the name was last reinstated; what applications said up to there is void.
    pub(super) since: u64,
}

/// The state of sweeping. A tombstone is announced before it goes, so that who reads the
/// announcement in its place has read the tombstone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sweep {
    /// Tombstones up to here may go next time.
    pub(super) announced: u64,
    /// Tombstones up to here may be gone.
    pub(super) gone: u64,
    /// The process that swept.
    pub(super) by: uuid::Uuid,
}

/// The header with [`Entry::since`].
pub(super) const SINCE: &str = "Portcullis-Since";

// === impl Message ===

impl Message {
    /// Never fails: what is not understood is [`Said::Nothing`].
    pub(super) fn said(&self, stream: &str) -> Said {
        self.read(stream, &mut Decoder::default())
    }

    /// The same of many.
    pub(super) fn read(&self, stream: &str, decoder: &mut Decoder) -> Said {
        match subject::place(stream, &self.subject) {
            Place::Entry(digest) => self.entry(digest, decoder),
            Place::App(last) => self.app(last, decoder),
            Place::Epoch => match serde_json::from_slice(&self.payload) {
                Ok(epoch) => Said::Epoch(epoch),
                Err(_) => Said::Nothing("the epoch is not a UUID"),
            },
            Place::Sweep => match serde_json::from_slice(&self.payload) {
                Ok(sweep) => Said::Sweep(sweep),
                Err(_) => Said::Nothing("the state of sweeping is malformed"),
            },
            Place::Unknown => Said::Nothing("the subject is none of ours"),
        }
    }

    fn entry(&self, digest: &str, decoder: &mut Decoder) -> Said {
        let Ok(record) = decoder.decode(&self.payload) else { return Said::Nothing(MALFORMED) };
        if !subject::is_digest(digest, &record.name) {
            return Said::Nothing("the subject is not the digest of the record's name");
        }
        let sequence = self.sequence;
        let since = if record.op == Op::Reinstate { sequence } else { self.since };
        Said::Entry(Entry { record, sequence, since })
    }

    fn app(&self, last: &str, decoder: &mut Decoder) -> Said {
        match decoder.decode(&self.payload) {
            Err(_) => Said::Nothing(MALFORMED),
            Ok(record) if !subject::is_own(last, record.id) => {
                Said::Nothing("the subject does not end in the record's id")
            }
            Ok(record) if record.op == Op::Reinstate => {
                Said::Nothing("an application's subject takes no reinstatements")
            }
            Ok(record) => Said::App(record),
        }
    }
}

// === impl Entry ===

impl Entry {
    /// Whether the name is reinstated.
    pub(super) fn is_tombstone(&self) -> bool {
        self.record.op == Op::Reinstate
    }
}

const MALFORMED: &str = "the record is malformed";

/// The header's number; a strange one counts as none.
pub(super) fn since(headers: Option<&async_nats::HeaderMap>) -> u64 {
    let value = headers.and_then(|headers| headers.get(SINCE));
    value.and_then(|value| u64::from_str(value.as_str()).ok()).unwrap_or_default()
}
