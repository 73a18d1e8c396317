//! A request's body on its way to the upstream: counted, timed, its trailers cleaned.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::instant::recent;
use crate::request::IdentityNames;

use super::error::BodyError;
use super::hop::strip_trailers;
use super::turn::others_first;

/// A request's body; empty ones cost nothing.
#[derive(Debug)]
pub(super) struct Upload(Option<Box<Stream>>);

/// What the exchange knows of its upload.
#[derive(Clone, Debug)]
pub(super) struct UploadState(Option<Rc<Shared>>);

/// Where a body comes from.
#[derive(Debug)]
enum Origin {
    /// The client, as it sends.
    Client(Incoming),
    /// Memory: it was read before the request was judged.
    Read(Full<Bytes>),
}

#[derive(Debug)]
struct Stream {
    body: Origin,
    /// What came before it was asked for.
    ahead: Option<Next>,
    left: u64,
    timer: Deadline,
    pace: Pace,
    /// Trailers pass, without these names.
    trailers: Option<Arc<IdentityNames>>,
    shared: Rc<Shared>,
}

/// A part of a body, or its end.
type Next = Option<Result<Frame<Bytes>, BodyError>>;

/// How long a client may still take: a bound on each wait, and one on all of them together that grows
/// with what came, so that a byte now and then does not hold a connection for hours.
#[derive(Debug)]
struct Pace {
    patience: Duration,
    waiting_since: Option<Instant>,
    waited: Duration,
    received: u64,
    /// A route with trailers (gRPC) may stream little for long.
    steady: bool,
}

#[derive(Debug)]
struct Shared {
    progress: Cell<Instant>,
    waits: Cell<bool>,
}

/// Waiting that costs a client nothing.
const GRACE: Duration = Duration::from_secs(10);
/// What a second of waiting beyond costs, bytes.
const RATE: u64 = 1024;

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
        Self::of(Origin::Client(body), limit, patience, trailers)
    }

    /// A body that was read before.
    pub(super) fn read(body: Bytes) -> (Self, UploadState) {
        Self::of(Origin::Read(Full::new(body)), u64::MAX, GRACE, None)
    }

    fn of(
        body: Origin,
        limit: u64,
        patience: Duration,
        trailers: Option<Arc<IdentityNames>>,
    ) -> (Self, UploadState) {
        if body.is_end_stream() {
            return (Self(None), UploadState(None));
        }
        let shared = Rc::new(Shared { progress: Cell::new(recent()), waits: Cell::new(false) });
        let stream = Stream {
            body,
            ahead: None,
            left: limit,
            timer: Deadline::new(),
            pace: Pace::new(patience, trailers.is_none()),
            trailers,
            shared: Rc::clone(&shared),
        };
        (Self(Some(Box::new(stream))), UploadState(Some(shared)))
    }

    /// Gives a body that came together with its head the time to be read: then both go out at once.
    pub(super) async fn come(&mut self) -> Result<(), BodyError> {
        let Some(stream) = &mut self.0 else { return Ok(()) };
        if !stream.has_come().await {
            // hyper reads a body only after it was asked for.
            others_first().await;
            stream.has_come().await;
        }
        // If it goes on waiting, then for the upstream first.
        stream.shared.waits.set(false);
        match stream.ahead.take_if(|next| matches!(next, Some(Err(_)))) {
            Some(Some(Err(error))) => Err(error),
            _ => Ok(()),
        }
    }

    /// The part that came.
    pub(super) fn take_ahead(&mut self) -> Option<Bytes> {
        let is_data = |next: &mut Next| matches!(next, Some(Ok(frame)) if frame.is_data());
        self.0.as_mut()?.ahead.take_if(is_data)??.ok()?.into_data().ok()
    }

    /// Gives that part back: it was not sent.
    pub(super) fn put_back(&mut self, data: Bytes) {
        if let Some(stream) = &mut self.0 {
            stream.ahead = Some(Some(Ok(Frame::data(data))));
        }
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
        match stream.ahead.take() {
            Some(next) => Poll::Ready(next),
            None => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_over = |stream: &Stream| stream.ahead.is_none() && stream.body.is_end_stream();
        self.0.as_deref().is_none_or(is_over)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_deref().map_or_else(|| SizeHint::with_exact(0), Stream::size_hint)
    }
}

