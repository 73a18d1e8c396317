//! After a store went back within one memory: records that may be told a second time.
//!
//! A replica that is behind tells again what we have applied, and a server that lost the end of its log
//! uses the same positions for other records. What takes a token back is applied in any case. A
//! reinstatement is believed only when it is newer than everything that was known: an old one may have
//! been overruled by a revocation that was lost, or is told again only later. One that was made in that
//! stretch may have to be said again; a revoked token that passes could not be taken back.

use uuid::Uuid;

use crate::revocation::{Cursor, Op, Revocation};

/// The stretch of the log up to what we knew.
#[derive(Debug)]
pub(super) struct Disputed {
    upto: Cursor,
    /// The newest record that was known: ids are UUIDv7, and compare by their time.
    newest: Uuid,
}

// === impl Disputed ===

impl Disputed {
    /// Everything up to `upto` was known before, and no record newer than `newest`.
    pub(super) fn new(upto: Cursor, newest: Uuid) -> Self {
        Self { upto, newest }
    }

    /// The further end of the two; what is new is newer than all that is known by now.
    pub(super) fn or_further(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) => Self { upto: self.upto.max(earlier.upto), newest: self.newest },
            None => self,
        }
    }

    /// Whether the position is beyond what was known.
    pub(super) fn is_over(&self, at: &Cursor) -> bool {
        *at > self.upto
    }

    /// Whether the record may be applied.
    pub(super) fn believes(&self, record: &Revocation) -> bool {
        record.op != Op::Reinstate || record.id > self.newest
    }
}
