//! Whose turn it is on a connection, and until when. hyper has one timeout for a slow head and an idle
//! connection and none for a client that stops reading; here each has its own, on one timer.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::config::Limits;
use crate::instant::recent;

use super::presence::Presence;

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    multiplexed: bool,
    /// From then on the next request is the last.
    until: Option<Instant>,
    state: Cell<State>,
}

/// A connection's stream that tells [`Activity`] what passes.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Rc<Activity>,
}

/// One request from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct Turn {
    activity: Rc<Activity>,
    /// We are waiting for our own side (the handler, or the answer's next part), not for the client.
    ours: bool,
}

/// An answer's body that ends its [`Turn`].
#[derive(Debug)]
pub(super) struct Answer<B> {
    body: B,
    turn: Turn,
}

#[derive(Clone, Copy, Debug)]
struct State {
    since: Instant,
    /// Bytes of a head have come since the last request (HTTP/1 only).
    head: bool,
    served: bool,
    in_flight: u32,
    ours: u32,
    /// Requests that may still come.
    left: u64,
}

/// Answers up to this long are written in one piece, bytes: that costs less than a list of pieces, and
/// for longer ones it costs more.
const SHORT: usize = 1024;

// === impl Activity ===

impl Activity {
    /// A connection whose client has been heard, or waited for, since `since`.
    pub(super) fn new(multiplexed: bool, since: Instant, limits: &Limits) -> Rc<Self> {
        let left = limits.requests_per_connection.unwrap_or(u64::MAX);
        let state = State { since, head: true, served: false, in_flight: 0, ours: 0, left };
        let until = limits.connection_age.map(|age| since + age);
        Rc::new(Self { multiplexed, until, state: Cell::new(state) })
    }

    /// Whether the connection has had its last request.
    pub(super) const fn is_spent(&self) -> bool {
        self.state.get().left == 0
    }

    /// When the client has had its time; `None` while the next step is ours.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let state = self.state.get();
        if state.ours > 0 {
            return None;
        }
        let first = !state.served || (state.head && state.in_flight == 0);
        let patience = if first { limits.header_timeout } else { limits.idle_timeout };
        Some(state.since + patience)
    }

    /// Whether no request is under way.
    pub(super) const fn is_quiet(&self) -> bool {
        self.state.get().in_flight == 0
    }

    fn read(&self) {
        let state = self.state.get();
        if !self.multiplexed && state.in_flight == 0 && !state.head {
            self.state.set(State { head: true, since: recent(), ..state });
        }
    }

    fn wrote(&self) {
        let state = self.state.get();
        // On HTTP/2 a PING's answer is no progress of a response.
        if !self.multiplexed && state.in_flight > 0 && state.ours == 0 {
            self.state.set(State { since: recent(), ..state });
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.get();
        change(&mut state);
        self.state.set(state);
    }
}

// === impl Watched ===

impl<S> Watched<S> {
    /// Watches `stream` for `activity`.
    pub(super) const fn new(stream: S, activity: Rc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.read();
        }
        result
    }
}

impl<S: AsyncWrite + Presence + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if result.is_ready() {
            self.activity.wrote();
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut short = [0; SHORT];
        if let Some(bytes) = joined(slices, &mut short) {
            return self.poll_write(cx, bytes);
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if result.is_ready() {
            self.activity.wrote();
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes before it waits for anything: then is the time to look after the client.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waits = !self.activity.multiplexed && !self.activity.is_quiet();
        if waits && self.stream.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

// === impl Turn ===

impl Turn {
    /// A request's head is complete.
    pub(super) fn begin(activity: &Rc<Activity>) -> Self {
        let old = activity.until.is_some_and(|until| recent() >= until);
        activity.update(|state| {
            state.head = false;
            state.served = true;
            state.in_flight += 1;
            state.ours += 1;
            state.left = if old { 0 } else { state.left.saturating_sub(1) };
        });
        Self { activity: Rc::clone(activity), ours: true }
    }

    /// Whether the answer has to say that no further request is taken (HTTP/1 only).
    pub(super) fn is_last(&self) -> bool {
        !self.activity.multiplexed && self.activity.is_spent()
    }

    /// The answer's head is there: from now on the client must take it.
    pub(super) fn answer<B>(mut self, body: B) -> Answer<B> {
        self.set_ours(false);
        Answer { body, turn: self }
    }

    fn set_ours(&mut self, ours: bool) {
        if self.ours == ours {
            return;
        }
        self.ours = ours;
        self.activity.update(|state| {
            if ours {
                state.ours += 1;
            } else {
                state.ours -= 1;
                state.since = recent();
            }
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let ours = u32::from(self.ours);
        self.activity.update(|state| {
            state.ours -= ours;
            state.in_flight -= 1;
            state.since = recent();
        });
    }
}

// === impl Answer ===

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.turn.set_ours(frame.is_pending());
        if frame.is_ready() {
            // The client took what was before. HTTP/2 hands out up to 128 KiB at a time: who takes
            // less than that in one idle timeout counts as stopped.
            self.turn.activity.update(|state| state.since = recent());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === free functions ===

/// The pieces as one, when they fit.
fn joined<'b>(slices: &[IoSlice<'_>], bytes: &'b mut [u8; SHORT]) -> Option<&'b [u8]> {
    let mut length = 0;
    for slice in slices {
        bytes.get_mut(length..length + slice.len())?.copy_from_slice(slice);
        length += slice.len();
    }
    Some(&bytes[..length])
}
