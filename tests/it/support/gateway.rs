//! The real gateway, in this process, on free ports, in a folder of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use portcullis::app::{App, AppError, BoundApp};
use portcullis::config::Config;
use portcullis::shutdown::Shutdown;
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, Ask, ask, get};
use super::eventually::eventually;
use super::issuer::TestIssuer;
use super::upstream::TestUpstream;

/// The control credential of every test gateway.
pub const CREDENTIAL: &str = "a-control-credential-of-more-than-32-bytes";

/// A gateway that runs; stopped when it is dropped.
#[derive(Debug)]
pub struct Running {
    pub data: SocketAddr,
    pub control: SocketAddr,
    thread: Option<(Shutdown, JoinHandle<Result<(), AppError>>)>,
}

/// A gateway with the usual issuer and a recording upstream.
#[derive(Debug)]
pub struct TestGateway {
    pub running: Running,
    pub data: SocketAddr,
    pub upstream: TestUpstream,
    pub issuer: TestIssuer,
    pub folder: TempDir,
}

/// A route that takes alice's tokens; what most tests need.
pub const ORDERS: &str = r#"
[[routes]]
name = "orders"
path = "/orders/"
upstream = "orders"
auth = "required"
token_types = ["access"]
forward = { claims = { sub = "X-Auth-Subject" } }
"#;

/// A route that takes refresh tokens.
pub const RENEW: &str = r#"
[[routes]]
name = "renew"
path = "/renew"
upstream = "orders"
auth = "required"
token_types = ["refresh"]
"#;

/// A route that asks for no token.
pub const PUBLIC: &str = r#"
[[routes]]
name = "public"
path = "/public"
upstream = "orders"
auth = "none"
"#;

// === impl Running ===

impl Running {
    /// Writes the configuration into the folder, starts, and waits until it is ready.
    pub fn start(folder: &Path, text: &str) -> Self {
        Self::start_unready(folder, text).ready()
    }

