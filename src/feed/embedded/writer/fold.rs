//! Folding: the log's records go into the leaves, a few leaves in one transaction.
//!
//! What is done is written down in the same transaction, so that a reader, and a restart in between,
//! know of each record whether the leaves hold it.

use std::ops::Bound;
use std::time::{Duration, Instant};

use redb::{Database, Durability, Error, ReadableDatabase, ReadableTable, Table};

use crate::clock::UnixTime;
use crate::feed::embedded::block::{Packer, Unpacker, Unsound};
use crate::feed::embedded::entry;
use crate::feed::embedded::pending::{Folded, Folding, Pending, number};
use crate::feed::embedded::schema::{
    BATCHES, ENTRIES, FLOOR, FOLDED, HEAD, LEAVES, LOG_KEPT, META, ROUND,
};

/// One pass over the leaves.
#[derive(Debug)]
pub(super) struct Round {
    folding: Folding,
    pending: Pending,
    at: usize,
    /// Entries that expired before this are dropped; then every leaf is looked at.
    before: Option<UnixTime>,
    /// How many were.
    pub(super) gone: usize,
}

/// A part of the leaves as it will be.
#[derive(Debug, Default)]
struct Region {
    bytes: Vec<u8>,
    /// Where each entry's key and body end.
    ends: Vec<(usize, usize)>,
}

/// A leaf that is to be replaced: its key, its entries, and the next leaf's key.
struct Leaf {
    key: Vec<u8>,
    packed: Vec<u8>,
    next: Option<Vec<u8>>,
}

type Leaves<'t> = Table<'t, &'static [u8], &'static [u8]>;
type Meta<'t> = Table<'t, &'static str, &'static [u8]>;

/// Bytes in a leaf, at most; a little below what redb keeps in one page of a power of two.
const LEAF: usize = if cfg!(test) { 512 } else { 60 * 1024 };
/// Records that are folded at a time, more or less: as many as a few leaves hold.
const PART: usize = if cfg!(test) { 16 } else { 2048 };
/// Records in one round at most, unless a quarter of the entries are more: it has them in memory.
const MOST: u64 = if cfg!(test) { 96 } else { 524_288 };

// === impl Round ===

impl Round {
    /// What is left of a round that was broken off, or one up to the log's end if that is not far.
    pub(super) fn begin(database: &Database, before: Option<UnixTime>) -> Result<Self, Error> {
        let read = database.begin_read()?;
        let meta = read.open_table(META)?;
        let folded = Folded::read(&meta)?;
        let (folding, before) = match &folded.round {
            // It has not asked the leaves behind it.
            Some(round) => (round.clone(), None),
            None => {
                let most = folded.upto.saturating_add(MOST.max(number(&meta, ENTRIES)? / 4));
                (Folding { upto: number(&meta, HEAD)?.min(most), next: Vec::new() }, before)
            }
        };
        let batches = read.open_table(BATCHES)?;
        let pending = Pending::collect(&batches, &folded, folding.upto, |_| true)?;
        Ok(Self { folding, pending, at: 0, before, gone: 0 })
    }

    /// Whether it asks every leaf for what has expired.
    pub(super) const fn compacts(&self) -> bool {
        self.before.is_some()
    }

    /// Goes on for about so long, in one commit; true at the end. Without durability a later commit makes it
    /// last: one that fails takes it back, and the round is not to be gone on with.
    pub(super) fn step(
        &mut self,
        database: &Database,
        budget: Duration,
        durability: Durability,
    ) -> Result<bool, Error> {
        let started = Instant::now();
        let mut write = database.begin_write()?;
        write.set_durability(durability)?;
        write.set_two_phase_commit(true);
        let (mut change, mut done);
        {
            let mut leaves = write.open_table(LEAVES)?;
            change = 0;
            // At least one, however short the time is.
            loop {
                (change, done) = self.region(&mut leaves, change)?;
                if done || started.elapsed() >= budget {
                    break;
                }
            }
            let mut meta = write.open_table(META)?;
            self.write_down(&mut meta, change, done)?;
            if done {
                trim(&mut write.open_table(BATCHES)?, &mut meta)?;
            }
        }
        write.commit()?;
        Ok(done)
    }

    /// Folds the next part; answers with the change in entries so far, and whether it was the last.
    fn region(&mut self, leaves: &mut Leaves<'_>, change: i64) -> Result<(i64, bool), Error> {
        let wanted = match (self.before, self.pending.key(self.at)) {
            (Some(_), _) => &*self.folding.next,
            (None, Some(key)) => key,
            (None, None) => return Ok((change, true)),
        };
        let Some(mut leaf) = find(leaves, wanted)? else {
            let (upto, next) = self.part(None);
            let mut region = Region::default();
            self.fill(&mut region, None, upto)?;
            let added = region.write(leaves)?;
            return Ok(self.reached(next, change + added));
        };
        let mut region = Region::default();
        let mut before = 0;
        loop {
            let (upto, next) = self.part(leaf.next.as_deref());
            if region.is_empty() && !self.touches(&leaf, upto)? {
                return Ok(self.reached(next, change - before));
            }
            before += i64::from(Unpacker::new(&leaf.packed)?.left());
            self.fill(&mut region, Some(&leaf.packed), upto)?;
            leaves.remove(&*leaf.key)?;
            // What has become small goes into its neighbour, unless more records come before that.
            let last = next == leaf.next;
            let neighbour = next.as_deref().filter(|_| last && region.bytes.len() < LEAF / 4);
            let neighbour = neighbour.map(|key| find(leaves, key)).transpose()?.flatten();
            let Some(neighbour) = neighbour else {
                let after = region.write(leaves)?;
                return Ok(self.reached(next, change + after - before));
            };
            leaf = neighbour;
        }
    }

