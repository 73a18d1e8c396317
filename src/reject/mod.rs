//! The one way out for whoever is not let through: every error of every room becomes a [`Rejection`],
//! and one table gives each its [`Code`] (for the client) and its reason (for the operator).
//!
//! The tables have no `_` arm: an error that nobody thought of does not compile.

mod call;
mod challenge;
mod flask;
mod form;
mod problem;
mod reasons;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response};
use http_body_util::Full;
use thiserror::Error;

use crate::access::{AccessError, Fresh};
use crate::callback::CallbackError;
use crate::config::{ErrorForm, ErrorProfile};
use crate::forward::ForwardError;
use crate::request::RequestError;
use crate::revocation::RevocationError;
use crate::route::{RouteError, TargetError};
use crate::self_service::CallError;
use crate::token::{BearerError, TokenError};

pub use crate::code::Code;
pub use flask::{Asked, Said};
pub use reasons::REASONS;

/// Why a request is not forwarded, or its answer not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The request itself.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Its path.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No route takes it.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Its credential can't be read.
    #[error(transparent)]
    Bearer(#[from] BearerError),
    /// Its token is not accepted.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Its token was taken back, or nobody can know.
    #[error(transparent)]
    Revocation(#[from] RevocationError),
    /// Its token does not suffice.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The route's callback has no verdict that counts.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The upstream did not answer.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// What its bearer asked the gateway for was not done.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// What an answer needs to know of the request and its route.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The protection space: the route's name.
    pub realm: &'a str,
    /// The scopes the route asks for.
    pub scopes: &'a [Box<str>],
    /// How fresh a token the route asks for.
    pub fresh: Option<Fresh>,
    /// The form of the answer.
    pub profile: ErrorProfile,
    /// What the operator has changed about it.
    pub form: Option<&'a ErrorForm>,
    /// What flask-jwt-extended would say, where that is the form and it has words for it.
    pub said: Option<&'a Said>,
    /// The request's id.
    pub request_id: &'a str,
}

// === impl Rejection ===

impl Rejection {
    /// What the client is told.
    pub const fn code(&self) -> Code {
        match self {
            Self::Request(error) => request_code(*error),
            Self::Target(error) => target_code(*error),
            Self::Route(RouteError::NotFound) => Code::NoRoute,
            Self::Route(RouteError::MethodNotAllowed(_)) => Code::MethodNotAllowed,
            Self::Bearer(error) => bearer_code(*error),
            Self::Token(error) => token_code(*error),
            Self::Revocation(error) => revocation_code(*error),
            Self::Access(error) => access_code(*error),
            Self::Callback(_) => Code::CallbackUnavailable,
            Self::Forward(error) => forward_code(*error),
            Self::Call(error) => call::code(*error),
        }
    }

    /// What the operator is told: exact, in the log and as a metric's label.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Request(error) => request_reason(*error),
            Self::Target(TargetError::NoPath) => "no_path",
            Self::Target(TargetError::Ambiguous) => "path_ambiguous",
            Self::Target(TargetError::Malformed) => "path_malformed",
            Self::Route(RouteError::NotFound) => "no_route",
            Self::Route(RouteError::MethodNotAllowed(_)) => "method",
            Self::Bearer(error) => bearer_reason(*error),
            Self::Token(error) => token_reason(*error),
            Self::Revocation(error) => revocation_reason(*error),
            Self::Access(error) => access_reason(*error),
            Self::Callback(error) => error.reason(),
            Self::Forward(error) => forward_reason(*error),
            Self::Call(error) => call::reason(*error),
        }
    }

    /// Whether a route in shadow lets the request pass all the same: the refusal is about the token.
    pub const fn is_about_the_token(&self) -> bool {
        match self {
            Self::Bearer(_)
            | Self::Token(_)
            | Self::Revocation(_)
            | Self::Access(_)
            | Self::Callback(_) => true,
            Self::Request(_)
            | Self::Target(_)
            | Self::Route(_)
            | Self::Forward(_)
            | Self::Call(_) => false,
        }
    }

    /// One sentence for the client; the code's own, unless there is something to put right.
    const fn detail(&self) -> &'static str {
        if let Self::Call(error) = self
            && let Some(hint) = error.hint()
        {
            return hint;
        }
        self.code().detail()
    }

    /// The answer.
    pub fn into_response(self, context: Context<'_>) -> Response<Full<Bytes>> {
        let code = self.code();
        let form::Content { status, media_type, body } =
            form::content(code, self.detail(), &context);
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let fields = response.headers_mut();
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(media_type) = media_type {
            fields.insert(CONTENT_TYPE, media_type);
        }
        if let Some(challenge) = form::challenge(code, status, &context) {
            fields.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = form::retry_after(code, status) {
            fields.insert(RETRY_AFTER, HeaderValue::from(u16::from(seconds)));
        }
        if code.closes() {
            fields.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Self::Route(RouteError::MethodNotAllowed(allow)) = &self
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            fields.insert(ALLOW, allow);
        }
        response
    }
}

