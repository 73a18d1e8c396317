//! An answer that still streams ends within a second when its token is revoked or expires.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::eventually::eventually;
use crate::support::gateway::{ORDERS, TestGateway};
use crate::support::issuer::now;
use crate::support::upstream::TestUpstream;

/// What the upstream goes on sending.
#[derive(Clone, Copy)]
enum Stream {
    /// An event of server-sent events every 50 ms, chunked.
    Events,
    /// Nothing after the first event.
    Silence,
    /// A gigabyte of known length, as fast as it is taken.
    Download,
}

fn upstream(stream: Stream) -> TestUpstream {
    TestUpstream::start_with(move |socket| drop(answer(socket, stream)))
}

fn answer(mut socket: TcpStream, stream: Stream) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let head = match stream {
        Stream::Download => "Content-Length: 1000000000",
        Stream::Events | Stream::Silence => {
            "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        }
    };
    write!(socket, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n")?;
    match stream {
        Stream::Download => loop {
            socket.write_all(&[b'x'; 16 * 1024])?;
        },
        Stream::Events => loop {
            socket.write_all(b"9\r\ndata: 1\n\n\r\n")?;
            std::thread::park_timeout(Duration::from_millis(50));
        },
        Stream::Silence => {
            socket.write_all(b"9\r\ndata: 1\n\n\r\n")?;
            // Until the gateway closes.
            let _ = reader.read(&mut [0; 1])?;
            Ok(())
        }
    }
}

struct Curl {
    child: Child,
    first: [u8; 9],
}

impl Curl {
    /// Asks, and waits until the body has begun.
    fn start(data: SocketAddr, version: &str, token: &str) -> Self {
        let mut child = Command::new("curl")
            .args(["-sS", "-N", version, "-H", &format!("Authorization: Bearer {token}")])
            .arg(format!("http://{data}/orders/stream"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("curl runs");
        let mut first = [0; 9];
        child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("the body begins");
        Self { child, first }
    }

    /// Reads until the end; curl's exit code and how long it took.
    fn end(mut self) -> (Option<i32>, Duration, String) {
        let began = Instant::now();
        assert_ne!(self.first, [0; 9]);
        let mut body = self.child.stdout.take().expect("piped");
        std::io::copy(&mut body, &mut std::io::sink()).expect("read");
        let output = self.child.wait_with_output().expect("curl ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), began.elapsed(), said)
    }
}

/// The exit codes of a body that broke off: 18 short or unfinished, 56 reset, 92 an HTTP/2 stream's
/// error.
fn broke_off(version: &str, code: Option<i32>) -> bool {
    match version {
        "--http1.1" => matches!(code, Some(18 | 56)),
        _ => code == Some(92),
    }
}

fn reason_logged(gateway: &TestGateway, reason: &str) {
    let path = gateway.folder.path().join("access.log");
    eventually("the end is logged", || {
        let log = std::fs::read_to_string(&path).ok()?;
        log.contains(&format!(r#""outcome":"forwarded","reason":"{reason}""#)).then_some(())
    });
}

const VERSIONS: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

#[test]
fn what_streams_is_cut_off_within_a_second_of_the_revocation() {
    for stream in [Stream::Events, Stream::Silence, Stream::Download] {
        let folder = tempfile::tempdir().expect("a folder");
        let gateway = TestGateway::start_in(folder, upstream(stream), ORDERS);
        for version in VERSIONS {
            let token = gateway.issuer.good();
            let curl = Curl::start(gateway.data, version, &token);
            gateway.revoke(&json!({ "token": token }));
            let (code, took, said) = curl.end();
            assert!(broke_off(version, code), "{version}: {code:?} {said}");
            assert!(took < Duration::from_secs(1), "{version}: {took:?}");
        }
        reason_logged(&gateway, "revoked_midway");
    }
}

#[test]
fn what_streams_is_cut_off_within_a_second_of_the_expiry() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = TestGateway::start_in(folder, upstream(Stream::Silence), ORDERS);
    for version in VERSIONS {
        let expires = now() + 2;
        let token = gateway.issuer.token(json!({ "exp": expires }));
        let (code, took, said) = Curl::start(gateway.data, version, &token).end();
        assert!(broke_off(version, code), "{version}: {code:?} {said}");
        assert!((expires..=expires + 1).contains(&now()), "{version}: {took:?}");
    }
    reason_logged(&gateway, "expired_midway");
}

#[test]
fn another_tokens_stream_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = TestGateway::start_in(folder, upstream(Stream::Events), ORDERS);
    for version in VERSIONS {
        let mut kept = Curl::start(gateway.data, version, &gateway.issuer.good());
        let token = gateway.issuer.good();
        let cut = Curl::start(gateway.data, version, &token);
        gateway.revoke(&json!({ "token": token }));
        cut.end();
        // Two more seconds of events.
        let mut more = [0; 9 * 40];
        kept.child.stdout.as_mut().expect("piped").read_exact(&mut more).expect("it goes on");
        kept.child.kill().expect("killed");
        kept.child.wait().expect("ended");
    }
}
