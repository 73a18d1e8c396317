//! Revoke, reinstate, list.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode, Uri};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::body::{self, ReadError};
use crate::clock::{Clock, SystemClock};
use crate::revocation::{Cursor, FeedError, Filter, Name, Op, REGISTERED, Revocation};

use super::entry::{Entry, check_reason, read};
use super::guard::Shared;
use super::query::{Params, next};
use super::{Caller, ControlError, Gatehouse, Nodes};

/// A body that is read whole, in bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// The time a body that is read whole has.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The time the store has to confirm.
const STORE_TIME: Duration = Duration::from_secs(10);
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
    let record = read::<Entry<'_>>(&body)?.revoke(&*shared.house, &caller)?;
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
    let limit = params.limit()?;
    let after = params.after()?.map(|[issuer, claim, value]| Name { issuer, claim, value });
    let page = shared.house.list(filter, after, limit).await?;
    let next = page.next.as_ref().map(|it| next([&it.issuer, &it.claim, &it.value]));
    Ok(Json(json!({ "items": page.items, "next": next })).into_response())
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
pub(super) async fn whole(body: Incoming) -> Result<Bytes, ControlError> {
    body::whole_within(body, MAX_BODY, BODY_TIME).await.map_err(|error| match error {
        ReadError::TooLarge => ControlError::TooLarge { limit: MAX_BODY },
        ReadError::Broken => ControlError::BodyBroken,
        ReadError::Stalled => ControlError::TooSlow,
    })
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
