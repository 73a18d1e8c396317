//! HTTP/1.1 as its client speaks it, over a stream that the request's own task reads and writes: a head
//! out, an upload in its framing, a head in, a body out of its framing (RFC 9112).
//!
//! hyper's client is a connection's own state machine with a channel to those who use it. Here one task
//! does both ends, in less than half the instructions (`BENCHMARKS.md`).

use thiserror::Error;

mod answer;
mod body;
mod outgoing;

pub(super) use answer::{Answer, There, read_answer};
pub(super) use body::{Body, Part};
pub(super) use outgoing::Outgoing;

/// What came is not HTTP/1.1, has two meanings, or is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a message of HTTP/1.1")]
pub(super) struct Unreadable;

/// An answer's head is at most this long, bytes.
const LONGEST_HEAD: usize = 128 * 1024;
/// Fields of an answer's head, at most.
const FIELDS: usize = 100;
