//! One GET for a key document: https (or http on loopback), no redirects, bounded in time and size.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;
use tokio::time::timeout;

use crate::body;
use crate::outbound;
use crate::token::keys::MAX_DOCUMENT;

use super::Document;

/// From the first byte of the request to the last of the document.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client for key documents. It keeps no connection: it is used every few minutes.
pub(super) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// Why a document was not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum FetchError {
    #[error("a key document's URL must be https, or http to a loopback address, without user")]
    Url,
    #[error("the cryptography offers no version of TLS")]
    Tls,
    #[error("the key server could not be reached")]
    Connect,
    #[error("the key server did not answer in time")]
    TimedOut,
    #[error("the key server's answer was broken off, or longer than 256 KiB")]
    Body,
    #[error("the key server answered {0}; redirects are not followed")]
    Status(StatusCode),
    #[error("the key server's answer is not JSON, or encoded")]
    NotJson,
    #[error("the issuer's metadata can't be read")]
    Metadata,
    #[error("the metadata is another issuer's")]
    OtherIssuer,
}

// === impl Fetcher ===

impl Fetcher {
    pub(super) fn new() -> Result<Self, FetchError> {
        let tls = outbound::trusting(None).map_err(|_cause| FetchError::Tls)?;
        let mut client = Client::builder(TokioExecutor::new());
        Ok(Self { client: client.pool_max_idle_per_host(0).build(outbound::connector(tls)) })
    }

    /// Gets the document; `url` has been [`checked`].
    pub(super) async fn document(&self, url: &Uri) -> Result<Document, FetchError> {
        timeout(TIMEOUT, self.exchange(url)).await.map_err(|_cause| FetchError::TimedOut)?
    }

    async fn exchange(&self, url: &Uri) -> Result<Document, FetchError> {
        let request = Request::get(url)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, outbound::AGENT)
            .body(Empty::new())
            .map_err(|_cause| FetchError::Url)?;
        let response = self.client.request(request).await.map_err(|error| {
            tracing::debug!(cause = ?error.source(), "key server not reached");
            FetchError::Connect
        })?;
        read(response).await
    }
}

/// The URL, if a key document may be fetched from there (RFC 8725 §3.10: no way inside for others).
pub(super) fn checked(url: Uri) -> Result<Uri, FetchError> {
    let authority = url.authority().ok_or(FetchError::Url)?;
    let host = authority.host();
    let fits = match url.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => is_loopback(host),
        _ => false,
    };
    if fits && !authority.as_str().contains('@') { Ok(url) } else { Err(FetchError::Url) }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

async fn read(response: Response<Incoming>) -> Result<Document, FetchError> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(FetchError::Status(head.status));
    }
    if !is_plain_json(&head.headers) {
        return Err(FetchError::NotJson);
    }
    let max_age = max_age(&head.headers);
    let bytes = body::whole(body, MAX_DOCUMENT).await.map_err(|_cause| FetchError::Body)?;
    Ok(Document { bytes: bytes.to_vec(), max_age })
}

/// `application/json`, `application/jwk-set+json` and the like, or nothing said; never compressed.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let json = headers.get(CONTENT_TYPE).is_none_or(|kind| {
        let kind = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii().to_ascii_lowercase();
        kind.ends_with(b"/json") || kind.ends_with(b"+json")
    });
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|it| it != "identity");
    json && !encoded
}

/// RFC 9111 §5.2.2.1; `no-store` and `no-cache` ask for the shortest interval.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(CACHE_CONTROL)?.to_str().ok()?.to_ascii_lowercase();
    let mut directives = value.split(',').map(str::trim);
    if directives.clone().any(|it| matches!(it, "no-store" | "no-cache")) {
        return Some(Duration::ZERO);
    }
    let seconds = directives.find_map(|it| it.strip_prefix("max-age="))?.trim_matches('"');
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
#[path = "../tests/fetch.rs"]
pub(super) mod tests;
