//! Bodies that are all there: our own answers', and a request's that was read before it is judged. An
//! upstream's is in `forward`.

use std::fmt;

use bytes::Bytes;
use http_body_util::Full;

/// A body that is all there.
pub type Fixed = Full<Bytes>;

/// A request's body, read whole because its credential may stand in it. It goes with the head, in the
/// head's extensions, and is what is sent on.
#[derive(Clone)]
pub struct ReadBody(Bytes);

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
