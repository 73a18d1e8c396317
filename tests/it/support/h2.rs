//! HTTP/2 by hand: frames and field blocks as they are given, right or wrong.

use std::net::SocketAddr;
use std::time::Duration;

use super::raw::Raw;

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status and body.
    Answered(u16, String),
    /// `RST_STREAM`.
    Reset,
    /// `GOAWAY`, or the end of the connection.
    Ended,
}

/// A connection.
#[derive(Debug)]
pub struct Http2(Raw);

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

// === impl Http2 ===

impl Http2 {
    pub fn connect(to: SocketAddr) -> Self {
        let mut raw = Raw::connect(to).patience(Duration::from_secs(5));
        raw.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send(frame(SETTINGS, 0, 0, b""));
        Self(raw)
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: Vec<u8>) -> &mut Self {
        self.0.send(frame);
        self
    }

    /// Sends a request without a body on a stream.
    pub fn ask(&mut self, stream: u32, fields: &[(&str, &str)]) -> &mut Self {
        self.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields)))
    }

    /// Reads until that stream has ended.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut body) = (None, Vec::new());
        loop {
            let Some((kind, flags, id, payload)) = self.frame() else { return Outcome::Ended };
            match kind {
                GOAWAY if payload.get(4..8) != Some(&[0; 4]) => return Outcome::Ended,
                SETTINGS if flags & 1 == 0 => drop(self.send(frame(SETTINGS, 1, 0, b""))),
                RST_STREAM if id == stream && status.is_none() => return Outcome::Reset,
                HEADERS if id == stream => status = Some(status_of(&payload)),
                DATA if id == stream => body.extend(payload),
                _ => {}
            }
            if let (Some(status), true) =
                (status, id == stream && flags & END_STREAM > 0 && kind < 2)
            {
                return Outcome::Answered(status, String::from_utf8_lossy(&body).into_owned());
            }
        }
    }

    fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.fill(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.fill(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, payload))
    }
}

// === free functions ===

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field block of literals that are not indexed (RFC 7541 §6.2.2), without Huffman.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            number(text.len(), &mut bytes);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn number(value: usize, bytes: &mut Vec<u8>) {
    let Some(mut rest) = value.checked_sub(127) else { return bytes.push(value as u8) };
    bytes.push(127);
    while rest >= 128 {
        bytes.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

/// The `:status` a block begins with: from the static table, or its name from there and a literal.
fn status_of(block: &[u8]) -> u16 {
    let block = if block[0] & 0xe0 == 0x20 { &block[1..] } else { block };
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        _ if block[1] & 0x80 > 0 => huffman_digits(&block[2..]),
        _ => std::str::from_utf8(&block[2..5]).ok().and_then(|it| it.parse().ok()).unwrap_or(0),
    }
}

/// Three digits in the Huffman code of RFC 7541, appendix B.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits = bytes.iter().take(4).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let mut left = bits << (8 * (4 - bytes.len().min(4)));
    let mut number = 0;
    for _ in 0..3 {
        let (digit, length) = match left >> 27 {
            digit @ 0..3 => (digit, 5),
            _ => ((left >> 26) - 0b01_1001 + 3, 6),
        };
        number = number * 10 + digit as u16;
        left <<= length;
    }
    number
}
