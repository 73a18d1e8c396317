//! What a decision costs: a request's head in, a permit or a refusal out, on `Gateway::admit` itself.
//!
//! Ten million entries take a while and are measured with `PORTCULLIS_BENCH_FULL=1`.

mod support;

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use http::request::Parts;
use jsonwebtoken::Algorithm;
use portcullis::revocation::Op;

use support::{Gate, record, request, stranger, token_id};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = cached, cold, seen_once, refused, with_a_writer
}
criterion_main!(benches);

fn sizes() -> Vec<u64> {
    let full = std::env::var_os("PORTCULLIS_BENCH_FULL").is_some();
    [0, 1_000_000].into_iter().chain(full.then_some(10_000_000)).collect()
}

/// Ten thousand tokens in turn, each verified before.
fn cached(criterion: &mut Criterion) {
    let gate = Gate::new(Algorithm::RS256);
    let mut heads: Vec<Parts> = (0..10_000).map(|number| request(&gate.token(number))).collect();
    assert!(heads.iter_mut().all(|head| gate.admits(head)));
    let mut revoked = 0;
    for size in sizes() {
        gate.revoke_strangers(size);
        revoked = revoked.max(size);
        for (kind, some) in [("one token", 1), ("10000 tokens", heads.len())] {
            let mut next = 0;
            criterion.bench_function(&format!("cached/{kind}, {revoked} entries"), |bencher| {
                bencher.iter(|| {
                    next = (next + 1) % some;
                    gate.admits(black_box(&mut heads[next]))
                });
            });
        }
    }
}

/// Each token is seen once: the cache of another gateway with the same keys is what stays empty.
fn cold(criterion: &mut Criterion) {
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256] {
        let gate = Gate::new(algorithm);
        let mut heads: Vec<Parts> =
            (0..40_000).map(|number| request(&gate.token(number))).collect();
        let mut next = 0;
        criterion.bench_function(&format!("cold/{algorithm:?}"), |bencher| {
            bencher.iter_custom(|count| {
                let mut spent = Duration::ZERO;
                for _ in 0..count {
                    if next == heads.len() {
                        next = 0;
                    }
                    // A key set put in anew is another generation: nothing that was cached counts.
                    if next.is_multiple_of(1000) {
                        gate.forget();
                    }
                    let started = Instant::now();
                    black_box(gate.admits(black_box(&mut heads[next])));
                    spent += started.elapsed();
                    next += 1;
                }
                spent
            });
        });
    }
}

/// Tokens that are seen once and kept, until the cache is full and beyond: what each takes, by hand.
fn seen_once(_: &mut Criterion) {
    const BATCH: u64 = 20_000;
    let gate = Gate::new(Algorithm::HS256);
    let mut heads: Vec<Parts> = Vec::with_capacity(BATCH as usize);
    for from in (0..8 * BATCH).step_by(BATCH as usize) {
        heads.clear();
        heads.extend((from..from + BATCH).map(|number| request(&gate.token(number))));
        let (faults, memory) = (minor_faults(), resident());
        let started = Instant::now();
        assert!(heads.iter_mut().all(|head| gate.admits(black_box(head))));
        let spent = started.elapsed() / BATCH as u32;
        let faults = (minor_faults() - faults) as f64 / BATCH as f64;
        let grown = resident().saturating_sub(memory) / BATCH;
        let line = format!(
            "seen once, HS256, from the {from}th: {spent:?}, {faults:.2} page faults and {grown} bytes a token"
        );
        writeln!(std::io::stderr(), "{line}").expect("standard error");
    }
}

/// This thread's page faults that read nothing from a disk: the tenth field of `stat`.
fn minor_faults() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/stat").expect("a Linux kernel");
    let mut fields = text.rsplit_once(')').expect("a name").1.split_ascii_whitespace();
    fields.nth(7).and_then(|field| field.parse().ok()).expect("a number")
}

/// Bytes of this process in memory, from the second field of `statm`, in pages of 4 KiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("a Linux kernel");
    let pages = text.split_ascii_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    pages.expect("a number") * 4096
}

fn refused(criterion: &mut Criterion) {
    let gate = Gate::new(Algorithm::RS256);
    gate.revoke_strangers(100_000);
    let token = gate.token(1);
    gate.gateway.revocations().set().apply(&record(token_id(2), Op::Revoke));
    let cases = [
        ("revoked, seen before", request(&gate.token(2))),
        ("expired, seen before", request(&gate.expired())),
        ("bad signature", request(&format!("{}AAAA", &token[..token.len() - 4]))),
        ("noise", request("a.b.c")),
    ];
    for (name, mut head) in cases {
        assert!(!gate.admits(&mut head), "{name}");
        criterion.bench_function(&format!("refused/{name}"), |bencher| {
            bencher.iter(|| gate.admits(black_box(&mut head)));
        });
    }
}

/// Each decision timed on its own while another thread writes as fast as it can, 50,000 times a
/// second and not at all; once each, by hand: criterion knows no percentiles.
fn with_a_writer(_: &mut Criterion) {
    let gate = Arc::new(Gate::new(Algorithm::RS256));
    let size = sizes().last().copied().unwrap_or_default();
    gate.revoke_strangers(size);
    let mut heads: Vec<Parts> = (0..1000).map(|number| request(&gate.token(number))).collect();
    assert!(heads.iter_mut().all(|head| gate.admits(head)));
    for rate in [0, 50_000, u64::MAX] {
        let end = Arc::new(AtomicBool::new(false));
        let writer = write_at(rate, size, Arc::clone(&gate), Arc::clone(&end));
        let mut times = Vec::with_capacity(2_000_000);
        for number in 0..times.capacity() {
            let head = &mut heads[number % 1000];
            let started = Instant::now();
            black_box(gate.admits(black_box(head)));
            times.push(started.elapsed());
        }
        end.store(true, Ordering::Relaxed);
        let written = writer.join().expect("the writer");
        times.sort_unstable();
        let at = |share: f64| times[(times.len() as f64 * share) as usize];
        let line = format!(
            "decision, cached, {size} entries, {written} records a second written at the same time: \
             p50 {:?}, p99 {:?}, p99.9 {:?} (a reading of the clock included)",
            at(0.5),
            at(0.99),
            at(0.999),
        );
        writeln!(std::io::stderr(), "{line}").expect("standard error");
    }
}

/// Revokes and reinstates in turn; how many records a second it made.
fn write_at(
    rate: u64,
    from: u64,
    gate: Arc<Gate>,
    end: Arc<AtomicBool>,
) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let started = Instant::now();
        let set = gate.gateway.revocations().set();
        let mut written = 0_u64;
        while rate > 0 && !end.load(Ordering::Relaxed) {
            let due = u128::from(rate) * started.elapsed().as_micros() / 1_000_000;
            if u128::from(written) >= due {
                std::thread::park_timeout(Duration::from_micros(200));
                continue;
            }
            for op in [Op::Revoke, Op::Reinstate] {
                set.apply(&record(stranger(from + written), op));
                written += 1;
            }
        }
        (written as f64 / started.elapsed().as_secs_f64()) as u64
    })
}
