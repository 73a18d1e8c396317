//! Records for this room's tests.

use uuid::Uuid;

use super::{Name, Op, Revocation};
use crate::clock::UnixTime;

/// `revoke` for issuer `i`, expiring at `expires`, said at second 0.
pub(crate) fn revoke(claim: &str, value: &str, cutoff: Option<u64>, expires: u64) -> Revocation {
    Revocation {
        id: Uuid::now_v7(),
        op: Op::Revoke,
        name: Name { issuer: "i".into(), claim: claim.into(), value: value.into() },
        issued_before: cutoff.map(UnixTime::from_secs),
        expires_at: UnixTime::from_secs(expires),
        at: UnixTime::EPOCH,
        actor: Some("ops".into()),
        reason: None,
        token: None,
    }
}

/// The record that takes the entry away again.
pub(crate) fn reinstate(claim: &str, value: &str) -> Revocation {
    Revocation { op: Op::Reinstate, ..revoke(claim, value, None, 0) }
}
