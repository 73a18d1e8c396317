//! Events into the set: one that was waited for, and those that were read together with it.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::UnixTime;
use crate::revocation::{Cursor, FeedEvent, Op, Revocation, RevocationFeed};

use super::{Applier, Memory, upkeep};

/// What records that came together have come to, told of at the end of them.
struct Run {
    /// The newest that was dealt with, or what was before them.
    cursor: Option<Cursor>,
    /// By op, in the order of [`Op::ALL`].
    records: [u64; Op::ALL.len()],
    undecodable: u64,
    /// When they were dealt with.
    now: Duration,
    /// Up to when everything was known then, if anything was.
    known: Option<UnixTime>,
}

/// Records after which those who wait for a cursor are woken, though more are there already.
const TELL_EVERY: u64 = 1024;

// === impl Run ===

impl Run {
    fn len(&self) -> u64 {
        self.records.iter().sum::<u64>() + self.undecodable
    }

    fn is_new(&self, at: &Cursor) -> bool {
        self.cursor.as_ref().is_none_or(|applied| at > applied)
    }
}

// === impl Applier ===

impl Applier {
    /// Deals with an event, and with the records that were read together with it.
    pub(super) fn take_in(
        &self,
        first: FeedEvent,
        feed: &mut impl RevocationFeed,
        memory: &mut Memory,
    ) {
        let mut run = self.begin();
        let more = feed.more();
        for event in std::iter::once(&first).chain(&more) {
            if let Some(believed) = self.event(event, memory, &mut run) {
                feed.applied(event, believed);
            }
            // Those who wait for one of many are not kept waiting for all.
            if run.len() >= TELL_EVERY {
                self.end(run);
                run = self.begin();
            }
        }
        self.end(run);
    }

    fn begin(&self) -> Run {
        let cursor = self.status.borrow().cursor.clone();
        Run {
            cursor,
            records: [0; Op::ALL.len()],
            undecodable: 0,
            now: upkeep::now(),
            known: self.known_until(),
        }
    }

    /// Tells what it came to.
    fn end(&self, run: Run) {
        let (count, undecodable) = (run.len(), run.undecodable);
        if count == 0 {
            return;
        }
        for (op, count) in Op::ALL.into_iter().zip(run.records).filter(|(_, count)| *count > 0) {
            self.count_records(op.as_str(), count);
        }
        self.status.send_if_modified(|status| {
            status.applied += count - undecodable;
            status.undecodable += undecodable;
            status.cursor = run.cursor;
            count >= TELL_EVERY || undecodable > 0
        });
    }

    /// Whether what is new was believed; `None`: nothing is new.
    fn event(&self, event: &FeedEvent, memory: &mut Memory, run: &mut Run) -> Option<bool> {
        let new = run.is_new(event.at());
        match event {
            FeedEvent::Record { record, at } if new => {
                memory.reached(at);
                let believed = self.record(record, at, memory, run);
                run.cursor = Some(at.clone());
                Some(believed)
            }
            FeedEvent::Undecodable { at } if new => {
                tracing::warn!(cursor = %at, "skipped a revocation record that can't be decoded");
                self.metrics.revocation_undecodable.inc();
                run.undecodable += 1;
                run.cursor = Some(at.clone());
                Some(true)
            }
            // A replay: applying it again could undo a later one.
            FeedEvent::Record { .. } | FeedEvent::Undecodable { .. } => None,
            FeedEvent::Heartbeat { .. } => {
                // One that is ahead of us tells of records that we have not seen: not fresh.
                if !new {
                    self.revocations.freshness().confirm(Instant::now().into_std());
                }
                None
            }
        }
    }

    fn record(&self, record: &Revocation, at: &Cursor, memory: &mut Memory, run: &mut Run) -> bool {
        let believed = memory.believes(record);
        self.note_born_expired(record, at, run.known, &mut memory.born_expired);
        if believed {
            self.revocations.apply(record);
            self.revocations.tell_applied(record, at);
        } else {
            tracing::warn!(id = %record.id, cursor = %at, "not believed: a reinstatement older than what the store has lost");
        }
        run.records[record.op as usize] += 1;
        self.metrics.propagation_seconds.observe(upkeep::age(record, run.now));
        believed
    }

    /// The counter of an op is looked up once.
    fn count_records(&self, op: &'static str, count: u64) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = counters.iter().find(|(name, _)| *name == op) {
            counter.inc_by(count);
            return;
        }
        let label = vec![("op", op.to_owned())];
        let counter = self.metrics.revocation_records.get_or_create_owned(&label);
        counter.inc_by(count);
        counters.push((op, counter));
    }
}
