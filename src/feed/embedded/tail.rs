//! The last committed records themselves, for the reader who keeps up: he takes them from here and does not
//! read back what was just written. Whoever comes later, or second, reads the log.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::revocation::{Cursor, FeedEvent, Revocation};

/// Shared by the writer, who adds, and the readers, who take.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<Batches>);

#[derive(Debug, Default)]
struct Batches {
    held: VecDeque<Batch>,
    bytes: usize,
}

/// What was appended together.
#[derive(Debug)]
struct Batch {
    /// The sequence of the record before the first.
    before: u64,
    records: Vec<Revocation>,
    /// What they take, more or less.
    bytes: usize,
}

/// Bytes of memory that are held at most, more or less: fewer records than the log keeps.
const MOST: usize = 8 * 1024 * 1024;

// === impl Tail ===

impl Tail {
    /// Keeps what was committed after `before`, in so many bytes; the oldest make room.
    pub(super) fn push(&self, before: u64, records: Vec<Revocation>, written: usize) {
        let bytes = written + size_of_val(&*records);
        let mut batches = self.batches();
        batches.bytes += bytes;
        batches.held.push_back(Batch { before, records, bytes });
        while batches.bytes > MOST && batches.pop().is_some() {}
    }

    /// Lets go of all of it: nobody reads.
    pub(super) fn clear(&self) {
        *self.batches() = Batches::default();
    }

    /// Takes what follows `after`, `most` records more or less; nothing when that is not here any more.
    pub(super) fn take(&self, after: u64, most: usize) -> VecDeque<FeedEvent> {
        let taken = self.batches().take(after, most);
        let mut events =
            VecDeque::with_capacity(taken.iter().map(|batch| batch.records.len()).sum());
        let mut upto = after;
        for batch in taken {
            let known = upto - batch.before;
            for record in batch.records.into_iter().skip(known as usize) {
                upto += 1;
                events.push_back(FeedEvent::Record { record, at: Cursor::of_number(upto) });
            }
        }
        events
    }

    fn batches(&self) -> MutexGuard<'_, Batches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Batches ===

impl Batches {
    /// Whole batches without a gap, the first of which begins at `after` or before.
    fn take(&mut self, after: u64, most: usize) -> Vec<Batch> {
        let (mut taken, mut upto) = (Vec::new(), after);
        while let Some(batch) = self.held.front()
            && batch.before <= upto
            && upto - after < most as u64
        {
            let end = batch.before + batch.records.len() as u64;
            let batch = self.pop();
            // One that was read from the log meanwhile is only let go.
            if end > upto {
                upto = end;
                taken.extend(batch);
            }
        }
        taken
    }

    fn pop(&mut self) -> Option<Batch> {
        let batch = self.held.pop_front()?;
        self.bytes -= batch.bytes;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::fixtures::revoke;

    fn record(number: u64) -> Revocation {
        revoke("jti", &number.to_string(), None, 1)
    }

    fn tail(batches: &[(u64, u64)]) -> Tail {
        let tail = Tail::default();
        for (before, count) in batches {
            tail.push(*before, (before + 1..=before + count).map(record).collect(), 100);
        }
        tail
    }

    /// The sequences of what is taken, each of which must be its record's own.
    fn taken(tail: &Tail, after: u64, most: usize) -> Vec<u64> {
        let sequence = |event: FeedEvent| {
            let FeedEvent::Record { record, at } = event else { panic!("{event:?}") };
            let number = record.name.value.parse().unwrap();
            assert_eq!(at, Cursor::of_number(number));
            number
        };
        tail.take(after, most).into_iter().map(sequence).collect()
    }

    #[test]
    fn who_keeps_up_takes_every_record_once_and_in_turn() {
        let tail = tail(&[(0, 2), (2, 1), (3, 2)]);
        assert_eq!(taken(&tail, 0, 3), [1, 2, 3]);
        assert_eq!(taken(&tail, 3, 3), [4, 5]);
        assert_eq!(taken(&tail, 5, 3), [0; 0]);
    }

    #[test]
    fn who_has_read_a_part_of_it_takes_the_rest() {
        assert_eq!(taken(&tail(&[(0, 2), (2, 3)]), 4, 10), [5]);
        assert_eq!(taken(&tail(&[(0, 2)]), 2, 10), [0; 0]);
    }

    #[test]
    fn nothing_is_taken_beyond_a_gap() {
        let tail = tail(&[(0, 1), (5, 1)]);
        assert_eq!(taken(&tail, 0, 10), [1]);
        assert_eq!(taken(&tail, 1, 10), [0; 0]);
        assert_eq!(taken(&tail, 5, 10), [6]);
    }

    #[test]
    fn what_nobody_takes_makes_room() {
        let tail = Tail::default();
        for before in 0..5 {
            tail.push(before, vec![record(before + 1)], MOST / 3);
        }
        assert_eq!(taken(&tail, 0, 10), [0; 0]);
        assert_eq!(taken(&tail, 3, 10), [4, 5]);
        tail.push(5, Vec::new(), MOST + 1);
        tail.clear();
        assert_eq!(tail.batches().bytes, 0);
    }
}
