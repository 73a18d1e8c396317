//! An address that stays while what answers there changes, as a virtual address does at a failover.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The address. Connections end when it is switched.
#[derive(Debug)]
pub struct Switch {
    pub address: SocketAddr,
    led: Arc<Mutex<Led>>,
}

#[derive(Debug, Default)]
struct Led {
    /// A port of this machine; `None`: nobody answers.
    to: Option<u16>,
    open: Vec<[TcpStream; 2]>,
}

// === impl Switch ===

impl Switch {
    /// One that leads to this port.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let led = Arc::new(Mutex::new(Led { to: Some(port), open: Vec::new() }));
        let shared = Arc::clone(&led);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Refused by hanging up, when nobody answers there.
                drop(join(stream, &shared));
            }
        });
        Self { address, led }
    }

    /// From now on it leads there, or nowhere; what is open ends.
    pub fn lead(&self, to: Option<u16>) {
        let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        led.to = to;
        for stream in led.open.drain(..).flatten() {
            // One that has ended already is as shut.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.lead(None);
    }
}

fn join(here: TcpStream, led: &Mutex<Led>) -> io::Result<()> {
    let mut led = led.lock().unwrap_or_else(PoisonError::into_inner);
    let port = led.to.ok_or(io::ErrorKind::ConnectionRefused)?;
    let there = TcpStream::connect(("127.0.0.1", port))?;
    for stream in [&here, &there] {
        stream.set_nodelay(true)?;
    }
    led.open.push([here.try_clone()?, there.try_clone()?]);
    let ways = [(here.try_clone()?, there.try_clone()?), (there, here)];
    for (mut from, mut to) in ways {
        thread::spawn(move || {
            drop(io::copy(&mut from, &mut to));
            for stream in [from, to] {
                drop(stream.shutdown(Shutdown::Both));
            }
        });
    }
    Ok(())
}
