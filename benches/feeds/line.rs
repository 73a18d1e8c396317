//! One kept HTTP/1.1 connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection, and what was read of it too early.
pub(crate) struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

// === impl Line ===

impl Line {
    pub(crate) async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, read: Vec::with_capacity(4096) }
    }

    /// Sends a request, reads its answer to the end, and gives its status.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.expect("sent");
        self.read.clear();
        let head = loop {
            let count = self.stream.read_buf(&mut self.read).await.expect("an answer");
            assert!(count > 0, "the connection was closed");
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = String::from_utf8_lossy(&self.read[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |text| text.trim().parse().expect("a number"));
        while self.read.len() < head + length {
            let count = self.stream.read_buf(&mut self.read).await.expect("a body");
            assert!(count > 0, "the connection was closed");
        }
        text[9..12].parse().expect("a status")
    }
}

/// A request for what is protected, with a token.
pub(crate) fn get(token: &str) -> Vec<u8> {
    let head = "GET /orders/1 HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer ";
    format!("{head}{token}\r\n\r\n").into_bytes()
}

/// The control call that takes a token's identifier back.
pub(crate) fn revoke(at: SocketAddr, credential: &str, token_id: &str) -> Vec<u8> {
    let body = format!("{{\"claim\":\"jti\",\"value\":\"{token_id}\"}}");
    format!(
        "POST /v1/revocations HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {credential}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
