//! What a store's checkpoint is to what this node knows already.

use super::{Cursor, Epoch};

/// How far a checkpoint may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is known yet.
    First,
    /// The truth: what it does not hold was reinstated.
    Ahead,
    /// The store has lost its memory: what we know and it does not, stays.
    Lost,
}

// === impl Standing ===

impl Standing {
    /// Judges a checkpoint of `epoch` up to `upto` by what is known.
    pub(crate) fn of(known: Option<(Epoch, &Cursor)>, epoch: Epoch, upto: &Cursor) -> Self {
        match known {
            Some((known, cursor)) if known == epoch && upto >= cursor => Self::Ahead,
            Some(_) => Self::Lost,
            None => Self::First,
        }
    }
}
