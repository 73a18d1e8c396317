//! One connection to an upstream, driven by the task of the request that uses it: no task is spawned
//! and nothing is woken in between.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use http::request::Parts;
use http::{Method, Version};
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
    /// Bytes that `room` may grow to.
    most_room: usize,
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
/// Room for a reading of a long body, bytes: a gigabyte costs less than with half of it, for the system is
/// called and woken less often.
const MOST_ROOM: usize = 256 * 1024;
/// The same for a client with HTTP/2, who takes it all before that counts as progress, and may ask for many
/// at once.
const MOST_ROOM_OF_STREAM: usize = 128 * 1024;

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
            most_room: ROOM,
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
    pub(super) fn rest(&mut self) -> bool {
        if !self.outgoing.is_done() || !self.read.is_empty() {
            return false;
        }
        if self.room > ROOM {
            // An idle connection does not hold on to what a long body needed.
            self.read = BytesMut::new();
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
            self.room = (self.room * 4).min(self.most_room);
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
        self.most_room = most_room(head.version);
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

// === free functions ===

fn most_room(version: Version) -> usize {
    if version == Version::HTTP_2 { MOST_ROOM_OF_STREAM } else { MOST_ROOM }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_kept_connection_lets_go_of_the_room_that_a_long_body_had() {
        let upstream = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = upstream.local_addr().unwrap().port();
        let mut link = Link::connect(("127.0.0.1", port), Duration::from_secs(5)).await.unwrap();
        let (mut other_end, _) = upstream.accept().await.unwrap();
        link.most_room = most_room(Version::HTTP_11);
        let body = vec![b'x'; 4 * MOST_ROOM];
        let send = tokio::io::AsyncWriteExt::write_all(&mut other_end, &body);
        let receive = async {
            let mut left = body.len();
            while left > 0 {
                left -= poll_fn(|cx| link.poll_read(cx)).await.unwrap();
                drop(link.read.split());
            }
        };
        let (sent, ()) = tokio::join!(send, receive);
        sent.unwrap();
        assert!(link.room > ROOM && link.room <= MOST_ROOM, "{}", link.room);
        assert!(link.rest());
        assert!(link.read.capacity() <= ROOM);
    }
}
