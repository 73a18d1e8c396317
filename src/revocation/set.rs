//! The one mutable set: what has been taken back, read on every request, written by one follower.
//!
//! Exact in both directions: once [`RevocationSet::apply`] has returned, no later read on any thread
//! misses the entry. An entry is 24 bytes; reasons and actors stay in the store.

use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dashmap::{DashMap, Entry as Place};

use crate::clock::UnixTime;

use super::arrivals::{Absence, Arrivals};
use super::fingerprint::{Fingerprint, FingerprintKey, IssuerKey, LastIssuer, OwnHash};
use super::names::{ClaimNames, SLOTS, Slot, canonical};
use super::{Name, Op, Revocation};

/// Every live entry.
#[derive(Debug)]
pub struct RevocationSet {
    key: FingerprintKey,
    last_issuer: Mutex<LastIssuer>,
    names: ClaimNames,
    /// Entries by slot: a look-up touches only claims for which there are any.
    live: [AtomicUsize; SLOTS],
    arrivals: Arrivals,
    parts: Box<[Part]>,
}

/// What applying a record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A new entry.
    Added,
    /// An entry that was there now reaches further.
    Widened,
    /// The entry that was there already said as much, or there was none to remove.
    Unchanged,
    /// The entry is gone.
    Removed,
}

/// What is kept of an entry, in whole UNIX seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Dead after this second; [`Entry::END`]: never.
    expires: u32,
    /// Tokens issued at or before it; [`Entry::END`]: every token.
    cutoff: u32,
}

/// A few tables of the map, the unit of sweeping.
type Part = DashMap<Fingerprint, Entry, BuildHasherDefault<OwnHash>>;

/// So many parts of [`TABLES`] locked tables each: a sweep of ten million entries holds any one
/// lock for about a quarter of a millisecond. A table has room for 7/8 of a power of two: with 768 of them
/// a million entries, and ten, are just below one.
const PARTS: usize = if cfg!(test) { 4 } else { 96 };
const TABLES: usize = if cfg!(test) { 2 } else { 8 };

// === impl RevocationSet ===

