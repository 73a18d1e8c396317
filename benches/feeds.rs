//! Cluster feeds against real brokers, once: how long a revocation takes to three followers, and a start with
//! a million live entries. `PORTCULLIS_BENCH_ENTRIES` says how many.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::clock::{SystemClock, UnixTime};
use portcullis::feed::redis::RedisStore;
use portcullis::revocation::follower::{AppliedCursor, Follower};
use portcullis::revocation::{
    Name, Op, RedisConfig, Revocation, RevocationFeed, RevocationLog, Revocations, StoreUrl,
};
use portcullis::shutdown::Shutdown;
use tokio::runtime::Runtime;
use uuid::Uuid;

const NODES: usize = 3;
const REVOCATIONS: usize = 5000;
/// One revocation in this time.
const PACE: Duration = Duration::from_millis(1);

/// The server, gone at the end.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn main() {
    // `cargo test --benches` asks for a list and nothing else.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let _server = redis(folder.path());
    let url = format!("redis+unix://{}", folder.path().join("s").display());
    let config = RedisConfig {
        url: StoreUrl::new(&url),
        stream: "portcullis:revocations".to_owned(),
        username: None,
        password: None,
        tls: None,
    };
    let store = runtime.block_on(RedisStore::open(&config)).expect("a store");
    runtime.block_on(until_it_answers(&store));
    runtime.block_on(propagation(&store));
    runtime.block_on(start(&store, folder.path()));
}

fn redis(folder: &Path) -> Server {
    let mut command = Command::new("redis-server");
    command.current_dir(folder).args(["--port", "0", "--save", "", "--unixsocket", "s"]);
    command.args(["--appendonly", "yes", "--appendfsync", "always"]);
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    Server(started.expect("redis-server is missing: apt-get install -y redis-server"))
}

async fn until_it_answers(store: &RedisStore) {
    let begun = Instant::now();
    while store.feed().load().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "redis-server does not answer");
    }
}

fn record(number: usize) -> Revocation {
    Revocation {
        id: Uuid::now_v7(),
        op: Op::Revoke,
        name: Name {
            issuer: "https://login.example.com/".into(),
            claim: "jti".into(),
            value: Uuid::from_u128(number as u128).to_string().into(),
        },
        issued_before: None,
        expires_at: UnixTime::from_secs(4_000_000_000),
        at: UnixTime::from_secs(1_800_000_000),
        actor: Some("bench".into()),
        reason: None,
        token: None,
    }
}

/// A node without its gateway.
fn node(store: &RedisStore, shutdown: &mut Vec<Shutdown>) -> (Arc<Revocations>, AppliedCursor) {
    let revocations = Arc::new(Revocations::new(&[], Duration::from_secs(10)));
    let (metrics, clock) = (Arc::default(), Arc::new(SystemClock));
    let (follower, applied) = Follower::new(store.feed(), Arc::clone(&revocations), metrics, clock);
    let (end, drain) = Shutdown::new();
    shutdown.push(end);
    tokio::spawn(follower.run(drain));
    (revocations, applied)
}

/// From before the append to enforced on every one of the nodes.
async fn propagation(store: &RedisStore) {
    let mut ends = Vec::new();
    let nodes: Vec<_> = (0..NODES).map(|_| node(store, &mut ends).1).collect();
    for applied in &nodes {
        assert!(applied.loaded().await);
    }
    let (begun, mut measured) = (Instant::now(), Vec::new());
    let mut pace = tokio::time::interval(PACE);
    for number in 0..REVOCATIONS {
        pace.tick().await;
        let (log, nodes) = (store.log(), nodes.clone());
        measured.push(tokio::spawn(async move {
            let asked = Instant::now();
            let cursor = log.append(vec![record(number)]).await.expect("appended");
            let acknowledged = asked.elapsed();
            for applied in nodes {
                assert!(applied.reached(&cursor, Duration::from_secs(20)).await);
            }
            (acknowledged, asked.elapsed())
        }));
    }
    let (mut acknowledged, mut everywhere) = (Vec::new(), Vec::new());
    for one in measured {
        let (a, e) = one.await.expect("measured");
        acknowledged.push(a);
        everywhere.push(e);
    }
    let rate = REVOCATIONS as f64 / begun.elapsed().as_secs_f64();
    say(&format!("{REVOCATIONS} revocations, {rate:.0} a second, {NODES} nodes"));
    say(&format!("  recorded by Redis: {}", quantiles(&mut acknowledged)));
    say(&format!("  applied on every node: {}", quantiles(&mut everywhere)));
    ends.iter().for_each(Shutdown::begin);
}

/// From nothing to a set that holds everything.
async fn start(store: &RedisStore, folder: &Path) {
    let entries = std::env::var("PORTCULLIS_BENCH_ENTRIES").ok();
    let entries = entries.and_then(|text| text.parse().ok()).unwrap_or(1_000_000_usize);
    let (log, begun) = (store.log(), Instant::now());
    let numbers: Vec<usize> = (0..entries).collect();
    for some in numbers.chunks(2000) {
        log.append(some.iter().copied().map(record).collect()).await.expect("appended");
    }
    say(&format!("{entries} entries appended in {:.1?}", begun.elapsed()));
    let begun = Instant::now();
    log.compact(UnixTime::EPOCH).await.expect("compacted");
    say(&format!("  folded in {:.1?}", begun.elapsed()));
    let begun = Instant::now();
    let mut ends = Vec::new();
    let (revocations, applied) = node(store, &mut ends);
    assert!(applied.loaded().await);
    let (held, took) = (revocations.set().len(), begun.elapsed());
    say(&format!("  a node is loaded after {took:.1?} with {held} entries; {}", memory(folder)));
    ends.iter().for_each(Shutdown::begin);
}

fn quantiles(measured: &mut [Duration]) -> String {
    measured.sort_unstable();
    let at = |part: usize| measured[(measured.len() - 1) * part / 1000];
    format!("p50 {:.2?}, p99 {:.2?}, p99.9 {:.2?}", at(500), at(990), at(999))
}

/// What Redis and this process hold.
fn memory(folder: &Path) -> String {
    let mut command = Command::new("redis-cli");
    let output = command.arg("-s").arg(folder.join("s")).args(["info", "memory"]).output();
    let text = String::from_utf8_lossy(&output.expect("redis-cli").stdout).into_owned();
    let used = text.lines().find_map(|line| line.strip_prefix("used_memory_human:"));
    let status = fs::read_to_string("/proc/self/status").expect("a Linux kernel");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    format!("Redis uses {}, our peak {}", used.unwrap_or("?").trim(), peak.unwrap_or("?").trim())
}

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn say(line: &str) {
    println!("{line}");
}
