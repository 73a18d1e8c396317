//! What a process that sweeps remembers from one turn to the next: how far it has read, and what
//! expires soonest. So a turn reads what is new, and everything only when it has run out of these.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use crate::clock::UnixTime;
use crate::revocation::{Epoch, FeedError};

use super::broker::Broker;
use super::memory::Memory;
use super::said::{Entry, Said};
use super::scan::{Folded, Scan};
use super::subject;
use super::sweep::AT_ONCE;

/// Nothing is remembered at first, nor after anything went wrong.
#[derive(Debug)]
pub(super) struct Agenda {
    epoch: Option<Epoch>,
    /// Entries up to here were read.
    read: u64,
    /// Entries by their expiry and sequence.
    due: BTreeSet<(UnixTime, u64)>,
    /// Whatever was read and expires before this is in `due`.
    horizon: UnixTime,
    most: usize,
    /// Sequences of what had expired, tombstones that may not go yet among them.
    pub(super) dead: Vec<u64>,
}

/// Entries that are remembered: some ten megabytes.
const MOST: usize = 256 * 1024;
/// Applications' names that are held at once; the rest waits for the next turn.
const FOLDS: usize = 100_000;

// === impl Agenda ===

impl Agenda {
    /// Whether everything has to be read.
    fn is_void(&self, memory: &Memory, now: UnixTime) -> bool {
        self.epoch != Some(memory.epoch) || memory.last < self.read || self.horizon < now
    }

    /// One that remembers fewer.
    #[cfg(test)]
    pub(super) fn of(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Reads what is new, or everything; the names for which applications spoke.
    pub(super) async fn read(
        &mut self,
        broker: &Broker,
        memory: &Memory,
        now: UnixTime,
    ) -> Result<Vec<Folded>, FeedError> {
        if self.is_void(memory, now) {
            *self = Self { epoch: Some(memory.epoch), most: self.most, ..Self::default() };
        }
        let mut scan = Scan::begin(broker, memory.last, None, self.read + 1).await?;
        let mut folds = Vec::new();
        while let Some(folded) = scan.next().await? {
            if let Some((entry, _)) = &folded.entry {
                self.note(entry.record.expires_at, entry.sequence, now);
            }
            if !folded.apps.is_empty() && folds.len() < FOLDS {
                folds.push(folded);
            }
        }
        if self.read > 0 {
            look_up(broker, &mut folds).await?;
        }
        self.read = memory.last;
        Ok(folds)
    }

    /// What has expired before `now` and is still there: it may have been written over.
    pub(super) async fn take_dead(
        &mut self,
        broker: &Broker,
        now: UnixTime,
    ) -> Result<Vec<Entry>, FeedError> {
        let later = self.due.split_off(&(now, 0));
        let due = std::mem::replace(&mut self.due, later);
        self.dead.extend(due.into_iter().map(|(_, sequence)| sequence));
        let mut dead = Vec::new();
        for together in std::mem::take(&mut self.dead).chunks(AT_ONCE) {
            for answer in join_all(together.iter().map(|sequence| broker.at(*sequence))).await {
                let said = answer?.map(|message| message.said(&broker.name));
                if let Some(Said::Entry(entry)) = said
                    && entry.record.expires_at < now
                {
                    dead.push(entry);
                }
            }
        }
        Ok(dead)
    }

    fn note(&mut self, expires_at: UnixTime, sequence: u64, now: UnixTime) {
        if expires_at < now {
            self.dead.push(sequence);
        } else if expires_at < self.horizon {
            self.due.insert((expires_at, sequence));
        }
        if self.due.len() > self.most
            && let Some((beyond, _)) = self.due.pop_last()
        {
            self.horizon = beyond;
        }
    }
}

impl Default for Agenda {
    fn default() -> Self {
        let (due, horizon) = (BTreeSet::new(), UnixTime::MAX);
        Self { epoch: None, read: 0, due, horizon, most: MOST, dead: Vec::new() }
    }
}

/// What the nodes said of these names: it may have been read long ago.
async fn look_up(broker: &Broker, folds: &mut [Folded]) -> Result<(), FeedError> {
    for together in folds.chunks_mut(AT_ONCE) {
        let asked = together.iter().map(async |folded| {
            let subject = subject::entry(&broker.name, &folded.name);
            broker.last(&subject).await
        });
        let answers = join_all(asked).await;
        for (folded, answer) in together.iter_mut().zip(answers) {
            folded.entry = answer?.and_then(|message| match message.said(&broker.name) {
                Said::Entry(entry) => Some((entry, message)),
                _ => None,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::feed::nats::said::Sweep;

    const fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    #[test]
    fn what_expires_soonest_is_remembered_and_when_it_is_used_up_all_is_read_again() {
        let epoch = Epoch(Uuid::from_u128(1));
        let memory = Memory { epoch, epoch_at: 1, sweep: Sweep::default(), last: 9 };
        let mut agenda = Agenda { epoch: Some(epoch), read: 9, ..Agenda::of(3) };
        for (expires, sequence) in [(50, 2), (20, 3), (40, 4), (5, 5), (30, 6), (60, 7), (40, 8)] {
            agenda.note(at(expires), sequence, at(10));
        }
        let due: Vec<_> = agenda.due.iter().map(|(_, sequence)| *sequence).collect();
        assert_eq!((due, agenda.dead.clone()), (vec![3, 6, 4], vec![5]));
        for (now, void) in [(10, false), (40, false), (41, true)] {
            assert_eq!(agenda.is_void(&memory, at(now)), void, "at {now}");
        }
        let other = Memory { epoch: Epoch(Uuid::from_u128(2)), ..memory };
        assert!(agenda.is_void(&other, at(10)), "another memory");
        assert!(agenda.is_void(&Memory { last: 8, ..memory }, at(10)), "it has lost its end");
    }
}
