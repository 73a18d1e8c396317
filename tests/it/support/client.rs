//! A plain HTTP/1.1 client that says exactly what it is told and reads exactly what comes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A request in the making.
#[derive(Clone, Debug)]
pub struct Ask {
    to: SocketAddr,
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub fn ask(to: SocketAddr, method: &str, target: &str) -> Ask {
    Ask { to, method: method.into(), target: target.into(), fields: Vec::new(), body: Vec::new() }
}

pub fn get(to: SocketAddr, target: &str) -> Ask {
    ask(to, "GET", target)
}

// === impl Ask ===

impl Ask {
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.field("Authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.field("Content-Type", "application/json").body(body.to_string().as_bytes())
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// The request's bytes. A `Host` given as a field replaces the usual one.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.to);
        }
        for (name, value) in &self.fields {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || self.method == "POST" {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        let mut bytes = (head + "Connection: close\r\n\r\n").into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    /// Sends it on a connection of its own and reads the answer.
    #[track_caller]
    pub fn send(&self) -> Answer {
        self.try_send().unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.target))
    }

    pub fn try_send(&self) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(self.to)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        // A server that refuses early may close before the last byte is written.
        drop(stream.write_all(&self.bytes()));
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        match Answer::parse(&bytes) {
            Some(answer) => Ok(answer),
            None => Err(read.err().unwrap_or_else(|| std::io::Error::other("no whole answer"))),
        }
    }
}

// === impl Answer ===

impl Answer {
    /// Reads an answer that the end of the connection ends; interim answers are passed over.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        if (100..200).contains(&status) && status != 101 {
            return Self::parse(&bytes[end + 4..]);
        }
        let fields: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, fields, body: bytes[end + 4..].to_vec() };
        if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = dechunk(&answer.body)?;
        }
        Some(answer)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(named, _)| named == name).map(|(_, value)| &**value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} {:?}: {error}", self.status, self.text()))
    }

    /// Asserts that the upstream answered.
    #[track_caller]
    pub fn expect_forwarded(&self) -> &Self {
        assert_eq!(self.status, 200, "{:?} {}", self.fields, self.text());
        self
    }

    /// Asserts a refusal of ours: status, problem body, challenge where it belongs, and no field but
    /// those that a refusal may have.
    #[track_caller]
    pub fn expect_rejected(&self, status: u16, code: &str) -> &Self {
        let text = self.text();
        assert_eq!(self.status, status, "{:?} {text}", self.fields);
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{text}");
        assert_eq!(self.field("cache-control"), Some("no-store"));
        let problem = self.json();
        assert_eq!(problem["code"], code, "{text}");
        assert_eq!(problem["status"], status, "{text}");
        assert!(problem["instance"].as_str().is_some_and(|id| id.starts_with("urn:")), "{text}");
        for (name, _) in &self.fields {
            assert!(ALLOWED.contains(&&**name), "a refusal has the field {name}");
        }
        let challenge = self.field("www-authenticate");
        let challenged =
            matches!(status, 401) || matches!(code, "insufficient-scope" | "bad-credentials");
        assert_eq!(challenge.is_some(), challenged, "{challenge:?}");
        self
    }
}

/// Fields that a refusal may have.
const ALLOWED: [&str; 9] = [
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "www-authenticate",
    "transfer-encoding",
];

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