    /// The records up to this one are folded next, of those before that leaf; and what comes after them.
    fn part(&self, leaf: Option<&[u8]>) -> (usize, Option<Vec<u8>>) {
        let end = leaf.map_or(self.pending.len(), |key| self.pending.position(key));
        let upto = self.pending.part(self.at..end, PART);
        let next = if upto < end { self.pending.key(upto) } else { leaf };
        (upto, next.map(<[u8]>::to_vec))
    }

    fn reached(&mut self, next: Option<Vec<u8>>, change: i64) -> (i64, bool) {
        let done = next.is_none();
        if let Some(next) = next {
            self.folding.next = next;
        }
        (change, done)
    }

    /// Whether the leaf is not to stay as it is.
    fn touches(&self, leaf: &Leaf, upto: usize) -> Result<bool, Unsound> {
        let Some(before) = self.before.filter(|_| self.at == upto) else {
            return Ok(self.at < upto);
        };
        let mut entries = Unpacker::new(&leaf.packed)?;
        while let Some(body) = entries.next()? {
            if entry::expires_at(body)? < before {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Joins the leaf with the records up to that one.
    fn fill(&mut self, region: &mut Region, leaf: Option<&[u8]>, upto: usize) -> Result<(), Error> {
        let (before, mut gone) = (self.before, 0);
        let mut take = |key: &[u8], body: &[u8]| {
            if before.is_some_and(|before| matches!(entry::expires_at(body), Ok(at) if at < before))
            {
                gone += 1;
            } else {
                region.push(key, body);
            }
            Ok(true)
        };
        if let Some(leaf) = leaf {
            self.at = self.pending.join(self.at..upto, leaf, &mut take)?.unwrap_or(self.at);
        }
        self.pending.alone(self.at..upto, &mut take)?;
        self.at = upto;
        self.gone += gone;
        Ok(())
    }

    fn write_down(&self, meta: &mut Meta<'_>, change: i64, done: bool) -> Result<(), Error> {
        let entries = number(meta, ENTRIES)?.saturating_add_signed(change);
        meta.insert(ENTRIES, entries.to_le_bytes().as_slice())?;
        if done {
            meta.insert(FOLDED, self.folding.upto.to_le_bytes().as_slice())?;
            meta.remove(ROUND)?;
        } else {
            meta.insert(ROUND, self.folding.to_bytes().as_slice())?;
        }
        Ok(())
    }
}

// === impl Region ===

impl Region {
    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn push(&mut self, key: &[u8], body: &[u8]) {
        self.bytes.extend_from_slice(key);
        let end = self.bytes.len();
        self.bytes.extend_from_slice(body);
        self.ends.push((end, self.bytes.len()));
    }

    /// Writes leaves of one size; answers with the number of entries.
    fn write(&self, leaves: &mut Leaves<'_>) -> Result<i64, Error> {
        let count = self.bytes.len().div_ceil(LEAF).max(1);
        let each = self.bytes.len().div_ceil(count);
        let (mut start, mut first, mut packer) = (0, None, Packer::with_capacity(each));
        let mut bound = each;
        for &(key_end, end) in &self.ends {
            let (key, body) = (&self.bytes[start..key_end], &self.bytes[key_end..end]);
            first.get_or_insert(key);
            if !packer.push(key, body) {
                return Err(Unsound.into());
            }
            start = end;
            if end >= bound
                && let Some(key) = first.take()
            {
                let full = std::mem::replace(&mut packer, Packer::with_capacity(each));
                leaves.insert(key, full.finish().as_slice())?;
                bound = end + each;
            }
        }
        if let Some(key) = first {
            leaves.insert(key, packer.finish().as_slice())?;
        }
        Ok(i64::try_from(self.ends.len()).unwrap_or(i64::MAX))
    }
}

/// The leaf in whose stretch the key is: the last one that begins at or before it, or the first.
fn find(leaves: &Leaves<'_>, key: &[u8]) -> Result<Option<Leaf>, Error> {
    if let Some(row) = leaves.range::<&[u8]>(..=key)?.next_back() {
        let (key, packed) = row?;
        return leaf(leaves, key.value(), packed.value()).map(Some);
    }
    let first = leaves.first()?;
    first.map(|(key, packed)| leaf(leaves, key.value(), packed.value())).transpose()
}

fn leaf(leaves: &Leaves<'_>, key: &[u8], packed: &[u8]) -> Result<Leaf, Error> {
    let beyond = (Bound::Excluded(key), Bound::Unbounded);
    let next = leaves.range::<&[u8]>(beyond)?.next().transpose()?;
    let next = next.map(|(key, _)| key.value().to_vec());
    Ok(Leaf { key: key.to_vec(), packed: packed.to_vec(), next })
}

/// Cuts off what the leaves hold, but for the newest. Only ever a prefix: a reader that misses a
/// record misses all before it too, is told so, and loads the live entries.
fn trim(batches: &mut Table<'_, u64, &'static [u8]>, meta: &mut Meta<'_>) -> Result<(), Error> {
    let kept_from = number(meta, HEAD)?.saturating_sub(LOG_KEPT);
    let upto = number(meta, FOLDED)?.min(kept_from);
    let last = batches.range(..=upto)?.next_back().transpose()?.map(|(last, _)| last.value());
    if let Some(floor) = last {
        batches.retain_in(..=floor, |_, _| false)?;
        meta.insert(FLOOR, floor.to_le_bytes().as_slice())?;
    }
    Ok(())
}
