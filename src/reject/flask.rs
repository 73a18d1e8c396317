//! Refusals in the words of flask-jwt-extended 4.7, for routes with `errors = "flask"`: status and
//! message as its clients know them, misspelling included. Its crashes are 422 here.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;

use crate::access::{AccessError, AccessRule};
use crate::body::ReadBody;
use crate::clock::UnixTime;
use crate::revocation::RevocationError;
use crate::token::{
    BearerError, Claims, Fault, Found, Reading, TokenError, TokenSource, TokenTypes, Verifier,
};

use crate::token::form::is_json;

use super::Rejection;

/// The media type of Flask's `jsonify`.
pub(super) const MEDIA_TYPE: &str = "application/json";

/// What the library would answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The status.
    pub status: StatusCode,
    /// `msg`.
    pub message: Cow<'static, str>,
}

/// What its answer depends on.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The request's head.
    pub head: &'a Parts,
    /// The route's rule.
    pub rule: &'a AccessRule,
    /// Who checked the token.
    pub verifier: &'a Verifier,
    /// The token's claims, when it was verified.
    pub claims: Option<&'a Claims>,
    /// When.
    pub now: UnixTime,
}

// === impl Said ===

impl Said {
    /// What the library would say for this refusal; `None` where it has no word for it.
    pub fn of(rejection: &Rejection, asked: &Asked<'_>) -> Option<Self> {
        Some(match rejection {
            Rejection::Bearer(error) => of_place(*error, asked),
            Rejection::Token(error) => of_token(*error, asked)?,
            Rejection::Access(AccessError::CallbackDenied) => return None,
            Rejection::Access(error) => of_access(*error, asked),
            Rejection::Revocation(RevocationError::NotLoaded | RevocationError::Stale) => {
                return None;
            }
            Rejection::Revocation(_) => unauthorized("Token has been revoked"),
            Rejection::Request(_)
            | Rejection::Target(_)
            | Rejection::Route(_)
            | Rejection::Callback(_)
            | Rejection::Forward(_)
            | Rejection::Call(_) => return None,
        })
    }
}

/// Flask's `jsonify` of the message: compact, with a line's end.
pub(super) fn body(key: &str, message: &str) -> Bytes {
    let mut text = serde_json::json!({ key: message }).to_string();
    text.push('\n');
    text.into()
}

