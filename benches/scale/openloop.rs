//! Sends requests at a fixed rate, whether or not earlier ones were answered, and says how long each took.
//!
//! `openloop --to 127.0.0.1:8080 --requests FILE --rate 5000 --seconds 10 [--connections 256] [--skip 1]`; a line of
//! the file is a path, a tab and a token. Answers of the first second (`--skip`) do not count: connections are
//! opened in it. Request n is due n/rate seconds after the start and its time counts from there, so that one that
//! had to wait for a free connection is not made to look quick. It needs only the standard library (`rustc -O
//! --edition 2024`): a thread a connection, because a timer that wakes each millisecond would send in bursts.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Answers fall into slots of so many milliseconds, each of which keeps its longest.
const SLOT: u64 = 100;
/// Larger heads are no answer to what is sent here.
const HEAD: usize = 16 * 1024;

struct Plan {
    to: String,
    requests: Vec<Vec<u8>>,
    rate: u64,
    total: u64,
    /// Requests due before this many microseconds are not counted.
    skip: u64,
    begin: Instant,
    next: AtomicU64,
    broken: AtomicUsize,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    /// When it was due (µs from where counting starts) and how long it took from then (µs).
    answers: Vec<(u64, u64)>,
    /// How late it was sent (µs), by us or because no connection was free.
    late: Vec<u64>,
    wrong: u64,
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

// === impl Plan ===

impl Plan {
    /// Takes the next request until there is none.
    fn run(&self) -> Seen {
        let mut seen = Seen::default();
        let mut connection = Connection::open(&self.to);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.total {
                return seen;
            }
            let due = Duration::from_nanos(number * 1_000_000_000 / self.rate);
            wait_until(self.begin + due);
            let late = self.begin.elapsed().saturating_sub(due);
            let request = &self.requests[number as usize % self.requests.len()];
            let status = connection.as_mut().and_then(|connection| connection.ask(request));
            let took = self.begin.elapsed().saturating_sub(due);
            let due = due.as_micros() as u64;
            if let Some(due) = due.checked_sub(self.skip) {
                seen.late.push(late.as_micros() as u64);
                seen.answers.push((due, took.as_micros() as u64));
            }
            if status != Some(200) {
                seen.wrong += 1;
            }
            if status.is_none() {
                self.broken.fetch_add(1, Ordering::Relaxed);
                connection = Connection::open(&self.to);
            }
        }
    }
}

// === impl Connection ===

impl Connection {
    fn open(to: &str) -> Option<Self> {
        let stream = TcpStream::connect(to).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        Some(Self { stream, read: Vec::with_capacity(HEAD) })
    }

    /// The status, once the whole answer is there; `None`: the connection broke.
    fn ask(&mut self, request: &[u8]) -> Option<u16> {
        self.stream.write_all(request).ok()?;
        self.read.clear();
        let mut chunk = [0; 4096];
        loop {
            let count = self.stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
            self.read.extend_from_slice(&chunk[..count]);
            if let Some((status, length)) = head(&self.read)
                && self.read.len() >= length
            {
                return Some(status);
            }
        }
    }
}

/// Status and length of the whole answer, when all of its head is there.
fn head(read: &[u8]) -> Option<(u16, usize)> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..end]).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some((status, end + length.unwrap_or(0)))
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    // `cargo bench` runs every bench; this one is for `benches/scale/run`.
    let (Some(to), Some(file)) = (value("--to"), value("--requests")) else {
        say("openloop: --to and --requests are wanted; benches/scale/run starts it");
        return;
    };
    let number =
        |name: &str, other: u64| value(name).map_or(other, |text| text.parse().expect("a number"));
    // Sleeps end when they should, not up to 50 µs later; threads inherit it.
    drop(std::fs::write("/proc/self/timerslack_ns", "1"));
    let (rate, seconds) = (number("--rate", 1000), number("--seconds", 10));
    let plan = Plan {
        to: to.to_owned(),
        requests: requests(file),
        rate,
        total: rate * seconds,
        skip: number("--skip", 1) * 1_000_000,
        begin: Instant::now() + Duration::from_millis(300),
        next: AtomicU64::new(0),
        broken: AtomicUsize::new(0),
    };
    report(&Arc::new(plan), number("--connections", 256));
}

fn requests(file: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(file).expect("a file of requests");
    let request = |line: &str| {
        let (path, token) = line.split_once('\t').unwrap_or((line, ""));
        let head = format!("GET {path} HTTP/1.1\r\nHost: api.test\r\n");
        match token {
            "" => format!("{head}\r\n").into_bytes(),
            token => format!("{head}Authorization: Bearer {token}\r\n\r\n").into_bytes(),
        }
    };
    text.lines().map(request).collect()
}

/// Runs it and prints one JSON object, times in microseconds.
fn report(plan: &Arc<Plan>, connections: u64) {
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let plan = Arc::clone(plan);
            let thread = thread::Builder::new().stack_size(64 * 1024);
            thread.spawn(move || plan.run()).expect("a thread")
        })
        .collect();
    let seen: Vec<Seen> =
        threads.into_iter().map(|thread| thread.join().expect("it ends")).collect();
    let mut took: Vec<u64> =
        seen.iter().flat_map(|seen| seen.answers.iter().map(|answer| answer.1)).collect();
    let mut late: Vec<u64> = seen.iter().flat_map(|seen| seen.late.iter().copied()).collect();
    took.sort_unstable();
    late.sort_unstable();
    let mut slots: Vec<u64> = Vec::new();
    for (due, took) in seen.iter().flat_map(|seen| &seen.answers) {
        let slot = (due / 1000 / SLOT) as usize;
        slots.resize(slots.len().max(slot + 1), 0);
        slots[slot] = slots[slot].max(*took);
    }
    let at = |sorted: &[u64], share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    let over = took.iter().filter(|took| **took > 10_000).count();
    say(&format!(
        "{{\"sent\":{},\"n\":{},\"us\":{},\"bad\":{},\"broken\":{},\"p50\":{},\"p99\":{},\"p999\":{},\"max\":{},\"over_10ms\":{over},\
         \"late_p50\":{},\"late_p99\":{},\"late_max\":{},\"slots\":{slots:?}}}",
        plan.total,
        took.len(),
        plan.begin.elapsed().as_micros(),
        seen.iter().map(|seen| seen.wrong).sum::<u64>(),
        plan.broken.load(Ordering::Relaxed),
        at(&took, 0.5),
        at(&took, 0.99),
        at(&took, 0.999),
        took[took.len() - 1],
        at(&late, 0.5),
        at(&late, 0.99),
        late[late.len() - 1],
    ));
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody reads it");
}
