//! The records that the leaves do not hold yet, and how they join what is there.

use std::borrow::Cow;
use std::ops::Range;

use redb::{Error, ReadableTable};

use super::block::{Unpacker, Unsound};
use super::entry;
use super::schema::{FOLDED, ROUND};

/// Records in the order of their names, those of one name in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

/// What the leaves hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folded {
    /// Every record up to this one.
    pub(super) upto: u64,
    /// A folding under way.
    pub(super) round: Option<Folding>,
}

/// A folding under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folding {
    /// Records up to this one are being folded in.
    pub(super) upto: u64,
    /// Names before this key are done.
    pub(super) next: Vec<u8>,
}

/// Where a record's key and body are.
#[derive(Clone, Copy, Debug)]
struct Item {
    start: usize,
    key: u16,
    body: u16,
}

/// Told of an entry's key and body; answers whether to go on.
pub(super) type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<bool, Error> + 'v;

// === impl Folded ===

impl Folded {
    pub(super) fn read(
        meta: &impl ReadableTable<&'static str, &'static [u8]>,
    ) -> Result<Self, Error> {
        let upto = number(meta, FOLDED)?;
        let round = match meta.get(ROUND)? {
            None => None,
            Some(bytes) => {
                let (upto, next) = bytes.value().split_first_chunk().ok_or(Unsound)?;
                Some(Folding { upto: u64::from_le_bytes(*upto), next: next.to_vec() })
            }
        };
        Ok(Self { upto, round })
    }

    /// Whether the leaves lack this record.
    fn lack(&self, sequence: u64, key: &[u8]) -> bool {
        let done = |round: &Folding| sequence <= round.upto && key < &*round.next;
        sequence > self.upto && !self.round.as_ref().is_some_and(done)
    }
}

// === impl Folding ===

impl Folding {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [&self.upto.to_le_bytes(), &*self.next].concat()
    }
}

// === impl Pending ===

impl Pending {
    /// The records up to `last` that the leaves lack and that are `wanted` by their key.
    pub(super) fn collect(
        batches: &impl ReadableTable<u64, &'static [u8]>,
        folded: &Folded,
        last: u64,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, Error> {
        let mut pending = Self::default();
        for row in batches.range(folded.upto.saturating_add(1)..)? {
            let (end, packed) = row?;
            let mut batch = Unpacker::new(packed.value())?;
            let before = end.value().checked_sub(u64::from(batch.left())).ok_or(Unsound)?;
            let mut sequence = before;
            if before >= last {
                break;
            }
            while let Some(body) = batch.next()? {
                sequence += 1;
                let key = batch.key();
                if sequence <= last && folded.lack(sequence, key) && wanted(key) {
                    pending.push(key, body)?;
                }
            }
        }
        pending.sort();
        Ok(pending)
    }

    /// By name; stable, so that records of one name stay in the order of the log. Most keys begin alike:
    /// what follows is compared as a number, and seldom more.
    fn sort(&mut self) {
        let Self { bytes, items } = self;
        let Some(first) = items.first().map(|item| item.key(bytes)) else { return };
        let alike = items.iter().fold(first.len(), |alike, item| {
            let key = item.key(bytes);
            let same = key.iter().zip(&first[..alike]).take_while(|(one, other)| one == other);
            same.count()
        });
        let mut order: Vec<(u64, Item)> = Vec::with_capacity(items.len());
        order.extend(items.iter().map(|item| {
            let mut head = [0; 8];
            let rest = &item.key(bytes)[alike..];
            let length = rest.len().min(head.len());
            head[..length].copy_from_slice(&rest[..length]);
            (u64::from_be_bytes(head), *item)
        }));
        order.sort_by(|(one, a), (other, b)| {
            one.cmp(other).then_with(|| a.key(bytes).cmp(b.key(bytes)))
        });
        items.clear();
        items.extend(order.into_iter().map(|(_, item)| item));
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn key(&self, at: usize) -> Option<&[u8]> {
        self.items.get(at).map(|item| item.key(&self.bytes))
    }

    /// The first record whose key is not before this one.
    pub(super) fn position(&self, key: &[u8]) -> usize {
        self.items.partition_point(|item| item.key(&self.bytes) < key)
    }

    /// Where a part of these records ends: after so many of them, and the others of the last one's name.
    pub(super) fn part(&self, range: Range<usize>, most: usize) -> usize {
        let mut end = range.end.min(range.start.saturating_add(most));
        while end < range.end && self.key(end) == self.key(end - 1) {
            end += 1;
        }
        end
    }

    /// Joins a leaf with those of these records that come before its last entry; answers with the first
    /// that does not, or `None` when the visitor has had enough.
    pub(super) fn join(
        &self,
        Range { start: mut at, end }: Range<usize>,
        leaf: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<Option<usize>, Error> {
        let mut leaf = Unpacker::new(leaf)?;
        while let Some(body) = leaf.next()? {
            let key = leaf.key();
            let earlier = self.items[at..end].iter().take_while(|it| it.key(&self.bytes) < key);
            let before = at + earlier.count();
            if !self.alone(at..before, visit)? {
                return Ok(None);
            }
            let same = self.same(before..end, key);
            at = same.end;
            let body = self.outcome(key, Some(body), same)?;
            if let Some(body) = body
                && !visit(key, &body)?
            {
                return Ok(None);
            }
        }
        Ok(Some(at))
    }

    /// Visits what these records come to by themselves; false when the visitor has had enough.
    pub(super) fn alone(&self, range: Range<usize>, visit: &mut Visit<'_>) -> Result<bool, Error> {
        let mut at = range.start;
        while at < range.end
            && let Some(key) = self.key(at)
        {
            let same = self.same(at..range.end, key);
            at = same.end;
            if let Some(body) = self.outcome(key, None, same)?
                && !visit(key, &body)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Those at the range's start that are of this name.
    fn same(&self, range: Range<usize>, key: &[u8]) -> Range<usize> {
        let start = range.start;
        let same = self.items[range].iter().take_while(|item| item.key(&self.bytes) == key);
        start..start + same.count()
    }

    /// What an entry comes to when these records follow it.
    fn outcome<'a>(
        &'a self,
        key: &[u8],
        entry: Option<&'a [u8]>,
        later: Range<usize>,
    ) -> Result<Option<Cow<'a, [u8]>>, Unsound> {
        let mut entry = entry.map(Cow::Borrowed);
        for item in &self.items[later] {
            let body = item.body(&self.bytes);
            entry = match entry {
                _ if entry::reinstates(body) => None,
                None => Some(Cow::Borrowed(body)),
                Some(entry) => Some(Cow::Owned(entry::followed_by(key, &entry, body)?)),
            };
        }
        Ok(entry)
    }

    fn push(&mut self, key: &[u8], body: &[u8]) -> Result<(), Unsound> {
        let lengths = (u16::try_from(key.len()), u16::try_from(body.len()));
        let (Ok(key_length), Ok(body_length)) = lengths else { return Err(Unsound) };
        self.items.push(Item { start: self.bytes.len(), key: key_length, body: body_length });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(body);
        Ok(())
    }
}

// === impl Item ===

impl Item {
    fn key(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..][..usize::from(self.key)]
    }

    fn body(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start + usize::from(self.key)..][..usize::from(self.body)]
    }
}

/// A number of the `meta` table.
pub(super) fn number(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &'static str,
) -> Result<u64, Error> {
    let value = meta.get(key)?.ok_or(Unsound)?;
    let bytes = value.value().try_into().map_err(|_length| Unsound)?;
    Ok(u64::from_le_bytes(bytes))
}
