//! A request on its way to the upstream: its head, then the client's upload in its framing.

use std::io::{IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http_body::{Body as _, Frame};
use tokio::io::AsyncWrite;

use crate::forward::error::BodyError;
use crate::forward::head::OwnFields;
use crate::forward::upload::Upload;

/// What is still to be sent of one request.
#[derive(Debug)]
pub(in crate::forward) struct Outgoing {
    /// The head, or the framing before `data`.
    lines: Vec<u8>,
    /// Bytes of `lines` that went.
    gone: usize,
    /// A part of the upload, sent from where it lies.
    data: Bytes,
    /// The framing after `data`.
    tail: &'static [u8],
    upload: Upload,
    rest: Rest,
    touched: bool,
    stuck: bool,
}

/// What comes after what lies ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// So many bytes of the upload.
    Length(u64),
    Chunks,
    Nothing,
}

// === impl Outgoing ===

impl Outgoing {
    /// Nothing to send.
    pub(in crate::forward) const fn new() -> Self {
        Self {
            lines: Vec::new(),
            gone: 0,
            data: Bytes::new(),
            tail: b"",
            upload: Upload::empty(),
            rest: Rest::Nothing,
            touched: false,
            stuck: false,
        }
    }

    /// The next request of a connection on which everything before was sent. The head has the upload's
    /// framing among its fields already; `own` are sent after them.
    pub(in crate::forward) fn begin(&mut self, head: &Parts, own: &OwnFields, upload: Upload) {
        write_head(&mut self.lines, head);
        write_fields(&mut self.lines, own.iter().map(|(name, value)| (name, value)));
        self.lines.extend_from_slice(b"\r\n");
        self.touched = false;
        self.rest = match upload.size_hint().exact() {
            _ if upload.is_end_stream() => Rest::Nothing,
            Some(length) => Rest::Length(length),
            None => Rest::Chunks,
        };
        self.upload = upload;
    }

    /// Sends until all went, or somebody must be waited for. A connection that takes nothing any more is
    /// waited for too: its end is seen, and told, by the reading side (RFC 9112 §9.5). An error is the
    /// client's; after it the connection is of no more use.
    pub(in crate::forward) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<Result<(), BodyError>> {
        self.lay_ahead()?;
        loop {
            ready!(self.poll_flush(cx, stream));
            if self.rest == Rest::Nothing {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.upload).poll_frame(cx)) {
                None => self.end(&HeaderMap::new())?,
                Some(frame) => self.lay(frame?)?,
            }
        }
    }

    /// Whether all of it went.
    pub(in crate::forward) fn is_done(&self) -> bool {
        self.rest == Rest::Nothing && self.is_flushed()
    }

    /// The upload of a request of which the connection took nothing.
    pub(in crate::forward) fn take_unsent(&mut self) -> Option<Upload> {
        if !self.stuck || self.touched {
            return None;
        }
        let mut upload = std::mem::replace(&mut self.upload, Upload::empty());
        if !self.data.is_empty() {
            upload.put_back(std::mem::take(&mut self.data));
        }
        Some(upload)
    }

    fn is_flushed(&self) -> bool {
        self.lines.is_empty() && self.data.is_empty() && self.tail.is_empty()
    }

    fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<()> {
        while !self.is_flushed() {
            if self.stuck {
                return Poll::Pending;
            }
            let (stream, lines) = (Pin::new(&mut *stream), &self.lines[self.gone..]);
            let written = if self.data.is_empty() && self.tail.is_empty() {
                stream.poll_write(cx, lines)
            } else {
                let parts = [lines, &self.data, self.tail].map(IoSlice::new);
                stream.poll_write_vectored(cx, &parts)
            };
            match ready!(written) {
                Ok(0) | Err(_) => self.stuck = true,
                Ok(count) => self.went(count),
            }
        }
        Poll::Ready(())
    }

    fn went(&mut self, mut count: usize) {
        self.touched = true;
        let lines = count.min(self.lines.len() - self.gone);
        self.gone += lines;
        if self.gone == self.lines.len() {
            self.lines.clear();
            self.gone = 0;
        }
        count -= lines;
        let data = count.min(self.data.len());
        self.data.advance(data);
        self.tail = &self.tail[count - data..];
    }

    /// Lays the part ready that came with the head: a write and a packet less, and the upstream wakes once.
    fn lay_ahead(&mut self) -> Result<(), BodyError> {
        match self.upload.take_ahead() {
            Some(data) => self.lay(Frame::data(data)),
            None => Ok(()),
        }
    }

    /// Lays a part of the upload ready.
    fn lay(&mut self, frame: Frame<Bytes>) -> Result<(), BodyError> {
        let data = match frame.into_data() {
            // A chunk of no bytes would be the last.
            Ok(data) if data.is_empty() => return Ok(()),
            Ok(data) => data,
            Err(frame) => return self.end(&frame.into_trailers().unwrap_or_default()),
        };
        match &mut self.rest {
            Rest::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(BodyError::Broken)?;
                if *left == 0 {
                    self.rest = Rest::Nothing;
                }
            }
            Rest::Chunks => {
                // Writing into memory can't fail.
                drop(write!(self.lines, "{:x}\r\n", data.len()));
                self.tail = b"\r\n";
                // The last part is known to be it: it goes out with the last chunk, and there are no trailers.
                if self.upload.is_end_stream() {
                    (self.tail, self.rest) = (b"\r\n0\r\n\r\n", Rest::Nothing);
                }
            }
            // Not reached: the upload is not asked after its end.
            Rest::Nothing => return Err(BodyError::Broken),
        }
        self.data = data;
        Ok(())
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), BodyError> {
        if let Rest::Length(_) = self.rest {
            return Err(BodyError::Broken);
        }
        self.lines.extend_from_slice(b"0\r\n");
        write_fields(&mut self.lines, trailers);
        self.lines.extend_from_slice(b"\r\n");
        self.rest = Rest::Nothing;
        Ok(())
    }
}

