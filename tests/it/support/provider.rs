//! Somebody a callback asks: records every question and answers as it is told to, however badly.

use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::upstream::{Seen, TestUpstream, read};

/// How it answers.
#[derive(Clone, Debug)]
pub enum Manner {
    /// With these bytes.
    Says(Vec<u8>),
    /// Not at all, and keeps the connection.
    Silent,
    /// By closing the connection.
    Closes,
    /// By closing the connection the first time, then with these bytes.
    ClosesOnce(Vec<u8>),
    /// With a good head, and a body that never ends.
    Endless,
    /// With these bytes, one at a time, slower than anybody waits.
    Drips(Vec<u8>),
    /// With these bytes, as soon as it is told otherwise.
    Held(Vec<u8>),
}

/// The service; its threads end with the test process.
#[derive(Clone, Debug)]
pub struct TestProvider {
    pub address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    asked: Vec<Seen>,
}

// === impl TestProvider ===

impl TestProvider {
    pub fn start(manner: Manner) -> Self {
        let state = Arc::new((Mutex::new(State { manner, asked: Vec::new() }), Condvar::new()));
        let own = Arc::clone(&state);
        let address = TestUpstream::start_with(move |stream| serve(stream, &own)).address;
        Self { address, state }
    }

    /// One that answers with this JSON.
    pub fn saying(answer: &Value) -> Self {
        Self::start(Manner::json(answer))
    }

    pub fn url(&self) -> String {
        format!("http://{}/ask", self.address)
    }

    /// Answers in this manner from now on.
    pub fn now(&self, manner: Manner) {
        self.state.0.lock().expect("not poisoned").manner = manner;
        self.state.1.notify_all();
    }

    /// Every question so far.
    pub fn asked(&self) -> Vec<Seen> {
        self.state.0.lock().expect("not poisoned").asked.clone()
    }

    pub fn count(&self) -> usize {
        self.asked().len()
    }

    /// Another door to it, over TLS as `localhost`, and the authority that its certificate comes from.
    pub fn behind_tls(&self) -> (SocketAddr, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a key");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate");
        let config = Arc::new(config);
        let own = Arc::clone(&self.state);
        let upstream = TestUpstream::start_with(move |stream| {
            let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
            serve(StreamOwned::new(session, stream), &own);
        });
        (upstream.address, made.cert.pem())
    }
}

// === impl Manner ===

impl Manner {
    /// 200 with this JSON.
    pub fn json(answer: &Value) -> Self {
        Self::Says(response("200 OK", "application/json", answer.to_string().as_bytes()))
    }

    /// 200 with this text, said to be JSON.
    pub fn text(answer: &str) -> Self {
        Self::Says(response("200 OK", "application/json", answer.as_bytes()))
    }

    /// `None` when the connection is over.
    fn answer(self, writer: &mut impl Write) -> Option<()> {
        match self {
            Self::Says(bytes) | Self::Held(bytes) => {
                writer.write_all(&bytes).ok()?;
                writer.flush().ok()
            }
            Self::Silent => Some(()),
            Self::Closes | Self::ClosesOnce(_) => None,
            Self::Endless => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                writer.write_all(head.as_bytes()).ok()?;
                let chunk = [b"1000\r\n".as_slice(), &[b' '; 0x1000], b"\r\n"].concat();
                while writer.write_all(&chunk).is_ok() {}
                None
            }
            Self::Drips(bytes) => {
                for byte in bytes {
                    writer.write_all(&[byte]).ok()?;
                    std::thread::park_timeout(Duration::from_millis(50));
                }
                Some(())
            }
        }
    }
}

fn serve(stream: impl Read + Write, (state, changed): &(Mutex<State>, Condvar)) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read(&mut reader) {
        let mut state = state.lock().expect("not poisoned");
        state.asked.push(seen);
        let manner = state.manner.clone();
        if matches!(manner, Manner::Held(_)) {
            let held = |state: &mut State| matches!(state.manner, Manner::Held(_));
            state = changed.wait_while(state, held).expect("not poisoned");
        }
        if let Manner::ClosesOnce(then) = &manner {
            state.manner = Manner::Says(then.clone());
        }
        drop(state);
        if manner.answer(reader.get_mut()).is_none() {
            return;
        }
    }
}

/// A whole answer.
pub fn response(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
