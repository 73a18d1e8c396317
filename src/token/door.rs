//! The door of a cache that fills up: a token that comes again is let in, one that comes once costs no memory.
//!
//! While there is room everybody is let in. After that a token's first coming leaves a mark and no more.
//! Where tokens mostly come again that would have each verified twice: so each that was turned away and
//! comes again lets some others in unasked, and the door stands open or shut as the tokens are.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};

/// Remembers tokens by marks that newer ones overwrite: it never grows and is never cleared. What it
/// forgets or mistakes (one in 32,768) costs a verification or a place in the cache, nothing else.
pub(super) struct Door {
    /// A part of the hash says where a token's mark is, another what it is; 0 is none.
    marks: Box<[AtomicU16]>,
    /// How many may come in unasked.
    credit: AtomicU32,
    arrivals: AtomicU32,
    /// So many arrivals between two looks at how full the cache is.
    look_every: u32,
    crowded: AtomicBool,
}

/// How many come in unasked for one that was turned away and came again. Of tokens that all come again
/// one in nine is then verified twice; of tokens that come once only that many are kept as are mistaken.
const UNASKED: u32 = 8;
/// The most that may come in unasked: tokens that come again now say little of later ones.
const MOST_UNASKED: u32 = 64;

// === impl Door ===

impl Door {
    /// The door of a cache of so many entries.
    pub(super) fn new(entries: usize) -> Self {
        let marks = entries.saturating_mul(2).clamp(64, 1 << 18).next_power_of_two();
        Self {
            marks: (0..marks).map(|_| AtomicU16::new(0)).collect(),
            credit: AtomicU32::new(0),
            arrivals: AtomicU32::new(0),
            look_every: (entries / 128).clamp(1, 64) as u32,
            crowded: AtomicBool::new(false),
        }
    }

    /// Whether a token of this hash is let in; `is_crowded` is asked now and then.
    pub(super) fn admits(&self, hash: u64, is_crowded: impl FnOnce() -> bool) -> bool {
        if self.arrivals.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.look_every) {
            self.crowded.store(is_crowded(), Ordering::Relaxed);
        }
        if !self.crowded.load(Ordering::Relaxed) {
            return true;
        }
        let mark = (hash >> 48) as u16 | 1;
        // The number of marks is a power of two.
        let place = &self.marks[hash as usize & (self.marks.len() - 1)];
        let came_before = place.swap(mark, Ordering::Relaxed) == mark;
        let credit = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |credit| {
            if came_before {
                Some((credit + UNASKED).min(MOST_UNASKED))
            } else {
                credit.checked_sub(1)
            }
        });
        came_before || credit.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes as good as random.
    fn hash(number: u64) -> u64 {
        let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    #[test]
    fn everybody_is_let_in_while_there_is_room() {
        let door = Door::new(10_000);
        assert!((0..10_000).all(|number| door.admits(hash(number), || false)));
    }

    #[test]
    fn who_comes_once_stays_outside_and_who_comes_again_is_let_in() {
        let door = Door::new(100_000);
        let once = (0..200_000).filter(|number| door.admits(hash(*number), || true)).count();
        assert!(once < 200, "{once}");
        let door = Door::new(100_000);
        assert!(!door.admits(hash(7), || true));
        assert!(door.admits(hash(7), || true));
    }

    #[test]
    fn where_most_come_again_most_are_let_in_at_once() {
        let door = Door::new(100_000);
        let mut turned_away = 0;
        for number in 0..10_000 {
            if !door.admits(hash(number), || true) {
                turned_away += 1;
                assert!(door.admits(hash(number), || true));
            }
        }
        assert!((1000..1300).contains(&turned_away), "{turned_away}");
    }

    #[test]
    fn it_opens_again_when_there_is_room_again() {
        let door = Door::new(100);
        assert!(!door.admits(hash(1), || true));
        assert!(door.admits(hash(2), || false));
    }
}
