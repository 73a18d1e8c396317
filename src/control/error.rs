//! Why a control call was refused, and how that is said: RFC 9457, with a `code` that stays.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::config::Role;
use crate::revocation::FeedError;

use super::AskError;
use super::calls::role_name;

/// Why a control call was refused.
#[derive(Debug, Error)]
pub enum ControlError {
    /// RFC 9110 §7.2: exactly one `Host`.
    #[error("the request must carry exactly one Host field")]
    BadHost,
    /// DNS rebinding ends here.
    #[error("this port does not answer for that Host")]
    ForeignHost,
    /// Cross-site requests end here.
    #[error("requests that web pages of another origin make are refused")]
    ForeignOrigin,
    /// No credential, or none that is known.
    #[error("a control credential is needed: Authorization: Bearer <credential>")]
    Unauthenticated,
    /// Too many wrong credentials.
    #[error("too many wrong credentials are being tried")]
    TooManyAttempts,
    /// The credential's role is too small.
    #[error("the credential's role does not allow this call; it needs `{}`", role_name(*needs))]
    Forbidden {
        /// The least role that may.
        needs: Role,
    },
    /// No such path.
    #[error("there is no such call")]
    NoSuchCall,
    /// The path has no such method.
    #[error("the call exists with another method: {allow}")]
    OtherMethod {
        /// Which methods it has.
        allow: String,
    },
    /// The body's media type.
    #[error("the body must be sent as {}", accepted.join(" or "))]
    MediaType {
        /// What is accepted.
        accepted: &'static [&'static str],
    },
    /// The body's size.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The body did not come.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The body broke off.
    #[error("the body could not be read to its end")]
    BodyBroken,
    /// The body is not the JSON of one object.
    #[error("the body is not one JSON object: line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A member or query parameter is wrong.
    #[error("{field}: {problem}")]
    Field {
        /// Which.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing to reinstate.
    #[error("there is no such entry")]
    NoSuchEntry,
    /// No registered token of that `jti`.
    #[error("there is no such registered token")]
    NoSuchToken,
    /// No register.
    #[error("the register is off: see revocation.register in the configuration")]
    RegisterOff,
    /// The store said no; nothing was recorded.
    #[error("not recorded: {0}")]
    Store(#[from] FeedError),
    /// The store said nothing in time.
    #[error("the store did not confirm in time; saying it again is harmless")]
    NotConfirmed,
    /// The store failed within an import.
    #[error("the import stopped after line {line}: {cause}")]
    ImportStopped {
        /// Entries that are recorded.
        accepted: u64,
        /// Lines that were refused.
        rejected_total: u64,
        /// The last line that was dealt with; go on after it.
        line: u64,
        /// What the store said.
        cause: Box<Self>,
    },
    /// Not ready, and why.
    #[error("{0}")]
    NotReady(String),
    /// The new configuration is refused; nothing changed.
    #[error("the configuration was refused and nothing changed")]
    ConfigRefused(Vec<String>),
    /// Every watcher's place is taken.
    #[error("there are as many watchers as there may be")]
    TooManyWatchers,
    /// Ours.
    #[error("the call failed on our side")]
    Internal,
}

/// Every (code, status) that the port can answer with, for the documentation's test.
#[cfg(test)]
pub(super) fn every_kind() -> Vec<ControlError> {
    use ControlError as E;
    vec![
        E::BadHost,
        E::ForeignHost,
        E::ForeignOrigin,
        E::Unauthenticated,
        E::TooManyAttempts,
        E::Forbidden { needs: Role::Admin },
        E::NoSuchCall,
        E::OtherMethod { allow: "GET".into() },
        E::MediaType { accepted: &["application/json"] },
        E::TooLarge { limit: 1 },
        E::TooSlow,
        E::BodyBroken,
        E::NotJson { line: 1, column: 1 },
        E::Field { field: "claim".into(), problem: "is missing".into() },
        E::NoSuchEntry,
        E::NoSuchToken,
        E::RegisterOff,
        E::Store(FeedError::Refused("full".into())),
        E::NotConfirmed,
        E::ImportStopped {
            accepted: 1,
            rejected_total: 0,
            line: 1,
            cause: Box::new(E::NotConfirmed),
        },
        E::NotReady("no checkpoint yet".into()),
        E::ConfigRefused(vec!["a problem".into()]),
        E::TooManyWatchers,
        E::Internal,
    ]
}

// === impl ControlError ===

impl ControlError {
    /// A wrong member or parameter.
    pub(super) fn field(field: &str, problem: impl Into<String>) -> Self {
        Self::Field { field: field.to_owned(), problem: problem.into() }
    }

    /// The answer's status and its stable code.
    pub const fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadHost => (StatusCode::BAD_REQUEST, "bad_host"),
            Self::ForeignHost => (StatusCode::MISDIRECTED_REQUEST, "foreign_host"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "foreign_origin"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::TooManyAttempts => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"),
            Self::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NoSuchCall => (StatusCode::NOT_FOUND, "no_such_call"),
            Self::OtherMethod { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::MediaType { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
            }
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "body_broken"),
            Self::NotJson { .. } => (StatusCode::BAD_REQUEST, "not_json"),
            Self::Field { .. } => (StatusCode::BAD_REQUEST, "invalid_field"),
            Self::NoSuchEntry => (StatusCode::NOT_FOUND, "no_such_entry"),
            Self::NoSuchToken => (StatusCode::NOT_FOUND, "no_such_token"),
            Self::RegisterOff => (StatusCode::CONFLICT, "register_off"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
            Self::NotConfirmed => (StatusCode::SERVICE_UNAVAILABLE, "not_confirmed"),
            Self::ImportStopped { .. } => (StatusCode::SERVICE_UNAVAILABLE, "import_stopped"),
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Self::ConfigRefused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "config_refused"),
            Self::TooManyWatchers => (StatusCode::SERVICE_UNAVAILABLE, "too_many_watchers"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn body(&self) -> Value {
        let (status, code) = self.kind();
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        put("type", json!("about:blank"));
        put("title", json!(status.canonical_reason()));
        put("status", json!(status.as_u16()));
        put("code", json!(code));
        put("detail", json!(self.to_string()));
        match self {
            Self::Field { field, .. } => drop(put("field", json!(field))),
            Self::ConfigRefused(problems) => drop(put("problems", json!(problems))),
            Self::ImportStopped { accepted, rejected_total, line, .. } => {
                put("accepted", json!(accepted));
                put("rejected_total", json!(rejected_total));
                put("line", json!(line));
            }
            _ => {}
        }
        Value::Object(body)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let (status, _) = self.kind();
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        match self {
            Self::Unauthenticated => {
                let challenge = HeaderValue::from_static("Bearer realm=\"portcullis control\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            Self::OtherMethod { allow } => {
                if let Ok(allow) = HeaderValue::from_str(allow) {
                    headers.insert(ALLOW, allow);
                }
            }
            _ => {}
        }
        headers
    }
}

impl From<AskError> for ControlError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Field { field, problem } => Self::field(field, problem),
            AskError::NotReady => Self::NotReady(error.to_string()),
        }
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.kind().0, self.headers(), self.body().to_string()).into_response()
    }
}
