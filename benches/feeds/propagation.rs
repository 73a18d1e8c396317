//! From the call that revokes to the refusal at each of three gateways, under load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use portcullis::clock::{Clock, SystemClock};
use portcullis::token::mint::SigningKey;
use serde_json::Map;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::broker::{Broker, Kind};
use super::line::{Line, get, revoke};
use super::node::{CREDENTIAL, Node, upstream};
use super::support::{claims_at, new_key, stranger, token_id};
use super::{quantiles, say, setting};

/// What the load has done so far.
#[derive(Default)]
struct Done {
    revocations: AtomicU64,
    requests: AtomicU64,
}

/// Gateways, unless `PORTCULLIS_BENCH_GATEWAYS` says otherwise.
const NODES: u64 = 3;
/// Connections over which the load revokes, and asks.
const WRITERS: u64 = 6;
const READERS: u64 = 6;
/// Between two looks at whether a token is refused by now: the measurement is that much too long at most.
const LOOK: Duration = Duration::from_millis(1);
/// Between two tokens that are watched.
const PAUSE: Duration = Duration::from_millis(20);

/// Prints how long it takes.
pub(crate) fn measure(kind: Kind) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let broker = Broker::start(kind);
        let key = Arc::new(new_key(Algorithm::RS256));
        let upstream = upstream().await;
        let nodes: Vec<Node> = (0..setting("PORTCULLIS_BENCH_GATEWAYS", NODES))
            .map(|_| Node::start(&key, upstream, &broker))
            .collect();
        let revocations = setting("PORTCULLIS_BENCH_RATE", 1000);
        let requests = setting("PORTCULLIS_BENCH_REQUESTS", 1000);
        let seconds = setting("PORTCULLIS_BENCH_SECONDS", 30);
        let done = Arc::new(Done::default());
        let load = load(&nodes, &key, &done, revocations, requests);
        sleep(Duration::from_secs(1)).await;
        let (begun, before, idle) = (Instant::now(), done.so_far(), broker.processor());
        let (mut acknowledged, mut refused) = (Vec::new(), vec![Vec::new(); nodes.len()]);
        for number in 1_000_000.. {
            if begun.elapsed() > Duration::from_secs(seconds) {
                break;
            }
            let (answered, refusals) = watch(&nodes, &key, number).await;
            acknowledged.push(answered);
            refusals.into_iter().zip(&mut refused).for_each(|(one, all)| all.push(one));
            sleep(PAUSE).await;
        }
        let (after, took) = (done.so_far(), begun.elapsed().as_secs_f64());
        let busy = (broker.processor() - idle).as_secs_f64();
        load.iter().for_each(JoinHandle::abort);
        let (r, q) = (after.0 - before.0 + acknowledged.len() as u64, after.1 - before.1);
        let (word, count) = (kind.word(), nodes.len());
        let rates = [r as f64 / took, q as f64 / took];
        say(&format!(
            "{word}: {count} gateways, {:.0} revocations and {:.0} requests a second, {} tokens watched",
            rates[0],
            rates[1],
            acknowledged.len()
        ));
        say(&format!("  the broker's processor time:  {:.0} µs a revocation", busy * 1e6 / r as f64));
        tell(&mut acknowledged, &mut refused);
    });
}

fn tell(acknowledged: &mut [Duration], refused: &mut [Vec<Duration>]) {
    say(&format!("  acknowledged (201):           {}", quantiles(acknowledged)));
    for (refused, number) in refused.iter_mut().zip(1..) {
        let which = if number == 1 { " (asked)" } else { "        " };
        say(&format!("  refused at gateway {number}{which}:  {}", quantiles(refused)));
    }
}

// === impl Done ===

impl Done {
    fn so_far(&self) -> (u64, u64) {
        (self.revocations.load(Ordering::Relaxed), self.requests.load(Ordering::Relaxed))
    }
}

fn token(key: &SigningKey, number: u64) -> Vec<u8> {
    get(&key.sign(&Map::new(), &claims_at(SystemClock.now(), number)))
}

/// How long until the first gateway acknowledged, and until each refused.
async fn watch(nodes: &[Node], key: &SigningKey, number: u64) -> (Duration, Vec<Duration>) {
    let request = Arc::new(token(key, number));
    let mut control = Line::open(nodes[0].control).await;
    let mut watchers = Vec::new();
    for node in nodes {
        let (mut line, request) = (Line::open(node.data).await, Arc::clone(&request));
        assert_eq!(line.ask(&request).await, 200, "a new token");
        watchers.push(tokio::spawn(async move {
            while line.ask(&request).await == 200 {
                sleep(LOOK).await;
            }
            Instant::now()
        }));
    }
    let begun = Instant::now();
    let status = control.ask(&revoke(nodes[0].control, CREDENTIAL, &token_id(number))).await;
    assert_eq!(status, 201, "revoked");
    let answered = begun.elapsed();
    let mut refused = Vec::new();
    for watcher in watchers {
        refused.push(watcher.await.expect("refused").saturating_duration_since(begun));
    }
    (answered, refused)
}

fn load(
    nodes: &[Node],
    key: &SigningKey,
    done: &Arc<Done>,
    revocations: u64,
    requests: u64,
) -> Vec<JoinHandle<()>> {
    let mut load = Vec::new();
    for writer in 0..WRITERS {
        let (to, done) = (nodes[writer as usize % nodes.len()].control, Arc::clone(done));
        let call = move |n: u64| revoke(to, CREDENTIAL, &stranger(writer << 32 | n));
        let pace = Duration::from_secs_f64(WRITERS as f64 / revocations as f64);
        load.push(tokio::spawn(repeat(to, pace, call, 201, move || count(&done.revocations))));
    }
    for reader in 0..READERS {
        let (to, done) = (nodes[reader as usize % nodes.len()].data, Arc::clone(done));
        let request = token(key, reader);
        let pace = Duration::from_secs_f64(READERS as f64 / requests as f64);
        let call = move |_| request.clone();
        load.push(tokio::spawn(repeat(to, pace, call, 200, move || count(&done.requests))));
    }
    load
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Asks at that pace; what is late is made up for.
async fn repeat(
    to: SocketAddr,
    pace: Duration,
    call: impl Fn(u64) -> Vec<u8>,
    want: u16,
    done: impl Fn(),
) {
    let mut line = Line::open(to).await;
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0.. {
        ticks.tick().await;
        assert_eq!(line.ask(&call(number)).await, want, "the load's answer");
        done();
    }
}
