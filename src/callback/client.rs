//! One POST to a callback: over TLS or where plain text is allowed, no redirects, bounded in size. Whoever
//! calls bounds its time.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::body;
use crate::config::CallbackEndpoint;
use crate::outbound;

use super::{CallbackError, CallbackSetupError};

/// A client of one endpoint; its connections are kept for the next question.
#[derive(Debug)]
pub(super) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    content_type: HeaderValue,
    authorization: Option<HeaderValue>,
}

/// An answer's body, in bytes; a verdict has a few hundred.
const LONGEST: usize = 64 << 10;
/// An answer's head, in bytes.
const LONGEST_HEAD: usize = 16 << 10;
/// A connection without a question. Shorter than what servers commonly keep (5 s).
const IDLE: Duration = Duration::from_secs(4);

// === impl HttpClient ===

impl HttpClient {
    /// What is sent has this type, and is shown with this credential.
    pub(super) fn new(
        endpoint: &CallbackEndpoint,
        content_type: &'static str,
        authorization: Option<HeaderValue>,
    ) -> Result<Self, CallbackSetupError> {
        let connector = outbound::connector(outbound::trusting(endpoint.ca.as_deref())?);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(LONGEST_HEAD)
            .build(connector);
        let authorization = authorization.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let content_type = HeaderValue::from_static(content_type);
        Ok(Self { client, url: endpoint.url.clone(), content_type, authorization })
    }

    /// Asks, and gives the JSON text of a 200.
    pub(super) async fn post(&self, body: Bytes) -> Result<Bytes, CallbackError> {
        let response = match self.once(body.clone()).await {
            Ok(response) => response,
            // A kept connection may have been closed by the other side just now.
            Err(error) if !error.is_connect() && failure(&error) == CallbackError::Connect => {
                self.once(body).await.map_err(|error| failure(&error))?
            }
            Err(error) => return Err(failure(&error)),
        };
        read(response).await
    }

    async fn once(&self, body: Bytes) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.clone();
        let fields = request.headers_mut();
        fields.insert(CONTENT_TYPE, self.content_type.clone());
        fields.insert(ACCEPT, HeaderValue::from_static("application/json"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(USER_AGENT, HeaderValue::from_static(outbound::AGENT));
        if let Some(authorization) = &self.authorization {
            fields.insert(AUTHORIZATION, authorization.clone());
        }
        self.client.request(request).await
    }
}

/// What is no HTTP is an answer, and a wrong one; anything else is none.
fn failure(error: &ClientError) -> CallbackError {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return CallbackError::Answer;
        }
        cause = error.source();
    }
    CallbackError::Connect
}

async fn read(response: Response<Incoming>) -> Result<Bytes, CallbackError> {
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        StatusCode::TOO_MANY_REQUESTS => return Err(CallbackError::Unavailable),
        status if status.is_server_error() => return Err(CallbackError::Unavailable),
        _ => return Err(CallbackError::Status),
    }
    if !is_plain_json(&head.headers) {
        return Err(CallbackError::Answer);
    }
    body::whole(body, LONGEST).await.map_err(|_broken_or_long| CallbackError::Answer)
}

/// `application/json` (RFC 7662 §2.2), said once and not compressed.
fn is_plain_json(fields: &HeaderMap) -> bool {
    let mut kinds = fields.get_all(CONTENT_TYPE).iter();
    let json = kinds.next().is_some_and(|kind| {
        let kind = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    json && kinds.next().is_none() && !fields.contains_key(CONTENT_ENCODING)
}
