//! Events: what is applied, as it happens, to whoever watches (server-sent events).

use std::sync::Arc;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, future, stream};
use http::Uri;
use serde_json::json;

use crate::revocation::{Cursor, Missed, Told};

use super::guard::Shared;
use super::query::Params;
use super::{ControlError, Gatehouse};

/// Watchers at one time: each holds a connection of the port, and others need one too.
pub(super) const WATCHERS: usize = 32;

/// `GET /v1/events`: until the caller goes or the gateway ends.
pub(super) fn events<G: Gatehouse>(
    shared: &Arc<Shared<G>>,
    uri: &Uri,
) -> Result<Response, ControlError> {
    Params::parse(uri, &[])?;
    let place = Arc::clone(&shared.watchers).try_acquire_owned();
    let place = place.map_err(|_full| ControlError::TooManyWatchers)?;
    let watching = shared.house.revocations().watch();
    let state = (watching, shared.drain.clone(), place);
    let told = stream::unfold(state, |(mut watching, mut drain, place)| async move {
        let told = tokio::select! {
            biased;
            () = drain.begun() => None,
            told = watching.next() => told,
        };
        told.map(|told| (event(told), (watching, drain, place)))
    });
    // Said at once, so that whoever asked knows from when on nothing is missed.
    let begin = stream::once(future::ready(Ok(Event::default().comment("watching"))));
    Ok(Sse::new(begin.chain(told)).keep_alive(KeepAlive::new()).into_response())
}

fn event(told: Result<Told, Missed>) -> Result<Event, axum::Error> {
    match told {
        Ok(Told::Record { record, at }) => at_cursor(record.op.as_str(), &at).json_data(&record),
        Ok(Told::Loaded { entries, at }) => {
            at_cursor("loaded", &at).json_data(json!({ "entries": entries }))
        }
        Err(Missed(events)) => {
            Event::default().event("missed").json_data(json!({ "events": events }))
        }
    }
}

/// A cursor with a line's end in it could not be told.
fn at_cursor(name: &str, at: &Cursor) -> Event {
    let (event, at) = (Event::default().event(name), at.to_string());
    if at.contains(['\r', '\n', '\0']) { event } else { event.id(at) }
}
