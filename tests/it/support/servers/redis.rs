//! A real redis-server in a folder of its own, on a Unix socket or a free port.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portcullis::feed::redis::RedisStore;
use portcullis::revocation::{RedisConfig, StoreUrl};
use tempfile::TempDir;

use super::Server;
use crate::support::eventually::eventually;

/// What the server keeps on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Every write, synced.
    All,
    /// Nothing.
    Nothing,
}

/// The server and where it is.
#[derive(Debug)]
pub struct RedisServer {
    folder: TempDir,
    keeps: Keeps,
    more: Vec<String>,
    server: Server,
}

// === impl RedisServer ===

impl RedisServer {
    /// A new and empty one.
    pub fn start(keeps: Keeps) -> Self {
        Self::start_with(keeps, |_| Vec::new())
    }

    /// The same with more arguments, which may name files in its folder.
    pub fn start_with(keeps: Keeps, more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let more = more(folder.path());
        let server = run(folder.path(), keeps, &more);
        Self { folder, keeps, more, server }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// How a gateway is told of it.
    pub fn config(&self) -> RedisConfig {
        RedisConfig {
            url: StoreUrl::new(&self.url()),
            stream: "portcullis:revocations".to_owned(),
            replicas: 0,
            username: None,
            password: None,
            tls: None,
        }
    }

    /// A store on it.
    pub async fn store(&self) -> RedisStore {
        RedisStore::open(&self.config()).await.expect("a store")
    }

    /// Power cut: no chance to say anything.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts on what is left.
    pub fn restart(&mut self) {
        self.server.kill();
        self.server = run(self.folder.path(), self.keeps, &self.more);
    }

    /// Stands still, connections open.
    pub fn pause(&self) {
        self.server.signal("STOP");
    }

    /// Goes on.
    pub fn resume(&self) {
        self.server.signal("CONT");
    }

    /// What redis-cli answers.
    pub fn cli(&self, arguments: &[&str]) -> String {
        cli(&self.socket(), arguments)
    }
}

fn run(folder: &Path, keeps: Keeps, more: &[String]) -> Server {
    let socket = folder.join("s");
    // A socket file that a killed server left would look like a server.
    drop(std::fs::remove_file(&socket));
    let mut command = Command::new("redis-server");
    command.current_dir(folder).args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    let kept = if keeps == Keeps::All { "yes" } else { "no" };
    command.args(["--appendonly", kept, "--appendfsync", "always"]).args(more);
    let mut server = Server::start(&mut command, "redis-server");
    eventually("redis-server answers", || {
        assert!(server.runs(), "redis-server ended");
        (cli(&socket, &["ping"]).trim() == "PONG").then_some(())
    });
    server
}

fn cli(socket: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command.arg("-s").arg(socket).args(arguments).stderr(Stdio::null());
    let output = command.output().expect("redis-cli comes with redis-server");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
