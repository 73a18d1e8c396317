//! What every call passes first: was it meant for us, who sends it, what may he do, what does he send.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use super::attempts::{Attempts, PENALTY};
use super::calls::{self, CALLS, Call, CallName, Found, Needs};
use super::host::{self, Arrival};
use super::revocations::MAX_BODY;
use super::{
    Caller, ControlError, Credentials, Gatehouse, explain, export, import, openapi, operate,
    revocations, tokens,
};

/// What the handlers share.
#[derive(Debug)]
pub(super) struct Shared<G> {
    /// The running gateway.
    pub(super) house: Arc<G>,
    credentials: Credentials,
    attempts: Attempts,
}

// === impl Shared ===

impl<G> Shared<G> {
    pub(super) fn new(house: Arc<G>, credentials: Credentials) -> Self {
        Self { house, credentials, attempts: Attempts::new(Instant::now()) }
    }
}

/// Every call of the table with its handler, behind the guard.
pub(super) fn router<G: Gatehouse>(shared: Arc<Shared<G>>) -> Router {
    let routes = CALLS
        .iter()
        .fold(Router::new(), |router, call| router.route(call.path, handler::<G>(call)));
    // The guard lets only the table's calls through; the fallback is there in case it errs.
    routes
        .fallback(async || ControlError::NoSuchCall)
        .with_state(Arc::clone(&shared))
        .layer(middleware::from_fn_with_state(shared, guard::<G>))
}

fn handler<G: Gatehouse>(call: &Call) -> MethodRouter<Arc<Shared<G>>> {
    let method = match call.method {
        Method::POST => MethodFilter::POST,
        Method::DELETE => MethodFilter::DELETE,
        Method::PUT => MethodFilter::PUT,
        _ => MethodFilter::GET,
    };
    match call.name {
        CallName::Revoke => on(method, revocations::revoke::<G>),
        CallName::Reinstate => on(method, revocations::reinstate::<G>),
        CallName::List => on(method, revocations::list::<G>),
        CallName::Import => on(method, import::import::<G>),
        CallName::Export => on(method, export::export::<G>),
        CallName::Register => on(method, tokens::register::<G>),
        CallName::Tokens => on(method, tokens::list::<G>),
        CallName::Change => on(method, tokens::change::<G>),
        CallName::Explain => on(method, explain::explain::<G>),
        CallName::Status => on(method, operate::status::<G>),
        CallName::Nodes => on(method, operate::nodes::<G>),
        CallName::Config => on(method, operate::config::<G>),
        CallName::Reload => on(method, operate::reload::<G>),
        CallName::Livez => on(method, operate::livez),
        CallName::Readyz => on(method, operate::readyz::<G>),
        CallName::Metrics => on(method, operate::metrics::<G>),
        CallName::OpenApi => on(method, openapi::openapi),
    }
}

/// Guards, answers, counts.
async fn guard<G: Gatehouse>(
    State(shared): State<Arc<Shared<G>>>,
    request: Request,
    next: Next,
) -> Response {
    let found = calls::find(request.method(), request.uri().path());
    let name = match &found {
        Found::Call(call) => call.name.as_str(),
        Found::OtherMethod { .. } | Found::Nothing => "none",
    };
    let (mut head, body) = request.into_parts();
    let mut response = match admit(&shared, &mut head, found).await {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(error) => error.into_response(),
    };
    let labels = vec![("call", name.to_owned()), ("status", response.status().as_str().to_owned())];
    shared.house.metrics().control_requests.get_or_create(&labels).inc();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Who may not is told so before anything about the call is looked at.
async fn admit<G: Gatehouse>(
    shared: &Shared<G>,
    head: &mut Parts,
    found: Found,
) -> Result<(), ControlError> {
    let arrival = head.extensions.get::<Arrival>().copied().ok_or(ControlError::Internal)?;
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
    if let Needs::Role(needs) = call.needs {
        let caller = identify(shared, &head.headers).await?;
        if caller.role < needs {
            return Err(ControlError::Forbidden { needs });
        }
        head.extensions.insert(caller);
    }
    check_body(call, &head.headers)
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
