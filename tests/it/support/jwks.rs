//! A server of key sets that says what it is told to say, and counts how often it was asked.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use super::upstream::{TestUpstream, read};

/// The server; its threads end with the test process.
#[derive(Clone, Debug)]
pub struct JwksServer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The whole answer; nothing: the connection is closed unanswered.
    answer: Vec<u8>,
    asked: Vec<String>,
}

// === impl JwksServer ===

impl JwksServer {
    /// Serves this key set.
    pub fn start(jwks: &str) -> Self {
        let state = State { answer: document(jwks.as_bytes()), asked: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let own = Arc::clone(&state);
        let address = TestUpstream::start_with(move |stream| serve(stream, &own)).address;
        Self { address, state }
    }

    /// Where the set is.
    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// Serves another key set from now on.
    pub fn publish(&self, jwks: &str) {
        self.say(document(jwks.as_bytes()));
    }

    /// Answers with these bytes from now on; none: closes.
    pub fn say(&self, answer: Vec<u8>) {
        self.state.lock().expect("not poisoned").answer = answer;
    }

    /// The request lines so far.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().expect("not poisoned").asked.clone()
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.asked().len()
    }
}

/// A whole answer with this body.
pub fn document(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read(&mut reader) else { return };
    let answer = {
        let mut state = state.lock().expect("not poisoned");
        state.asked.push(request.line);
        state.answer.clone()
    };
    drop(reader.get_mut().write_all(&answer));
}
