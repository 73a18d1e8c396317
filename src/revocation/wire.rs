//! The wire format of one record: versioned JSON, the same for every store and every publisher.
//!
//! `{"v":1,"id":…,"op":"revoke","issuer":…,"claim":…,"value":…,"issued_before":…,"expires_at":…,
//! "at":…,"actor":…,"reason":…}`. Unknown members are ignored, so that an old node reads what a newer
//! one writes (security.md C36); another version is refused.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::clock::UnixTime;

use super::{Name, Op, Revocation};

/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// The longest encoded record, in bytes.
pub const MAX_RECORD: usize = 16 * 1024;
/// The longest `issuer`, in bytes.
pub const MAX_ISSUER: usize = 1024;
/// The longest `claim`, in bytes.
pub const MAX_CLAIM: usize = 128;
/// The longest `value`, in bytes.
pub const MAX_VALUE: usize = 4096;
/// The longest `reason`, in bytes.
pub const MAX_REASON: usize = 1024;
/// The longest `actor`, in bytes.
pub const MAX_ACTOR: usize = 256;

/// Why a record is not one.
#[derive(Debug, Error)]
pub enum WireError {
    /// Not JSON, a member missing, twice or of the wrong type.
    #[error("the record is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written in a version that this node does not know.
    #[error("the record's version {0} is unknown")]
    Version(u32),
    /// The whole is over [`MAX_RECORD`].
    #[error("the record is longer than {MAX_RECORD} bytes")]
    TooLong,
    /// A member is over its bound.
    #[error("`{0}` is too long")]
    MemberTooLong(&'static str),
    /// A member that must say something is empty.
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// A NUL anywhere, or a control character in a claim's name.
    #[error("`{0}` holds a character that is not allowed")]
    Character(&'static str),
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    id: Uuid,
    op: Op,
    issuer: Arc<str>,
    claim: Arc<str>,
    value: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_before: Option<UnixTime>,
    expires_at: UnixTime,
    at: UnixTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
}

/// The record's JSON, on one line.
pub fn encode(record: &Revocation) -> Vec<u8> {
    let Revocation { id, op, name, issued_before, expires_at, at, actor, reason } = record.clone();
    let Name { issuer, claim, value } = name;
    let v = VERSION;
    let wire =
        Wire { v, id, op, issuer, claim, value, issued_before, expires_at, at, actor, reason };
    serde_json::to_vec(&wire).expect("a struct of texts and numbers always has a JSON form")
}

/// Reads a record. Never panics, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<Revocation, WireError> {
    if bytes.len() > MAX_RECORD {
        return Err(WireError::TooLong);
    }
    // The version alone first: another one may have other members.
    let Version { v } = serde_json::from_slice(bytes)?;
    if v != VERSION {
        return Err(WireError::Version(v));
    }
    let wire: Wire = serde_json::from_slice(bytes)?;
    let Wire { id, op, issuer, claim, value, issued_before, expires_at, at, actor, reason, .. } =
        wire;
    let name = Name { issuer, claim, value }.canonical();
    let record = Revocation { id, op, name, issued_before, expires_at, at, actor, reason };
    check_members(&record)?;
    Ok(record)
}

/// Whether what [`encode`] makes of the record can be read again.
pub fn check(record: &Revocation) -> Result<(), WireError> {
    check_members(record)?;
    if encode(record).len() > MAX_RECORD {
        return Err(WireError::TooLong);
    }
    Ok(())
}

fn check_members(record: &Revocation) -> Result<(), WireError> {
    let Name { issuer, claim, value } = &record.name;
    let members = [
        ("issuer", &**issuer, MAX_ISSUER),
        ("claim", claim, MAX_CLAIM),
        ("value", value, MAX_VALUE),
        ("actor", record.actor.as_deref().unwrap_or_default(), MAX_ACTOR),
        ("reason", record.reason.as_deref().unwrap_or_default(), MAX_REASON),
    ];
    for (member, text, max) in members {
        if text.len() > max {
            return Err(WireError::MemberTooLong(member));
        }
        // Not every store can keep a NUL, and none of ours needs one.
        if text.contains('\0') || (member == "claim" && text.contains(char::is_control)) {
            return Err(WireError::Character(member));
        }
    }
    match (issuer.is_empty(), claim.is_empty()) {
        (true, _) => Err(WireError::Empty("issuer")),
        (_, true) => Err(WireError::Empty("claim")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
