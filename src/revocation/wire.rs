//! The wire format of one record: versioned JSON, the same for every store and every publisher.
//!
//! `{"v":1,"id":…,"op":"revoke","issuer":…,"claim":…,"value":…,"issued_before":…,"expires_at":…,
//! "at":…,"actor":…,"reason":…}`; a `register` record names a `jti` and has a member `token`
//! (`TokenDetails`) besides. Unknown members are ignored, so that an old node reads what a newer
//! one writes (security.md C36); another version is refused.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;
use uuid::Uuid;

use crate::clock::UnixTime;

use super::names::REGISTERED;
use super::{Name, Op, Revocation, Text, TokenDetails};

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

/// What a `register` record names its token by.
const TOKEN_ID: &str = "jti";

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
    /// A `register` record of anything but a `jti`, or another record of the word for registered tokens.
    #[error("`{0}` does not go with this `op`: only a `jti` is registered, and only by `register`")]
    Reserved(&'static str),
}

/// Reads many records: a text that the record before has in the same place is kept once.
#[derive(Debug, Default)]
pub struct Decoder {
    issuer: Option<Arc<str>>,
    claim: Option<Arc<str>>,
    actor: Option<Arc<str>>,
    checker: Checker,
}

/// Checks many records: a text that they share with the record before is looked at once.
#[derive(Debug, Default)]
pub struct Checker {
    issuer: Option<Arc<str>>,
    claim: Option<Arc<str>>,
    actor: Option<Arc<str>>,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Serialize)]
struct Written<'r> {
    v: u32,
    id: Uuid,
    op: Op,
    issuer: &'r str,
    claim: &'r str,
    value: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<UnixTime>,
    expires_at: UnixTime,
    at: UnixTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'r TokenDetails>,
}

#[derive(Deserialize)]
struct Read<'r> {
    v: u32,
    id: Uuid,
    op: Op,
    #[serde(borrow)]
    issuer: Text<'r>,
    claim: Text<'r>,
    value: Text<'r>,
    #[serde(default)]
    issued_before: Option<UnixTime>,
    expires_at: UnixTime,
    at: UnixTime,
    #[serde(default)]
    actor: Option<Text<'r>>,
    #[serde(default)]
    reason: Option<Text<'r>>,
    /// Read only where it means something: elsewhere it is one of the members to be ignored.
    #[serde(default, borrow)]
    token: Option<&'r RawValue>,
}

// === impl Decoder ===

impl Decoder {
    /// Like [`decode`].
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Revocation, WireError> {
        let read = read(bytes)?;
        let Read { id, op, issued_before, expires_at, at, token, .. } = read;
        let actor = read.actor.map(|actor| actor.shared_with(&mut self.actor));
        let reason = read.reason.map(Text::shared);
        let name = Name {
            issuer: read.issuer.shared_with(&mut self.issuer),
            claim: read.claim.shared_with(&mut self.claim),
            value: read.value.shared(),
        };
        let record = match op {
            Op::Register => {
                let details = token.map(|token| serde_json::from_str(token.get())).transpose()?;
                let token = Some(Arc::new(details.unwrap_or_default()));
                let (name, issued_before) = (registered(name)?, None);
                Revocation { id, op, name, issued_before, expires_at, at, actor, reason, token }
            }
            Op::Revoke | Op::Reinstate => {
                let (name, token) = (name.canonical(), None);
                Revocation { id, op, name, issued_before, expires_at, at, actor, reason, token }
            }
        };
        self.checker.check_members(&record)?;
        Ok(record)
    }
}

// === impl Checker ===

impl Checker {
    /// Like [`check`].
    pub fn check(&mut self, record: &Revocation) -> Result<(), WireError> {
        self.check_members(record)?;
        if !is_surely_short(record) && encode(record).len() > MAX_RECORD {
            return Err(WireError::TooLong);
        }
        Ok(())
    }