    /// The same without waiting.
    pub fn start_unready(folder: &Path, text: &str) -> Self {
        let path = folder.join("gateway.toml");
        fs::write(&path, text).expect("written");
        let config = Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        Self::run(App::bind(config, Some(path)).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Runs a gateway of a program of its own.
    pub fn run(app: BoundApp) -> Self {
        let data = app.data_address();
        let control = app.control_address().expect("TCP");
        let (shutdown, drain) = Shutdown::new();
        let thread = std::thread::spawn(move || app.run(drain));
        Self { data, control, thread: Some((shutdown, thread)) }
    }

    /// Waits until it is ready.
    pub fn ready(self) -> Self {
        eventually("ready", || {
            (get(self.control, "/readyz").try_send().ok()?.status == 200).then_some(())
        });
        self
    }

    /// A request on the control port, with the credential.
    pub fn control(&self, method: &str, target: &str) -> Ask {
        ask(self.control, method, target).bearer(CREDENTIAL)
    }

    /// Revokes, and asserts that it was acknowledged.
    #[track_caller]
    pub fn revoke(&self, body: &Value) -> Answer {
        let answer = self.control("POST", "/v1/revocations").json(body).send();
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer
    }

    /// Whether it was not stopped.
    pub const fn runs(&self) -> bool {
        self.thread.is_some()
    }

    /// The value of the metric with exactly this name and these labels.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = get(self.control, "/metrics").send().text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map(|value| value.parse().expect("a number"))
    }

    /// Drains and stops.
    pub fn stop(&mut self) {
        if let Some((shutdown, thread)) = self.thread.take() {
            shutdown.begin();
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("no panic").expect("a clean end");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

// === impl TestGateway ===

impl TestGateway {
    /// Starts with these routes (and whatever other tables), and waits until it is ready.
    pub fn start(routes: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_in(folder, TestUpstream::start(), routes)
    }

    /// Starts in a folder that may hold an earlier one's store.
    pub fn start_in(folder: TempDir, upstream: TestUpstream, routes: &str) -> Self {
        let text = configuration(&upstream, routes);
        Self::start_as(folder, upstream, &text)
    }

    /// Starts with these texts of the usual configuration replaced by others.
    #[track_caller]
    pub fn start_edited(routes: &str, edits: &[(&str, &str)]) -> Self {
        Self::start_before(TestUpstream::start(), routes, edits)
    }

    /// The same before an upstream of the test's own.
    #[track_caller]
    pub fn start_before(upstream: TestUpstream, routes: &str, edits: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = edited(configuration(&upstream, routes), edits);
        Self::start_as(folder, upstream, &text)
    }

    fn start_as(folder: TempDir, upstream: TestUpstream, text: &str) -> Self {
        let issuer = TestIssuer::new();
        write(folder.path(), &[("jwks.json", &issuer.key.jwks())]);
        let running = Running::start(folder.path(), text);
        Self { data: running.data, running, upstream, issuer, folder }
    }

    /// Where its configuration is.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    /// Writes other routes into its configuration.
    pub fn rewrite(&self, routes: &str) {
        fs::write(self.config_path(), configuration(&self.upstream, routes)).expect("written");
    }

    /// Writes the usual configuration with these texts replaced.
    #[track_caller]
    pub fn rewrite_edited(&self, routes: &str, edits: &[(&str, &str)]) {
        let text = edited(configuration(&self.upstream, routes), edits);
        fs::write(self.config_path(), text).expect("written");
    }

    /// Asks for a reload.
    pub fn reload(&self) -> Answer {
        self.control("POST", "/v1/reload").send()
    }

    /// The access log's lines, as soon as there are so many; each must be one JSON object.
    #[track_caller]
    pub fn log_lines(&self, count: usize) -> Vec<Value> {
        let path = self.folder.path().join("access.log");
        let text = eventually("the access log", || {
            let text = fs::read_to_string(&path).ok()?;
            (text.matches('\n').count() >= count && text.ends_with('\n')).then_some(text)
        });
        let parse = |line: &str| match serde_json::from_str(line) {
            Ok(value @ Value::Object(_)) => value,
            other => panic!("{line:?}: {other:?}"),
        };
        text.split_terminator('\n').map(parse).collect()
    }

    /// The value of the metric with exactly this name and these labels; 0 when it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        self.running.metric(series).unwrap_or(0.0)
    }

    /// A request on the data listener.
    pub fn get(&self, target: &str) -> Ask {
        get(self.data, target)
    }

    /// A request on the data listener.
    pub fn ask(&self, method: &str, target: &str) -> Ask {
        ask(self.data, method, target)
    }

    /// A request on the control port, with the credential.
    pub fn control(&self, method: &str, target: &str) -> Ask {
        self.running.control(method, target)
    }

    /// Revokes, and asserts that it was acknowledged.
    #[track_caller]
    pub fn revoke(&self, body: &Value) -> Answer {
        self.running.revoke(body)
    }

    /// Stops it and gives its folder back, for another start.
    pub fn stop(self) -> (TempDir, TestUpstream) {
        drop(self.running);
        (self.folder, self.upstream)
    }
}

#[track_caller]
fn edited(mut text: String, edits: &[(&str, &str)]) -> String {
    for (from, to) in edits {
        assert!(text.contains(from), "the configuration has no {from:?}");
        text = text.replace(from, to);
    }
    text
}

/// A folder with the control port's secret and these files.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), files);
    folder
}

/// Writes the control port's secret and these files.
pub fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in [&[("control.secret", CREDENTIAL)][..], files].concat() {
        fs::write(folder.join(name), text).expect("written");
    }
}

/// Free ports, an embedded store with more of `[revocation]`, no log; issuers, upstreams and routes
/// are the test's own.
pub fn bare(revocation: &str, tables: &str) -> String {
    format!(
        r#"
[listener]
address = "127.0.0.1:0"
[control]
address = "127.0.0.1:0"
credentials = [{{ name = "test", secret = {{ file = "control.secret" }}, role = "admin" }}]
[log]
access = "off"
[revocation]
embedded = {{ path = "revocations.redb" }}
{revocation}
{tables}"#
    )
}

/// The usual issuer and upstream, and these routes.
pub fn configuration(upstream: &TestUpstream, routes: &str) -> String {
    let upstream = upstream.address;
    format!(
        r#"
[listener]
address = "127.0.0.1:0"
workers = 1
drain_timeout = "5s"

[control]
address = "127.0.0.1:0"
credentials = [{{ name = "test", secret = {{ file = "control.secret" }}, role = "admin" }}]

[log]
access = "file:access.log"

[[issuers]]
name = "main"
issuer = "https://login.example.com/"
audiences = ["orders-api"]
algorithms = ["RS256"]
keys = {{ jwks_file = "jwks.json" }}
leeway = "0s"

[revocation]
embedded = {{ path = "revocations.redb" }}

[upstreams.orders]
endpoints = ["http://{upstream}"]
{routes}"#
    )
}
