//! A server of key sets that says what it is told to say, and counts how often it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

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
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = State { answer: document(jwks.as_bytes()), asked: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let server = Self { address, state: Arc::clone(&state) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &state);
            }
        });
        server
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
    let mut first = String::new();
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if first.is_empty() {
            line.trim_end().clone_into(&mut first);
        }
        line.clear();
    }
    let answer = {
        let mut state = state.lock().expect("not poisoned");
        state.asked.push(first);
        state.answer.clone()
    };
    drop(reader.get_mut().write_all(&answer));
}
