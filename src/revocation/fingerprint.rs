//! What an entry of the set is called in memory: sixteen bytes that nobody outside can predict.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher24};
use uuid::Uuid;

use super::names::Slot;

/// A slot and 120 bits of SipHash-2-4-128 over (issuer, claim, value). Bytes, not a `u128`: its
/// alignment would cost eight bytes an entry.
pub(super) type Fingerprint = [u8; 16];

/// Takes a fingerprint's own bytes for its hash: they are a keyed hash already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnHash(u64);

/// The process' own key: whoever chooses values can't choose collisions.
#[derive(Debug)]
pub(super) struct FingerprintKey(SipHasher24);

/// The key after an issuer: a token's names all begin with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct IssuerKey(SipHasher24);

/// The key that was asked for last: names of one issuer come together.
#[derive(Debug, Default)]
pub(super) struct LastIssuer(Option<(Arc<str>, IssuerKey)>);

// === impl OwnHash ===

impl Hasher for OwnHash {
    fn write(&mut self, fingerprint: &[u8]) {
        // Neither the slot in the first byte nor the last two, which say the part of the set.
        if let Some(bytes) = fingerprint.get(1..9).and_then(|bytes| bytes.first_chunk()) {
            self.0 = u64::from_le_bytes(*bytes);
        }
    }

    /// The length, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

// === impl FingerprintKey ===

impl FingerprintKey {
    /// A key that no other process has.
    pub(super) fn random() -> Self {
        // Two v4 UUIDs are 244 random bits; folding them leaves none of their fixed ones.
        let ((a, b), (c, d)) = (Uuid::new_v4().as_u64_pair(), Uuid::new_v4().as_u64_pair());
        Self(SipHasher24::new_with_keys(a ^ d.rotate_left(32), b ^ c.rotate_left(32)))
    }

    /// The key for names of this issuer's tokens.
    pub(super) fn for_issuer(&self, issuer: &str) -> IssuerKey {
        let mut hasher = self.0;
        hasher.write_u64(issuer.len() as u64);
        hasher.write(issuer.as_bytes());
        IssuerKey(hasher)
    }

    /// The name of an entry.
    pub(super) fn of(&self, slot: Slot, issuer: &str, claim: &str, value: &str) -> Fingerprint {
        self.for_issuer(issuer).of(slot, claim, value)
    }
}

// === impl IssuerKey ===

impl IssuerKey {
    /// The name of an entry. Its first byte is the claim's slot, so that an entry knows what it counts for.
    pub(super) fn of(self, slot: Slot, claim: &str, value: &str) -> Fingerprint {
        let mut hasher = self.0;
        // All lengths come before their texts: ("ab", "c") and ("a", "bc") must differ.
        hasher.write_u64(claim.len() as u64);
        hasher.write_u64(value.len() as u64);
        hasher.write(claim.as_bytes());
        hasher.write(value.as_bytes());
        let mut fingerprint = hasher.finish128().as_bytes();
        fingerprint[0] = slot.index();
        fingerprint
    }
}

// === impl LastIssuer ===

impl LastIssuer {
    /// The issuer's key, made anew only for another issuer.
    pub(super) fn key(&mut self, key: &FingerprintKey, issuer: &Arc<str>) -> IssuerKey {
        match &self.0 {
            Some((known, last)) if Arc::ptr_eq(known, issuer) => *last,
            _ => self.0.insert((Arc::clone(issuer), key.for_issuer(issuer))).1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, BuildHasherDefault};

    use super::*;

    #[test]
    fn parts_can_not_flow_into_each_other() {
        let key = FingerprintKey::random();
        let names = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("", "ab", "c")];
        for (i, x) in names.iter().enumerate() {
            for (j, y) in names.iter().enumerate() {
                let same = key.of(Slot::JTI, x.0, x.1, x.2) == key.of(Slot::JTI, y.0, y.1, y.2);
                assert_eq!(same, i == j, "{x:?} {y:?}");
            }
        }
    }

    #[test]
    fn two_processes_name_one_entry_differently() {
        let (one, other) = (FingerprintKey::random(), FingerprintKey::random());
        assert_ne!(one.of(Slot::JTI, "i", "jti", "x"), other.of(Slot::JTI, "i", "jti", "x"));
    }

    #[test]
    fn a_fingerprint_is_its_own_hash() {
        let fingerprint: Fingerprint = std::array::from_fn(|at| at as u8);
        let hash = BuildHasherDefault::<OwnHash>::default().hash_one(fingerprint);
        assert_eq!(hash, u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
    }

    #[test]
    fn the_first_byte_is_the_slot() {
        let key = FingerprintKey::random();
        assert_eq!(key.of(Slot::SUB, "i", "sub", "x")[0], Slot::SUB.index());
    }
}
