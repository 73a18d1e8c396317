//! A gateway, as a program of its own, started on a broker that holds many live entries.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;

use super::broker::{Broker, Kind};
use super::node::{CREDENTIAL, told};
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

/// Puts so many live entries there, unless they are.
pub(crate) fn fill(broker: &Broker, entries: usize) {
    if broker.is_filled(entries) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let begun = Instant::now();
    runtime.block_on(fill::fill(broker, entries));
    broker.note_filled(entries);
    say(&format!("  put there in {:.1?}", begun.elapsed()));
}

/// Prints how long a start takes, and its memory: from nothing, and (where the node keeps a copy of
/// its own) a second time.
pub(crate) fn measure(kind: Kind, entries: usize) {
    let broker = Broker::start(kind);
    say(&format!("{}: {entries} live entries", kind.word()));
    fill(&broker, entries);
    say(&format!("  the broker's process holds {} MB", broker.memory()));
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
        while is_behind(control) {
            assert!(begun.elapsed() < LIMIT, "its copy is not written");
            std::thread::park_timeout(LOOK);
        }
        let (took, peak) = (begun.elapsed(), memory(process, "VmHWM"));
        let file = fs::metadata(folder.path().join("revocations.copy.redb"));
        let megabytes = file.map_or(0, |file| file.len() / 1_000_000);
        say(&format!(
            "  its copy is written after {took:.2?}, {megabytes} MB, with {peak} MB of memory at most"
        ));
    }
}

fn is_ready(control: SocketAddr) -> bool {
    ask(control, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Whether the node still writes what it has loaded.
fn is_behind(control: SocketAddr) -> bool {
    let answer = ask(control, "/v1/status").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.contains("\"behind\":true")
}

fn ask(control: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(control)?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {control}\r\nAuthorization: Bearer {CREDENTIAL}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
