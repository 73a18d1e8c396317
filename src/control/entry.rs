//! What a caller says: one JSON object, read strictly, problems named by their member.

use serde::Deserialize;
use uuid::Uuid;

use crate::clock::UnixTime;
use crate::revocation::{Op, Revocation};
use crate::secret::Secret;

use super::{Ask, Caller, ControlError, Draft, Gatehouse};

/// The longest `reason`, in bytes.
pub const MAX_REASON: usize = 1024;

/// One posted object, or one line of an import.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    claim: Option<String>,
    value: Option<String>,
    issuer: Option<String>,
    issued_before: Option<UnixTime>,
    expires_at: Option<UnixTime>,
    reason: Option<String>,
    token: Option<String>,
    // What an export has besides.
    id: Option<Uuid>,
    op: Option<Op>,
    at: Option<UnixTime>,
    actor: Option<String>,
}

/// The parts of an exported record that an import may keep.
struct Origin {
    id: Option<Uuid>,
    op: Op,
    at: Option<UnixTime>,
    actor: Option<String>,
    issued_before: Option<UnixTime>,
}

// === impl Entry ===

impl Entry {
    /// Reads one object.
    pub(super) fn parse(text: &[u8]) -> Result<Self, ControlError> {
        let mut json = serde_json::Deserializer::from_slice(text);
        let entry: Self =
            serde_path_to_error::deserialize(&mut json).map_err(|error| explain(&error))?;
        json.end().map_err(|error| not_json(&error))?;
        Ok(entry)
    }

    /// The record of a single revocation.
    pub(super) fn revoke<G: Gatehouse>(
        self,
        house: &G,
        caller: &Caller,
    ) -> Result<Revocation, ControlError> {
        let (ask, origin) = self.split()?;
        let given = [
            ("id", origin.id.is_some()),
            ("op", origin.op == Op::Reinstate),
            ("at", origin.at.is_some()),
            ("actor", origin.actor.is_some()),
        ];
        if let Some((field, _)) = given.iter().find(|(_, given)| *given) {
            return Err(ControlError::field(field, "is only taken by an import"));
        }
        Ok(house.complete(ask, &caller.name)?)
    }

    /// The record of an import's line. What an export said about its origin is kept for an `admin`;
    /// anyone else could put words in another's mouth with it, and speaks in his own name.
    pub(super) fn import<G: Gatehouse>(
        self,
        house: &G,
        caller: &Caller,
    ) -> Result<Revocation, ControlError> {
        let (ask, origin) = self.split()?;
        let mut record = house.complete(ask, &caller.name)?;
        record.op = origin.op;
        let (Some(id), Some(at)) = (origin.id, origin.at) else { return Ok(record) };
        // A whole record means what it says: no cut-off is no cut-off, not the default one.
        record.issued_before = origin.issued_before;
        if caller.role == crate::config::Role::Admin {
            record.id = id;
            record.at = at;
            record.actor = origin.actor.map(Into::into);
        }
        Ok(record)
    }

    fn split(self) -> Result<(Ask, Origin), ControlError> {
        if self.reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON) {
            return Err(ControlError::field("reason", "is longer than 1024 bytes"));
        }
        let origin = Origin {
            id: self.id,
            op: self.op.unwrap_or(Op::Revoke),
            at: self.at,
            actor: self.actor,
            issued_before: self.issued_before,
        };
        if let Some(token) = self.token {
            let others = [
                ("claim", self.claim.is_some()),
                ("value", self.value.is_some()),
                ("issuer", self.issuer.is_some()),
                ("issued_before", self.issued_before.is_some()),
                ("expires_at", self.expires_at.is_some()),
            ];
            if let Some((field, _)) = others.iter().find(|(_, given)| *given) {
                return Err(ControlError::field(field, "does not go with `token`, which says it"));
            }
            let token = Secret::new(filled("token", Some(token))?.into_bytes());
            return Ok((Ask::Token { token, reason: self.reason }, origin));
        }
        let draft = Draft {
            issuer: self.issuer,
            claim: filled("claim", self.claim)?,
            value: filled("value", self.value)?,
            issued_before: self.issued_before,
            expires_at: self.expires_at,
            reason: self.reason,
        };
        Ok((Ask::Claim(draft), origin))
    }
}

fn filled(field: &str, text: Option<String>) -> Result<String, ControlError> {
    match text {
        None => Err(ControlError::field(field, "is missing")),
        Some(text) if text.is_empty() => Err(ControlError::field(field, "is empty")),
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
        "issued_before" | "expires_at" | "at" => "must be a whole number: UNIX seconds",
        "id" => "must be a UUID",
        "op" => "must be `revoke` or `reinstate`",
        "." => return not_json(inner),
        _ => "must be text",
    };
    ControlError::field(&path, problem)
}

fn not_json(error: &serde_json::Error) -> ControlError {
    ControlError::NotJson { line: error.line(), column: error.column() }
}
