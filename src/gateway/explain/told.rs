//! What is told of a request that nobody has sent: its checks, its token, its answer.

use std::sync::Arc;

use futures_util::FutureExt;
use http::Response;
use http::header::WWW_AUTHENTICATE;
use http_body_util::BodyExt;
use serde::Serialize;

use crate::body::Fixed;
use crate::clock::UnixTime;
use crate::token::Verified;

/// One check and how it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which.
    pub check: &'static str,
    /// `passed`, `refused`, `skipped`, or `pending`: somebody else is asked.
    pub outcome: &'static str,
    /// The word for a refusal in log and metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The same as a sentence, or why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a verified token says of itself. Never the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenTold {
    /// The `iss`, or the issuer's configured name when its tokens carry none.
    pub issuer: Arc<str>,
    /// `access` or `refresh`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The `kid` of the key that verified it.
    pub key: Option<Box<str>>,
    /// `jti`.
    pub jti: Option<Box<str>>,
    /// `sub`.
    pub subject: Option<Box<str>>,
    /// `iat`.
    pub issued_at: Option<UnixTime>,
    /// `exp`.
    pub expires_at: Option<UnixTime>,
    /// Until when it is accepted: leeway and the longest life count too.
    pub valid_until: UnixTime,
}

/// An answer of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AnswerTold {
    /// Its status.
    pub status: u16,
    /// The code of the refusal.
    pub code: &'static str,
    /// `WWW-Authenticate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// Its body.
    pub body: String,
}

// === impl TokenTold ===

impl TokenTold {
    pub(super) fn of(token: &Verified) -> Self {
        let claims = token.claims();
        Self {
            issuer: Arc::clone(token.scope()),
            kind: token.token_type().as_str(),
            key: token.key_id().map(Box::from),
            jti: claims.token_id().map(Box::from),
            subject: token.subject().map(Box::from),
            issued_at: claims.issued_at(),
            expires_at: claims.expires_at(),
            valid_until: token.valid_until(),
        }
    }
}

// === impl AnswerTold ===

impl AnswerTold {
    pub(super) fn of(code: &'static str, response: Response<Fixed>) -> Self {
        let (head, body) = response.into_parts();
        // All of it is there, and nothing of it can fail.
        let body = body.collect().now_or_never().and_then(Result::ok);
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let challenge = head.headers.get(WWW_AUTHENTICATE);
        Self {
            status: head.status.as_u16(),
            code,
            challenge: challenge.and_then(|text| text.to_str().ok()).map(str::to_owned),
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

// === impl Check ===

impl Check {
    pub(super) const fn new(check: &'static str, outcome: &'static str) -> Self {
        Self { check, outcome, reason: None, detail: None }
    }
}
