//! What a reader remembers of what it has read: enough to notice that the servers lost their tail,
//! and that a tombstone was superseded before it was read.

use std::collections::{HashSet, VecDeque};

use async_nats::Subject;

use crate::clock::UnixTime;

use super::said::{Entry, Message};
use super::scan::Folded;

/// A reader's memory of the stream.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// The last entries read: the servers must still hold them, or what superseded them.
    witnesses: VecDeque<Witness>,
    /// Everything up to here is known, tombstones too.
    base: u64,
    /// Tombstones read since.
    tombstones: HashSet<u64>,
}

/// One entry as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) subject: Subject,
    pub(super) sequence: u64,
    time: i128,
    expires_at: UnixTime,
    tombstone: bool,
}

const WITNESSES: usize = 8;
const TOMBSTONES: usize = 65_536;

// === impl Trace ===

impl Trace {
    /// A checkpoint up to `base` was read.
    pub(super) fn begin(&mut self, base: u64) {
        self.base = base;
        self.tombstones.clear();
    }

    /// Forgets everything: the servers' memory is another one.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// An entry was read; the latest few are kept.
    pub(super) fn saw(&mut self, message: &Message, entry: &Entry) {
        self.note(entry);
        if self.witnesses.back().is_some_and(|last| last.sequence >= message.sequence) {
            return;
        }
        self.witnesses.retain(|witness| witness.subject != message.subject);
        if self.witnesses.len() >= WITNESSES {
            self.witnesses.pop_front();
        }
        self.witnesses.push_back(Witness {
            subject: message.subject.clone(),
            sequence: message.sequence,
            time: message.time,
            expires_at: entry.record.expires_at,
            tombstone: entry.is_tombstone(),
        });
    }

    /// The same of many that follow each other: only the last of them can be witnesses.
    pub(super) fn saw_all(&mut self, many: &[Folded]) {
        let (most, last) = many.split_at(many.len().saturating_sub(WITNESSES));
        for (entry, _) in most.iter().filter_map(|folded| folded.entry.as_ref()) {
            self.note(entry);
        }
        for (entry, message) in last.iter().filter_map(|folded| folded.entry.as_ref()) {
            self.saw(message, entry);
        }
    }

    fn note(&mut self, entry: &Entry) {
        if entry.is_tombstone() && entry.sequence > self.base {
            if self.tombstones.len() >= TOMBSTONES {
                self.begin(entry.sequence);
            }
            self.tombstones.insert(entry.sequence);
        }
    }

    /// Whether the reinstatement at that sequence was read.
    pub(super) fn knows_tombstone(&self, sequence: u64) -> bool {
        sequence <= self.base || self.tombstones.contains(&sequence)
    }

    /// What the servers must still hold, latest first.
    pub(super) fn witnesses(&self) -> Vec<Witness> {
        self.witnesses.iter().rev().cloned().collect()
    }
}

// === impl Witness ===

impl Witness {
    /// Whether the subject's last message, as it is now, can have come after what was read.
    pub(super) fn is_borne_out(&self, now_last: Option<&Message>, now: UnixTime) -> bool {
        match now_last {
            Some(last) if last.sequence == self.sequence => last.time == self.time,
            Some(last) => last.sequence > self.sequence,
            // Swept: it was dead, or a tombstone.
            None => self.tombstone || self.expires_at < now,
        }
    }
}
