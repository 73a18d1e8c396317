//! Cluster feeds against real brokers, through the real gateway.
//!
//! `cargo bench --bench feeds -- propagation redis`: three gateways on one broker, a thousand revocations
//! a second and requests beside them; how long until each gateway refuses a token.
//! `cargo bench --bench feeds -- start nats 1000000`: how long a gateway takes to be ready with so many live
//! entries, and its memory, beside a bare client that reads the same data.
//! `-- fill nats 10000000` before, and both with `PORTCULLIS_BENCH_FOLDER=/some/folder`: the same in two runs.
//! Without a feed: all three. `PORTCULLIS_BENCH_RATE` (revocations a second), `PORTCULLIS_BENCH_REQUESTS`,
//! `PORTCULLIS_BENCH_GATEWAYS` and `PORTCULLIS_BENCH_SECONDS` change the load.

#[path = "../support/mod.rs"]
mod support;

mod bare;
mod broker;
mod fill;
mod line;
mod node;
mod propagation;
mod start;

use std::time::Duration;

use broker::{Broker, Kind};

const ENTRIES: usize = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    // `cargo test --benches` asks for a list and nothing else.
    if arguments.iter().any(|argument| argument.starts_with("--")) {
        return;
    }
    let kinds: Vec<Kind> = arguments.iter().filter_map(|word| Kind::parse(word)).collect();
    let kinds = if kinds.is_empty() { Kind::ALL.to_vec() } else { kinds };
    let entries = arguments.iter().find_map(|word| word.parse().ok()).unwrap_or(ENTRIES);
    let wants = |word: &str| arguments.iter().any(|argument| argument == word);
    if wants("bare") {
        return bare::read(kinds[0], arguments.last().map_or("", |url| url.as_str()));
    }
    for kind in kinds {
        if wants("fill") {
            start::fill(&Broker::start(kind), entries);
            continue;
        }
        if wants("propagation") || !wants("start") {
            propagation::measure(kind);
        }
        if wants("start") {
            start::measure(kind, entries);
        }
    }
}

/// A setting of the environment.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn quantiles(measured: &mut [Duration]) -> String {
    measured.sort_unstable();
    let Some(last) = measured.len().checked_sub(1) else { return "nothing".to_owned() };
    let at = |part: usize| measured[last * part / 1000].as_secs_f64() * 1e3;
    format!("p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms", at(500), at(990), at(1000))
}

/// The line of `/proc/…/status` that begins with the word, in MB.
fn memory(process: u32, word: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(word));
    let kilobytes = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    kilobytes.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn say(line: &str) {
    println!("{line}");
}
