//! What every call passes first: was it meant for us, who sends it, what may he do, what does he send.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Semaphore;

use crate::shutdown::Drain;

use super::attempts::{Attempts, PENALTY};
use super::calls::{self, Call, CallName, Found, Needs};
use super::host::{self, Arrival};
use super::revocations::MAX_BODY;
use super::{
    Caller, ControlError, Credentials, Gatehouse, events, explain, export, import, openapi,
    operate, revocations, tokens,
};

/// What the handlers share.
#[derive(Debug)]
pub(super) struct Shared<G> {
    /// The running gateway.
    pub(super) house: Arc<G>,
    credentials: Credentials,
    attempts: Attempts,
    counters: Mutex<Vec<(&'static str, StatusCode, Counter)>>,
    /// Places of those who watch what is applied.
    pub(super) watchers: Arc<Semaphore>,
    pub(super) drain: Drain,
}

/// A call that may be made, and by whom; nobody is asked for where anyone may.
struct Admitted {
    call: &'static Call,
    caller: Option<Caller>,
}

// === impl Shared ===

impl<G: Gatehouse> Shared<G> {
    pub(super) fn new(house: Arc<G>, credentials: Credentials, drain: Drain) -> Self {
        let attempts = Attempts::new(Instant::now());
        let watchers = Arc::new(Semaphore::new(events::WATCHERS));
        Self { house, credentials, attempts, counters: Mutex::default(), watchers, drain }
    }

    /// The counter of a call and status is looked up once.
    fn count(&self, call: &'static str, status: StatusCode) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., counter)) = counters.iter().find(|it| (it.0, it.1) == (call, status)) {
            counter.inc();
            return;
        }
        let labels = vec![("call", call.to_owned()), ("status", status.as_str().to_owned())];
        let counter = self.house.metrics().control_requests.get_or_create_owned(&labels);
        counter.inc();
        counters.push((call, status, counter));
    }
}

/// Guards, answers, counts.
pub(super) async fn answer<G: Gatehouse>(
    shared: Arc<Shared<G>>,
    arrival: Arrival,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let found = calls::find(request.method(), request.uri().path());
    let name = match &found {
        Found::Call(call) => call.name.as_str(),
        Found::OtherMethod { .. } | Found::Nothing => "none",
    };
    let (head, body) = request.into_parts();
    let answered = match admit(&shared, &head, arrival, found).await {
        Ok(admitted) => perform(&shared, admitted, head, body).await,
        Err(error) => Err(error),
    };
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    shared.count(name, response.status());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// Every call of the table has its handler here. The seldom ones are boxed: a future is as large as the
/// largest of those in it.
async fn perform<G: Gatehouse>(
    shared: &Arc<Shared<G>>,
    Admitted { call, caller }: Admitted,
    head: Parts,
    body: Incoming,
) -> Result<Response, ControlError> {
    let uri = &head.uri;
    // The table asks everyone who he is that has a caller here.
    let caller = || caller.ok_or(ControlError::Internal);
    match call.name {
        CallName::Revoke => revocations::revoke(shared, caller()?, uri, body).await,
        CallName::Reinstate => Box::pin(revocations::reinstate(shared, caller()?, uri)).await,
        CallName::List => Box::pin(revocations::list(shared, uri)).await,
        CallName::Import => Box::pin(import::import(shared, caller()?, uri, body)).await,
        CallName::Export => Box::pin(export::export(shared, uri)).await,
        CallName::Register => Box::pin(tokens::register(shared, caller()?, uri, body)).await,
        CallName::Tokens => tokens::list(shared, uri),
        CallName::Change => Box::pin(tokens::change(shared, caller()?, uri, body)).await,
        CallName::Explain => Box::pin(explain::explain(shared, uri, body)).await,
        CallName::Events => events::events(shared, uri),
        CallName::Status => Ok(operate::status(shared)),
        CallName::Nodes => Box::pin(operate::nodes(shared)).await,
        CallName::Config => Ok(operate::config(shared)),
        CallName::Reload => Box::pin(operate::reload(shared, caller()?)).await,
        CallName::Livez => Ok(operate::livez()),
        CallName::Readyz => operate::readyz(shared),
        CallName::Metrics => Ok(operate::metrics(shared)),
        CallName::OpenApi => Ok(openapi::openapi()),
    }
}

/// Who may not is told so before anything about the call is looked at.
async fn admit<G: Gatehouse>(
    shared: &Shared<G>,
    head: &Parts,
    arrival: Arrival,
    found: Found,
) -> Result<Admitted, ControlError> {
    host::check(head, arrival)?;
    let call = match found {
        Found::Call(call) => call,
        Found::OtherMethod { allow, open } => {
            if !open {
                identify(shared, &head.headers).await?;
            }
            return Err(ControlError::OtherMethod { allow });
        }
        Found::Nothing => {
            identify(shared, &head.headers).await?;
            return Err(ControlError::NoSuchCall);
        }
    };
    let caller = match call.needs {
        Needs::Nothing => None,
        Needs::Role(needs) => {
            let caller = identify(shared, &head.headers).await?;
            if caller.role < needs {
                return Err(ControlError::Forbidden { needs });
            }
            Some(caller)
        }
    };
    check_body(call, &head.headers)?;
    Ok(Admitted { call, caller })
}

async fn identify<G>(shared: &Shared<G>, headers: &HeaderMap) -> Result<Caller, ControlError> {
    if let Some(caller) = shared.credentials.identify(headers) {
        return Ok(caller.clone());
    }
    if shared.attempts.allow_failure(Instant::now()) {
        return Err(ControlError::Unauthenticated);
    }
    tokio::time::sleep(PENALTY).await;
    Err(ControlError::TooManyAttempts)
}

/// Here, and not where it is read: most calls read none, and no query is looked at for one that is too large.
fn check_body(call: &Call, headers: &HeaderMap) -> Result<(), ControlError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if call.name != CallName::Import && length.is_some_and(|length: u64| length > MAX_BODY as u64) {
        return Err(ControlError::TooLarge { limit: MAX_BODY });
    }
    let accepted = call.media;
    let coded = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    if !accepted.is_empty() && (coded || !has_media_type(headers, accepted)) {
        return Err(ControlError::MediaType { accepted });
    }
    Ok(())
}

/// One `Content-Type` of those, parameters aside (RFC 9110 §8.3.1).
fn has_media_type(headers: &HeaderMap, accepted: &[&str]) -> bool {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return false };
    let Ok(text) = field.to_str() else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim();
    accepted.iter().any(|media| essence.eq_ignore_ascii_case(media))
}
