//! A control port on a real socket, and a client that sends exactly what it is given.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::config::{ControlAddress, ControlConfig, CredentialConfig, Role};
use crate::control::{BoundAddress, BoundControl, Control};
use crate::secret::Secret;
use crate::shutdown::Shutdown;

use super::fake::Fake;

pub(super) const ADMIN: &str = "admin-credential-0123456789abcdef";
pub(super) const REVOKE: &str = "revoke-credential-0123456789abcdef";
pub(super) const READ: &str = "read-credential-0123456789abcdef";

/// A running port; it is drained when this goes.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    pub(super) house: Arc<Fake>,
    shutdown: Shutdown,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

pub(super) fn config(address: ControlAddress) -> ControlConfig {
    let all =
        [("ops", ADMIN, Role::Admin), ("app", REVOKE, Role::Revoke), ("look", READ, Role::Read)];
    let credentials = all.map(|(name, secret, role)| CredentialConfig {
        name: name.into(),
        secret: Secret::new(secret.as_bytes().to_vec()),
        role,
    });
    let credential_file = "never-made".into();
    ControlConfig { address, credentials: credentials.into(), credential_file }
}

pub(super) fn start(house: Arc<Fake>, config: &ControlConfig) -> Port {
    serve(house, Control::bind(config).unwrap())
}

pub(super) fn serve(house: Arc<Fake>, bound: BoundControl) -> Port {
    let address = match bound.local_addr().unwrap() {
        BoundAddress::Tcp(address) => address,
        BoundAddress::Unix(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
    };
    let (shutdown, drain) = Shutdown::new();
    let thread = Some(bound.spawn(Arc::clone(&house), drain).unwrap());
    Port { address, house, shutdown, thread }
}

pub(super) fn port() -> Port {
    start(Fake::new(), &config(ControlAddress::Tcp(([127, 0, 0, 1], 0).into())))
}

impl Port {
    /// Sends the bytes; `{host}` stands for the port's own address.
    pub(super) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The port may answer and close before it has read all; then the answer counts.
        drop(stream.write_all(request));
        read_answer(stream)
    }

    pub(super) fn text(&self, request: &str) -> Answer {
        self.raw(request.replace("{host}", &self.address.to_string()).as_bytes())
    }

    pub(super) fn call(&self, method: &str, target: &str, credential: &str, body: &str) -> Answer {
        let media =
            if target.contains("/import") { "application/x-ndjson" } else { "application/json" };
        let length = body.len();
        self.text(&format!(
            "{method} {target} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\
             Authorization: Bearer {credential}\r\nContent-Type: {media}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    pub(super) fn get(&self, target: &str) -> Answer {
        self.call("GET", target, READ, "")
    }

    pub(super) fn post(&self, target: &str, body: &str) -> Answer {
        self.call("POST", target, REVOKE, body)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.shutdown.begin();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The problem's code, after its shape was checked.
    #[track_caller]
    pub(super) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["type"], "about:blank");
        assert_eq!(body["status"], self.status);
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        assert!(!self.head.to_ascii_lowercase().contains("access-control-"), "{}", self.head);
        body["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(super) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.problem().as_str()), (status, code), "{self:?}");
    }

    /// A 400 that names the member.
    #[track_caller]
    pub(super) fn names_field(&self, field: &str) {
        self.is_problem(400, "invalid_field");
        assert_eq!(self.json()["field"], field);
    }
}

pub(super) fn over_unix(path: &Path, request: &str) -> Answer {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(stream)
}

fn read_answer(mut stream: impl Read) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer is the end of it.
    drop(stream.read_to_end(&mut bytes));
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Answer {
            status: 0,
            head: String::from_utf8_lossy(&bytes).into(),
            body: Vec::new(),
        };
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = bytes[end + 4..].to_vec();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = dechunk(&body);
    }
    Answer { status, head, body }
}

fn dechunk(mut coded: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = coded.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&coded[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&coded[end + 2..end + 2 + size]);
        coded = &coded[end + 2 + size + 2..];
        if size == 0 {
            return body;
        }
    }
    body.extend_from_slice(b"<cut>");
    body
}
