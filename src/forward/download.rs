//! An answer's body on its way to the client. Polling it drives the upstream connection; at its end the
//! connection is kept for the next request, or dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::body::Fixed;
use crate::deadline::Patience;
use crate::request::IdentityNames;

use super::error::BodyError;
use super::exchange::Link;
use super::hop::strip_trailers;
use super::pool::Lease;
use super::resumed::Resumed;

/// The body of any answer a client gets.
#[derive(Debug)]
pub enum ResponseBody {
    /// One of ours, all there.
    Fixed(Fixed),
    /// An upstream's, streamed.
    Upstream(Box<UpstreamBody>),
    /// An upstream's, of which something was read already.
    Resumed(Box<Resumed>),
}

/// An upstream's body and the connection it comes from.
#[derive(Debug)]
pub struct UpstreamBody {
    body: Incoming,
    /// Gone once it was given back, or has ended.
    link: Option<Box<Link>>,
    lease: Lease,
    patience: Patience,
    /// Trailers pass, without these names.
    trailers: Option<Arc<IdentityNames>>,
}

// === impl ResponseBody ===

impl ResponseBody {
    /// No body.
    pub fn empty() -> Self {
        Self::Fixed(Fixed::default())
    }
}

impl From<Fixed> for ResponseBody {
    fn from(body: Fixed) -> Self {
        Self::Fixed(body)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Fixed(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Upstream(body) => body.poll(cx),
            Self::Resumed(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Fixed(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Resumed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Fixed(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
            Self::Resumed(body) => body.size_hint(),
        }
    }
}

// === impl UpstreamBody ===

impl UpstreamBody {
    /// The body of an answer that came over `link`. An empty one gives the connection back at once.
    pub(super) fn attach(
        body: Incoming,
        link: Box<Link>,
        lease: Lease,
        patience: Duration,
        trailers: Option<Arc<IdentityNames>>,
    ) -> ResponseBody {
        let patience = Patience::new(patience);
        let mut it = Self { body, link: Some(link), lease, patience, trailers };
        if it.body.is_end_stream() {
            it.release();
            return ResponseBody::empty();
        }
        ResponseBody::Upstream(Box::new(it))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = self.poll_incoming(cx) else {
            let Some(link) = &mut self.link else {
                // The connection has ended: nothing can come any more.
                return Poll::Ready(Some(Err(BodyError::Broken)));
            };
            if self.patience.poll_lost(cx, &mut link.timer).is_pending() {
                return Poll::Pending;
            }
            self.link = None;
            return Poll::Ready(Some(Err(BodyError::Stalled)));
        };
        self.patience.progress();
        match frame {
            None => {
                self.release();
                Poll::Ready(None)
            }
            Some(Err(_)) => {
                self.link = None;
                Poll::Ready(Some(Err(BodyError::Broken)))
            }
            Some(Ok(frame)) => Poll::Ready(self.pass(frame)),
        }
    }

    /// The next frame, driving the connection until it can give none.
    fn poll_incoming(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(frame) = self.poll_quietly() {
            return Poll::Ready(frame);
        }
        if let Some(link) = &mut self.link
            && link.poll_connection(cx).is_ready()
        {
            self.link = None;
        }
        self.poll_quietly()
    }

    /// What the connection has ready. It is polled by us alone, before we wait: neither need wake us.
    fn poll_quietly(&mut self) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { body, link, .. } = self;
        let mut quiet = Context::from_waker(Waker::noop());
        match link {
            Some(link) => link.deaf(|| Pin::new(body).poll_frame(&mut quiet)),
            None => Pin::new(body).poll_frame(&mut quiet),
        }
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
        let frame = match frame.into_data() {
            Ok(data) => {
                // hyper does not ask again after the last part of a known length.
                if self.body.is_end_stream() {
                    self.release();
                }
                return Some(Ok(Frame::data(data)));
            }
            Err(frame) => frame,
        };
        self.release();
        let mut trailers = frame.into_trailers().ok()?;
        strip_trailers(&mut trailers, self.trailers.as_ref()?);
        (!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers)))
    }

    /// Gives the connection back if it can carry another request.
    fn release(&mut self) {
        if let Some(mut link) = self.link.take()
            && link.is_alive()
        {
            self.lease.keep(link);
        }
    }
}
