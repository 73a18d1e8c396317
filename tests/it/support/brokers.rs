//! Gateways on a broker that forgets, dies and stands still.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Answer, get};
use super::eventually::eventually;
use super::gateway::{ORDERS, Running, configuration, write};
use super::issuer::TestIssuer;
use super::upstream::TestUpstream;

#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_pair;

#[cfg(feature = "postgres")]
pub use postgres::Postgres;
#[cfg(feature = "redis")]
pub use redis_pair::RedisPair;

/// A broker that things happen to. It keeps what it acknowledged, unless it is told to forget.
pub trait Broker {
    /// Starts an empty one.
    fn start() -> Self;
    /// The lines of `[revocation]` that lead to it.
    fn table(&self) -> String;
    /// `kill -9`.
    fn kill(&mut self);
    /// Starts it on what it kept.
    fn again(&mut self);
    /// Stands still with its connections open.
    fn pause(&self);
    /// Goes on.
    fn resume(&self);
    /// All its connections are cut; a broker that can't do that is killed and started again.
    fn cut(&mut self) {
        self.kill();
        self.again();
    }
    /// What [`Broker::forget`] goes back to, where that is not nothing. Nobody is connected yet.
    fn remember(&mut self) {}
    /// Comes back with less than it acknowledged.
    fn forget(&mut self);
    /// Somebody throws away what it holds while it runs.
    fn empty(&mut self) {
        self.forget();
    }
    /// Whether a restart is harmless.
    const KEEPS: bool = true;
}

/// Some gateways, each in a folder of its own, and what is around them.
pub struct Nodes {
    pub upstream: TestUpstream,
    pub issuer: TestIssuer,
    pub running: Vec<Running>,
    folders: Vec<TempDir>,
}

/// Each case on each broker.
macro_rules! on_each {
    ($feature:literal $module:ident $broker:ty: $($case:ident),+) => {
        #[cfg(feature = $feature)]
        mod $module {
            $(
                #[test]
                fn $case() {
                    super::$case::<$broker>();
                }
            )+
        }
    };
}

pub(crate) use on_each;

/// Beside `/orders/`, a route that goes on when the state is stale.
const LENIENT: &str = r#"
[[routes]]
name = "lenient"
path = "/lenient/"
upstream = "orders"
auth = "required"
when_stale = "allow"
"#;

// === impl Nodes ===

impl Nodes {
    pub fn new() -> Self {
        let (upstream, issuer) = (TestUpstream::start(), TestIssuer::new());
        Self { upstream, issuer, running: Vec::new(), folders: Vec::new() }
    }

    /// So many that are ready.
    pub fn start(table: &str, count: usize) -> Self {
        let mut nodes = Self::new();
        for _ in 0..count {
            nodes.add(table);
            nodes.ready(nodes.running.len() - 1);
        }
        nodes
    }

    /// One more, which may not be ready.
    pub fn add(&mut self, table: &str) -> usize {
        let folder = tempfile::tempdir().expect("a folder");
        self.write(folder.path(), &format!("{table}\nmax_staleness = \"2s\""));
        self.running.push(start(folder.path()));
        self.folders.push(folder);
        self.running.len() - 1
    }

    /// Writes what a gateway reads at its start.
    pub fn write(&self, folder: &Path, table: &str) {
        let text = configuration(&self.upstream, &format!("{ORDERS}{LENIENT}"));
        let text = text.replace("embedded = { path = \"revocations.redb\" }", table);
        write(folder, &[("jwks.json", &self.issuer.key.jwks()), ("gateway.toml", &text)]);
    }

    /// Starts a stopped one on what it has kept; it may not be ready.
    pub fn again(&mut self, node: usize) {
        self.running[node] = start(self.folders[node].path());
    }

    pub fn ready(&self, node: usize) {
        eventually("the node is ready", || (self.readyz(node).status == 200).then_some(()));
    }

    pub fn readyz(&self, node: usize) -> Answer {
        get(self.running[node].control, "/readyz").send()
    }

    /// What `/readyz` has to say beside the status.
    pub fn detail(&self, node: usize) -> String {
        self.readyz(node).json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    pub fn status(&self, node: usize) -> Value {
        self.running[node].control("GET", "/v1/status").send().json()
    }

    pub fn metric(&self, node: usize, name: &str) -> f64 {
        self.running[node].metric(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// A token of that id.
    pub fn token(&self, id: &str) -> String {
        self.issuer.token(json!({ "jti": id }))
    }

    /// Takes the token of that id back at the node, and waits until every node refuses it.
    pub fn revoke(&self, node: usize, id: &str) {
        let body = json!({ "claim": "jti", "value": id });
        let asked = self.running[node].control("POST", "/v1/revocations").json(&body);
        eventually("a revocation is acknowledged", || (asked.send().status == 201).then_some(()));
        let token = self.token(id);
        for node in 0..self.running.len() {
            if self.running[node].runs() {
                eventually("it is refused", || {
                    (self.orders(node, &token).status == 401).then_some(())
                });
            }
        }
    }

    /// Asks the route that refuses when the state is stale.
    pub fn orders(&self, node: usize, token: &str) -> Answer {
        get(self.running[node].data, "/orders/1").bearer(token).send()
    }

    /// Asks the route that goes on.
    pub fn lenient(&self, node: usize, token: &str) -> Answer {
        get(self.running[node].data, "/lenient/1").bearer(token).send()
    }
}

fn start(folder: &Path) -> Running {
    let text = fs::read_to_string(folder.join("gateway.toml")).expect("written before");
    Running::start_unready(folder, &text)
}
