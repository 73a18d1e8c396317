//! Whether a client is still there while its answer is made.
//!
//! hyper looks by reading on, into a buffer of its own that it takes anew for every request: the old one is
//! still held by the request's head. A plain socket can be asked without taking anything out of it.

use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream that can tell.
pub(super) trait Presence {
    /// Ready when the client has closed its side and left nothing to read.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()>;
}

// === impl Presence ===

impl Presence for TcpStream {
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_peek(cx, &mut ReadBuf::new(&mut [0])) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            // What is there belongs to a body or to the next request.
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<S> Presence for TlsStream<S> {
    /// Only who takes the records off knows; hyper reads on.
    fn poll_gone(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
