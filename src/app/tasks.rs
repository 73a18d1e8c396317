//! Background tasks that belong to a configuration: key refresh for issuers, health checks for
//! upstreams. What a reload keeps goes on; what it drops is stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::forward::HealthChecker;
use crate::observe::Metrics;
use crate::shutdown::Drain;
use crate::snapshot::Snapshot;
use crate::token::KeyRefresher;

/// The health checks' place among the tasks: no issuer is at this address.
const HEALTH: usize = 0;

/// The running tasks, by the thing they look after.
#[derive(Debug)]
pub(super) struct Tasks {
    runtime: Handle,
    running: Mutex<HashMap<usize, AbortHandle>>,
}

// === impl Tasks ===

impl Tasks {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, running: Mutex::default() }
    }

    /// Starts what the snapshot needs and does not have, stops what it has and does not need.
    pub(super) fn follow(
        &self,
        snapshot: &Snapshot,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
        drain: &Drain,
    ) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = HashMap::new();
        for issuer in snapshot.verifier.issuers() {
            let key = Arc::as_ptr(issuer) as usize;
            let task = running.remove(&key).unwrap_or_else(|| {
                let refresher = KeyRefresher::run(
                    Arc::clone(issuer),
                    Arc::clone(metrics),
                    Arc::clone(clock),
                    drain.clone(),
                );
                self.runtime.spawn(refresher).abort_handle()
            });
            kept.insert(key, task);
        }
        let checker = HealthChecker::new(snapshot.upstreams.values().cloned().collect());
        kept.insert(HEALTH, self.runtime.spawn(checker.run(drain.clone())).abort_handle());
        for (_, dropped) in running.drain() {
            dropped.abort();
        }
        *running = kept;
    }
}
