//! Bodies of our own answers; an upstream's is in `forward`.

use bytes::Bytes;
use http_body_util::Full;

/// A body that is all there.
pub type Fixed = Full<Bytes>;
