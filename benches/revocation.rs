//! What does the revocation set cost: a look-up, a record, a sweep's pause, an entry's memory, a start?
//!
//! Ten million entries take a while and are measured with `PORTCULLIS_BENCH_FULL=1`.

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis::clock::{SystemClock, UnixTime};
use portcullis::feed::embedded::EmbeddedStore;
use portcullis::revocation::follower::Follower;
use portcullis::revocation::{Name, Op, Revocation, RevocationLog, RevocationSet, Revocations};
use portcullis::shutdown::Shutdown;
use uuid::Uuid;

const NOW: UnixTime = UnixTime::from_secs(1_000_000);

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = size_and_sweep, look_ups, records, appends, starts
}
criterion_main!(benches);

fn full() -> bool {
    std::env::var_os("PORTCULLIS_BENCH_FULL").is_some()
}

fn sizes() -> Vec<u64> {
    let mut sizes = vec![1_000, 10_000, 100_000, 1_000_000];
    sizes.extend(full().then_some(10_000_000));
    sizes
}

/// A name like those that issuers give: a UUID's text.
fn record(number: u64, expires: u64) -> Revocation {
    let spread = u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64 | u128::from(number);
    Revocation {
        id: Uuid::from_u128(spread),
        op: Op::Revoke,
        name: Name {
            issuer: "https://login.example.com/".into(),
            claim: "jti".into(),
            value: Uuid::from_u128(spread).to_string().into(),
        },
        issued_before: None,
        expires_at: UnixTime::from_secs(expires),
        at: UnixTime::EPOCH,
        actor: None,
        reason: None,
        token: None,
    }
}

fn filled(entries: u64) -> RevocationSet {
    let set = RevocationSet::new();
    for number in 0..entries {
        set.apply(&record(number, 2_000_000));
    }
    set
}

/// By name: the fingerprint is worked out each time, which admission does once for a token.
fn look_ups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("look_up");
    for size in sizes() {
        let set = filled(size);
        let names = |from: u64| -> Vec<Name> {
            (0..1024).map(|i| record(from + i * (size / 1024).max(1), 0).name).collect()
        };
        for (kind, names) in [("hit", names(0)), ("miss", names(u64::MAX / 2))] {
            let mut next = names.iter().cycle();
            group.bench_function(BenchmarkId::new(kind, size), |bencher| {
                bencher.iter(|| set.holds(black_box(next.next().expect("endless")), None, NOW));
            });
        }
    }
    let empty = RevocationSet::new();
    let name = record(1, 0).name;
    group.bench_function("empty", |bencher| {
        bencher.iter(|| empty.holds(black_box(&name), None, NOW))
    });
    group.finish();
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    for size in sizes() {
        let set = filled(size);
        let known = record(size / 2, 2_000_000);
        group.bench_function(BenchmarkId::new("known", size), |bencher| {
            bencher.iter(|| set.apply(black_box(&known)));
        });
        let gone = Revocation { op: Op::Reinstate, ..record(u64::MAX, 0) };
        let new = record(u64::MAX, 2_000_000);
        group.bench_function(BenchmarkId::new("new_and_removed", size), |bencher| {
            bencher.iter(|| (set.apply(black_box(&new)), set.apply(black_box(&gone))));
        });
    }
    group.finish();
}

/// Once, with the largest set and before all else: memory is the growth of the process' resident
/// pages, and freed ones from an earlier set would hide it.
fn size_and_sweep(_: &mut Criterion) {
    let size = sizes().into_iter().max().expect("there are some");
    let before = resident();
    let set = RevocationSet::new();
    let started = Instant::now();
    for number in 0..size {
        set.apply(&record(number, if number % 2 == 0 { 1 } else { 2_000_000 }));
    }
    let (filled_in, grown) = (started.elapsed(), resident().saturating_sub(before));
    let mut pauses: Vec<Duration> = (0..set.parts())
        .map(|part| {
            let started = Instant::now();
            set.sweep_part(part, NOW);
            started.elapsed()
        })
        .collect();
    pauses.sort_unstable();
    say(&format!(
        "set of {size}: {:.1} MB, {:.1} bytes an entry, filled in {filled_in:?}; a sweep of half \
         of it locks two tables one after the other for {:?} (median), {:?} (longest)",
        grown as f64 / 1e6,
        grown as f64 / size as f64,
        pauses[pauses.len() / 2],
        pauses[pauses.len() - 1],
    ));
}

/// Acknowledged, so durable: one after the other, and as many at once as the commit takes.
fn appends(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path().join("r.redb")).expect("a store");
    let log = store.log();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("append");
    let mut number = 0;
    for size in [1, 100, 5000] {
        group.throughput(criterion::Throughput::Elements(size));
        group.bench_function(BenchmarkId::new("batch", size), |bencher| {
            bencher.iter(|| {
                let batch = (0..size).map(|i| record(number + i, 2_000_000)).collect();
                number += size;
                runtime.block_on(log.append(batch)).expect("appended")
            });
        });
    }
    group.finish();
}

/// Once: from a file to a set that answers.
fn starts(_: &mut Criterion) {
    let size = if full() { 10_000_000 } else { 1_000_000 };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.redb");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    {
        let store = EmbeddedStore::open(&path).expect("a store");
        let numbers: Vec<u64> = (0..size).collect();
        for some in numbers.chunks(8192) {
            let batch = some.iter().map(|number| record(*number, 2_000_000)).collect();
            runtime.block_on(store.log().append(batch)).expect("appended");
        }
        runtime.block_on(store.log().compact(NOW)).expect("compacted");
    }
    let bytes = std::fs::metadata(&path).expect("the file").len();
    let started = Instant::now();
    let store = EmbeddedStore::open(&path).expect("a store");
    let opened = started.elapsed();
    let revocations = Arc::new(Revocations::new(&[], Duration::from_secs(10)));
    let (follower, applied) = Follower::new(
        store.feed(),
        Arc::clone(&revocations),
        Arc::default(),
        Arc::new(SystemClock),
    );
    let (shutdown, drain) = Shutdown::new();
    let task = runtime.spawn(follower.run(drain));
    assert!(runtime.block_on(applied.loaded()));
    let loaded = started.elapsed();
    say(&format!(
        "start with {} entries, {:.0} MB: opened and verified in {opened:?}, loaded after {loaded:?}, resident {:.0} MB",
        revocations.set().len(),
        bytes as f64 / 1e6,
        resident() as f64 / 1e6,
    ));
    shutdown.begin();
    runtime.block_on(task).expect("the follower");
}

/// Bytes of this process in memory, from the second field of `statm`, in pages of 4 KiB.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("a Linux kernel");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number") * 4096
}

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error");
}
