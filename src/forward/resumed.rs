//! An answer's body that was looked into before it goes on: read whole when it is short, given again
//! unchanged when it is not.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Collected};

use super::{BodyError, ResponseBody, UpstreamBody};

/// The beginning that was read, and what comes after it.
#[derive(Debug)]
pub struct Resumed {
    read: Bytes,
    /// Trailers, or the way it broke off.
    last: Option<Result<Frame<Bytes>, BodyError>>,
    rest: Option<Box<UpstreamBody>>,
}

// === impl ResponseBody ===

impl ResponseBody {
    /// The whole body of an upstream's answer, when it is not longer than `limit` bytes and ends
    /// cleanly without trailers; else a body that gives it as it comes.
    pub async fn read_whole(self, limit: usize) -> Result<Bytes, Self> {
        let mut body = match self {
            Self::Upstream(body) => body,
            Self::Fixed(body) if body.size_hint().upper() <= Some(limit as u64) => {
                return Ok(body
                    .collect()
                    .await
                    .map_or_else(|never| match never {}, Collected::to_bytes));
            }
            other @ (Self::Fixed(_) | Self::Resumed(_)) => return Err(other),
        };
        let mut read = BytesMut::new();
        let last = loop {
            if body.is_end_stream() {
                return Ok(read.freeze());
            }
            match poll_fn(|cx| body.poll(cx)).await {
                None => return Ok(read.freeze()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => read.extend_from_slice(&data),
                    Err(trailers) => break Some(Ok(trailers)),
                },
                Some(Err(error)) => break Some(Err(error)),
            }
            if read.len() > limit {
                break None;
            }
        };
        let rest = last.is_none().then_some(body);
        Err(Self::Resumed(Box::new(Resumed { read: read.freeze(), last, rest })))
    }
}

// === impl Resumed ===

impl Resumed {
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.read)))));
        }
        match (self.last.take(), &mut self.rest) {
            (Some(last), _) => Poll::Ready(Some(last)),
            (None, Some(rest)) => rest.poll(cx),
            (None, None) => Poll::Ready(None),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let ended = self.rest.as_ref().is_none_or(|rest| rest.is_end_stream());
        self.read.is_empty() && self.last.is_none() && ended
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let mut hint = self.rest.as_ref().map_or_else(SizeHint::default, |rest| rest.size_hint());
        let read = self.read.len() as u64;
        let upper = hint.upper();
        hint.set_lower(hint.lower() + read);
        if let (Some(upper), None) = (upper, &self.last) {
            hint.set_upper(upper + read);
        }
        hint
    }
}
