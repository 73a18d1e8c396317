//! The way to the upstream: what is removed and set, which endpoint, one exchange, and the answer back.
//!
//! A request comes here with a [`Permit`]; there is no other way in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::access::Permit;
use crate::body::ReadBody;
use crate::config::{ForwardConfig, Limits};
use crate::peer::Peer;
use crate::request::{HeadLimits, IdentityNames};
use crate::token::TokenSource;

mod credential;
mod download;
mod error;
mod exchange;
mod forwarded;
mod head;
mod health;
mod hop;
mod http1;
mod identity;
mod pool;
mod request_id;
mod resumed;
mod send;
mod turn;
mod upload;
mod upstream;
#[cfg(test)]
mod wire;

pub use download::{ResponseBody, UpstreamBody};
pub use error::{BodyError, ForwardError};
pub use forwarded::client_address;
pub use health::HealthChecker;
pub use request_id::{RequestId, X_REQUEST_ID};
pub use resumed::Resumed;
pub use upstream::{Endpoint, Upstream};

use pool::Pools;
use upload::Upload;

/// One worker's way to all upstreams. Made inside the worker's runtime.
#[derive(Clone, Debug)]
pub struct Forwarder {
    pools: std::rc::Rc<Pools>,
}

/// One request with all that was decided about it.
#[derive(Debug)]
pub struct Exchange<'r> {
    /// The leave to forward it.
    pub permit: Permit,
    /// Where to.
    pub upstream: &'r Arc<Upstream>,
    /// What goes upstream.
    pub forward: &'r ForwardConfig,
    /// Where the route looks for credentials, to remove them where they do not go on.
    pub token_from: &'r [TokenSource],
    /// The request as hyper read it, after [`crate::request::clean`]; without its body where that is a
    /// [`ReadBody`] among the head's extensions.
    pub request: Request<Option<Incoming>>,
    /// Who sent it.
    pub peer: &'r Peer,
    /// Whether that is a trusted proxy.
    pub trusted: bool,
    /// Its name.
    pub request_id: &'r RequestId,
    /// Identity fields of all routes.
    pub identity: &'r Arc<IdentityNames>,
    /// The listener's bounds.
    pub limits: &'r Limits,
}

/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(5);

// === impl Forwarder ===

impl Forwarder {
    /// A forwarder without connections.
    ///
    /// # Panics
    /// Outside of a tokio runtime that takes local tasks, such as a worker's.
    pub fn new() -> Self {
        let pools = std::rc::Rc::new(Pools::new());
        let swept = std::rc::Rc::downgrade(&pools);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(pools) = swept.upgrade() else { return };
                pools.sweep();
            }
        });
        Self { pools }
    }

    /// Sends the request and returns the answer with its body still streaming. Dropping the future, or
    /// the answer's body, ends the exchange.
    pub async fn forward(
        &self,
        exchange: Exchange<'_>,
    ) -> Result<Response<ResponseBody>, ForwardError> {
        let Exchange { permit, upstream, forward, token_from, request, peer, trusted, .. } =
            exchange;
        let trailers = forward.trailers.then(|| Arc::clone(exchange.identity));
        let (mut parts, body) = request.into_parts();
        let limits = exchange.limits;
        let (mut upload, state) = match (body, parts.extensions.remove::<ReadBody>()) {
            (Some(body), _) => {
                Upload::new(body, limits.body_bytes, limits.idle_timeout, trailers.clone())
            }
            (None, Some(read)) if !forward.token => {
                let read = credential::without_members(&mut parts, read, token_from);
                Upload::read(read.into_bytes())
            }
            (None, read) => Upload::read(read.map_or_else(Bytes::new, ReadBody::into_bytes)),
        };
        // Whoever waits to be told to go on is told when the upstream has taken the head (RFC 9110 §10.1.1).
        let comes_along = state.has_body() && !parts.headers.contains_key(EXPECT);
        let setting = head::Setting {
            permit: &permit,
            forward,
            token_from,
            peer,
            trusted,
            request_id: exchange.request_id,
            identity: exchange.identity,
        };
        let own = head::prepare(&mut parts, &upload, &setting)?;
        if comes_along {
            upload.come().await?;
        }
        let (pools, permit) = (&*self.pools, &permit);
        let sending = send::Sending { pools, upstream, permit, head: &parts, own: &own, state };
        let mut answered = sending.run(upload).await?;
        head::clean_answer(&mut answered, forward.trailers);
        Ok(answered.into_response(upstream.idle_timeout, trailers))
    }
}

/// Reads a request's body whole, for whoever has to look into it; at most `limit` bytes, at the pace of
/// any upload. Its trailers are lost.
pub async fn read_whole(
    body: Incoming,
    limit: u64,
    patience: Duration,
) -> Result<ReadBody, ForwardError> {
    if body.size_hint().lower() > limit {
        return Err(ForwardError::BodyTooLarge);
    }
    let (upload, _) = Upload::new(body, limit, patience, None);
    let whole = upload.collect().await?;
    Ok(ReadBody::new(whole.to_bytes()))
}

impl Default for Forwarder {
    fn default() -> Self {
        Self::new()
    }
}

// === impl HeadLimits ===

impl From<&Limits> for HeadLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            target_bytes: limits.target_bytes,
            headers: limits.headers,
            header_bytes: limits.header_bytes,
            body_bytes: limits.body_bytes,
        }
    }
}
