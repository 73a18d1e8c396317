//! An upstream that holds its answers back until it is told to go on.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use super::eventually::eventually;

/// The upstream; its threads end with the test process.
#[derive(Clone, Debug)]
pub struct HeldUpstream {
    pub address: SocketAddr,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    arrived: usize,
    released: bool,
}

// === impl HeldUpstream ===

impl HeldUpstream {
    /// Sends `first` when a request has come, and `rest` when it is released.
    pub fn start(first: &'static str, rest: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let gate = Arc::new(Gate::default());
        let upstream = Self { address, gate: Arc::clone(&gate) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let gate = Arc::clone(&gate);
                std::thread::spawn(move || serve(stream, first, rest, &gate));
            }
        });
        upstream
    }

    /// A table for the configuration, and a public route to it.
    pub fn route(&self) -> String {
        format!(
            "\n[upstreams.held]\nendpoints = [\"http://{}\"]\n\n[[routes]]\nname = \"held\"\n\
             path = \"/held\"\nupstream = \"held\"\nauth = \"none\"\n",
            self.address
        )
    }

    /// Waits until so many requests have come.
    #[track_caller]
    pub fn wait_for(&self, requests: usize) {
        eventually("requests at the upstream", || {
            let state = self.gate.state.lock().expect("not poisoned");
            (state.arrived >= requests).then_some(())
        });
    }

    /// Lets every answer go on, now and later.
    pub fn release(&self) {
        self.gate.state.lock().expect("not poisoned").released = true;
        self.gate.changed.notify_all();
    }
}

fn serve(stream: TcpStream, first: &str, rest: &str, gate: &Gate) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if !reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                return;
            }
        }
        if reader.get_mut().write_all(first.as_bytes()).is_err() {
            return;
        }
        let mut state = gate.state.lock().expect("not poisoned");
        state.arrived += 1;
        while !state.released {
            state = gate.changed.wait(state).expect("not poisoned");
        }
        drop(state);
        if reader.get_mut().write_all(rest.as_bytes()).is_err() {
            return;
        }
    }
}
