//! Why the revocation state stands in a request's way.

use thiserror::Error;

/// Why a verified token was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RevocationError {
    /// An entry names the token by its `jti` or its digest.
    #[error("the token was revoked")]
    RevokedToken,
    /// An entry names the token's subject.
    #[error("the token's subject was revoked")]
    RevokedSubject,
    /// An entry names the token's session (`sid`).
    #[error("the token's session was revoked")]
    RevokedSession,
    /// An entry names the token's client.
    #[error("the token's client was revoked")]
    RevokedClient,
    /// An entry names the token's issuer.
    #[error("the token's issuer was revoked")]
    RevokedIssuer,
    /// An entry names the key that signed the token.
    #[error("the token's key was revoked")]
    RevokedKey,
    /// An entry names another claim of the token.
    #[error("a claim of the token was revoked")]
    RevokedClaim,
    /// Only registered tokens pass, and this one is not.
    #[error("the token was not registered")]
    NotRegistered,
    /// Only registered tokens pass, and one without `jti` can't be registered.
    #[error("the token has no `jti` to be registered by")]
    NoTokenId,
    /// The first checkpoint has not been applied yet.
    #[error("the revocation state is not loaded yet")]
    NotLoaded,
    /// The state is older than `max_staleness` and the route rejects then.
    #[error("the revocation state is too old")]
    Stale,
}
