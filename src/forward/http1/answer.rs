//! An answer's head, and which body follows it (RFC 9112 §4 and §6.3).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response::{Parts, Response};
use http::{Method, StatusCode};
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;
use smallvec::SmallVec;

use super::body::Body;
use super::{FIELDS, LONGEST_HEAD, Unreadable};
use crate::forward::hop::{ends_here, lists};

/// A head that was read, and what comes after it.
#[derive(Debug)]
pub(in crate::forward) struct Answer {
    pub(in crate::forward) head: Parts,
    pub(in crate::forward) body: Body,
    /// Whether the connection may carry another request afterwards.
    pub(in crate::forward) reusable: bool,
    pub(in crate::forward) there: There,
}

/// Which fields that matter to a hop are in the head, seen while it was read: most are in none, and what is
/// not there needs no look-up.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::forward) struct There {
    /// Fields `Content-Length`.
    pub(in crate::forward) lengths: usize,
    /// Any that ends here, `Connection` and `Transfer-Encoding` among them.
    pub(in crate::forward) hop_by_hop: bool,
}

/// Where a field stands in the bytes of the head.
type Field = (HeaderName, Range<usize>);

// === impl There ===

impl There {
    fn see(&mut self, name: &HeaderName) {
        self.lengths += usize::from(name == header::CONTENT_LENGTH);
        self.hop_by_hop |= ends_here(name);
    }
}

// === free functions ===

/// Takes the head of an answer to `method` out of what was read; `None` when more must come. Interim
/// answers are passed over.
pub(in crate::forward) fn read_answer(
    read: &mut BytesMut,
    method: &Method,
) -> Result<Option<Answer>, Unreadable> {
    loop {
        let Some((head, is_old, there)) = read_head(read)? else { return Ok(None) };
        match head.status {
            // Nobody asked for it: `Upgrade` was removed.
            StatusCode::SWITCHING_PROTOCOLS => return Err(Unreadable),
            status if status.is_informational() => {}
            status => {
                let (body, reusable) = framing(method, status, is_old, (&head.headers, there))?;
                return Ok(Some(Answer { head, body, reusable, there }));
            }
        }
    }
}

/// One head, and whether it is of HTTP/1.0.
fn read_head(read: &mut BytesMut) -> Result<Option<(Parts, bool, There)>, Unreadable> {
    let mut places = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, read, &mut places)
        .map_err(|_| Unreadable)?;
    let length = match status {
        Status::Complete(length) if length <= LONGEST_HEAD => length,
        Status::Partial if read.len() < LONGEST_HEAD => return Ok(None),
        Status::Complete(_) | Status::Partial => return Err(Unreadable),
    };
    let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Unreadable)?;
    let is_old = parsed.version == Some(0);
    let reason = own_reason(code, parsed.reason);
    let start = read.as_ptr().addr();
    let (mut fields, mut there) = (SmallVec::<[Field; 16]>::new(), There::default());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Unreadable)?;
        there.see(&name);
        let at = field.value.as_ptr().addr() - start;
        fields.push((name, at..at + field.value.len()));
    }
    let bytes = read.split_to(length).freeze();
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = code;
    head.headers = header_map(&bytes, fields)?;
    if let Some(reason) = reason {
        head.extensions.insert(reason);
    }
    Ok(Some((head, is_old, there)))
}

/// What an upstream says in place of the usual words.
fn own_reason(code: StatusCode, reason: Option<&str>) -> Option<ReasonPhrase> {
    let reason = reason.filter(|reason| code.canonical_reason() != Some(reason))?;
    ReasonPhrase::try_from(reason.as_bytes()).ok()
}

/// The values stay where they were read.
fn header_map(bytes: &Bytes, fields: SmallVec<[Field; 16]>) -> Result<HeaderMap, Unreadable> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for (name, place) in fields {
        let value = HeaderValue::from_maybe_shared(bytes.slice(place)).map_err(|_| Unreadable)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// RFC 9112 §6.3, for answers: the body, and whether another message may follow it.
fn framing(
    method: &Method,
    status: StatusCode,
    is_old: bool,
    (headers, there): (&HeaderMap, There),
) -> Result<(Body, bool), Unreadable> {
    let length = if there.lengths > 0 { content_length(headers)? } else { None };
    let coded = there.hop_by_hop && is_chunked(headers)?;
    if coded && is_old {
        return Err(Unreadable);
    }
    let says = |word| there.hop_by_hop && lists(headers, &header::CONNECTION, word);
    let kept = if is_old { says("keep-alive") } else { !says("close") };
    // Two framings: whoever sent that may mean either, so nothing is read after it.
    let reusable = kept && !(coded && length.is_some());
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(match length {
        _ if bodiless || method == Method::HEAD => (Body::Ended, reusable),
        _ if coded => (Body::chunked(), reusable),
        Some(length) => (Body::of_length(length), reusable),
        None => (Body::UntilClose, false),
    })
}

/// One length, however often it is said.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Unreadable> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for item in value.as_bytes().split(|byte| *byte == b',') {
            let item = digits(item.trim_ascii()).ok_or(Unreadable)?;
            if length.is_some_and(|length| length != item) {
                return Err(Unreadable);
            }
            length = Some(item);
        }
    }
    Ok(length)
}