// === impl UploadState ===

impl UploadState {
    /// Whether there is a body at all.
    pub(super) const fn has_body(&self) -> bool {
        self.0.is_some()
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

// === impl Origin ===

impl Origin {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Client(body) => Pin::new(body).poll_frame(cx).map_err(|_cause| BodyError::Broken),
            Self::Read(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Client(body) => body.is_end_stream(),
            Self::Read(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Client(body) => body.size_hint(),
            Self::Read(body) => body.size_hint(),
        }
    }
}

// === impl Stream ===

impl Stream {
    /// Whether something has come, which lies ready then; asks once and does not wait.
    async fn has_come(&mut self) -> bool {
        poll_fn(|cx| {
            if self.ahead.is_none()
                && let Poll::Ready(next) = self.poll_frame(cx)
            {
                self.ahead = Some(next);
            }
            Poll::Ready(self.ahead.is_some())
        })
        .await
    }

    /// With what came already.
    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        match (hint.exact(), &self.ahead) {
            (Some(rest), Some(Some(Ok(frame)))) => {
                let ahead = frame.data_ref().map_or(0, |data| data.len() as u64);
                SizeHint::with_exact(rest + ahead)
            }
            _ => hint,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let polled = self.poll_body(cx);
        self.shared.waits.set(polled.is_pending());
        polled
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Poll::Ready(frame) = self.body.poll_frame(cx) else {
            let deadline = self.pace.deadline();
            let lost = self.timer.poll_passed(cx, deadline);
            return lost.map(|()| Some(Err(BodyError::Stalled)));
        };
        let now = recent();
        self.pace.end_wait(now);
        self.shared.progress.set(now);
        match frame {
            None => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => Poll::Ready(self.pass(frame).transpose()),
        }
    }

    /// Counts a part, or cleans the trailers; `None` ends the body.
    fn pass(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, BodyError> {
        match frame.into_data() {
            Ok(data) => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                self.pace.received += length;
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

// === impl Pace ===

impl Pace {
    const fn new(patience: Duration, steady: bool) -> Self {
        Self { patience, waiting_since: None, waited: Duration::ZERO, received: 0, steady }
    }

    /// When the wait that goes on, or begins now, has lasted too long.
    fn deadline(&mut self) -> Instant {
        let since = *self.waiting_since.get_or_insert_with(recent);
        if !self.steady {
            return since + self.patience;
        }
        let earned = GRACE.max(Duration::from_secs(self.received / RATE));
        since + self.patience.min(earned.saturating_sub(self.waited))
    }

    /// Something came.
    fn end_wait(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much longer a client may take after it waited and sent that much.
    fn left(steady: bool, waited: u64, received: u64) -> u64 {
        let mut pace = Pace::new(Duration::from_secs(30), steady);
        pace.waited = Duration::from_secs(waited);
        pace.received = received;
        let deadline = pace.deadline();
        let since = pace.waiting_since.unwrap();
        (deadline - since).as_secs()
    }

    #[test]
    fn waiting_must_be_earned_after_ten_seconds() {
        for (waited, received, want) in [
            (0, 0, 10),
            (4, 0, 6),
            (10, 0, 0),
            (10, 20 * RATE, 10),
            (99, 20 * RATE, 0),
            (0, 100 * RATE, 30),
        ] {
            assert_eq!(left(true, waited, received), want, "{waited} {received}");
            assert_eq!(left(false, waited, received), 30);
        }
    }

    #[test]
    fn only_time_spent_waiting_for_the_client_counts() {
        let mut pace = Pace::new(Duration::from_secs(30), true);
        let start = Instant::now();
        pace.end_wait(start);
        assert_eq!(pace.waited, Duration::ZERO);
        pace.deadline();
        pace.end_wait(start + Duration::from_secs(7));
        assert!(pace.waited > Duration::from_secs(6));
    }
}