fn said(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Said {
    Said { status, message: message.into() }
}

fn unauthorized(message: impl Into<Cow<'static, str>>) -> Said {
    said(StatusCode::UNAUTHORIZED, message)
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Said {
    said(StatusCode::UNPROCESSABLE_ENTITY, message)
}

fn of_access(error: AccessError, asked: &Asked<'_>) -> Said {
    let refresh_only = asked.rule.token_types == TokenTypes::REFRESH;
    match error {
        AccessError::TokenType if refresh_only => invalid("Only refresh tokens are allowed"),
        AccessError::TokenType => invalid("Only non-refresh tokens are allowed"),
        AccessError::Issuer => invalid("Invalid issuer"),
        AccessError::NotFresh if is_crash(asked.claims) => {
            invalid("Fresh claim (fresh) must be a boolean or a timestamp.")
        }
        AccessError::NotFresh => unauthorized("Fresh token required"),
        // Its block list is a callback, and this is what it says then.
        AccessError::CallbackInactive => unauthorized("Token has been revoked"),
        AccessError::InsufficientScope | AccessError::Denied | AccessError::CallbackDenied => {
            said(StatusCode::BAD_REQUEST, "User claims verification failed")
        }
    }
}

/// The library compares whatever is in `fresh` with the time.
fn is_crash(claims: Option<&Claims>) -> bool {
    let fresh = claims.and_then(|claims| claims.look("fresh"));
    fresh.is_some_and(|claim| claim.scalar().is_none())
}

fn of_token(error: TokenError, asked: &Asked<'_>) -> Option<Said> {
    let found = Found::find(&asked.rule.token_from, asked.rule.reading, asked.head).ok()?;
    match (asked.verifier.fault(found, error, asked.now), error) {
        (Some(Fault::Invalid(words)), _) => Some(invalid(words)),
        (Some(Fault::CsrfMismatch), _) => Some(mismatch()),
        (Some(Fault::Expired), _) | (None, TokenError::Expired) => {
            Some(unauthorized("Token has expired"))
        }
        (None, TokenError::KeysUnavailable) => None,
        // A rule of ours alone.
        (None, _) => Some(invalid(super::Code::TokenInvalid.detail())),
    }
}

fn mismatch() -> Said {
    unauthorized("CSRF double submit tokens do not match")
}

fn of_place(error: BearerError, asked: &Asked<'_>) -> Said {
    match error {
        BearerError::Missing => unauthorized(missing(asked)),
        BearerError::CsrfMissing => unauthorized("Missing CSRF token"),
        BearerError::CsrfMismatch => mismatch(),
        BearerError::CsrfClaim => invalid("Missing claim: csrf"),
        BearerError::Malformed | BearerError::Repeated | BearerError::Prefix => {
            let broken = |source: &&TokenSource| source.look(Reading::Flask, asked.head).is_err();
            let source = asked.rule.token_from.iter().find(broken);
            source.map_or_else(
                || invalid(super::Code::BadCredentials.detail()),
                |it| bad(it, error, asked.head),
            )
        }
    }
}

/// A place with something in it that is no single credential.
fn bad(source: &TokenSource, error: BearerError, head: &Parts) -> Said {
    match (source, error) {
        (TokenSource::Header { shown, scheme: Some(scheme), .. }, BearerError::Repeated) => {
            unauthorized(no_scheme(shown, scheme))
        }
        (TokenSource::Header { shown: name, scheme, .. }, _) => {
            let scheme = scheme.as_deref().map(|scheme| format!("{scheme} ")).unwrap_or_default();
            invalid(format!("Bad {name} header. Expected '{name}: {scheme}<JWT>'"))
        }
        (TokenSource::Query { name, prefix }, BearerError::Prefix) => invalid(format!(
            "Invalid value for query parameter '{name}'. \
             Expected the value to start with '{prefix}'"
        )),
        (TokenSource::Json { name, .. }, BearerError::Malformed) if is_no_text(name, head) => {
            invalid("Invalid token type. Token must be a <class 'bytes'>")
        }
        (TokenSource::Cookie { .. } | TokenSource::Query { .. } | TokenSource::Json { .. }, _) => {
            invalid(super::Code::BadCredentials.detail())
        }
    }
}

/// Whether the member is there and is another value than text.
fn is_no_text(name: &str, head: &Parts) -> bool {
    let body = head.extensions.get::<ReadBody>().map(ReadBody::bytes);
    let read = body.and_then(|body| serde_json::from_slice::<serde_json::Value>(body).ok());
    read.is_some_and(|value| value.get(name).is_some_and(|member| !member.is_string()))
}

/// What each place lacks, and the places' names where there are several.
fn missing(asked: &Asked<'_>) -> String {
    let sources = &*asked.rule.token_from;
    let lacks: Vec<String> = sources.iter().map(|source| lack(source, asked.head)).collect();
    let names: Vec<&str> = sources.iter().map(location).collect();
    match (&*names, &*lacks) {
        (_, [only]) => only.clone(),
        ([first @ .., last], _) => {
            let mut text = format!("Missing JWT in {} or {last} (", first.join(", "));
            let _ = write!(text, "{})", lacks.join("; "));
            text
        }
        ([], _) => String::new(),
    }
}

const fn location(source: &TokenSource) -> &'static str {
    match source {
        TokenSource::Header { .. } => "headers",
        TokenSource::Cookie { .. } => "cookies",
        TokenSource::Query { .. } => "query_string",
        TokenSource::Json { .. } => "json",
    }
}

fn lack(source: &TokenSource, head: &Parts) -> String {
    match source {
        TokenSource::Header { name, shown, scheme } => {
            let value = head.headers.get(name).map_or(&b""[..], http::HeaderValue::as_bytes);
            let blank = value.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b',');
            match scheme {
                Some(scheme) if !blank => no_scheme(shown, scheme),
                _ => format!("Missing {shown} Header"),
            }
        }
        TokenSource::Cookie { name, .. } => format!("Missing cookie \"{name}\""),
        TokenSource::Query { name, .. } => format!("Missing '{name}' query paramater"),
        TokenSource::Json { .. } if !is_json(head) => {
            "Invalid content-type. Must be application/json.".to_owned()
        }
        TokenSource::Json { name, .. } => format!("Missing \"{name}\" key in json data."),
    }
}

fn no_scheme(name: &str, scheme: &str) -> String {
    format!("Missing '{scheme}' type in '{name}' header. Expected '{name}: {scheme} <JWT>'")
}

#[cfg(test)]
#[path = "flask_tests.rs"]
mod tests;
