//! What a refused client is told: one stable word for each way of being refused, and all that follows
//! from it. Which error is which code says `reject`.

use http::StatusCode;

/// The stable `code` of a refusal. Coarser than the reason in the log: a client can only do one of few
/// things, and an attacker learns nothing of which check stopped him.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A claim rule refused.
    AccessDenied,
    /// Credentials in a form that is none, or more than one (RFC 6750 §3.1 `invalid_request`).
    BadCredentials,
    /// The request can't be read in exactly one way.
    BadRequest,
    /// The body is longer than the limit.
    BodyTooLarge,
    /// Whoever the route asks denies it.
    CallbackDenied,
    /// Whoever the route asks has no verdict that counts.
    CallbackUnavailable,
    /// A cookie alone, or with another token's CSRF field: another site may have sent the request.
    CsrfFailed,
    /// An expectation other than `100-continue`.
    ExpectationFailed,
    /// The head is longer than the limit.
    HeadersTooLarge,
    /// A scope is lacking (RFC 6750 §3.1 `insufficient_scope`).
    InsufficientScope,
    /// The body is not what the call takes.
    InvalidBody,
    /// The issuer's keys are not loaded.
    KeysUnavailable,
    /// The route does not take the method.
    MethodNotAllowed,
    /// No route.
    NoRoute,
    /// The store did not take or confirm it.
    NotRecorded,
    /// The client stopped sending its body.
    RequestTimeout,
    /// The revocation state can't be relied on.
    RevocationStale,
    /// The target is longer than the limit.
    TargetTooLong,
    /// The token has expired.
    TokenExpired,
    /// Whoever the route asks says that the token no longer holds (RFC 7662 §2.2).
    TokenInactive,
    /// The token is not acceptable (RFC 6750 §3.1 `invalid_token`).
    TokenInvalid,
    /// No token (RFC 6750 §3.1: a challenge without an error).
    TokenMissing,
    /// None of the bearer's own tokens is called that.
    TokenNotFound,
    /// The log-in was too long ago (RFC 9470 §3 `insufficient_user_authentication`).
    TokenNotFresh,
    /// The token was taken back.
    TokenRevoked,
    /// The upstream broke the connection or the protocol.
    UpstreamError,
    /// The upstream was too slow.
    UpstreamTimeout,
    /// No endpoint of the upstream can be used.
    UpstreamUnavailable,
}

// === impl Code ===

impl Code {
    /// Every code, in the order of the alphabet.
    pub const ALL: [Self; 28] = [
        Self::AccessDenied,
        Self::BadCredentials,
        Self::BadRequest,
        Self::BodyTooLarge,
        Self::CallbackDenied,
        Self::CallbackUnavailable,
        Self::CsrfFailed,
        Self::ExpectationFailed,
        Self::HeadersTooLarge,
        Self::InsufficientScope,
        Self::InvalidBody,
        Self::KeysUnavailable,
        Self::MethodNotAllowed,
        Self::NoRoute,
        Self::NotRecorded,
        Self::RequestTimeout,
        Self::RevocationStale,
        Self::TargetTooLong,
        Self::TokenExpired,
        Self::TokenInactive,
        Self::TokenInvalid,
        Self::TokenMissing,
        Self::TokenNotFound,
        Self::TokenNotFresh,
        Self::TokenRevoked,
        Self::UpstreamError,
        Self::UpstreamTimeout,
        Self::UpstreamUnavailable,
    ];

