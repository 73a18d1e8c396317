//! One connection: TLS, the version, hyper's server under our deadlines, and a graceful end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::config::Limits;
use crate::deadline::Deadline;
use crate::instant::{recent, within};
use crate::peer::Peer;
use crate::shutdown::Drain;

use super::Handler;
use super::activity::{Activity, Turn, Watched};
use super::capacity::Capacity;
use super::presence::Presence;
use super::sniff::{Rewound, Version, sniff};
use super::spares::Spares;
use super::tls::Tls;

/// What every connection of a worker shares.
#[derive(Debug)]
pub(super) struct Setting {
    http1: http1::Builder,
    http2: http2::Builder<LocalExecutor>,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    capacity: Arc<Capacity>,
}

/// A connection's client, and who answers it until when.
#[derive(Debug)]
pub(super) struct Visit<H: Handler> {
    pub(super) peer: Peer,
    pub(super) handler: H,
    pub(super) spares: Rc<Spares<H::Future>>,
    pub(super) drain: Drain,
}

/// Runs HTTP/2's streams on the worker's own thread.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

/// A connection that can be asked to end after what is in flight.
trait Graceful: Future {
    fn end_gracefully(self: Pin<&mut Self>);
}

/// Room that reading a long body over HTTP/1 may grow to, bytes: a gigabyte costs a third less than with
/// half of it, and more gains little.
const UPLOAD_ROOM: usize = 128 * 1024;
/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long an HTTP/2 peer has to take our GOAWAY when it was idle too long.
const FAREWELL: Duration = Duration::from_secs(1);

// === impl Setting ===

impl Setting {
    /// The builders, with the limits of `security.md` G.
    pub(super) fn new(limits: Limits, tls: Option<Arc<Tls>>, capacity: Arc<Capacity>) -> Self {
        let mut http1 = http1::Builder::new();
        // One read buffer must hold a whole head.
        http1
            .max_header_size(limits.header_bytes)
            .max_buf_size((limits.header_bytes * 2).max(UPLOAD_ROOM))
            .header_read_timeout(None)
            // Of a plain socket's client we know ourselves whether it is gone.
            .half_close(tls.is_none());
        if limits.headers != 100 {
            // Setting it allocates on every request; 100 is built in.
            http1.max_headers(limits.headers);
        }
        let mut http2 = http2::Builder::new(LocalExecutor);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_frame_size(16 * 1024)
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(1024)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        Self { http1, http2, limits, tls, capacity }
    }

    /// Serves one accepted connection to its end.
    pub(super) async fn serve<H: Handler>(&self, stream: TcpStream, visit: Visit<H>) {
        let Some(tls) = &self.tls else {
            return self.serve_sniffed(stream, visit).await;
        };
        // Boxed: a plain connection's task would be as large as one with TLS, three times its size.
        Box::pin(self.serve_tls(tls, stream, visit)).await;
    }

    async fn serve_tls<H: Handler>(&self, tls: &Tls, stream: TcpStream, visit: Visit<H>) {
        let patience = HANDSHAKE.min(self.limits.header_timeout);
        let Ok(Ok(stream)) = timeout(patience, tls.accept(stream)).await else {
            return self.capacity.refuse("tls");
        };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let stream = Rewound::untouched(stream);
            self.serve_version(Version::Http2, stream, Instant::now(), visit).await;
        } else {
            self.serve_sniffed(stream, visit).await;
        }
    }

    async fn serve_sniffed<S, H>(&self, stream: S, mut visit: Visit<H>)
    where
        S: AsyncRead + AsyncWrite + Presence + Unpin + 'static,
        H: Handler,
    {
        let start = Instant::now();
        let first = tokio::select! {
            first = timeout(self.limits.header_timeout, sniff(stream)) => first,
            () = visit.drain.begun() => return,
        };
        match first {
            Ok(Ok(Some((version, stream)))) => {
                self.serve_version(version, stream, start, visit).await;
            }
            Ok(Ok(None)) => {}
            Ok(Err(_)) => self.capacity.refuse("sniff"),
            Err(_) => self.capacity.refuse("timeout"),
        }
    }

    async fn serve_version<S, H>(
        &self,
        version: Version,
        stream: Rewound<S>,
        start: Instant,
        visit: Visit<H>,
    ) where
        S: AsyncRead + AsyncWrite + Presence + Unpin + 'static,
        H: Handler,
    {
        let Visit { peer, handler, spares, drain } = visit;
        let peer = Rc::new(peer);
        let activity = Activity::new(version == Version::Http2, start, &self.limits);
        let stream = TokioIo::new(Watched::new(stream, Rc::clone(&activity)));
        let turns = Rc::clone(&activity);
        let service = service_fn(move |request: Request<Incoming>| {
            let turn = Turn::begin(&turns);
            // In a box: hyper moves the future three times for every request, and it is kilobytes long.
            let answer = spares.put(handler.handle(request, Rc::clone(&peer)));
            answer.map(|answer| {
                Ok::<_, Infallible>(closing(answer, turn.is_last()).map(|body| turn.answer(body)))
            })
        });
        match version {
            Version::Http1 => {
                let connection = self.http1.serve_connection(stream, service);
                self.drive(connection, &activity, Duration::ZERO, drain).await;
            }
            Version::Http2 => {
                let connection = self.http2.serve_connection(stream, service);
                self.drive(connection, &activity, FAREWELL, drain).await;
            }
        }
    }

    /// Polls the connection until it ends, its client has had its time, or it has drained.
    async fn drive<C: Graceful>(
        &self,
        connection: C,
        activity: &Activity,
        farewell: Duration,
        mut drain: Drain,
    ) {
        let mut connection = pin!(connection);
        let mut begun = pin!(drain.begun());
        let mut draining = false;
        let mut timer = Deadline::new();
        let mut last_word: Option<Instant> = None;
        let mut quiet_since: Option<Instant> = None;
        let mut step = |cx: &mut Context<'_>| {
            if !draining && (activity.is_spent() || begun.as_mut().poll(cx).is_ready()) {
                draining = true;
                connection.as_mut().end_gracefully();
            }
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !draining && activity.is_spent() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // An idle HTTP/2 client need not answer the PING of a graceful GOAWAY; it holds nobody up.
            if draining && !farewell.is_zero() && activity.is_quiet() {
                let since = *quiet_since.get_or_insert_with(recent);
                return timer.poll_passed(cx, since + farewell);
            }
            quiet_since = None;
            if let Some(end) = last_word {
                return timer.poll_passed(cx, end);
            }
            let Some(deadline) = activity.deadline(&self.limits) else {
                // Not the client's turn: look again after a while, in case nothing wakes us then.
                let later = recent() + self.limits.idle_timeout;
                return timer.poll_passed(cx, later);
            };
            if timer.poll_passed(cx, deadline).is_pending() {
                return Poll::Pending;
            }
            connection.as_mut().end_gracefully();
            last_word = Some(recent() + farewell);
            cx.waker().wake_by_ref();
            Poll::Pending
        };
        poll_fn(|cx| within(|| step(cx))).await;
    }
}

// === impl LocalExecutor ===

impl<F: Future + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            let mut stream = pin!(future);
            poll_fn(|cx| within(|| stream.as_mut().poll(cx)).map(drop)).await;
        });
    }
}

// === impl Graceful ===

impl<I, B, S> Graceful for http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, B, S> Graceful for http2::Connection<I, S, LocalExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Future: 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// An answer after which the connection ends says so (RFC 9112 §9.6).
fn closing<B>(mut answer: Response<B>, last: bool) -> Response<B> {
    if last {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
