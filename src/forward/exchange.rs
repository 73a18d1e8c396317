//! One connection to an upstream, driven by the task of the request that uses it: no task is spawned
//! and nothing is woken in between.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::deadline::Deadline;
use crate::instant::recent;

use super::ear::Ear;
use super::error::ForwardError;
use super::half::Half;
use super::upload::{Upload, UploadState};

/// One upstream connection, either kept or in use by one request.
#[derive(Debug)]
pub(super) struct Link {
    sender: SendRequest<Upload>,
    connection: Connection<TokioIo<Half>, Upload>,
    ear: Ear,
    pub(super) timer: Deadline,
}

/// Why there is no answer on this connection.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection was gone before the request touched it; here it is back.
    Unsent(Box<Request<Upload>>),
    /// The connection ended without a byte of an answer.
    Died,
    /// Anything else.
    Final(ForwardError),
}

/// Read buffer of one connection, bytes; also the longest head of an answer.
const BUFFER: usize = 128 * 1024;

// === impl Link ===

impl Link {
    /// Connects.
    pub(super) async fn connect(
        address: (&str, u16),
        patience: Duration,
    ) -> Result<Box<Self>, ForwardError> {
        let open = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        let Ok(Ok(stream)) = timeout(patience, open).await else {
            return Err(ForwardError::Connect);
        };
        let io = TokioIo::new(Half::new(stream));
        let handshake = Builder::new().writev(false).max_buf_size(BUFFER).handshake(io).await;
        let (sender, connection) = handshake.ok().ok_or(ForwardError::Connect)?;
        Ok(Box::new(Self { sender, connection, ear: Ear::new(), timer: Deadline::new() }))
    }

    /// Whether it is open, quiet and ready for another request. Wakes nobody later.
    pub(super) fn is_alive(&mut self) -> bool {
        self.ear.forget();
        let mut context = Context::from_waker(Waker::noop());
        let polled = Pin::new(&mut self.connection).poll(&mut context);
        polled.is_pending() && self.sender.is_ready()
    }

    /// Drives the connection. Ready: it has ended and must not be polled again.
    pub(super) fn poll_connection(&mut self, cx: &Context<'_>) -> Poll<hyper::Result<()>> {
        let mut context = Context::from_waker(self.ear.listen(cx));
        Pin::new(&mut self.connection).poll(&mut context)
    }

    /// Runs what would wake the connection, of which its task needs no word.
    pub(super) fn deaf<T>(&self, part: impl FnOnce() -> T) -> T {
        self.ear.deaf(part)
    }

    /// Sends a request and waits for the answer's head. The patience counts from the last byte of an
    /// upload that moved, and not while it is the client who is slow.
    pub(super) async fn send(
        &mut self,
        request: Request<Upload>,
        state: &UploadState,
        patience: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let sent = recent();
        let mut answer = pin!(self.sender.try_send_request(request));
        let mut ended = false;
        let result = poll_fn(|cx| {
            if !ended && self.poll_connection(cx).is_ready() {
                ended = true;
            }
            // The connection is polled right before, by us alone: its word needs no waker.
            let mut quiet = Context::from_waker(Waker::noop());
            if let Poll::Ready(result) = answer.as_mut().poll(&mut quiet) {
                return Poll::Ready(Some(result));
            }
            if ended {
                return Poll::Ready(None);
            }
            if state.waits_for_client() {
                return Poll::Pending;
            }
            let start = state.progress().map_or(sent, |progress| progress.max(sent));
            self.timer.poll_passed(cx, start + patience).map(|()| None)
        })
        .await;
        match result {
            Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                // Nobody asked for it: `Upgrade` was removed.
                Err(Failure::Final(ForwardError::Protocol))
            }
            Some(Ok(response)) => Ok(response),
            Some(Err(mut error)) => Err(match error.take_message() {
                Some(request) => Failure::Unsent(Box::new(request)),
                None => failure(error.error().is_parse(), state),
            }),
            None if ended => Err(failure(false, state)),
            None => Err(Failure::Final(ForwardError::Timeout)),
        }
    }
}

// === free functions ===

fn failure(unreadable: bool, state: &UploadState) -> Failure {
    match state.failure() {
        Some(body) => Failure::Final(body.into()),
        None if unreadable => Failure::Final(ForwardError::Protocol),
        None => Failure::Died,
    }
}