    /// The code of that word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// The word itself.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access-denied",
            Self::BadCredentials => "bad-credentials",
            Self::BadRequest => "bad-request",
            Self::BodyTooLarge => "body-too-large",
            Self::CallbackDenied => "callback-denied",
            Self::CallbackUnavailable => "callback-unavailable",
            Self::CsrfFailed => "csrf-failed",
            Self::ExpectationFailed => "expectation-failed",
            Self::HeadersTooLarge => "headers-too-large",
            Self::InsufficientScope => "insufficient-scope",
            Self::InvalidBody => "invalid-body",
            Self::KeysUnavailable => "keys-unavailable",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NoRoute => "no-route",
            Self::NotRecorded => "not-recorded",
            Self::RequestTimeout => "request-timeout",
            Self::RevocationStale => "revocation-stale",
            Self::TargetTooLong => "target-too-long",
            Self::TokenExpired => "token-expired",
            Self::TokenInactive => "token-inactive",
            Self::TokenInvalid => "token-invalid",
            Self::TokenMissing => "token-missing",
            Self::TokenNotFound => "token-not-found",
            Self::TokenNotFresh => "token-not-fresh",
            Self::TokenRevoked => "token-revoked",
            Self::UpstreamError => "upstream-error",
            Self::UpstreamTimeout => "upstream-timeout",
            Self::UpstreamUnavailable => "upstream-unavailable",
        }
    }

    /// The HTTP status. What we can't know is 503 and never 401: clients throw refresh tokens away on 401.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadCredentials | Self::BadRequest | Self::InvalidBody => StatusCode::BAD_REQUEST,
            Self::TokenExpired
            | Self::TokenInactive
            | Self::TokenInvalid
            | Self::TokenMissing
            | Self::TokenNotFresh
            | Self::TokenRevoked => StatusCode::UNAUTHORIZED,
            Self::AccessDenied
            | Self::CallbackDenied
            | Self::CsrfFailed
            | Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::NoRoute | Self::TokenNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UpstreamError => StatusCode::BAD_GATEWAY,
            Self::CallbackUnavailable
            | Self::KeysUnavailable
            | Self::NotRecorded
            | Self::RevocationStale
            | Self::UpstreamUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// One fixed sentence for the client.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::AccessDenied => "The token does not give access here",
            Self::BadCredentials => "The request must carry exactly one well-formed credential",
            Self::BadRequest => "The request is malformed or ambiguous",
            Self::BodyTooLarge => "The request body is too large",
            Self::CallbackDenied => "The token's bearer is denied here",
            Self::CallbackUnavailable => "Whether the token holds can't be found out right now",
            Self::CsrfFailed => "The request does not prove that its own site sent it",
            Self::ExpectationFailed => "The expectation can't be met",
            Self::HeadersTooLarge => "The request header section is too large",
            Self::InsufficientScope => "The token lacks a required scope",
            Self::InvalidBody => "The request body is not what is asked for here",
            Self::KeysUnavailable => "The issuer's keys are not available yet",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::NoRoute => "There is nothing here",
            Self::NotRecorded => "It could not be recorded; saying it again is harmless",
            Self::RequestTimeout => "The request body did not arrive in time",
            Self::RevocationStale => "The revocation state can't be relied on right now",
            Self::TargetTooLong => "The request target is too long",
            Self::TokenExpired => "The token expired",
            Self::TokenInactive => "The token no longer holds",
            Self::TokenInvalid => "The token is not accepted",
            Self::TokenMissing => "A token is required",
            Self::TokenNotFound => "The specified token was not found",
            Self::TokenNotFresh => "A more recent log-in is required",
            Self::TokenRevoked => "The token was revoked",
            Self::UpstreamError => "The upstream failed",
            Self::UpstreamTimeout => "The upstream did not answer in time",
            Self::UpstreamUnavailable => "The upstream is not available",
        }
    }

    /// Seconds after which it is worth trying again (RFC 9110 §10.2.3).
    pub const fn retry_after(self) -> Option<u8> {
        match self {
            Self::CallbackUnavailable
            | Self::KeysUnavailable
            | Self::NotRecorded
            | Self::RevocationStale
            | Self::UpstreamUnavailable => Some(1),
            _ => None,
        }
    }

    /// Whether the HTTP/1.1 connection ends with the answer: its framing can't be trusted, or what
    /// is left of the body is not worth reading.
    pub const fn closes(self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::BodyTooLarge
                | Self::ExpectationFailed
                | Self::HeadersTooLarge
                | Self::RequestTimeout
                | Self::TargetTooLong
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_code_and_the_words_are_in_order() {
        for code in Code::ALL {
            assert_eq!(Code::of(code.as_str()), Some(code));
        }
        assert!(Code::ALL.map(Code::as_str).is_sorted());
        for other in ["", "token", "Token-Revoked", "token-revoked "] {
            assert_eq!(Code::of(other), None, "{other:?}");
        }
    }
}