    fn check_members(&mut self, record: &Revocation) -> Result<(), WireError> {
        let Name { issuer, claim, value } = &record.name;
        once(&mut self.issuer, issuer, check_issuer)?;
        once(&mut self.claim, claim, check_claim)?;
        check_member("value", value, MAX_VALUE)?;
        if let Some(actor) = &record.actor {
            once(&mut self.actor, actor, |actor| check_member("actor", actor, MAX_ACTOR))?;
        }
        check_member("reason", record.reason.as_deref().unwrap_or_default(), MAX_REASON)?;
        for text in record.token.iter().flat_map(|token| token.texts()) {
            check_member("token", text, MAX_VALUE)?;
        }
        let register = record.op == Op::Register;
        match register == record.name.is_registered() {
            false => Err(WireError::Reserved("claim")),
            true if register && value.is_empty() => Err(WireError::Empty("value")),
            true => Ok(()),
        }
    }
}

/// The record's JSON, on one line.
pub fn encode(record: &Revocation) -> Vec<u8> {
    let Name { issuer, claim, value } = &record.name;
    let wire = Written {
        v: VERSION,
        id: record.id,
        op: record.op,
        issuer,
        claim: if record.op == Op::Register { TOKEN_ID } else { claim },
        value,
        issued_before: record.issued_before,
        expires_at: record.expires_at,
        at: record.at,
        actor: record.actor.as_deref(),
        reason: record.reason.as_deref(),
        token: record.token.as_deref(),
    };
    serde_json::to_vec(&wire).expect("a struct of texts and numbers always has a JSON form")
}

/// Reads a record. Never panics, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<Revocation, WireError> {
    Decoder::default().decode(bytes)
}

fn read(bytes: &[u8]) -> Result<Read<'_>, WireError> {
    if bytes.len() > MAX_RECORD {
        return Err(WireError::TooLong);
    }
    // Looked at once as a whole, and not text by text.
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(read) = serde_json::from_str::<Read<'_>>(text)
        && read.v == VERSION
    {
        return Ok(read);
    }
    // Another version may have other members: what is wrong with them then does not matter.
    let Version { v } = serde_json::from_slice(bytes)?;
    if v != VERSION {
        return Err(WireError::Version(v));
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// The name under which a `register` record is kept. It is about a `jti`, and nothing else.
pub fn registered(name: Name) -> Result<Name, WireError> {
    match &*name.claim {
        TOKEN_ID | REGISTERED => Ok(Name::registered(name.issuer, name.value)),
        _ => Err(WireError::Reserved("claim")),
    }
}

/// Whether what [`encode`] makes of the record can be read again.
pub fn check(record: &Revocation) -> Result<(), WireError> {
    Checker::default().check(record)
}

/// Without writing it: a byte of text takes six at most (`\u0001`), the rest less than a kilobyte.
fn is_surely_short(record: &Revocation) -> bool {
    let Revocation { name, actor, reason, token, .. } = record;
    if token.is_some() {
        return false;
    }
    let optional = [actor, reason].into_iter().flatten();
    let texts = [&name.issuer, &name.claim, &name.value].into_iter().chain(optional);
    texts.map(|text| text.len()).sum::<usize>() * 6 + 1024 <= MAX_RECORD
}

/// Looks at a text, unless it is the one that was found good last.
fn once(
    good: &mut Option<Arc<str>>,
    text: &Arc<str>,
    check: impl FnOnce(&str) -> Result<(), WireError>,
) -> Result<(), WireError> {
    if good.as_ref().is_none_or(|good| !Arc::ptr_eq(good, text)) {
        check(text)?;
        *good = Some(Arc::clone(text));
    }
    Ok(())
}

fn check_issuer(issuer: &str) -> Result<(), WireError> {
    check_member("issuer", issuer, MAX_ISSUER)?;
    if issuer.is_empty() { Err(WireError::Empty("issuer")) } else { Ok(()) }
}

fn check_claim(claim: &str) -> Result<(), WireError> {
    check_member("claim", claim, MAX_CLAIM)?;
    if claim.contains(char::is_control) {
        return Err(WireError::Character("claim"));
    }
    if claim.is_empty() { Err(WireError::Empty("claim")) } else { Ok(()) }
}

fn check_member(member: &'static str, text: &str, max: usize) -> Result<(), WireError> {
    if text.len() > max {
        return Err(WireError::MemberTooLong(member));
    }
    // Not every store can keep a NUL, and none of ours needs one. All bytes are looked at, many at a time.
    if text.bytes().fold(false, |found, byte| found | (byte == 0)) {
        return Err(WireError::Character(member));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
