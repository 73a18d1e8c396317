//! A verified token together with the fingerprints by which it can be revoked, and the proof that it was not.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::token::{Claims, Verified};

/// A verified token and what an entry of the set would be called that revokes it.
#[derive(Debug)]
pub struct Named {
    pub(super) verified: Verified,
    pub(super) fingerprints: SmallVec<[(u8, [u8; 16]); 6]>,
}

/// Verified and not revoked. Only this room makes one.
#[derive(Clone, Debug)]
pub struct Principal(pub(super) Arc<Named>);

// === impl Named ===

impl Named {
    /// The token.
    pub const fn verified(&self) -> &Verified {
        &self.verified
    }
}

// === impl Principal ===

impl Principal {
    /// The token's claims.
    pub fn claims(&self) -> &Claims {
        self.0.verified.claims()
    }

    /// The token.
    pub fn verified(&self) -> &Verified {
        &self.0.verified
    }
}
