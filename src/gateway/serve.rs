//! Bearers' self-service: a request that was let through as any other, read as a call on its bearer's
//! own tokens, done at the desk, and answered.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::access::Permit;
use crate::body::{self, ReadBody};
use crate::clock::UnixTime;
use crate::config::ErrorProfile;
use crate::forward::ResponseBody;
use crate::reject::Rejection;
use crate::revocation::Registered;
use crate::route::{self, RouteError};
use crate::self_service::{Call, CallError, Done, Endpoint, MAX_BODY};
use crate::snapshot::Route;
use crate::token::TokenSource;

use super::{Gateway, Refused};

/// What was done for a bearer, to be answered and told.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) response: Response<ResponseBody>,
    /// The word for it in log and metrics.
    pub(super) word: &'static str,
}

/// The time the store has.
const STORE_TIME: Duration = Duration::from_secs(10);

// === impl Gateway ===

impl Gateway {
    /// Serves a request below `path`. Its whole body has `patience` to come.
    pub(super) async fn serve(
        &self,
        (route, path): (&Route, &str),
        permit: &Permit,
        (head, body): (&Parts, Option<Incoming>),
        patience: Duration,
    ) -> Result<Served, Refused> {
        let endpoint = endpoint(path, head).map_err(Refused::of)?;
        let body = (body, head.extensions.get::<ReadBody>());
        let done = self.call(endpoint, permit, body, patience).await;
        // The codes' own sentences are those of flask-jwt-extended's example.
        let done = done.map_err(|error| Refused::of(error.into()))?;
        let presented = permit.principal().and_then(|it| it.claims().token_id());
        let body = match route.errors {
            ErrorProfile::Flask => Some(in_flask(&done)),
            ErrorProfile::Rfc6750 | ErrorProfile::Bare => plain(&done, presented),
        };
        Ok(Served { response: answer(body, cookies(route, &done)), word: done.word() })
    }

    async fn call(
        &self,
        endpoint: Endpoint,
        permit: &Permit,
        (body, read): (Option<Incoming>, Option<&ReadBody>),
        patience: Duration,
    ) -> Result<Done, CallError> {
        // The configuration gives no such route a permit without one.
        let bearer = permit.principal().ok_or(CallError::NoSubject)?.clone();
        let body = match (body, read) {
            (Some(body), _) => body::whole_within(body, MAX_BODY, patience).await?,
            (None, Some(read)) if read.bytes().len() > MAX_BODY => {
                return Err(CallError::BodyTooLarge);
            }
            (None, read) => read.cloned().map(ReadBody::into_bytes).unwrap_or_default(),
        };
        let call = Call::read(endpoint, &body)?;
        let desk = self.desk.get().ok_or(CallError::NotRecorded)?;
        match tokio::time::timeout(STORE_TIME, desk.serve(call, bearer)).await {
            Ok(done) => done,
            Err(_elapsed) => Err(CallError::NotConfirmed),
        }
    }
}

fn endpoint(base: &str, head: &Parts) -> Result<Endpoint, Rejection> {
    let path = route::judge(head.uri.path())?;
    let rest = path.strip_prefix(base).unwrap_or_default();
    let endpoint = Endpoint::at(rest).ok_or(RouteError::NotFound)?;
    if !endpoint.takes(&head.method) {
        return Err(RouteError::MethodNotAllowed(endpoint.allow().into()).into());
    }
    Ok(endpoint)
}

fn answer(body: Option<Value>, cookies: Vec<HeaderValue>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    let fields = response.headers_mut();
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        fields.append(SET_COOKIE, cookie);
    }
    let Some(body) = body else {
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    };
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = Full::new(Bytes::from(format!("{body}\n")));
    response.map(|_none| ResponseBody::from(body))
}

/// `presented`: the `jti` of the token that the call came with.
fn plain(done: &Done, presented: Option<&str>) -> Option<Value> {
    let row = |token: &Registered| {
        let mut row = json!(token);
        row["current"] = json!(presented == Some(&*token.token_id));
        row
    };
    match done {
        Done::LoggedOut | Done::LoggedOutEverywhere => None,
        Done::Listed(tokens) => Some(json!({ "items": tokens.iter().map(row).collect::<Value>() })),
        Done::Revoked(id) => Some(json!({ "jti": id, "revoked": true })),
        Done::Reinstated(id) => Some(json!({ "jti": id, "revoked": false })),
    }
}

/// As the examples of flask-jwt-extended's documentation answer.
fn in_flask(done: &Done) -> Value {
    match done {
        Done::LoggedOut | Done::LoggedOutEverywhere => json!({ "msg": "Successfully logged out" }),
        Done::Listed(tokens) => tokens.iter().map(row_in_flask).collect(),
        Done::Revoked(_) => json!({ "msg": "Token revoked" }),
        Done::Reinstated(_) => json!({ "msg": "Token unrevoked" }),
    }
}

/// The columns of the database example, its `token_id` being the `jti`.
fn row_in_flask(token: &Registered) -> Value {
    let date = |time: UnixTime| {
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
        // Beyond the year 9999 there is no such date (RFC 9110 §5.6.7).
        let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        httpdate::fmt_http_date(time.map_or(last, |time| time.min(last)))
    };
    json!({
        "token_id": token.token_id,
        "jti": token.token_id,
        "token_type": token.token_type,
        "user_identity": token.subject,
        "revoked": token.revoked,
        "expires": token.expires_at.map(date),
    })
}

/// Whoever has logged out keeps no token in a cookie that this route reads.
fn cookies(route: &Route, done: &Done) -> Vec<HeaderValue> {
    if !matches!(done, Done::LoggedOut | Done::LoggedOutEverywhere) {
        return Vec::new();
    }
    let sources = route.access.rule().map_or(&[][..], |rule| &rule.token_from);
    let cookie = |source: &TokenSource| match source {
        TokenSource::Cookie { name, .. } => expired(name),
        TokenSource::Header { .. } | TokenSource::Query { .. } | TokenSource::Json { .. } => None,
    };
    sources.iter().filter_map(cookie).collect()
}

/// RFC 6265 §3.1: a cookie is taken away by one of its name and path that has expired. A name that
/// begins with `__` is taken with `Secure` alone (RFC 6265bis §4.1.3).
fn expired(name: &str) -> Option<HeaderValue> {
    let secure = if name.starts_with("__") { "; Secure" } else { "" };
    let text = format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).ok()
}
