//! What the control port is asked to record, completed by the running configuration.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::control::{Ask, AskError, RegisterAsk};
use crate::gateway::Gateway;
use crate::revocation::{Draft, DraftError, Enforceable, Making, RegisterDraft, Revocation};
use crate::secret::Secret;
use crate::token::{BearerToken, TokenError, TokenType};

/// The record that takes back what was asked.
pub(super) fn revocation(
    ask: Ask,
    gateway: &Gateway,
    enforceable: &Enforceable,
    making: &mut Making,
) -> Result<Revocation, AskError> {
    let draft = match ask {
        Ask::Claim(draft) => draft,
        Ask::Token { token, reason } => Draft { reason, ..draft_of(&token, gateway, enforceable)? },
    };
    let record = draft.complete(enforceable, making);
    record.map_err(|error| field(error.field().unwrap_or("body"), &error))
}

/// The record that registers what was asked.
pub(super) fn registration(
    ask: RegisterAsk,
    gateway: &Gateway,
    enforceable: &Enforceable,
    actor: Option<Arc<str>>,
    now: UnixTime,
) -> Result<Revocation, AskError> {
    match ask {
        RegisterAsk::Token(token) => register_token(&token, gateway, actor, now),
        RegisterAsk::Named(draft) => register_named(draft, enforceable, actor, now),
    }
}

/// A posted token: by `jti` if it has one, else by its digest. A refresh token that has a claim
/// in common with its access tokens is posted for them all.
fn draft_of(
    token: &Secret,
    gateway: &Gateway,
    enforceable: &Enforceable,
) -> Result<Draft, AskError> {
    let snapshot = gateway.snapshot();
    let authentic = snapshot.verifier.authenticate(posted(token)?).map_err(unverified)?;
    let claims = authentic.claims();
    let shared = authentic.family().filter(|(claim, value)| {
        let refresh = authentic.token_type() == Some(TokenType::Refresh);
        refresh && !value.is_empty() && enforceable.has_claim(claim)
    });
    let (claim, value) = match (shared, claims.token_id()) {
        (Some((claim, value)), _) => (claim, value.to_owned()),
        (None, Some(id)) if !id.is_empty() => ("jti", id.to_owned()),
        _ => ("token", authentic.digest_text()),
    };
    Ok(Draft {
        issuer: Some(Arc::clone(authentic.scope())),
        claim: claim.into(),
        value: value.into(),
        issued_before: None,
        expires_at: claims.expires_at(),
        reason: None,
    })
}

/// A posted token: as good as one that a route would take, and with a `jti`.
fn register_token(
    token: &Secret,
    gateway: &Gateway,
    actor: Option<Arc<str>>,
    now: UnixTime,
) -> Result<Revocation, AskError> {
    let snapshot = gateway.snapshot();
    let verified = snapshot.verifier.verify(posted(token)?, now).map_err(unverified)?;
    let record = gateway.revocations().registration(&verified, actor, now);
    let lacking = || field("token", &"has no `jti` to be registered by, or one that is too long");
    record.ok_or_else(lacking)
}

/// What is said of a token.
fn register_named(
    draft: RegisterDraft,
    enforceable: &Enforceable,
    actor: Option<Arc<str>>,
    now: UnixTime,
) -> Result<Revocation, AskError> {
    if draft.expires_at.is_some_and(|end| end <= now) {
        return Err(field("expires_at", &"is in the past"));
    }
    let name = |error: &DraftError| match error.field() {
        // A registered token's value is its id.
        Some("value") => "jti",
        Some("token") => "sub",
        other => other.unwrap_or("body"),
    };
    draft.complete(enforceable, actor, now).map_err(|error| field(name(&error), &error))
}

fn posted(token: &Secret) -> Result<BearerToken<'_>, AskError> {
    let text = std::str::from_utf8(token.expose());
    let text = text.map_err(|_not_utf8| field("token", &"not a token"))?;
    Ok(BearerToken::new(text.trim()))
}

fn unverified(error: TokenError) -> AskError {
    match error {
        TokenError::KeysUnavailable => AskError::NotReady,
        other => field("token", &other),
    }
}

fn field(field: &'static str, problem: &dyn std::fmt::Display) -> AskError {
    AskError::Field { field, problem: problem.to_string() }
}
