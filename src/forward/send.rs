//! Attempts: which endpoint, a kept connection or a new one, and when a request may be sent again.

use std::sync::Arc;

use http::{Method, Request, Response};
use hyper::body::Incoming;

use crate::access::Permit;

use super::error::ForwardError;
use super::exchange::{Failure, Link};
use super::pool::{Lease, Pools};
use super::upload::{Upload, UploadState};
use super::upstream::{Endpoint, Tried, Upstream};

/// One request on its way.
#[derive(Debug)]
pub(super) struct Sending<'r> {
    pub(super) pools: &'r Pools,
    pub(super) upstream: &'r Upstream,
    pub(super) permit: &'r Permit,
    pub(super) state: UploadState,
}

/// An answer's head, the connection its body comes over, and the place in its pool.
type Answered = (Response<Incoming>, Box<Link>, Lease);

// === impl Sending ===

impl Sending<'_> {
    /// Tries until there is an answer or no attempt is left. A request is sent again only when none of
    /// it was sent, or when it is idempotent, has no body, and a kept connection died under it.
    pub(super) async fn run(&self, mut request: Request<Upload>) -> Result<Answered, ForwardError> {
        let mut left = self.upstream.retries;
        let mut tried = Tried::default();
        let mut last = ForwardError::NoEndpoint;
        while let Some((place, endpoint)) = self.upstream.choose(self.pools, self.permit, tried) {
            let lease = self.pools.lease(endpoint, self.upstream.idle_timeout);
            request = match self.try_kept(request, &lease, left > 0).await {
                Ok(Ok((response, link))) => return Ok((response, link, lease)),
                Ok(Err(request)) => request,
                Err(error) => return Err(self.counted(error)),
            };
            match self.connect(endpoint).await {
                Ok(link) => return self.send_fresh(request, link, lease).await,
                Err(error) => last = self.counted(error),
            }
            tried.add(place);
            if left == 0 {
                break;
            }
            left -= 1;
        }
        Err(last)
    }

    /// Over a kept connection; gives the request back when it needs a new one.
    async fn try_kept(
        &self,
        mut request: Request<Upload>,
        lease: &Lease,
        may_repeat: bool,
    ) -> Result<Result<(Response<Incoming>, Box<Link>), Request<Upload>>, ForwardError> {
        while let Some(mut link) = lease.checkout() {
            let spare = (may_repeat && self.is_repeatable(&request)).then(|| copy(&request));
            match link.send(request, &self.state, self.upstream.response_timeout).await {
                Ok(response) => return Ok(Ok((response, link))),
                Err(Failure::Unsent(unsent)) => request = *unsent,
                Err(Failure::Died) => return spare.ok_or(ForwardError::Connect).map(Err),
                Err(Failure::Final(error)) => return Err(error),
            }
        }
        Ok(Err(request))
    }

    async fn send_fresh(
        &self,
        request: Request<Upload>,
        mut link: Box<Link>,
        lease: Lease,
    ) -> Result<Answered, ForwardError> {
        match link.send(request, &self.state, self.upstream.response_timeout).await {
            Ok(response) => Ok((response, link, lease)),
            Err(Failure::Unsent(_) | Failure::Died) => Err(self.counted(ForwardError::Connect)),
            Err(Failure::Final(error)) => Err(self.counted(error)),
        }
    }

    async fn connect(&self, endpoint: &Arc<Endpoint>) -> Result<Box<Link>, ForwardError> {
        let connected = Link::connect(endpoint.address(), self.upstream.connect_timeout).await;
        match &connected {
            Ok(_) => {
                self.upstream.counters.connections.inc();
            }
            Err(_) => endpoint.avoid(),
        }
        connected
    }

    fn is_repeatable(&self, request: &Request<Upload>) -> bool {
        // RFC 9110 §9.2.2; POST and PATCH may have been acted upon.
        let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];
        !self.state.has_body() && idempotent.contains(request.method())
    }

    fn counted(&self, error: ForwardError) -> ForwardError {
        let counters = &self.upstream.counters;
        match error {
            ForwardError::Connect => counters.connect.inc(),
            ForwardError::Timeout => counters.timeout.inc(),
            ForwardError::Protocol => counters.protocol.inc(),
            ForwardError::NoEndpoint
            | ForwardError::BodyTooLarge
            | ForwardError::BodyStalled
            | ForwardError::BodyBroken => return error,
        };
        error
    }
}

// === free functions ===

fn copy(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::empty());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy
}
