//! Making records: what those that are made together have in common is done once.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::UnixTime;

use super::wire::{Checker, WireError};
use super::{Revocation, Text};

/// Records that are made together, in the order in which they are said.
#[derive(Debug)]
pub struct Making {
    at: UnixTime,
    actor: Option<Arc<str>>,
    next: Uuid,
    claim: Option<Arc<str>>,
    checker: Checker,
}

/// The last bits of a UUIDv7, `rand_b` (RFC 9562 section 5.7).
const RANDOM: u128 = (1 << 62) - 1;

// === impl Making ===

impl Making {
    /// The first of them is said now, all of them by the same actor.
    pub fn begin(now: UnixTime, actor: Option<Arc<str>>) -> Self {
        Self { at: now, actor, next: Uuid::now_v7(), claim: None, checker: Checker::default() }
    }

    /// When they are said.
    pub const fn at(&self) -> UnixTime {
        self.at
    }

    /// Who says them.
    pub fn actor(&self) -> Option<Arc<str>> {
        self.actor.clone()
    }

    /// The next one's id: one more than the one before it (RFC 9562 section 6.2, method 2).
    pub fn id(&mut self) -> Uuid {
        let (id, bits) = (self.next, self.next.as_u128());
        self.next = Uuid::from_u128(bits & !RANDOM | bits.wrapping_add(1) & RANDOM);
        id
    }

    /// The claim's name, shared with the record before when it is the same.
    pub(crate) fn claim(&mut self, claim: Text<'_>) -> Arc<str> {
        claim.shared_with(&mut self.claim)
    }

    /// Whether every store takes it.
    pub(super) fn check(&mut self, record: &Revocation) -> Result<(), WireError> {
        self.checker.check(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(making: &mut Making, count: usize) -> Vec<Uuid> {
        std::iter::repeat_with(|| making.id()).take(count).collect()
    }

    #[test]
    fn ids_of_one_making_follow_each_other() {
        let mut making = Making::begin(UnixTime::EPOCH, None);
        let ids = ids(&mut making, 1000);
        let (first, second) = (ids[0].get_timestamp(), ids[999].get_timestamp());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.is_sorted_by(|one, next| one < next) && first.is_some() && first == second);
    }

    #[test]
    fn two_makings_have_no_id_in_common() {
        let [mut one, mut other] = [0, 0].map(|_| Making::begin(UnixTime::EPOCH, None));
        let (one, other) = (ids(&mut one, 1000), ids(&mut other, 1000));
        assert!(one.iter().all(|id| !other.contains(id)));
    }

    #[test]
    fn the_last_id_of_a_millisecond_is_followed_by_one_of_the_same() {
        let mut making = Making::begin(UnixTime::EPOCH, None);
        making.next = Uuid::from_u128(making.next.as_u128() | RANDOM);
        let ids = ids(&mut making, 2);
        assert_eq!(ids[0].get_timestamp(), ids[1].get_timestamp());
        assert!(ids[0] != ids[1] && ids[1].get_version_num() == 7);
    }
}
