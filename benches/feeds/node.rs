//! Gateways on one broker, in this process, before an upstream that answers at once.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis::app::{App, AppError};
use portcullis::config::Config;
use portcullis::control::Gatehouse;
use portcullis::shutdown::Shutdown;
use portcullis::token::mint::SigningKey;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::broker::Broker;
use super::support::configuration;

/// A gateway that serves; it ends with the value.
pub(crate) struct Node {
    pub(crate) data: SocketAddr,
    pub(crate) control: SocketAddr,
    thread: Option<(Shutdown, JoinHandle<Result<(), AppError>>)>,
    _folder: TempDir,
}

/// Who may revoke.
pub(crate) const CREDENTIAL: &str = "a-control-credential-of-more-than-32-bytes";

// === impl Node ===

impl Node {
    /// Starts it, and waits until it is ready.
    pub(crate) fn start(key: &SigningKey, upstream: SocketAddr, broker: &Broker) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let control: SocketAddr = ([127, 0, 0, 1], 0).into();
        let text = told(key, folder.path(), upstream, control, broker);
        let path = folder.path().join("gateway.toml");
        fs::write(&path, &text).expect("written");
        let config = Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        let app = App::bind(config, Some(path)).unwrap_or_else(|error| panic!("{error}"));
        let (data, house) = (app.data_address(), app.house());
        let control = app.control_address().expect("TCP");
        let (shutdown, drain) = Shutdown::new();
        let thread = Some((shutdown, std::thread::spawn(move || app.run(drain))));
        let started = Instant::now();
        while house.readiness().is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "not ready");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Self { data, control, thread, _folder: folder }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some((shutdown, thread)) = self.thread.take() {
            shutdown.begin();
            drop(thread.join());
        }
    }
}

/// A gateway's configuration; writes what it names into the folder.
pub(crate) fn told(
    key: &SigningKey,
    folder: &Path,
    upstream: SocketAddr,
    control: SocketAddr,
    broker: &Broker,
) -> String {
    fs::write(folder.join("control.secret"), CREDENTIAL).expect("written");
    let head = format!(
        "workers = 1\n[control]\naddress = \"{control}\"\n\
         credentials = [{{ name = \"bench\", secret = {{ file = \"control.secret\" }}, role = \"admin\" }}]\n[log]"
    );
    configuration(key, folder, 1)
        .replace("127.0.0.1:9\"", &format!("{upstream}\""))
        .replace("[log]", &head)
        .replace("[revocation]\n", &format!("[revocation]\n{}\n", broker.table()))
}

/// Answers every request with a few bytes.
pub(crate) async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream) {
    let mut read = Vec::new();
    // A gateway that goes away ends it.
    while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
        if read.ends_with(b"\r\n\r\n") {
            read.clear();
            let sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            if sent.is_err() {
                return;
            }
        }
    }
}
