//! A gateway, as a program of its own, started on a broker that holds many live entries.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;

use super::broker::{Broker, Kind};
use super::node::told;
use super::support::new_key;
use super::{bare, fill, memory, say};

/// The program, killed at the end.
struct Program(Child);

/// How often it is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(600);

// === impl Program ===

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Prints how long a start takes, and its memory: from nothing, and (where the node keeps a copy of
/// its own) a second time.
pub(crate) fn measure(kind: Kind, entries: usize) {
    let broker = Broker::start(kind);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    say(&format!("{}: {entries} live entries", kind.word()));
    let begun = Instant::now();
    runtime.block_on(fill::fill(&broker, entries));
    let (took, held) = (begun.elapsed(), broker.memory());
    say(&format!("  put there in {took:.1?}; the broker's process holds {held} MB"));
    bare::measure(&broker);
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let control: SocketAddr = free.expect("a free port");
    let nowhere = ([127, 0, 0, 1], 9).into();
    let text = told(&new_key(Algorithm::HS256), folder.path(), nowhere, control, &broker);
    let path = folder.path().join("gateway.toml");
    fs::write(&path, text).expect("written");
    for which in ["first start", "next start"] {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("run").arg("--config").arg(&path).current_dir(folder.path());
        let program = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut program = Program(program.expect("the program"));
        while !is_ready(control) {
            assert!(begun.elapsed() < LIMIT, "not ready");
            assert!(matches!(program.0.try_wait(), Ok(None)), "it has ended");
            std::thread::park_timeout(LOOK);
        }
        let (took, process) = (begun.elapsed(), program.0.id());
        let (peak, now) = (memory(process, "VmHWM"), memory(process, "VmRSS"));
        say(&format!(
            "  a gateway is ready after {took:.2?} ({which}), with {peak} MB at most, {now} MB then"
        ));
    }
}

fn is_ready(control: SocketAddr) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(control)?;
        let head = format!("GET /readyz HTTP/1.1\r\nHost: {control}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
}
