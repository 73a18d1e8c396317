//! Export: the live entries as lines, page by page, as fast as the caller reads.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::Uri;
use http::header::CONTENT_TYPE;

use crate::revocation::{FeedError, Name, Page, Revocation};

use super::guard::Shared;
use super::query::Params;
use super::{ControlError, Gatehouse};

/// Entries asked of the store at a time.
const PAGE: usize = 1000;

/// Where an export stands.
enum Next {
    Page(Page),
    After(Name),
    End,
}

/// `GET /v1/revocations/export`.
pub(super) async fn export<G: Gatehouse>(
    shared: &Arc<Shared<G>>,
    uri: &Uri,
) -> Result<Response, ControlError> {
    let params = Params::parse(uri, &["claim", "value", "issuer"])?;
    let filter = params.filter();
    // The first page before the status: a store that is away is a 503, not a broken 200.
    let first = shared.house.list(filter.clone(), None, PAGE).await?;
    let shared = Arc::clone(shared);
    let pages = stream::try_unfold(Next::Page(first), move |next| {
        let (shared, filter) = (Arc::clone(&shared), filter.clone());
        async move {
            let page = match next {
                Next::Page(page) => page,
                Next::After(name) => shared.house.list(filter, Some(name), PAGE).await?,
                Next::End => return Ok::<_, FeedError>(None),
            };
            let lines = lines(&page.items);
            Ok(Some((lines, page.next.map_or(Next::End, Next::After))))
        }
    });
    // A store that fails later cuts the body, which chunked coding shows to the caller.
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(pages)).into_response())
}

fn lines(records: &[Revocation]) -> Bytes {
    let mut text = Vec::with_capacity(records.len() * 256);
    for record in records {
        // Writing text and numbers to memory does not fail.
        drop(serde_json::to_writer(&mut text, record));
        text.push(b'\n');
    }
    text.into()
}
