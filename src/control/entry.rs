//! What a caller says: one JSON object, read strictly, problems named by their member.

use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use crate::clock::UnixTime;
use crate::config::Role;
use crate::revocation::{Draft, Making, Op, Revocation, Text};
use crate::secret::Secret;

use super::{Ask, Caller, ControlError, Gatehouse};

/// The longest `reason`, in bytes.
pub const MAX_REASON: usize = 1024;

/// The longest `actor` that an import may keep, in bytes.
const MAX_ACTOR: usize = 256;
/// The longest record, as it is written: longer ones no store takes.
const MAX_RECORD: usize = 16 * 1024;
/// The version of the record that we read.
const VERSION: u32 = 1;

/// One posted object, or one line of an import.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    claim: Option<Text<'a>>,
    value: Option<Text<'a>>,
    issuer: Option<Text<'a>>,
    issued_before: Option<UnixTime>,
    expires_at: Option<UnixTime>,
    reason: Option<Text<'a>>,
    token: Option<Text<'a>>,
    // What a record that was exported or published has besides.
    v: Option<u32>,
    id: Option<Uuid>,
    op: Option<Op>,
    at: Option<UnixTime>,
    actor: Option<Text<'a>>,
}

/// A record that was made before: it means what it says, nothing is filled in.
struct Origin<'a> {
    id: Uuid,
    at: UnixTime,
    actor: Option<Text<'a>>,
    issued_before: Option<UnixTime>,
    expires_at: UnixTime,
}

// === impl Entry ===

impl<'a> Entry<'a> {
    /// The record of a single revocation.
    pub(super) fn revoke<G: Gatehouse>(
        self,
        house: &G,
        caller: &Caller,
    ) -> Result<Revocation, ControlError> {
        let given = [
            ("v", self.v.is_some()),
            ("id", self.id.is_some()),
            ("op", self.op.is_some()),
            ("at", self.at.is_some()),
            ("actor", self.actor.is_some()),
        ];
        refuse(&given, "is only taken by an import")?;
        let mut making = house.making(&caller.name);
        Ok(house.complete(self.ask(false, &mut making)?, &mut making)?)
    }

    /// The record of an import's line. What an export said about its origin is kept for an `admin`;
    /// anyone else could put words in another's mouth with it, and speaks in his own name.
    pub(super) fn import<G: Gatehouse>(
        mut self,
        house: &G,
        caller: &Caller,
        making: &mut Making,
    ) -> Result<Revocation, ControlError> {
        if self.v.is_some_and(|version| version != VERSION) {
            return Err(ControlError::field("v", "is a version this gateway does not know"));
        }
        let op = self.op.unwrap_or(Op::Revoke);
        if op == Op::Register {
            return Err(ControlError::field("op", "must be `revoke` or `reinstate`"));
        }
        let origin = self.take_origin();
        let ask = self.ask(origin.is_some(), making)?;
        let mut record = house.complete(ask, making)?;
        record.op = op;
        if let Some(origin) = origin {
            record.issued_before = origin.issued_before;
            record.expires_at = origin.expires_at;
            if caller.role == Role::Admin {
                record.id = origin.id;
                record.at = origin.at;
                record.actor = origin.actor.map(checked_actor).transpose()?;
                check_length(&record)?;
            }
        }
        Ok(record)
    }

