//! Revoke, reinstate, list.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::clock::{Clock, SystemClock};
use crate::revocation::{Cursor, FeedError, Filter, Name, Op, REGISTERED, Revocation};

use super::entry::{Entry, check_reason};
use super::guard::Shared;
use super::query::Params;
use super::{Caller, ControlError, Gatehouse, Nodes};

/// A body that is read whole, in bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// The time a body that is read whole has.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The time the store has to confirm.
const STORE_TIME: Duration = Duration::from_secs(10);
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// What most answers come to, in bytes.
const ANSWER: usize = 768;

/// What is said of a record once it is one.
#[derive(Serialize)]
struct Recorded<'a> {
    #[serde(flatten)]
    record: &'a Revocation,
    cursor: &'a Cursor,
    nodes: &'a Nodes,
}

/// `POST /v1/revocations`.
pub(super) async fn revoke<G: Gatehouse>(
    shared: &Shared<G>,
    caller: Caller,
    uri: &Uri,
    body: Incoming,
) -> Result<Response, ControlError> {
    let (wait, limit) = Params::parse(uri, &["wait", "timeout"])?.wait()?;
    let body = whole(body).await?;
    let record = Entry::parse(&body)?.revoke(&*shared.house, &caller)?;
    let cursor = append(&shared.house, vec![record.clone()]).await?;
    told(&record);
    let nodes = shared.house.confirm(Some(&record), wait, limit).await;
    Ok(answer(StatusCode::CREATED, &record, &cursor, &nodes))
}

/// `DELETE /v1/revocations`.
pub(super) async fn reinstate<G: Gatehouse>(
    shared: &Shared<G>,
    caller: Caller,
    uri: &Uri,
) -> Result<Response, ControlError> {
    let params = Params::parse(uri, &["claim", "value", "issuer", "reason", "wait", "timeout"])?;
    let (wait, limit) = params.wait()?;
    if params.required("claim")? == REGISTERED {
        return Err(ControlError::field("claim", "can't be taken: a registration only expires"));
    }
    params.required("value")?;
    let filter = params.filter();
    let reason = params.text("reason");
    check_reason(reason)?;
    let entry = only_entry(&*shared.house, filter).await?;
    let record = Revocation {
        id: Uuid::now_v7(),
        op: Op::Reinstate,
        issued_before: None,
        at: SystemClock.now(),
        actor: Some(caller.name),
        reason: reason.map(Into::into),
        ..entry
    };
    let cursor = append(&shared.house, vec![record.clone()]).await?;
    told(&record);
    let nodes = shared.house.confirm(Some(&record), wait, limit).await;
    Ok(answer(StatusCode::OK, &record, &cursor, &nodes))
}

/// `GET /v1/revocations`.
pub(super) async fn list<G: Gatehouse>(
    shared: &Shared<G>,
    uri: &Uri,
) -> Result<Response, ControlError> {
    let params = Params::parse(uri, &["claim", "value", "issuer", "limit", "after"])?;
    let filter = params.filter();
    let limit = limit(&params)?;
    let after = params.text("after").map(decode_after).transpose()?;
    let page = shared.house.list(filter, after, limit).await?;
    let next = page.next.as_ref().map(encode_after);
    Ok(Json(json!({ "items": page.items, "next": next })).into_response())
}

/// The most entries that a page is to have.
pub(super) fn limit(params: &Params) -> Result<usize, ControlError> {
    let Some(text) = params.text("limit") else { return Ok(DEFAULT_LIMIT) };
    let number = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    number.ok_or_else(|| ControlError::field("limit", "must be a number from 1 to 1000"))
}

/// Appends in a task of its own: a caller that leaves, or our impatience, does not tear it.
pub(super) async fn append<G: Gatehouse>(
    house: &Arc<G>,
    records: Vec<Revocation>,
) -> Result<Cursor, ControlError> {
    let house = Arc::clone(house);
    confirmed(async move { house.append(records).await }).await
}

/// The same for a part of an import: enforced at the latest with the next `append`.
pub(super) async fn record<G: Gatehouse>(
    house: &Arc<G>,
    records: Vec<Revocation>,
) -> Result<Cursor, ControlError> {
    let house = Arc::clone(house);
    confirmed(async move { house.record(records).await }).await
}

async fn confirmed(
    append: impl Future<Output = Result<Cursor, FeedError>> + Send + 'static,
) -> Result<Cursor, ControlError> {
    let task = tokio::spawn(append);
    match tokio::time::timeout(STORE_TIME, task).await {
        Ok(Ok(appended)) => Ok(appended?),
        Ok(Err(_panicked)) => Err(ControlError::Internal),
        Err(_elapsed) => Err(ControlError::NotConfirmed),
    }
}

/// A small body, whole.
pub(super) async fn whole(body: Incoming) -> Result<bytes::Bytes, ControlError> {
    let read = Limited::new(body, MAX_BODY).collect();
    match tokio::time::timeout(BODY_TIME, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(ControlError::TooLarge { limit: MAX_BODY })
        }
        Ok(Err(_broken)) => Err(ControlError::BodyBroken),
        Err(_elapsed) => Err(ControlError::TooSlow),
    }
}

/// The one live entry that the filter names; an absent issuer may only mean one.
async fn only_entry<G: Gatehouse>(house: &G, filter: Filter) -> Result<Revocation, ControlError> {
    let mut page = house.list(filter, None, 2).await?;
    let entry = page.items.pop().ok_or(ControlError::NoSuchEntry)?;
    if !page.items.is_empty() {
        return Err(ControlError::field("issuer", "is needed: several issuers have such an entry"));
    }
    Ok(entry)
}

/// Recorded, and enforced where the caller wanted it: else 202, for it is not done everywhere yet.
pub(super) const fn status(done: StatusCode, nodes: &Nodes) -> StatusCode {
    if nodes.complete { done } else { StatusCode::ACCEPTED }
}

fn answer(done: StatusCode, record: &Revocation, cursor: &Cursor, nodes: &Nodes) -> Response {
    let mut body = Vec::with_capacity(ANSWER);
    // Writing text and numbers to memory does not fail.
    drop(serde_json::to_writer(&mut body, &Recorded { record, cursor, nodes }));
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status(done, nodes);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The diagnostic log names the record; its value may be personal and stays in the store.
fn told(record: &Revocation) {
    let (op, claim) = (record.op, &record.name.claim);
    tracing::info!(id = %record.id, ?op, %claim, actor = ?record.actor, "revocation recorded");
}

fn encode_after(name: &Name) -> String {
    URL_SAFE_NO_PAD.encode(json!([name.issuer, name.claim, name.value]).to_string())
}

fn decode_after(text: &str) -> Result<Name, ControlError> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let [issuer, claim, value]: [Arc<str>; 3] = serde_json::from_slice(&bytes).ok()?;
        Some(Name { issuer, claim, value })
    };
    read().ok_or_else(|| ControlError::field("after", "must be the `next` of an earlier page"))
}
