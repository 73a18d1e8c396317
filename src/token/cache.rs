//! Verified tokens kept for a while, so that a signature is checked once and not on every request.
//!
//! An answer from here says only that the signature and the static rules held: expiry, staleness,
//! revocation and the route's rules are the caller's to check on every hit.

use std::fmt;
use std::hash::{Hash, Hasher};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Weighter};

use super::jws::MAX_TOKEN;

/// A bounded cache of verified tokens. The key is the whole token, compared byte by byte: the hash
/// only says where to look, so no other token can ever hit.
pub struct TokenCache<V> {
    entries: Cache<Kept, Entry<V>, ByBytes, foldhash::fast::RandomState>,
}

/// A token that is kept.
#[derive(Clone, PartialEq, Eq)]
struct Kept(Box<[u8]>);

/// A token that is looked for.
struct Sought<'t>(&'t [u8]);

#[derive(Clone)]
struct Entry<V> {
    /// `Verifier::generation` as it was before the token was verified.
    generation: u64,
    value: V,
}

/// Weighs an entry by its bytes, and no lighter than what lets so many entries in.
#[derive(Clone)]
struct ByBytes {
    least: u64,
}

/// What a cached value is taken to occupy besides its token's text, in bytes.
const OVERHEAD: u64 = 1024;

/// So many of a token's last bytes say where to look: they are its signature's, which nobody chooses.
const HASHED: usize = 64;

// === impl TokenCache ===

impl<V: Clone> TokenCache<V> {
    /// A cache of at most so many entries and so many bytes (tokens and a kibibyte for each value).
    pub fn new(entries: usize, bytes: u64) -> Self {
        let least = bytes.div_ceil(entries.max(1) as u64);
        Self {
            entries: Cache::with(
                entries,
                bytes,
                ByBytes { least },
                foldhash::fast::RandomState::default(),
                DefaultLifecycle::default(),
            ),
        }
    }

    /// The value of exactly this token, if it was verified under this generation. The token need not
    /// have been looked at: what is equal to a token that was verified is one.
    pub fn find(&self, token: impl AsRef<[u8]>, generation: u64) -> Option<V> {
        let entry = self.entries.get(&Sought(token.as_ref()))?;
        (entry.generation == generation).then_some(entry.value)
    }

    /// Keeps a value under the generation that was read before the token was verified. Only what
    /// was verified may be kept, or strangers could fill the cache.
    pub fn insert(&self, token: &str, generation: u64, value: V) {
        if token.len() <= MAX_TOKEN {
            self.entries.insert(Kept(token.as_bytes().into()), Entry { generation, value });
        }
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
        Sought(&self.0).hash(state);
    }
}

// === impl Sought ===

impl Hash for Sought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0[self.0.len().saturating_sub(HASHED)..]);
    }
}

impl Equivalent<Kept> for Sought<'_> {
    fn equivalent(&self, kept: &Kept) -> bool {
        *self.0 == *kept.0
    }
}

// === impl ByBytes ===

impl<V> Weighter<Kept, Entry<V>> for ByBytes {
    fn weight(&self, token: &Kept, _: &Entry<V>) -> u64 {
        (token.0.len() as u64 + OVERHEAD).max(self.least)
    }
}

#[cfg(test)]
#[path = "tests/cache.rs"]
mod tests;
