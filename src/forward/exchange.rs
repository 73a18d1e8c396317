//! One connection to an upstream, driven by the task of the request that uses it: no task is spawned
//! and nothing is woken in between.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use http::request::Parts;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::deadline::Deadline;
use crate::instant::recent;

use super::error::{BodyError, ForwardError};
use super::head::OwnFields;
use super::http1::{Answer, Outgoing, read_answer};
use super::upload::{Upload, UploadState};

/// One upstream connection, either kept or in use by one request.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    pub(super) read: BytesMut,
    /// Bytes that the next reading has room for.
    room: usize,
    outgoing: Outgoing,
    pub(super) timer: Deadline,
}

/// Why there is no answer on this connection.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection was gone before the request touched it; here its upload is back.
    Unsent(Upload),
    /// The connection ended without an answer.
    Died,
    /// Anything else.
    Final(ForwardError),
}

/// Room for a first reading, bytes: most answers are shorter.
const ROOM: usize = 8 * 1024;
/// Room for a reading of a long body, bytes.
const MOST_ROOM: usize = 128 * 1024;

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
        Ok(Box::new(Self {
            stream,
            read: BytesMut::new(),
            room: ROOM,
            outgoing: Outgoing::new(),
            timer: Deadline::new(),
        }))
    }

    /// Whether it is open and quiet: an upstream that says something unasked, or ends, is done with.
    pub(super) fn is_alive(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether it can carry another request after this one. From now on it wakes nobody.
    pub(super) fn rest(&self) -> bool {
        if !self.outgoing.is_done() || !self.read.is_empty() {
            return false;
        }
        let polled = self.stream.poll_read_ready(&mut Context::from_waker(Waker::noop()));
        polled.is_pending() || self.is_alive()
    }

    /// Sends what is left of the request. An error is the client's.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        self.outgoing.poll(cx, &mut self.stream)
    }

    /// Reads more; nothing, or an error, is the connection's end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.read.reserve(self.room);
        let polled = pin!(self.stream.read_buf(&mut self.read)).poll(cx);
        if let Poll::Ready(Ok(count)) = polled
            && count >= self.room
        {
            self.room = (self.room * 2).min(MOST_ROOM);
        }
        polled
    }

    /// Sends a request and waits for the answer's head. The patience counts from the last byte of an
    /// upload that moved, and not while it is the client who is slow.
    pub(super) async fn send(
        &mut self,
        (head, own): (&Parts, &OwnFields),
        upload: Upload,
        state: &UploadState,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        self.outgoing.begin(head, own, upload);
        self.room = ROOM;
        let sent = recent();
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(Failure::Final(error.into())));
            }
            if let Some(upload) = self.outgoing.take_unsent() {
                return Poll::Ready(Err(Failure::Unsent(upload)));
            }
            if let Poll::Ready(answer) = self.poll_answer(cx, &head.method) {
                return Poll::Ready(answer);
            }
            if state.waits_for_client() {
                return Poll::Pending;
            }
            let start = state.progress().map_or(sent, |progress| progress.max(sent));
            let passed = self.timer.poll_passed(cx, start + patience);
            passed.map(|()| Err(Failure::Final(ForwardError::Timeout)))
        })
        .await
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
    ) -> Poll<Result<Answer, Failure>> {
        loop {
            match self.poll_read(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Failure::Died)),
                Poll::Ready(Ok(_)) => {}
            }
            match read_answer(&mut self.read, method) {
                Ok(None) => {}
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Err(_) => return Poll::Ready(Err(Failure::Final(ForwardError::Protocol))),
            }
        }
    }
}
