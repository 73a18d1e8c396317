//! A real nats-server with JetStream.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use portcullis::revocation::{NatsConfig, StoreUrl};
use tempfile::TempDir;

use super::Server;
use crate::support::eventually::eventually;

/// A running server; gone with the value.
pub struct NatsServer {
    server: Server,
    folder: TempDir,
    arguments: Vec<String>,
    /// The same after every restart.
    pub port: u16,
}

impl NatsServer {
    /// Starts one on a free port, with an empty store.
    pub fn start() -> Self {
        Self::start_with(&["-js"])
    }

    /// Starts one with further arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let server = run(folder.path(), &arguments, "-1");
        let port = eventually("the server says its port", || port(folder.path(), "nats"));
        Self { server, folder, arguments, port }.answering()
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it tells of itself, when it was started with `-m -1`.
    pub fn monitor(&self) -> String {
        let port = port(self.folder.path(), "monitoring").expect("it was started with -m");
        format!("127.0.0.1:{port}")
    }

    /// Without user and TLS.
    pub fn config(&self) -> NatsConfig {
        NatsConfig {
            url: StoreUrl::new(&self.url()),
            stream: "REVOCATIONS".to_owned(),
            replicas: 1,
            username: None,
            password: None,
            credentials: None,
            tls: None,
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again, on the same port and store.
    pub fn start_again(&mut self) {
        self.server = run(self.folder.path(), &self.arguments, &self.port.to_string());
        self.wait();
    }

    /// Forgets everything that the server, which must not be running, has stored.
    pub fn empty(&self) {
        fs::remove_dir_all(store(self.folder.path())).expect("emptied");
    }

    /// A copy of what the server, which must not be running, has stored.
    pub fn backup(&self) -> TempDir {
        let backup = tempfile::tempdir().expect("a folder");
        copy(&store(self.folder.path()), &store(backup.path()));
        backup
    }

    /// Goes back to a copy; the server must not be running.
    pub fn restore(&self, backup: &TempDir) {
        self.empty();
        copy(&store(backup.path()), &store(self.folder.path()));
    }

    /// The process hangs, its connections stay.
    pub fn pause(&self) {
        self.server.signal("STOP");
    }

    /// It goes on.
    pub fn go_on(&self) {
        self.server.signal("CONT");
    }

    fn answering(self) -> Self {
        self.wait();
        self
    }

    fn wait(&self) {
        eventually("the server answers", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }
}

fn store(folder: &Path) -> std::path::PathBuf {
    folder.join("store")
}

fn run(folder: &Path, arguments: &[String], port: &str) -> Server {
    let mut command = Command::new("nats-server");
    command.args(["-a", "127.0.0.1", "-p", port, "-sd"]).arg(store(folder));
    command.arg("--ports_file_dir").arg(folder).args(arguments);
    Server::start(&mut command, "nats-server")
}

/// `{"nats":["nats://127.0.0.1:41234"]}`
fn port(folder: &Path, of: &str) -> Option<u16> {
    let files = fs::read_dir(folder).ok()?.flatten();
    let file = files
        .map(|file| file.path())
        .find(|file| file.extension().is_some_and(|e| e == "ports"))?;
    let ports: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    ports[of][0].as_str()?.rsplit(':').next()?.parse().ok()
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("cp runs").success());
}