const fn bearer_code(error: BearerError) -> Code {
    match error {
        BearerError::Missing => Code::TokenMissing,
        BearerError::Malformed | BearerError::Prefix | BearerError::Repeated => {
            Code::BadCredentials
        }
        BearerError::CsrfClaim | BearerError::CsrfMismatch | BearerError::CsrfMissing => {
            Code::CsrfFailed
        }
    }
}

const fn bearer_reason(error: BearerError) -> &'static str {
    match error {
        BearerError::CsrfClaim => "csrf_claim",
        BearerError::CsrfMismatch => "csrf_mismatch",
        BearerError::CsrfMissing => "csrf_missing",
        BearerError::Malformed => "bearer_malformed",
        BearerError::Missing => "missing",
        BearerError::Prefix => "bearer_prefix",
        BearerError::Repeated => "bearer_repeated",
    }
}

const fn request_code(error: RequestError) -> Code {
    match error {
        RequestError::BadAuthority
        | RequestError::BadFraming
        | RequestError::BadHeader
        | RequestError::BadTarget => Code::BadRequest,
        RequestError::TargetTooLong => Code::TargetTooLong,
        RequestError::HeadersTooLarge => Code::HeadersTooLarge,
        RequestError::BodyTooLarge => Code::BodyTooLarge,
        RequestError::MethodNotAllowed => Code::MethodNotAllowed,
        RequestError::ExpectationFailed => Code::ExpectationFailed,
    }
}

const fn request_reason(error: RequestError) -> &'static str {
    match error {
        RequestError::BadAuthority => "authority",
        RequestError::BadFraming => "framing",
        RequestError::BadHeader => "header",
        RequestError::BadTarget => "target",
        RequestError::TargetTooLong => "target_length",
        RequestError::HeadersTooLarge => "header_length",
        RequestError::BodyTooLarge => "body",
        RequestError::MethodNotAllowed => "method",
        RequestError::ExpectationFailed => "expectation",
    }
}

const fn target_code(error: TargetError) -> Code {
    match error {
        TargetError::NoPath | TargetError::Ambiguous | TargetError::Malformed => Code::BadRequest,
    }
}

/// One code for many reasons: a client can only obtain another token.
const fn token_code(error: TokenError) -> Code {
    match error {
        TokenError::AlgorithmNotAllowed
        | TokenError::AudienceNotAccepted
        | TokenError::BadSignature
        | TokenError::CriticalHeader
        | TokenError::LifetimeTooLong
        | TokenError::Malformed
        | TokenError::MissingClaim
        | TokenError::NotYetValid
        | TokenError::TooLong
        | TokenError::TypeHeader
        | TokenError::UnknownIssuer
        | TokenError::UnknownKey
        | TokenError::UnknownType => Code::TokenInvalid,
        TokenError::Expired => Code::TokenExpired,
        TokenError::KeysUnavailable => Code::KeysUnavailable,
    }
}

