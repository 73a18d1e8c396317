//! The whole gateway, in this process: its listener, control port and store, on free ports.

use std::fs;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use portcullis::app::{App, AppError};
use portcullis::clock::{Clock, SystemClock};
use portcullis::config::Config;
use portcullis::shutdown::Shutdown;
use portcullis::token::mint::SigningKey;
use serde_json::Map;
use tempfile::TempDir;

use super::{claims_at, configuration, new_key};

/// A gateway that serves; it ends when this is dropped.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    key: SigningKey,
    thread: Option<(Shutdown, JoinHandle<Result<(), AppError>>)>,
    _folder: TempDir,
}

// === impl Serving ===

impl Serving {
    /// Starts it before this upstream, with one worker, and waits until it has read its store.
    pub(crate) fn start(algorithm: Algorithm, upstream: SocketAddr) -> Self {
        let key = new_key(algorithm);
        let folder = tempfile::tempdir().expect("a folder");
        let text = configuration(&key, folder.path(), 1)
            .replace("127.0.0.1:9\"", &format!("{upstream}\""))
            .replace("[log]", "workers = 1\n[control]\naddress = \"127.0.0.1:0\"\n[log]");
        let path = folder.path().join("gateway.toml");
        fs::write(&path, &text).expect("written");
        let config = Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        let app = App::bind(config, Some(path)).unwrap_or_else(|error| panic!("{error}"));
        let (address, house) = (app.data_address(), app.house());
        let (shutdown, drain) = Shutdown::new();
        let thread = Some((shutdown, std::thread::spawn(move || app.run(drain))));
        let started = Instant::now();
        while portcullis::control::Gatehouse::readiness(&*house).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "not ready");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Self { address, key, thread, _folder: folder }
    }

    /// A token that is good now.
    pub(crate) fn token(&self, number: u64) -> String {
        self.key.sign(&Map::new(), &claims_at(SystemClock.now(), number))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some((shutdown, thread)) = self.thread.take() {
            shutdown.begin();
            drop(thread.join());
        }
    }
}
