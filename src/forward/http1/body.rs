//! An answer's body out of its framing (RFC 9112 §6 and §7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use http_body::SizeHint;
use httparse::Status;

use super::Unreadable;

/// What is still to come of a body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::forward) enum Body {
    /// So many bytes, and at least one.
    Length(u64),
    Chunked(Chunk),
    UntilClose,
    Ended,
}

/// Where in a chunked body we are.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::forward) enum Chunk {
    /// Before a line with a size.
    Size,
    /// Within a chunk, so many bytes before its end.
    Data(u64),
    /// Before the line break after a chunk.
    Break,
    /// Within the fields after the last chunk.
    Trailers,
}

/// A piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::forward) enum Part {
    Data(Bytes),
    /// The last piece, if there is one.
    Trailers(HeaderMap),
    End,
    /// What was read does not suffice for another piece.
    More,
}

/// A line with a chunk's size and extensions is at most this long, bytes.
const SIZE_LINE: usize = 4 * 1024;
/// The fields after the last chunk are at most this long, bytes.
const TRAILERS: usize = 16 * 1024;
/// Fields after the last chunk, at most.
const TRAILER_FIELDS: usize = 64;

// === impl Body ===

impl Body {
    pub(super) const fn of_length(length: u64) -> Self {
        if length == 0 { Self::Ended } else { Self::Length(length) }
    }

    pub(super) const fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    /// Whether nothing more can come.
    pub(in crate::forward) fn is_ended(&self) -> bool {
        *self == Self::Ended
    }