const fn token_reason(error: TokenError) -> &'static str {
    match error {
        TokenError::AlgorithmNotAllowed => "algorithm",
        TokenError::AudienceNotAccepted => "audience",
        TokenError::BadSignature => "signature",
        TokenError::CriticalHeader => "critical",
        TokenError::Expired => "expired",
        TokenError::KeysUnavailable => "no_keys",
        TokenError::LifetimeTooLong => "lifetime",
        TokenError::Malformed => "malformed",
        TokenError::MissingClaim => "claim",
        TokenError::NotYetValid => "not_yet_valid",
        TokenError::TooLong => "too_long",
        TokenError::TypeHeader => "typ",
        TokenError::UnknownIssuer => "issuer",
        TokenError::UnknownKey => "key",
        TokenError::UnknownType => "unknown_type",
    }
}

const fn revocation_code(error: RevocationError) -> Code {
    match error {
        RevocationError::NoTokenId
        | RevocationError::NotRegistered
        | RevocationError::RevokedClaim
        | RevocationError::RevokedClient
        | RevocationError::RevokedIssuer
        | RevocationError::RevokedKey
        | RevocationError::RevokedSession
        | RevocationError::RevokedSubject
        | RevocationError::RevokedToken => Code::TokenRevoked,
        RevocationError::NotLoaded | RevocationError::Stale => Code::RevocationStale,
    }
}

const fn revocation_reason(error: RevocationError) -> &'static str {
    match error {
        RevocationError::NoTokenId => "no_token_id",
        RevocationError::NotLoaded => "revocations_not_loaded",
        RevocationError::NotRegistered => "not_registered",
        RevocationError::RevokedClaim => "revoked_claim",
        RevocationError::RevokedClient => "revoked_client",
        RevocationError::RevokedIssuer => "revoked_issuer",
        RevocationError::RevokedKey => "revoked_key",
        RevocationError::RevokedSession => "revoked_session",
        RevocationError::RevokedSubject => "revoked_subject",
        RevocationError::RevokedToken => "revoked_token",
        RevocationError::Stale => "stale",
    }
}

const fn access_code(error: AccessError) -> Code {
    match error {
        AccessError::CallbackDenied => Code::CallbackDenied,
        AccessError::CallbackInactive => Code::TokenInactive,
        AccessError::Denied => Code::AccessDenied,
        AccessError::InsufficientScope => Code::InsufficientScope,
        AccessError::Issuer | AccessError::TokenType => Code::TokenInvalid,
        AccessError::NotFresh => Code::TokenNotFresh,
    }
}

const fn access_reason(error: AccessError) -> &'static str {
    match error {
        AccessError::CallbackDenied => "callback_denied",
        AccessError::CallbackInactive => "callback_inactive",
        AccessError::Denied => "rule",
        AccessError::InsufficientScope => "scope",
        AccessError::Issuer => "issuer_here",
        AccessError::NotFresh => "not_fresh",
        AccessError::TokenType => "token_type",
    }
}

const fn forward_code(error: ForwardError) -> Code {
    match error {
        ForwardError::NoEndpoint => Code::UpstreamUnavailable,
        ForwardError::Connect | ForwardError::Protocol => Code::UpstreamError,
        ForwardError::Timeout => Code::UpstreamTimeout,
        ForwardError::BodyTooLarge => Code::BodyTooLarge,
        ForwardError::BodyStalled => Code::RequestTimeout,
        ForwardError::BodyBroken => Code::BadRequest,
    }
}

const fn forward_reason(error: ForwardError) -> &'static str {
    match error {
        ForwardError::NoEndpoint => "no_endpoint",
        ForwardError::Connect => "connect",
        ForwardError::Protocol => "protocol",
        ForwardError::Timeout => "timeout",
        ForwardError::BodyTooLarge => "body",
        ForwardError::BodyStalled => "body_stalled",
        ForwardError::BodyBroken => "body_broken",
    }
}

#[cfg(test)]
mod tests;
