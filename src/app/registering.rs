//! What is asked to be registered, completed to a record by the running configuration.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::control::AskError;
use crate::gateway::Gateway;
use crate::revocation::{Enforceable, RegisterDraft, Revocation};
use crate::secret::Secret;
use crate::token::{BearerToken, TokenError};

/// A posted token: as good as one that a route would take, and with a `jti`.
pub(super) fn of_token(
    gateway: &Gateway,
    token: &Secret,
    actor: Option<Arc<str>>,
    now: UnixTime,
) -> Result<Revocation, AskError> {
    let text = std::str::from_utf8(token.expose()).map_err(|_not_utf8| refused("not a token"))?;
    let snapshot = gateway.snapshot();
    let verified = snapshot.verifier.verify(BearerToken::new(text.trim()), now);
    let verified = verified.map_err(|error| match error {
        TokenError::KeysUnavailable => AskError::NotReady,
        other => refused(&other.to_string()),
    })?;
    let record = gateway.revocations().registration(&verified, actor, now);
    record.ok_or_else(|| refused("has no `jti` to be registered by, or one that is too long"))
}

/// What is said of a token.
pub(super) fn of_draft(
    draft: RegisterDraft,
    enforceable: &Enforceable,
    actor: Option<Arc<str>>,
    now: UnixTime,
) -> Result<Revocation, AskError> {
    if draft.expires_at.is_some_and(|end| end <= now) {
        let problem = "is in the past".to_owned();
        return Err(AskError::Field { field: "expires_at", problem });
    }
    draft.complete(enforceable, actor, now).map_err(|error| {
        let field = match error.field() {
            // A registered token's value is its id.
            Some("value") => "jti",
            Some("token") => "sub",
            other => other.unwrap_or("body"),
        };
        AskError::Field { field, problem: error.to_string() }
    })
}

fn refused(problem: &str) -> AskError {
    AskError::Field { field: "token", problem: problem.to_owned() }
}
