//! Bodies that are all there: our own answers', and those that are read whole. What goes to an upstream or
//! comes from one is in `forward`.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use thiserror::Error;
use tokio::time::timeout;

/// A body that is all there.
pub type Fixed = Full<Bytes>;

/// A request's body, read whole because its credential may stand in it. It goes with the head, in the
/// head's extensions, and is what is sent on.
#[derive(Clone)]
pub struct ReadBody(Bytes);

/// Why a body is not there whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// It is longer than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// It broke off, or is malformed.
    #[error("the body broke off")]
    Broken,
    /// It did not come in time.
    #[error("the body did not arrive in time")]
    Stalled,
}

// === impl ReadBody ===

impl ReadBody {
    /// Takes the whole body over.
    pub const fn new(body: Bytes) -> Self {
        Self(body)
    }

    /// The body as it was sent.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same, to be sent on.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for ReadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadBody({} bytes)", self.0.len())
    }
}

/// The whole body, at most `limit` bytes of it; its trailers are lost. One that is announced longer is not
/// read at all. Whoever calls bounds the time.
pub async fn whole<B>(body: B, limit: usize) -> Result<Bytes, ReadError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(ReadError::TooLarge);
    }
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge),
        Err(_broken) => Err(ReadError::Broken),
    }
}

/// The same, all of it within `patience`.
pub async fn whole_within<B>(body: B, limit: usize, patience: Duration) -> Result<Bytes, ReadError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    timeout(patience, whole(body, limit)).await.unwrap_or(Err(ReadError::Stalled))
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    type Piece = Result<&'static [u8], io::Error>;

    /// A body that says nothing of its length.
    fn pieces(pieces: Vec<Piece>) -> impl Body<Data = Bytes, Error = io::Error> {
        let frame = |piece: Piece| piece.map(|data| Frame::data(Bytes::from_static(data)));
        StreamBody::new(stream::iter(pieces).map(frame))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        assert_eq!(whole(pieces(vec![]), 0).await, Ok(Bytes::new()));
        assert_eq!(whole(pieces(vec![Ok(b"ab"), Ok(b"cd")]), 4).await, Ok("abcd".into()));
        let longer = pieces(vec![Ok(b"ab"), Ok(b"cde"), Err(io::ErrorKind::Other.into())]);
        assert_eq!(whole(longer, 4).await, Err(ReadError::TooLarge));
        let broken = pieces(vec![Ok(b"ab"), Err(io::ErrorKind::Other.into())]);
        assert_eq!(whole(broken, 4).await, Err(ReadError::Broken));
        assert_eq!(whole(Full::new(Bytes::from("abcde")), 4).await, Err(ReadError::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_given_up() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, io::Error>>());
        let read = whole_within(never, 4, Duration::from_secs(10)).await;
        assert_eq!(read, Err(ReadError::Stalled));
    }
}
