//! An answer's body on its way to the client. Polling it drives the upstream connection; at its end the
//! connection is kept for the next request, or dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};

use crate::body::Fixed;
use crate::deadline::Patience;
use crate::request::IdentityNames;

use super::error::BodyError;
use super::exchange::Link;
use super::hop::strip_trailers;
use super::http1::{self, Answer, Part};
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

/// An answer whose body is still to be read.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) head: Parts,
    pub(super) body: http1::Body,
    pub(super) there: http1::There,
    source: Source,
}

/// An upstream's body and the connection it comes from.
#[derive(Debug)]
pub struct UpstreamBody {
    body: http1::Body,
    source: Source,
    patience: Patience,
    /// Trailers pass, without these names.
    trailers: Option<Arc<IdentityNames>>,
}

/// Where a body comes from, and what becomes of that afterwards.
#[derive(Debug)]
struct Source {
    /// Gone once it was given back, or has ended.
    link: Option<Box<Link>>,
    lease: Lease,
    reusable: bool,
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

// === impl Answered ===

impl Answered {
    pub(super) fn new(answer: Answer, link: Box<Link>, lease: Lease) -> Self {
        let Answer { head, body, reusable, there } = answer;
        Self { head, body, there, source: Source { link: Some(link), lease, reusable } }
    }

    /// The answer for the client. A body that is all there gives the connection back at once.
    pub(super) fn into_response(
        self,
        patience: Duration,
        trailers: Option<Arc<IdentityNames>>,
    ) -> Response<ResponseBody> {
        let Self { head, mut body, mut source, .. } = self;
        let read = source.link.as_mut().and_then(|link| body.take_whole(&mut link.read));
        let body = match read {
            Some(whole) => {
                source.release();
                ResponseBody::Fixed(Fixed::new(whole))
            }
            None => {
                let patience = Patience::new(patience);
                ResponseBody::Upstream(Box::new(UpstreamBody { body, source, patience, trailers }))
            }
        };
        Response::from_parts(head, body)
    }
}

// === impl UpstreamBody ===

impl UpstreamBody {
    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_ended()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(part) = self.poll_part(cx) else {
            if let Some(link) = &mut self.source.link {
                ready!(self.patience.poll_lost(cx, &mut link.timer));
            }
            self.source.link = None;
            return Poll::Ready(Some(Err(BodyError::Stalled)));
        };
        self.patience.progress();
        if self.body.is_ended() {
            self.source.release();
        }
        Poll::Ready(match part {
            Ok(Part::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Part::Trailers(trailers)) => self.pass(trailers).map(Ok),
            Ok(Part::End | Part::More) => None,
            Err(error) => {
                self.source.link = None;
                Some(Err(error))
            }
        })
    }

    /// The next piece, while what is left of the upload goes on.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, BodyError>> {
        let Some(link) = &mut self.source.link else {
            let ended = self.body.is_ended();
            return Poll::Ready(if ended { Ok(Part::End) } else { Err(BodyError::Broken) });
        };
        if let Poll::Ready(Err(_)) = link.poll_send(cx) {
            return Poll::Ready(Err(BodyError::Broken));
        }
        loop {
            match self.body.next(&mut link.read) {
                Ok(Part::More) => {}
                part => return Poll::Ready(part.map_err(|_| BodyError::Broken)),
            }
            if let Ok(0) | Err(_) = ready!(link.poll_read(cx)) {
                let closed = self.body.close();
                return Poll::Ready(closed.map(|()| Part::End).map_err(|_| BodyError::Broken));
            }
        }
    }

    fn pass(&self, mut trailers: HeaderMap) -> Option<Frame<Bytes>> {
        strip_trailers(&mut trailers, self.trailers.as_ref()?);
        (!trailers.is_empty()).then(|| Frame::trailers(trailers))
    }
}

// === impl Source ===

impl Source {
    /// Gives the connection back if it can carry another request.
    fn release(&mut self) {
        if let Some(mut link) = self.link.take()
            && self.reusable
            && link.rest()
        {
            self.lease.keep(link);
        }
    }
}
