//! Counters and histograms of the request path: each worker counts on a cache line of its own, and a
//! scrape adds them up. No lock, and no line that two cores write to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// A counter that workers add to without meeting.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Shards<1>>);

/// Durations, counted by fixed bounds from 100 µs to 10 s, without a lock.
#[derive(Clone, Debug, Default)]
pub struct Durations(Arc<Shards<CELLS>>);

#[derive(Debug)]
struct Shards<const N: usize>([Shard<N>; SHARDS]);

/// Padded by its alignment: prefetching takes lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<const N: usize>([AtomicU64; N]);

/// Upper bounds in microseconds: 100 µs to 10 s.
const BOUNDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];
/// One for each bound, one for what is beyond, and the sum in microseconds.
const CELLS: usize = BOUNDS.len() + 2;
const SUM: usize = CELLS - 1;
/// Threads beyond so many share shards.
pub(super) const SHARDS: usize = 16;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// The calling thread's place among `SHARDS`; the same for as long as it runs.
pub(super) fn place() -> usize {
    PLACE.with(|place| *place)
}

// === impl Shards ===

impl<const N: usize> Shards<N> {
    fn add(&self, cell: usize, by: u64) {
        self.0[place()].0[cell].fetch_add(by, Ordering::Relaxed);
    }

    fn total(&self, cell: usize) -> u64 {
        let of = |shard: &Shard<N>| shard.0[cell].load(Ordering::Relaxed);
        self.0.iter().map(of).fold(0, u64::wrapping_add)
    }
}

impl<const N: usize> Default for Shards<N> {
    fn default() -> Self {
        let shard = || Shard(std::array::from_fn(|_| AtomicU64::new(0)));
        Self(std::array::from_fn(|_| shard()))
    }
}

// === impl Tally ===

impl Tally {
    /// One more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// So many more.
    pub fn inc_by(&self, by: u64) {
        self.0.add(0, by);
    }

    /// What all threads have counted.
    pub fn total(&self) -> u64 {
        self.0.total(0)
    }
}

impl EncodeMetric for Tally {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, u64>(&self.total(), None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Tally {
    const TYPE: MetricType = MetricType::Counter;
}

// === impl Durations ===

impl Durations {
    /// Counts one; an exact bound is within it.
    pub fn observe(&self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let cell = BOUNDS.partition_point(|bound| *bound < micros);
        self.0.add(cell, 1);
        self.0.add(SUM, micros);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        (0..SUM).map(|cell| self.0.total(cell)).sum()
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        let cells: Vec<(f64, u64)> =
            bounds.enumerate().map(|(cell, bound)| (bound, self.0.total(cell))).collect();
        // Of the cells that were read: counted again, it could differ from their sum.
        let count = cells.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(seconds(self.0.total(SUM)), count, &cells, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    fn text(metric: impl prometheus_client::registry::Metric) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("x", "Help", metric);
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn what_many_threads_count_is_added_up() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..1000).for_each(|_| tally.inc()));
            }
        });
        assert_eq!(tally.total(), 40_000);
        assert!(text(tally).contains("x_total 40000\n"));
    }

    #[test]
    fn a_duration_falls_into_its_bound_and_all_wider_ones() {
        let durations = Durations::default();
        for micros in [1, 100, 101, 250_000, 11_000_000] {
            durations.observe(Duration::from_micros(micros));
        }
        let text = text(durations.clone());
        for line in [
            "x_bucket{le=\"0.0001\"} 2\n",
            "x_bucket{le=\"0.00025\"} 3\n",
            "x_bucket{le=\"0.25\"} 4\n",
            "x_bucket{le=\"10.0\"} 4\n",
            "x_bucket{le=\"+Inf\"} 5\n",
            "x_count 5\n",
            "x_sum 11.250202\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(durations.count(), 5);
    }
}
