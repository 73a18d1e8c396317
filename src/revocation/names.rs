//! The claims by which tokens can be named, each with the slot of its counter.

use std::sync::{Arc, PoisonError, RwLock};

use super::RevocationError;

/// How many slots there are: the built-in claims, [`CUSTOM`] others, and one for all the rest.
pub(super) const SLOTS: usize = BUILT_IN.len() + CUSTOM + 1;

/// How many further claims get a counter of their own.
pub(super) const CUSTOM: usize = 24;

/// Claims that can always be revoked by, and the word for registered tokens.
pub(super) const BUILT_IN: [&str; 8] =
    ["jti", "token", "sub", "sid", "client_id", "iss", "kid", REGISTERED];

/// Stands where a claim's name does in the names of registered tokens. Reserved: nothing can be
/// revoked by it.
pub const REGISTERED: &str = "registered";

/// A claim's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot(u8);

/// Every claim seen, in the order of its slot. A claim keeps its slot for the life of the process:
/// entries carry it in their fingerprint.
#[derive(Debug, Default)]
pub(super) struct ClaimNames(RwLock<Vec<Arc<str>>>);

// === impl Slot ===

impl Slot {
    pub(super) const JTI: Self = Self(0);
    pub(super) const TOKEN: Self = Self(1);
    pub(super) const SUB: Self = Self(2);
    pub(super) const SID: Self = Self(3);
    pub(super) const CLIENT: Self = Self(4);
    pub(super) const ISS: Self = Self(5);
    pub(super) const KID: Self = Self(6);
    pub(super) const REGISTERED: Self = Self(7);
    /// Shared by the claims that came when the table was full.
    pub(super) const OTHER: Self = Self((SLOTS - 1) as u8);

    /// The slot's number, below [`SLOTS`].
    pub(super) const fn index(self) -> u8 {
        self.0
    }

    /// The slot of a fingerprint's first byte.
    pub(super) const fn from_index(index: u8) -> Self {
        Self(index)
    }

    /// What a token is refused with that an entry of this slot names.
    pub(super) const fn refusal(self) -> RevocationError {
        match self {
            Self::JTI | Self::TOKEN => RevocationError::RevokedToken,
            Self::SUB => RevocationError::RevokedSubject,
            Self::SID => RevocationError::RevokedSession,
            Self::CLIENT => RevocationError::RevokedClient,
            Self::ISS => RevocationError::RevokedIssuer,
            Self::KID => RevocationError::RevokedKey,
            _ => RevocationError::RevokedClaim,
        }
    }
}

// === impl ClaimNames ===

impl ClaimNames {
    /// The claim's slot, found or given. Claims beyond the table's end share the last one: their
    /// look-ups are then a little less selective, never wrong.
    pub(super) fn slot(&self, claim: &str) -> Slot {
        if let Some(at) = BUILT_IN.iter().position(|name| *name == claim) {
            return Slot(at as u8);
        }
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = find(&known, claim) {
            return slot;
        }
        drop(known);
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been here between the two locks.
        if let Some(slot) = find(&names, claim) {
            return slot;
        }
        names.push(claim.into());
        custom_slot(names.len() - 1)
    }

    /// Every slot in use with the name of its claim; the shared one is called `other`.
    pub(super) fn all(&self) -> Vec<(Slot, Arc<str>)> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let built_in = BUILT_IN.iter().enumerate().map(|(i, name)| (Slot(i as u8), (*name).into()));
        let custom = names.iter().enumerate().map(|(i, name)| (custom_slot(i), Arc::clone(name)));
        let other = std::iter::once((Slot::OTHER, "other".into()));
        built_in.chain(custom).chain(other).collect()
    }
}

/// `azp` and `client_id` say the same thing (RFC 9068 §2.2, OpenID Connect Core §2): one name for both.
pub(super) fn canonical(claim: &str) -> &str {
    if claim == "azp" { "client_id" } else { claim }
}

fn find(names: &[Arc<str>], claim: &str) -> Option<Slot> {
    if let Some(at) = names.iter().position(|name| **name == *claim) {
        return Some(custom_slot(at));
    }
    (names.len() >= CUSTOM).then_some(Slot::OTHER)
}

const fn custom_slot(at: usize) -> Slot {
    Slot((BUILT_IN.len() + at) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_keeps_its_slot_and_the_overflow_shares_one() {
        let names = ClaimNames::default();
        let first: Vec<_> = (0..40).map(|i| names.slot(&format!("c{i}"))).collect();
        let second: Vec<_> = (0..40).map(|i| names.slot(&format!("c{i}"))).collect();
        assert_eq!(first, second);
        assert!(first[..CUSTOM].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(first[CUSTOM..].iter().all(|slot| *slot == Slot::OTHER));
        assert_eq!(names.all().len(), SLOTS);
    }

    #[test]
    fn built_in_claims_have_their_slots() {
        let names = ClaimNames::default();
        let want = [
            ("jti", Slot::JTI),
            ("token", Slot::TOKEN),
            ("sub", Slot::SUB),
            ("sid", Slot::SID),
            ("client_id", Slot::CLIENT),
            ("iss", Slot::ISS),
            ("kid", Slot::KID),
            ("registered", Slot::REGISTERED),
        ];
        for (claim, slot) in want {
            assert_eq!(names.slot(claim), slot, "{claim}");
        }
    }

    #[test]
    fn azp_is_the_client() {
        assert_eq!(canonical("azp"), "client_id");
        assert_eq!(canonical("sub"), "sub");
    }
}
