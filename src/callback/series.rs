//! One callback's handles of the metrics.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use crate::access::Verdict;
use crate::observe::metrics::{Labels, Metrics};
use crate::observe::sharded::Tally;

use super::CallbackError;
use super::flights::Outcome;

/// Resolved when the callback is built.
#[derive(Debug)]
pub(super) struct Series {
    asked: Counter,
    cached: Tally,
    passed: Counter,
    seconds: Histogram,
    allowed: Counter,
    denied: Counter,
    inactive: Counter,
    failures: prometheus_client::metrics::family::Family<Labels, Counter>,
    name: String,
}

// === impl Series ===

impl Series {
    pub(super) fn of(metrics: &Metrics, callback: &str) -> Self {
        let label = vec![("callback", callback.to_owned())];
        let verdict = |verdict: &str| {
            let labels = [label.clone(), vec![("verdict", verdict.to_owned())]].concat();
            metrics.callback_verdicts.get_or_create_owned(&labels)
        };
        Self {
            asked: metrics.callback_asked.get_or_create_owned(&label),
            cached: metrics.callback_cached.get_or_create_owned(&label),
            passed: metrics.callback_passed_while_down.get_or_create_owned(&label),
            seconds: metrics.callback_seconds.get_or_create_owned(&label),
            allowed: verdict("allow"),
            denied: verdict("deny"),
            inactive: verdict("inactive"),
            failures: metrics.callback_failures.clone(),
            name: callback.to_owned(),
        }
    }

    /// A verdict was found in the cache.
    pub(super) fn cached(&self) {
        self.cached.inc();
    }

    /// A question went out and is over.
    pub(super) fn asked(&self, took: Duration) {
        self.asked.inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// What came of a question.
    pub(super) fn outcome(&self, outcome: Outcome) {
        let counter = match outcome {
            Ok(Verdict::Allow) => &self.allowed,
            Ok(Verdict::Deny) => &self.denied,
            Ok(Verdict::Inactive) => &self.inactive,
            Err(error) => {
                self.failed(error);
                return;
            }
        };
        counter.inc();
    }

    /// A request had no verdict.
    pub(super) fn failed(&self, error: CallbackError) {
        let reason = error.reason().to_owned();
        let labels = vec![("callback", self.name.clone()), ("reason", reason)];
        self.failures.get_or_create(&labels).inc();
    }

    /// A request was let through because no answer came.
    pub(super) fn passed_while_down(&self) {
        self.passed.inc();
    }
}