/// Digits alone: `parse` would take a sign.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// `chunked` and nothing else: we take no other coding off, and the client is not told of any.
fn is_chunked(headers: &HeaderMap) -> Result<bool, Unreadable> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(false) };
    let chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if chunked && codings.next().is_none() { Ok(true) } else { Err(Unreadable) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, method: &Method) -> Result<Option<Answer>, Unreadable> {
        read_answer(&mut BytesMut::from(text), method)
    }

    /// The body's framing in a word, and whether the connection is kept.
    fn framed(fields: &str, method: &Method, status: u16) -> Option<(String, bool)> {
        let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
        let answer = read(&text, method).ok()??;
        Some((format!("{:?}", answer.body), answer.reusable))
    }

    #[test]
    fn the_framing_is_that_of_rfc_9112() {
        let (get, head) = (&Method::GET, &Method::HEAD);
        for (fields, method, status, want) in [
            ("Content-Length: 3\r\n", get, 200, Some(("Length(3)", true))),
            ("Content-Length: 0\r\n", get, 200, Some(("Ended", true))),
            ("Content-Length: 3\r\nContent-Length: 3\r\n", get, 200, Some(("Length(3)", true))),
            ("Content-Length: 3, 3\r\n", get, 200, Some(("Length(3)", true))),
            ("Content-Length: 3\r\nConnection: x, Close\r\n", get, 200, Some(("Length(3)", false))),
            ("Transfer-Encoding: Chunked\r\n", get, 200, Some(("Chunked(Size)", true))),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                get,
                200,
                Some(("Chunked(Size)", false)),
            ),
            ("", get, 200, Some(("UntilClose", false))),
            ("", get, 204, Some(("Ended", true))),
            ("Content-Length: 3\r\n", get, 304, Some(("Ended", true))),
            ("Content-Length: 3\r\n", head, 200, Some(("Ended", true))),
            ("Transfer-Encoding: chunked\r\n", head, 200, Some(("Ended", true))),
            ("Content-Length: 3\r\nContent-Length: 4\r\n", get, 200, None),
            ("Content-Length: +3\r\n", get, 200, None),
            ("Content-Length: \r\n", get, 200, None),
            ("Content-Length: 3,\r\n", get, 200, None),
            ("Content-Length: 18446744073709551616\r\n", get, 200, None),
            ("Content-Length : 3\r\n", get, 200, None),
            ("Transfer-Encoding: gzip, chunked\r\n", get, 200, None),
            ("Transfer-Encoding: identity\r\n", get, 200, None),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", get, 200, None),
            ("a: b\r\n folded\r\n", get, 200, None),
            ("", get, 101, None),
        ] {
            let want = want.map(|(body, kept): (&str, bool)| (body.to_owned(), kept));
            assert_eq!(framed(fields, method, status), want, "{fields:?} {status}");
        }
    }

    #[test]
    fn http_1_0_is_kept_only_when_it_says_so_and_has_no_coding() {
        for (fields, want) in [
            ("Content-Length: 1\r\n", Some(false)),
            ("Content-Length: 1\r\nConnection: keep-alive\r\n", Some(true)),
            ("Transfer-Encoding: chunked\r\n", None),
        ] {
            let answer = read(&format!("HTTP/1.0 200 OK\r\n{fields}\r\n"), &Method::GET);
            assert_eq!(answer.ok().flatten().map(|answer| answer.reusable), want, "{fields}");
        }
    }

    #[test]
    fn a_head_is_taken_out_with_its_own_words_and_the_rest_stays() {
        let text = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 Fine\r\nX-A: 1\r\nX-A: \u{e9}\r\nContent-Length: 2\r\n\r\nok";
        let bytes: Vec<u8> = text.chars().map(|letter| letter as u32 as u8).collect();
        let mut read = BytesMut::from(&bytes[..]);
        let answer = read_answer(&mut read, &Method::GET).unwrap().unwrap();
        let values: Vec<&[u8]> =
            answer.head.headers.get_all("x-a").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(values, [b"1".as_slice(), b"\xe9"]);
        assert!(!answer.head.headers.contains_key("link"));
        let reason = answer.head.extensions.get::<ReasonPhrase>().unwrap();
        assert_eq!(reason.as_bytes(), b"Fine");
        assert_eq!(&read[..], b"ok");
        let usual = self::read("HTTP/1.1 200 OK\r\n\r\n", &Method::GET).unwrap().unwrap();
        assert!(usual.head.extensions.get::<ReasonPhrase>().is_none());
    }

    #[test]
    fn a_head_has_an_end() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(LONGEST_HEAD));
        assert!(read(&long, &Method::GET).is_err());
        assert!(read(&format!("{long}\r\n\r\n"), &Method::GET).is_err());
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(FIELDS + 1));
        assert!(read(&many, &Method::GET).is_err());
    }

    proptest! {
        #[test]
        fn a_head_reads_alike_however_it_comes(
            fields in proptest::collection::vec(("[a-z-]{1,9}", "[!-~]{0,12}"), 0..6),
            cut in 0_usize..200,
        ) {
            let mut text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n".to_owned();
            for (name, value) in &fields {
                text.push_str(&format!("x-{name}: {value}\r\n"));
            }
            text.push_str("\r\nz");
            let whole = read(&text, &Method::GET).unwrap().unwrap();
            let mut read = BytesMut::from(&text[..cut.min(text.len() - 2)]);
            prop_assert!(matches!(read_answer(&mut read, &Method::GET), Ok(None)));
            read.extend_from_slice(&text.as_bytes()[read.len()..]);
            let parts = read_answer(&mut read, &Method::GET).unwrap().unwrap();
            prop_assert_eq!(parts.head.headers, whole.head.headers);
            prop_assert_eq!(&read[..], b"z");
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut text = BytesMut::from(&b"HTTP/1.1 200 OK\r\n"[..]);
            text.extend_from_slice(&bytes);
            let before = text.len();
            drop(read_answer(&mut text, &Method::GET));
            prop_assert!(text.len() <= before);
        }
    }
}
