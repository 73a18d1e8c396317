//! A request's body on its way to the upstream: counted, timed, its trailers cleaned.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::deadline::{Deadline, Patience};
use crate::request::IdentityNames;

use super::error::BodyError;
use super::hop::strip_trailers;

/// A request's body; empty ones cost nothing.
#[derive(Debug)]
pub(super) struct Upload(Option<Box<Stream>>);

/// What the exchange knows of its upload.
#[derive(Clone, Debug)]
pub(super) struct UploadState(Option<Rc<Shared>>);

#[derive(Debug)]
struct Stream {
    body: Incoming,
    left: u64,
    timer: Deadline,
    patience: Patience,
    /// Trailers pass, without these names.
    trailers: Option<Arc<IdentityNames>>,
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    failure: Cell<Option<BodyError>>,
    progress: Cell<Instant>,
    waits: Cell<bool>,
}

// === impl Upload ===

impl Upload {
    /// Nothing.
    pub(super) const fn empty() -> Self {
        Self(None)
    }

    /// At most `limit` bytes of `body`, with at most `patience` between two reads.
    pub(super) fn new(
        body: Incoming,
        limit: u64,
        patience: Duration,
        trailers: Option<Arc<IdentityNames>>,
    ) -> (Self, UploadState) {
        if body.is_end_stream() {
            return (Self(None), UploadState(None));
        }
        let shared = Rc::new(Shared {
            failure: Cell::new(None),
            progress: Cell::new(Instant::now()),
            waits: Cell::new(false),
        });
        let stream = Stream {
            body,
            left: limit,
            timer: Deadline::new(),
            patience: Patience::new(patience),
            trailers,
            shared: Rc::clone(&shared),
        };
        (Self(Some(Box::new(stream))), UploadState(Some(shared)))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(stream) = &mut self.0 else { return Poll::Ready(None) };
        let polled = stream.poll_frame(cx);
        stream.shared.waits.set(polled.is_pending());
        if let Poll::Ready(Some(Err(error))) = polled {
            stream.shared.failure.set(Some(error));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|stream| stream.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |stream| stream.body.size_hint())
    }
}

// === impl UploadState ===

impl UploadState {
    /// Whether there is a body at all.
    pub(super) const fn has_body(&self) -> bool {
        self.0.is_some()
    }

    /// Why the client's body ended early, if it did.
    pub(super) fn failure(&self) -> Option<BodyError> {
        self.0.as_ref()?.failure.get()
    }

    /// When the last part went upstream.
    pub(super) fn progress(&self) -> Option<Instant> {
        Some(self.0.as_ref()?.progress.get())
    }

    /// Whether the upload waits for the client's next part.
    pub(super) fn waits_for_client(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.waits.get())
    }
}

// === impl Stream ===

impl Stream {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let lost = self.patience.poll_lost(cx, &mut self.timer);
            return lost.map(|()| Some(Err(BodyError::Stalled)));
        };
        self.patience.progress();
        self.shared.progress.set(Instant::now());
        match frame {
            None => Poll::Ready(None),
            Some(Err(_)) => Poll::Ready(Some(Err(BodyError::Broken))),
            Some(Ok(frame)) => Poll::Ready(self.pass(frame).transpose()),
        }
    }

    /// Counts a part, or cleans the trailers; `None` ends the body.
    fn pass(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, BodyError> {
        match frame.into_data() {
            Ok(data) => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                self.left = self.left.checked_sub(length).ok_or(BodyError::TooLarge)?;
                Ok(Some(Frame::data(data)))
            }
            Err(frame) => {
                let (Some(identity), Ok(mut trailers)) = (&self.trailers, frame.into_trailers())
                else {
                    return Ok(None);
                };
                strip_trailers(&mut trailers, identity);
                Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)))
            }
        }
    }
}
