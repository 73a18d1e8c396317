//! Attempts: which endpoint, a kept connection or a new one, and when a request may be sent again.

use std::sync::Arc;

use http::Method;
use http::request::Parts;

use crate::access::Permit;

use super::download::Answered;
use super::error::ForwardError;
use super::exchange::{Failure, Link};
use super::head::OwnFields;
use super::http1::Answer;
use super::pool::{Lease, Pools};
use super::turn::others_first;
use super::upload::{Upload, UploadState};
use super::upstream::{Endpoint, Tried, Upstream};

/// One request on its way.
#[derive(Debug)]
pub(super) struct Sending<'r> {
    pub(super) pools: &'r Pools,
    pub(super) upstream: &'r Upstream,
    pub(super) permit: &'r Permit,
    pub(super) head: &'r Parts,
    pub(super) own: &'r OwnFields,
    pub(super) state: UploadState,
}

// === impl Sending ===

impl Sending<'_> {
    /// Tries until there is an answer or no attempt is left. A request is sent again only when none of
    /// it was sent, or when it is idempotent, has no body, and a kept connection died under it.
    pub(super) async fn run(&self, mut upload: Upload) -> Result<Answered, ForwardError> {
        let mut left = self.upstream.retries;
        let mut tried = Tried::default();
        let mut last = ForwardError::NoEndpoint;
        while let Some((place, endpoint)) = self.upstream.choose(self.pools, self.permit, tried) {
            let lease = self.pools.lease(endpoint, self.upstream.idle_timeout);
            upload = match self.try_kept(upload, &lease, left > 0).await {
                Ok(Ok((answer, link))) => return Ok(Answered::new(answer, link, lease)),
                Ok(Err(upload)) => upload,
                Err(error) => return Err(self.counted(error)),
            };
            match self.connect(endpoint).await {
                Ok(link) => {
                    let (answer, link) = self.send_fresh(upload, link).await?;
                    return Ok(Answered::new(answer, link, lease));
                }
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

    /// Over a kept connection; gives the upload back when the request needs a new one.
    async fn try_kept(
        &self,
        mut upload: Upload,
        lease: &Lease,
        may_repeat: bool,
    ) -> Result<Result<(Answer, Box<Link>), Upload>, ForwardError> {
        // While a body came they went already.
        if !lease.is_alone() && !self.state.has_body() {
            others_first().await;
        }
        while let Some(mut link) = lease.checkout() {
            match self.send(upload, &mut link).await {
                Ok(answer) => return Ok(Ok((answer, link))),
                Err(Failure::Unsent(unsent)) => upload = unsent,
                Err(Failure::Died) if may_repeat && self.is_repeatable() => {
                    return Ok(Err(Upload::empty()));
                }
                Err(Failure::Died) => return Err(ForwardError::Connect),
                Err(Failure::Final(error)) => return Err(error),
            }
        }
        Ok(Err(upload))
    }

    async fn send_fresh(
        &self,
        upload: Upload,
        mut link: Box<Link>,
    ) -> Result<(Answer, Box<Link>), ForwardError> {
        match self.send(upload, &mut link).await {
            Ok(answer) => Ok((answer, link)),
            Err(Failure::Unsent(_) | Failure::Died) => Err(self.counted(ForwardError::Connect)),
            Err(Failure::Final(error)) => Err(self.counted(error)),
        }
    }

    async fn send(&self, upload: Upload, link: &mut Link) -> Result<Answer, Failure> {
        let (head, patience) = ((self.head, self.own), self.upstream.response_timeout);
        link.send(head, upload, &self.state, patience).await
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

    fn is_repeatable(&self) -> bool {
        // RFC 9110 §9.2.2; POST and PATCH may have been acted upon.
        let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];
        !self.state.has_body() && idempotent.contains(&self.head.method)
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
