//! Entries packed one after the other, each key without what it shares with the one before it.
//!
//! A count of four bytes; then for each entry three lengths of two bytes (what the key shares with the
//! key before it, the rest of the key, the body), the rest of the key, the body. Little-endian.

use crate::revocation::FeedError;

/// Packs entries.
#[derive(Debug)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    last: Vec<u8>,
    count: u32,
}

/// Reads what a [`Packer`] has packed.
#[derive(Debug)]
pub(super) struct Unpacker<'a> {
    rest: &'a [u8],
    left: u32,
    key: Vec<u8>,
}

/// What was read is no such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsound;

const COUNT: usize = size_of::<u32>();
const LENGTHS: usize = 3 * size_of::<u16>();

// === impl Packer ===

impl Packer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut packed = Vec::with_capacity(bytes);
        packed.extend_from_slice(&[0; COUNT]);
        Self { bytes: packed, last: Vec::with_capacity(128), count: 0 }
    }

    /// How many were packed.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Adds an entry; false when it is too long for one, and then nothing has changed.
    #[must_use]
    pub(super) fn push(&mut self, key: &[u8], body: &[u8]) -> bool {
        let shared = alike(&self.last, key);
        let lengths = [shared, key.len() - shared, body.len()].map(u16::try_from);
        let [Ok(shared), Ok(more), Ok(length)] = lengths else { return false };
        let numbers = [shared, more, length].map(u16::to_le_bytes);
        self.bytes.extend_from_slice(numbers.as_flattened());
        let rest = &key[usize::from(shared)..];
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(body);
        self.last.truncate(usize::from(shared));
        self.last.extend_from_slice(rest);
        self.count += 1;
        true
    }

    /// Whether one more stays within so many bytes, even if its key shares nothing; the first always does.
    pub(super) const fn has_room(&self, key: &[u8], body: &[u8], most: usize) -> bool {
        self.count == 0 || self.bytes.len() + LENGTHS + key.len() + body.len() <= most
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes[..COUNT].copy_from_slice(&self.count.to_le_bytes());
        self.bytes
    }
}

// === impl Unpacker ===

impl<'a> Unpacker<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Result<Self, Unsound> {
        let (count, rest) = packed.split_first_chunk().ok_or(Unsound)?;
        Ok(Self { rest, left: u32::from_le_bytes(*count), key: Vec::with_capacity(128) })
    }

    /// How many are still to come.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }

    /// The next entry's body; its key is then [`Unpacker::key`].
    pub(super) fn next(&mut self) -> Result<Option<&'a [u8]>, Unsound> {
        if self.left == 0 {
            return if self.rest.is_empty() { Ok(None) } else { Err(Unsound) };
        }
        self.left -= 1;
        let (shared, more, length) = (self.number()?, self.number()?, self.number()?);
        let (key, rest) = self.rest.split_at_checked(more).ok_or(Unsound)?;
        let (body, rest) = rest.split_at_checked(length).ok_or(Unsound)?;
        if shared > self.key.len() {
            return Err(Unsound);
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(key);
        self.rest = rest;
        Ok(Some(body))
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    fn number(&mut self) -> Result<usize, Unsound> {
        let (number, rest) = self.rest.split_first_chunk().ok_or(Unsound)?;
        self.rest = rest;
        Ok(usize::from(u16::from_le_bytes(*number)))
    }
}

// === impl Unsound ===

impl From<Unsound> for redb::Error {
    fn from(_: Unsound) -> Self {
        Self::Corrupted("an entry is not one".to_owned())
    }
}

impl From<Unsound> for FeedError {
    fn from(_: Unsound) -> Self {
        Self::Corrupt("an entry is not one".to_owned())
    }
}

/// How many bytes at the front are the same: eight at a time, then one.
fn alike(one: &[u8], other: &[u8]) -> usize {
    let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    let whole = words.take_while(|(one, other)| one == other).count() * 8;
    let rest = one[whole..].iter().zip(&other[whole..]);
    whole + rest.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entries = Vec<(Vec<u8>, Vec<u8>)>;

    fn packed(entries: &Entries) -> Vec<u8> {
        let mut packer = Packer::with_capacity(0);
        for (key, body) in entries {
            assert!(packer.push(key, body));
        }
        packer.finish()
    }

    fn unpacked(bytes: &[u8]) -> Result<Entries, Unsound> {
        let mut unpacker = Unpacker::new(bytes)?;
        let mut entries = Vec::new();
        while let Some(body) = unpacker.next()? {
            entries.push((unpacker.key().to_vec(), body.to_vec()));
        }
        Ok(entries)
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out(
            entries in prop::collection::vec(("(aaaaaaab){0,2}[ab]{0,6}", "[xy]{0,4}"), 0..20)
        ) {
            let entries: Entries =
                entries.into_iter().map(|(key, body)| (key.into(), body.into())).collect();
            let bytes = packed(&entries);
            prop_assert_eq!(unpacked(&bytes), Ok(entries));
            for end in 0..bytes.len() {
                prop_assert_eq!(unpacked(&bytes[..end]), Err(Unsound));
            }
        }

        #[test]
        fn other_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(entries) = unpacked(&bytes) {
                prop_assert!(entries.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn what_is_too_long_is_refused_and_changes_nothing() {
        let mut packer = Packer::with_capacity(0);
        assert!(packer.push(b"key", b"body"));
        assert!(!packer.push(&[b'k'; 70_000], b""));
        assert!(!packer.push(b"kez", &[0; 70_000]));
        assert!(packer.push(b"kez", b""));
        let entries = unpacked(&packer.finish()).expect("sound");
        assert_eq!(entries, [(b"key".to_vec(), b"body".to_vec()), (b"kez".to_vec(), vec![])]);
    }
}