    /// What is known of the bytes to come.
    pub(in crate::forward) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Ended => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }

    /// The whole body, when all of it was read already and its length is known.
    pub(in crate::forward) fn take_whole(&mut self, read: &mut BytesMut) -> Option<Bytes> {
        match self {
            Self::Ended => Some(Bytes::new()),
            Self::Length(length) => {
                let length =
                    usize::try_from(*length).ok().filter(|length| *length <= read.len())?;
                *self = Self::Ended;
                Some(read.split_to(length).freeze())
            }
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// The next piece of what was read. After an error nothing may be read any more.
    pub(in crate::forward) fn next(&mut self, read: &mut BytesMut) -> Result<Part, Unreadable> {
        match self {
            Self::Ended => Ok(Part::End),
            _ if read.is_empty() => Ok(Part::More),
            Self::UntilClose => Ok(Part::Data(read.split().freeze())),
            Self::Length(left) => {
                let data = take(left, read);
                if *left == 0 {
                    *self = Self::Ended;
                }
                Ok(Part::Data(data))
            }
            Self::Chunked(chunk) => {
                let part = chunk.next(read)?;
                if matches!(part, Part::End | Part::Trailers(_)) {
                    *self = Self::Ended;
                }
                Ok(part)
            }
        }
    }

    /// The connection has ended: whether that ends the body too.
    pub(in crate::forward) fn close(&mut self) -> Result<(), Unreadable> {
        match self {
            Self::UntilClose | Self::Ended => {
                *self = Self::Ended;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(Unreadable),
        }
    }
}

// === impl Chunk ===

impl Chunk {
    fn next(&mut self, read: &mut BytesMut) -> Result<Part, Unreadable> {
        loop {
            *self = match self {
                Self::Size => match size(read)? {
                    None => return Ok(Part::More),
                    Some(0) => Self::Trailers,
                    Some(size) => Self::Data(size),
                },
                Self::Data(_) if read.is_empty() => return Ok(Part::More),
                Self::Data(left) => {
                    let data = take(left, read);
                    if *left == 0 {
                        *self = Self::Break;
                    }
                    return Ok(Part::Data(data));
                }
                Self::Break => match read.get(..2) {
                    Some(b"\r\n") => {
                        read.advance(2);
                        Self::Size
                    }
                    Some(_) => return Err(Unreadable),
                    None => return Ok(Part::More),
                },
                Self::Trailers => return trailers(read),
            };
        }
    }
}

// === free functions ===

/// As much as was read of so many bytes.
fn take(left: &mut u64, read: &mut BytesMut) -> Bytes {
    let length = usize::try_from(*left).map_or(read.len(), |left| left.min(read.len()));
    *left -= length as u64;
    read.split_to(length).freeze()
}

/// A chunk's size, once its line is there.
fn size(read: &mut BytesMut) -> Result<Option<u64>, Unreadable> {
    match httparse::parse_chunk_size(read) {
        Ok(Status::Complete((length, size))) => {
            read.advance(length);
            Ok(Some(size))
        }
        Ok(Status::Partial) if read.len() < SIZE_LINE => Ok(None),
        Ok(Status::Partial) | Err(_) => Err(Unreadable),
    }
}

/// The fields after the last chunk, once all are there.
fn trailers(read: &mut BytesMut) -> Result<Part, Unreadable> {
    let mut places = [httparse::EMPTY_HEADER; TRAILER_FIELDS];
    let (length, fields) = match httparse::parse_headers(read, &mut places) {
        Ok(Status::Complete(parsed)) => parsed,
        Ok(Status::Partial) if read.len() < TRAILERS => return Ok(Part::More),
        Ok(Status::Partial) | Err(_) => return Err(Unreadable),
    };
    let mut map = HeaderMap::new();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Unreadable)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| Unreadable)?;
        map.append(name, value);
    }
    read.advance(length);
    Ok(if map.is_empty() { Part::End } else { Part::Trailers(map) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a body that comes in pieces of so many bytes: what it held, its trailers, and what is left.
    fn run(
        mut body: Body,
        bytes: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, usize, usize), Unreadable> {
        let (mut read, mut data, mut fields) = (BytesMut::new(), Vec::new(), 0);
        let mut pieces = bytes.chunks(step);
        loop {
            match body.next(&mut read)? {
                Part::Data(piece) => data.extend_from_slice(&piece),
                Part::Trailers(map) => fields = map.len(),
                Part::End => {
                    let rest: usize = pieces.map(<[u8]>::len).sum();
                    return Ok((data, fields, read.len() + rest));
                }
                Part::More => match pieces.next() {
                    Some(piece) => read.extend_from_slice(piece),
                    None => body.close()?,
                },
            }
        }
    }

    #[test]
    fn chunks_are_strict() {
        for (text, want) in [
            ("5\r\nhello\r\n0\r\n\r\n", Ok(("hello", 0, 0))),
            ("5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\nmore", Ok(("hello!", 0, 4))),
            ("A\r\n0123456789\r\n000\r\nx: 1\r\ny: 2\r\n\r\n", Ok(("0123456789", 2, 0))),
            ("5\r\nhelloX\r\n0\r\n\r\n", Err(Unreadable)),
            ("5\r\nhello\n0\r\n\r\n", Err(Unreadable)),
            ("0x5\r\nhello\r\n0\r\n\r\n", Err(Unreadable)),
            ("+5\r\nhello\r\n0\r\n\r\n", Err(Unreadable)),
            ("-5\r\nhello\r\n0\r\n\r\n", Err(Unreadable)),
            ("\r\nhello\r\n0\r\n\r\n", Err(Unreadable)),
            ("fffffffffffffffff\r\n", Err(Unreadable)),
            ("5\r\nhel", Err(Unreadable)),
            ("5\r\nhello\r\n", Err(Unreadable)),
            ("0\r\nno colon\r\n\r\n", Err(Unreadable)),
            ("0\r\n", Err(Unreadable)),
        ] {
            let want = want.map(|(data, fields, rest)| (data.as_bytes().to_vec(), fields, rest));
            for step in [1, 2, 3, 1000] {
                assert_eq!(run(Body::chunked(), text.as_bytes(), step), want, "{text:?} {step}");
            }
        }
    }

    #[test]
    fn a_length_is_neither_more_nor_less() {
        for step in [1, 4, 100] {
            assert_eq!(run(Body::of_length(5), b"hello", step), Ok((b"hello".to_vec(), 0, 0)));
            assert_eq!(run(Body::of_length(4), b"hello", step), Ok((b"hell".to_vec(), 0, 1)));
            assert_eq!(run(Body::of_length(6), b"hello", step), Err(Unreadable));
            assert_eq!(run(Body::of_length(0), b"hello", step), Ok((Vec::new(), 0, 5)));
        }
    }

    #[test]
    fn what_ends_with_the_connection_ends_with_it() {
        assert_eq!(run(Body::UntilClose, b"all of it", 2), Ok((b"all of it".to_vec(), 0, 0)));
    }

    #[test]
    fn a_whole_body_is_taken_only_when_it_is_there() {
        let mut read = BytesMut::from("hello!");
        assert_eq!(Body::of_length(7).take_whole(&mut read), None);
        let mut body = Body::of_length(5);
        assert_eq!(body.take_whole(&mut read).as_deref(), Some(&b"hello"[..]));
        assert!(body.is_ended());
        assert_eq!(&read[..], b"!");
        assert_eq!(Body::chunked().take_whole(&mut read), None);
    }

    #[test]
    fn endless_lines_end() {
        let line = format!("1;{}", "x".repeat(SIZE_LINE));
        assert_eq!(run(Body::chunked(), line.as_bytes(), 100), Err(Unreadable));
        let fields = format!("0\r\n{}", "x: y\r\n".repeat(TRAILER_FIELDS + 1));
        assert_eq!(run(Body::chunked(), fields.as_bytes(), 100), Err(Unreadable));
        let field = format!("0\r\nx: {}", "y".repeat(TRAILERS));
        assert_eq!(run(Body::chunked(), field.as_bytes(), 100), Err(Unreadable));
    }

    proptest! {
        #[test]
        fn chunks_read_alike_however_they_come(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            step in 1_usize..50,
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\nnext");
            prop_assert_eq!(run(Body::chunked(), &bytes, step), Ok((chunks.concat(), 0, 4)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, step in 1_usize..9) {
            drop(run(Body::chunked(), &bytes, step));
        }
    }
}
