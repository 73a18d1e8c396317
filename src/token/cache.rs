//! Verified tokens kept for a while, so that a signature is checked once and not on every request.
//!
//! An answer from here says only that the signature and the static rules held: expiry, staleness,
//! revocation and the route's rules are the caller's to check on every hit.

use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Weighter};

use super::door::Door;
use super::jws::MAX_TOKEN;

/// A bounded cache of verified tokens. The key is the whole token, compared byte by byte: the hash
/// only says where to look, so no other token can ever hit.
pub struct TokenCache<V> {
    entries: Cache<Kept, Entry<V>, ByBytes, BuildHasherDefault<OwnHash>>,
    hashes: foldhash::fast::RandomState,
    door: Option<Door>,
    /// The weight from which on the door is watched.
    roomy: u64,
}

/// A token that is kept. Its hash stands beside it: to move or evict an entry the text is not read.
#[derive(Clone, PartialEq, Eq)]
struct Kept {
    hash: u64,
    text: Box<[u8]>,
}

/// A token that is looked for.
struct Sought<'t> {
    hash: u64,
    text: &'t [u8],
}

#[derive(Clone)]
struct Entry<V> {
    /// `Verifier::generation` as it was before the token was verified.
    generation: u64,
    /// What the value occupies elsewhere.
    bytes: u32,
    value: V,
}

/// Weighs an entry by its bytes, and no lighter than what lets so many entries in.
#[derive(Clone)]
struct ByBytes {
    least: u64,
}

/// Takes a token's own hash.
#[derive(Default)]
struct OwnHash(u64);

/// What an entry occupies besides its token's text and its value, in bytes: its place in tables that have
/// room to grow, and what the allocator takes.
const PLACE: u64 = 192;

/// So many of a token's last bytes say where to look.
const HASHED: usize = 64;

// === impl TokenCache ===

impl<V: Clone> TokenCache<V> {
    /// A cache of at most so many entries and so many bytes, which lets everybody in.
    pub fn new(entries: usize, bytes: u64) -> Self {
        let least = bytes.div_ceil(entries.max(1) as u64);
        let (by_bytes, hasher) = (ByBytes { least }, BuildHasherDefault::default());
        let lifecycle = DefaultLifecycle::default();
        Self {
            entries: Cache::with(entries, bytes, by_bytes, hasher, lifecycle),
            hashes: foldhash::fast::RandomState::default(),
            door: None,
            roomy: bytes / 2,
        }
    }

    /// The same, but once it is half full tokens that come only once are mostly not kept.
    pub fn sparing(entries: usize, bytes: u64) -> Self {
        Self { door: Some(Door::new(entries)), ..Self::new(entries, bytes) }
    }

    /// The value of exactly this token, if it was verified under this generation. The token need not
    /// have been looked at: what is equal to a token that was verified is one.
    pub fn find(&self, token: impl AsRef<[u8]>, generation: u64) -> Option<V> {
        let text = token.as_ref();
        let entry = self.entries.get(&Sought { hash: self.hash(text), text })?;
        (entry.generation == generation).then_some(entry.value)
    }

    /// Keeps a value under the generation that was read before the token was verified. Only what
    /// was verified may be kept, or strangers could fill the cache. `bytes` is what the value occupies.
    pub fn insert(&self, token: &str, generation: u64, value: V, bytes: usize) {
        if token.len() > MAX_TOKEN {
            return;
        }
        let hash = self.hash(token.as_bytes());
        let is_crowded = || self.entries.weight() > self.roomy;
        if self.door.as_ref().is_none_or(|door| door.admits(hash, is_crowded)) {
            let text = token.as_bytes().into();
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            self.entries.insert(Kept { hash, text }, Entry { generation, bytes, value });
        }
    }

    /// So many of the last bytes are the signature's, which nobody chooses.
    fn hash(&self, token: &[u8]) -> u64 {
        self.hashes.hash_one(&token[token.len().saturating_sub(HASHED)..])
    }

    /// How many tokens are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }
}

impl<V> fmt::Debug for TokenCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCache(..)")
    }
}

// === impl Kept ===

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

// === impl Sought ===

impl Hash for Sought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Kept> for Sought<'_> {
    fn equivalent(&self, kept: &Kept) -> bool {
        *self.text == *kept.text
    }
}

// === impl ByBytes ===

impl<V> Weighter<Kept, Entry<V>> for ByBytes {
    fn weight(&self, token: &Kept, entry: &Entry<V>) -> u64 {
        (token.text.len() as u64 + u64::from(entry.bytes) + PLACE).max(self.least)
    }
}

// === impl OwnHash ===

impl Hasher for OwnHash {
    /// Nothing but [`Hasher::write_u64`] is ever called.
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
#[path = "tests/cache.rs"]
mod tests;
