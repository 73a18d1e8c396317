//! An upstream that holds its answers back until it is told to go on.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use super::eventually::eventually;
use super::upstream::{TestUpstream, read};

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
        let gate = Arc::new(Gate::default());
        let own = Arc::clone(&gate);
        let serve = move |stream| serve(stream, first, rest, &own);
        Self { address: TestUpstream::start_with(serve).address, gate }
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
    while read(&mut reader).is_some() {
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