    fn take_origin(&mut self) -> Option<Origin<'a>> {
        let (Some(id), Some(at), Some(expires_at)) = (self.id, self.at, self.expires_at) else {
            return None;
        };
        let actor = self.actor.take();
        Some(Origin { id, at, actor, issued_before: self.issued_before, expires_at })
    }

    fn ask(self, whole: bool, making: &mut Making) -> Result<Ask, ControlError> {
        let reason = self.reason.map(Text::shared);
        check_reason(reason.as_deref())?;
        if let Some(token) = self.token {
            let others = [
                ("claim", self.claim.is_some()),
                ("value", self.value.is_some()),
                ("issuer", self.issuer.is_some()),
                ("issued_before", self.issued_before.is_some()),
                ("expires_at", self.expires_at.is_some()),
            ];
            refuse(&others, "does not go with `token`, which says it")?;
            let token = filled("token", Some(token))?.0.into_owned();
            return Ok(Ask::Token { token: Secret::new(token.into_bytes()), reason });
        }
        let claim = filled("claim", self.claim)?;
        // An empty value is a variable that was not set, unless a whole record says it.
        let value = match self.value {
            Some(value) if whole => value,
            value => filled("value", value)?,
        };
        Ok(Ask::Claim(Draft {
            issuer: self.issuer.map(Text::shared),
            claim: making.claim(claim),
            value: value.shared(),
            issued_before: self.issued_before,
            expires_at: self.expires_at,
            reason,
        }))
    }
}

/// Reads one object.
pub(super) fn read<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, ControlError> {
    // Looked at once as a whole, and not text by text.
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(read) = serde_json::from_str(text)
    {
        return Ok(read);
    }
    // Once more, to name the member at fault.
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| explain(&error))?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(read)
}

/// A reason that every store can keep.
pub(super) fn check_reason(reason: Option<&str>) -> Result<(), ControlError> {
    match reason {
        Some(long) if long.len() > MAX_REASON => {
            Err(ControlError::field("reason", "is longer than 1024 bytes"))
        }
        Some(text) if text.contains('\0') => {
            Err(ControlError::field("reason", "holds a character that is not allowed"))
        }
        _ => Ok(()),
    }
}

fn checked_actor(actor: Text<'_>) -> Result<Arc<str>, ControlError> {
    if actor.0.len() > MAX_ACTOR {
        return Err(ControlError::field("actor", "is longer than 256 bytes"));
    }
    if actor.0.contains('\0') {
        return Err(ControlError::field("actor", "holds a character that is not allowed"));
    }
    Ok(actor.shared())
}

/// One record that the store refuses would take its whole batch along.
fn check_length(record: &Revocation) -> Result<(), ControlError> {
    // The version is written besides.
    let length = serde_json::to_vec(record).map_or(usize::MAX, |text| text.len() + 16);
    if length > MAX_RECORD {
        return Err(ControlError::field("value", "makes the record longer than 16 KiB"));
    }
    Ok(())
}

pub(super) fn refuse(given: &[(&str, bool)], problem: &str) -> Result<(), ControlError> {
    match given.iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(ControlError::field(field, problem)),
        None => Ok(()),
    }
}

pub(super) fn filled<T: AsRef<str>>(field: &str, text: Option<T>) -> Result<T, ControlError> {
    match text {
        None => Err(ControlError::field(field, "is missing")),
        Some(text) if text.as_ref().is_empty() => Err(ControlError::field(field, "is empty")),
        Some(text) => Ok(text),
    }
}

/// Says what is wrong without repeating what was sent: it may be a token.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> ControlError {
    let inner = error.inner();
    if !inner.is_data() {
        return not_json(inner);
    }
    let message = inner.to_string();
    let path = error.path().to_string();
    let quoted = message.split('`').nth(1).unwrap_or_default();
    if message.starts_with("unknown field") {
        let field: String = quoted.chars().take(64).collect();
        return ControlError::field(&field, "is not a member of this object");
    }
    if message.starts_with("duplicate field") {
        return ControlError::field(quoted, "is given twice");
    }
    let problem = match path.as_str() {
        "issued_before" | "issued_at" | "expires_at" | "at" => {
            "must be a whole number: UNIX seconds"
        }
        "id" => "must be a UUID",
        "v" => "must be a version number",
        "revoke" => "must be `true` or `false`",
        "op" => "must be `revoke` or `reinstate`",
        "." => return not_json(inner),
        _ => "must be text",
    };
    ControlError::field(&path, problem)
}

fn not_json(error: &serde_json::Error) -> ControlError {
    ControlError::NotJson { line: error.line(), column: error.column() }
}