// === free functions ===

/// Request line and fields (RFC 9112 §3.2.1). Neither a target nor a field can hold a line break: their
/// types don't let it in.
fn write_head(lines: &mut Vec<u8>, head: &Parts) {
    lines.extend_from_slice(head.method.as_str().as_bytes());
    lines.push(b' ');
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    if !target.starts_with(['/', '*']) {
        lines.push(b'/');
    }
    lines.extend_from_slice(target.as_bytes());
    lines.extend_from_slice(b" HTTP/1.1\r\n");
    write_fields(lines, &head.headers);
}

fn write_fields<'f>(
    lines: &mut Vec<u8>,
    fields: impl IntoIterator<Item = (&'f HeaderName, &'f HeaderValue)>,
) {
    for (name, value) in fields {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::Request;
    use http_body_util::BodyExt as _;

    use super::*;

    /// Takes so many bytes, all of a call's at once, and then it is broken.
    struct Wire {
        room: usize,
        calls: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Wire {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.calls.push(bytes[..count].to_vec());
            Poll::Ready(if count == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(count) })
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.poll_write(cx, &parts.iter().flat_map(|part| part.to_vec()).collect::<Vec<_>>())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A request with a body that has come, as far as the wire takes it.
    async fn sent(room: usize) -> (Outgoing, Wire) {
        let (head, ()) = Request::post("/a").body(()).unwrap().into_parts();
        let (mut upload, _) = Upload::read(Bytes::from_static(b"hello"));
        upload.come().await.unwrap();
        let (mut outgoing, mut wire) = (Outgoing::new(), Wire { room, calls: Vec::new() });
        outgoing.begin(&head, &OwnFields::default(), upload);
        let polled = outgoing.poll(&mut Context::from_waker(std::task::Waker::noop()), &mut wire);
        assert_eq!(polled, if room > 30 { Poll::Ready(Ok(())) } else { Poll::Pending });
        (outgoing, wire)
    }

    #[tokio::test]
    async fn a_body_that_came_with_its_head_goes_out_with_it() {
        let (outgoing, wire) = sent(100).await;
        assert_eq!(wire.calls, [b"POST /a HTTP/1.1\r\n\r\nhello"]);
        assert!(outgoing.is_done());
    }

    #[tokio::test]
    async fn a_body_of_which_nothing_went_is_given_back_whole() {
        let (mut outgoing, _) = sent(0).await;
        let upload = outgoing.take_unsent().expect("it comes back");
        assert_eq!((upload.size_hint().exact(), upload.is_end_stream()), (Some(5), false));
        assert_eq!(upload.collect().await.unwrap().to_bytes(), "hello");
        assert!(sent(3).await.0.take_unsent().is_none(), "a part of the head went");
    }
}
