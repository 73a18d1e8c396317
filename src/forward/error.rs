//! What can go wrong between us and an upstream, by whose fault it is.

use thiserror::Error;

/// Why there is no answer from an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ForwardError {
    /// The client's body went over the limit while it streamed.
    #[error("the request's body is too large")]
    BodyTooLarge,
    /// The client stopped sending its body.
    #[error("the client stopped sending")]
    BodyStalled,
    /// The client's body broke off or was malformed.
    #[error("the request's body broke off")]
    BodyBroken,
    /// No endpoint is healthy.
    #[error("no endpoint is usable")]
    NoEndpoint,
    /// The endpoint could not be reached, or closed before it answered.
    #[error("the upstream cannot be reached")]
    Connect,
    /// The upstream's answer is not HTTP, or one that was not asked for.
    #[error("the upstream broke the protocol")]
    Protocol,
    /// The upstream did not answer in time.
    #[error("the upstream did not answer in time")]
    Timeout,
}

/// Why a body ends before its end. The other side must see a broken body, never a clean end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// Over the limit.
    #[error("the body is too large")]
    TooLarge,
    /// Nothing came for too long.
    #[error("the body stalled")]
    Stalled,
    /// The connection broke, or the framing was wrong.
    #[error("the body broke off")]
    Broken,
    /// The token that it was asked for with no longer holds.
    #[error("the token no longer holds")]
    Withdrawn,
}

// === impl ForwardError ===

impl From<BodyError> for ForwardError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::BodyTooLarge,
            BodyError::Stalled => Self::BodyStalled,
            BodyError::Broken | BodyError::Withdrawn => Self::BodyBroken,
        }
    }
}
