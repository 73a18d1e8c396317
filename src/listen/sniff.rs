//! HTTP/1 or HTTP/2, told by a connection's first bytes (RFC 9113 §3.4), and a stream that gives them back.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::presence::Presence;

/// How a connection is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A stream of which the first bytes were read already.
#[derive(Debug)]
pub(super) struct Rewound<S> {
    first: [u8; PREFACE.len()],
    start: usize,
    end: usize,
    stream: S,
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until the first bytes can only be one of the two. Has no deadline of its own.
/// `None`: the client closed without a word.
pub(super) async fn sniff<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<Option<(Version, Rewound<S>)>> {
    let mut first = [0; PREFACE.len()];
    let mut end = 0;
    while end < PREFACE.len() && first[..end] == PREFACE[..end] {
        match stream.read(&mut first[end..]).await? {
            0 if end == 0 => return Ok(None),
            0 => break,
            read => end += read,
        }
    }
    let version = if first == *PREFACE { Version::Http2 } else { Version::Http1 };
    Ok(Some((version, Rewound { first, start: 0, end, stream })))
}

// === impl Rewound ===

impl<S> Rewound<S> {
    /// A stream of which nothing was read.
    pub(super) const fn untouched(stream: S) -> Self {
        Self { first: [0; PREFACE.len()], start: 0, end: 0, stream }
    }
}

impl<S: Presence> Presence for Rewound<S> {
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.start < self.end { Poll::Pending } else { self.stream.poll_gone(cx) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.start < self.end {
            let count = buffer.remaining().min(self.end - self.start);
            buffer.put_slice(&self.first[self.start..self.start + count]);
            self.start += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_tell_and_are_given_back() {
        for (text, want) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], Version::Http1),
            (b"P", Version::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n", Version::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", Version::Http2),
            (b"PRI * HTTP/1.1\r\n", Version::Http1),
        ] {
            let (mut client, server) = tokio::io::duplex(5);
            let sent = text.to_vec();
            let send = async move {
                client.write_all(&sent).await.unwrap();
                drop(client);
            };
            let receive = async {
                let (version, mut stream) = sniff(server).await.unwrap().unwrap();
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                (version, all)
            };
            let ((), (version, all)) = tokio::join!(send, receive);
            assert_eq!((version, &*all), (want, text));
        }
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_is_no_error() {
        let (client, server) = tokio::io::duplex(5);
        drop(client);
        assert!(sniff(server).await.unwrap().is_none());
    }
}
