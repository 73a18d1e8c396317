//! How often something came into the set that was not there, so that a token which was looked up in vain
//! is looked up again only when something came that can concern it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::fingerprint::Fingerprint;

/// Counts of arrivals: all of them, and those of each group of names. None is ever taken back.
#[derive(Debug)]
pub(super) struct Arrivals {
    all: AtomicU64,
    groups: Box<[AtomicU64]>,
}

/// What one token's names were last looked up after and in vain; no look-up yet by default. Two threads may
/// write at once: each of the two numbers is true by itself.
#[derive(Debug)]
pub(super) struct Absence {
    all: AtomicU64,
    groups: AtomicU64,
}

/// The counts before a look-up.
#[derive(Clone, Copy)]
pub(super) struct Before {
    all: u64,
    groups: u64,
}

/// Enough that a thousand arrivals a second seldom concern a token that comes often; few enough (32 KiB) to stay
/// in a processor's cache.
const GROUPS: usize = if cfg!(test) { 4 } else { 4096 };
/// No count gets there.
const NEVER: u64 = u64::MAX;

// === impl Arrivals ===

impl Arrivals {
    pub(super) fn new() -> Self {
        let groups = std::iter::repeat_with(AtomicU64::default).take(GROUPS).collect();
        Self { all: AtomicU64::new(0), groups }
    }

    /// Counts one, which can be found already: whoever sees the count finds the entry.
    pub(super) fn note(&self, fingerprint: &Fingerprint) {
        self.group(fingerprint).fetch_add(1, Ordering::SeqCst);
        self.all.fetch_add(1, Ordering::SeqCst);
    }

    /// The same of many.
    pub(super) fn note_all(&self, fingerprints: &[Fingerprint]) {
        for fingerprint in fingerprints {
            self.group(fingerprint).fetch_add(1, Ordering::SeqCst);
        }
        self.all.fetch_add(fingerprints.len() as u64, Ordering::SeqCst);
    }

    /// `None`: the names are as absent as they were. Else what to [`Absence::note`] when none is found now.
    pub(super) fn since(&self, absence: &Absence, names: &[Fingerprint]) -> Option<Before> {
        // In this order: what arrives after the first reading is missing in `all`, and seen the next time.
        let all = self.all.load(Ordering::SeqCst);
        if all == absence.all.load(Ordering::Relaxed) {
            return None;
        }
        // Counts only grow: their sum is the same only if each is.
        let groups = names.iter().map(|name| self.group(name).load(Ordering::SeqCst)).sum();
        if groups == absence.groups.load(Ordering::Relaxed) {
            absence.all.store(all, Ordering::Relaxed);
            return None;
        }
        Some(Before { all, groups })
    }

    fn group(&self, fingerprint: &Fingerprint) -> &AtomicU64 {
        // Bytes that say neither the part of the set nor the place in its table.
        let bytes = u16::from_le_bytes([fingerprint[10], fingerprint[11]]);
        &self.groups[usize::from(bytes) % GROUPS]
    }
}

// === impl Absence ===

impl Absence {
    /// None of the names was there, dead or alive.
    pub(super) fn note(&self, before: Before) {
        self.groups.store(before.groups, Ordering::Relaxed);
        self.all.store(before.all, Ordering::Relaxed);
    }
}

impl Default for Absence {
    fn default() -> Self {
        Self { all: AtomicU64::new(NEVER), groups: AtomicU64::new(NEVER) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [Fingerprint; 0] = [];

    /// A name in this group.
    fn name(group: u8) -> Fingerprint {
        std::array::from_fn(|at| if at == 10 { group } else { 0 })
    }

    #[test]
    fn what_was_never_looked_up_is_looked_up_even_in_an_empty_set() {
        let arrivals = Arrivals::new();
        assert!(arrivals.since(&Absence::default(), &[name(0)]).is_some());
        assert!(arrivals.since(&Absence::default(), &NONE).is_some());
    }

    #[test]
    fn it_is_looked_up_again_only_after_an_arrival_in_its_group() {
        let (arrivals, absence) = (Arrivals::new(), Absence::default());
        let names = [name(0), name(1)];
        absence.note(arrivals.since(&absence, &names).expect("the first time"));
        assert!(arrivals.since(&absence, &names).is_none());
        arrivals.note(&name(2));
        assert!(arrivals.since(&absence, &names).is_none());
        for group in [0, 1] {
            arrivals.note_all(&[name(3), name(group)]);
            let before = arrivals.since(&absence, &names).expect("something came");
            assert!(arrivals.since(&absence, &names).is_some(), "it was not looked up yet");
            absence.note(before);
            assert!(arrivals.since(&absence, &names).is_none());
        }
    }

    #[test]
    fn what_arrives_during_a_look_up_counts_the_next_time() {
        let (arrivals, absence) = (Arrivals::new(), Absence::default());
        let before = arrivals.since(&absence, &[name(0)]).expect("the first time");
        arrivals.note(&name(0));
        absence.note(before);
        assert!(arrivals.since(&absence, &[name(0)]).is_some());
    }
}