impl RevocationSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty set with room for so many entries.
    pub fn with_capacity(entries: usize) -> Self {
        // A twentieth more than the mean, so that no part grows for being above it.
        let each = (entries + entries / 20).div_ceil(PARTS);
        let part =
            || Part::with_capacity_and_hasher_and_shard_amount(each, Default::default(), TABLES);
        Self {
            key: FingerprintKey::random(),
            last_issuer: Mutex::default(),
            names: ClaimNames::default(),
            live: std::array::from_fn(|_| AtomicUsize::new(0)),
            arrivals: Arrivals::new(),
            parts: std::iter::repeat_with(part).take(PARTS).collect(),
        }
    }

    /// Does what the record says. Records of one name must come in log order.
    pub fn apply(&self, record: &Revocation) -> Applied {
        let fingerprint = self.fingerprint(&record.name);
        match record.op {
            Op::Revoke | Op::Register => {
                self.insert(fingerprint, |old| old.followed_by(record), record)
            }
            Op::Reinstate => self.remove(&fingerprint),
        }
    }

    /// Makes the entry exactly what a checkpoint says it is, and answers with its name.
    pub(super) fn put(&self, record: &Revocation) -> Fingerprint {
        let fingerprint = self.fingerprint(&record.name);
        self.insert(fingerprint, |_| Entry::of(record), record);
        fingerprint
    }

    /// The same of many at once, for several threads: what all of them count is counted once for each call.
    pub(super) fn put_all(&self, records: &[Revocation]) {
        let mut last = LastIssuer::default();
        let names = records.iter().map(|record| self.fingerprint_after(&mut last, &record.name));
        let fingerprints: Vec<_> = names.collect();
        let mut counts = [0_usize; SLOTS];
        for fingerprint in &fingerprints {
            counts[usize::from(fingerprint[0])] += 1;
        }
        // Before they can be found: a reader must never skip a claim that has entries.
        for (live, count) in self.live.iter().zip(counts).filter(|(_, count)| *count > 0) {
            live.fetch_add(count, Ordering::SeqCst);
        }
        for (fingerprint, record) in fingerprints.iter().zip(records) {
            if self.part(fingerprint).insert(*fingerprint, Entry::of(record)).is_some() {
                self.live[usize::from(fingerprint[0])].fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.arrivals.note_all(&fingerprints);
    }

    /// Removes one part's entries that are not among `kept`, which is sorted; how many went.
    pub(super) fn retain_part(&self, part: usize, kept: &[Fingerprint]) -> usize {
        self.retain(part, |fingerprint, _| kept.binary_search(fingerprint).is_ok())
    }

    /// The most specific claim for which a live entry matches. A token whose names were `absent` is not looked
    /// up again until something comes that can be one of them.
    pub(super) fn revokes(
        &self,
        fingerprints: &[Fingerprint],
        absent: &Absence,
        issued_at: Option<UnixTime>,
        now: UnixTime,
    ) -> Option<Slot> {
        let before = self.arrivals.since(absent, fingerprints)?;
        let mut found = false;
        for fingerprint in fingerprints {
            let Some(entry) = self.entry(fingerprint) else { continue };
            if entry.is_live(now) && entry.covers(issued_at) {
                return Some(Slot::from_index(fingerprint[0]));
            }
            found = true;
        }
        if !found {
            absent.note(before);
        }
        None
    }

    /// Whether a live entry of that name catches a token issued then.
    pub fn holds(&self, name: &Name, issued_at: Option<UnixTime>, now: UnixTime) -> bool {
        self.revokes(&[self.fingerprint(name)], &Absence::default(), issued_at, now).is_some()
    }

    /// Whether there is an entry, expired or not.
    pub(super) fn contains(&self, fingerprint: &Fingerprint) -> bool {
        self.part(fingerprint).contains_key(fingerprint)
    }

    /// Forgets what expired before `now`, a part at a time; how many entries went.
    pub fn sweep(&self, now: UnixTime) -> usize {
        (0..self.parts()).map(|part| self.sweep_part(part, now)).sum()
    }

    /// Forgets one part's expired entries and gives their memory back. Callers yield in between.
    pub fn sweep_part(&self, part: usize, now: UnixTime) -> usize {
        self.retain(part, |_, entry| entry.is_live(now))
    }

    /// How many parts there are to sweep.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The part that an entry of this name is in.
    pub(super) fn part_of(fingerprint: &Fingerprint) -> usize {
        // Keyed hash output is uniform; the first byte is the slot.
        usize::from(u16::from_le_bytes([fingerprint[14], fingerprint[15]])) % PARTS
    }

    /// Entries in memory, expired ones that were not swept yet included.
    pub fn len(&self) -> usize {
        self.live.iter().map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries by claim, for every claim that was ever seen.
    pub fn counts(&self) -> Vec<(Arc<str>, usize)> {
        let count = |slot: Slot| self.live[usize::from(slot.index())].load(Ordering::SeqCst);
        self.names.all().into_iter().map(|(slot, name)| (name, count(slot))).collect()
    }

    /// The claim's slot, given at first sight.
    pub(super) fn slot(&self, claim: &str) -> Slot {
        self.names.slot(claim)
    }

    /// What names entries for tokens of this issuer.
    pub(super) fn key_for(&self, issuer: &str) -> IssuerKey {
        self.key.for_issuer(issuer)
    }

    /// What an entry for this claim and value would be called.
    pub(super) fn fingerprint_of(
        &self,
        slot: Slot,
        issuer: &str,
        claim: &str,
        value: &str,
    ) -> Fingerprint {
        self.key.of(slot, issuer, claim, value)
    }

    fn fingerprint(&self, name: &Name) -> Fingerprint {
        // Seldom do two ask at once, and then neither waits.
        match self.last_issuer.try_lock() {
            Ok(mut last) => self.fingerprint_after(&mut last, name),
            Err(_taken) => self.fingerprint_after(&mut LastIssuer::default(), name),
        }
    }

    fn fingerprint_after(&self, last: &mut LastIssuer, name: &Name) -> Fingerprint {
        let (claim, key) = (canonical(&name.claim), last.key(&self.key, &name.issuer));
        key.of(self.names.slot(claim), claim, &name.value)
    }

    fn insert(
        &self,
        fingerprint: Fingerprint,
        change: impl FnOnce(Entry) -> Entry,
        record: &Revocation,
    ) -> Applied {
        match self.part(&fingerprint).entry(fingerprint) {
            Place::Occupied(mut place) => {
                let (old, new) = (*place.get(), change(*place.get()));
                *place.get_mut() = new;
                if new == old { Applied::Unchanged } else { Applied::Widened }
            }
            Place::Vacant(place) => {
                // Counted before it can be found: a reader must never skip a claim that has entries.
                self.live[usize::from(fingerprint[0])].fetch_add(1, Ordering::SeqCst);
                drop(place.insert(Entry::of(record)));
                self.arrivals.note(&fingerprint);
                Applied::Added
            }
        }
    }

    fn entry(&self, fingerprint: &Fingerprint) -> Option<Entry> {
        if self.live[usize::from(fingerprint[0])].load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.part(fingerprint).get(fingerprint).map(|entry| *entry)
    }

    fn remove(&self, fingerprint: &Fingerprint) -> Applied {
        if self.part(fingerprint).remove(fingerprint).is_none() {
            return Applied::Unchanged;
        }
        self.live[usize::from(fingerprint[0])].fetch_sub(1, Ordering::SeqCst);
        Applied::Removed
    }

    fn retain(&self, part: usize, keep: impl Fn(&Fingerprint, &Entry) -> bool) -> usize {
        let map = &self.parts[part];
        let mut gone = [0_usize; SLOTS];
        map.retain(|fingerprint, entry| {
            let kept = keep(fingerprint, entry);
            gone[usize::from(fingerprint[0])] += usize::from(!kept);
            kept
        });
        for (count, gone) in self.live.iter().zip(gone) {
            count.fetch_sub(gone, Ordering::SeqCst);
        }
        let removed = gone.iter().sum();
        // Rehashing is worth its pause only when most of the table is air.
        if removed > 0 && map.capacity() / 4 > map.len() {
            map.shrink_to_fit();
        }
        removed
    }

    fn part(&self, fingerprint: &Fingerprint) -> &Part {
        &self.parts[Self::part_of(fingerprint)]
    }
}

impl Default for RevocationSet {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Entry ===

impl Entry {
    const END: u32 = u32::MAX;

    /// Dates beyond 2106 saturate: an entry is then never forgotten, a cut-off covers every token.
    fn of(record: &Revocation) -> Self {
        Self {
            expires: saturate(record.expires_at),
            cutoff: record.issued_before.map_or(Self::END, saturate),
        }
    }

    /// The later expiry; no cut-off beats a cut-off, else the later one (`END` is the largest). An
    /// entry that was dead when the record was made is as good as swept.
    fn followed_by(self, record: &Revocation) -> Self {
        let new = Self::of(record);
        if !self.is_live(record.at) {
            return new;
        }
        Self { expires: self.expires.max(new.expires), cutoff: self.cutoff.max(new.cutoff) }
    }

    fn is_live(self, now: UnixTime) -> bool {
        self.expires == Self::END || now.as_secs() <= u64::from(self.expires)
    }

    /// A token that does not say when it was issued is covered by every cut-off.
    fn covers(self, issued_at: Option<UnixTime>) -> bool {
        self.cutoff == Self::END
            || issued_at.is_none_or(|issued| issued.as_secs() <= u64::from(self.cutoff))
    }
}

fn saturate(time: UnixTime) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
