//! One worker's kept connections, by endpoint. Nothing here is shared between threads.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::instant::recent;

use super::exchange::Link;
use super::upstream::Endpoint;

/// All pools of one worker.
#[derive(Debug, Default)]
pub(super) struct Pools {
    by_endpoint: RefCell<HashMap<u64, Rc<Pool>, foldhash::fast::RandomState>>,
    turn: Cell<usize>,
}

/// Kept connections to one endpoint.
#[derive(Debug)]
pub(super) struct Pool {
    endpoint: Weak<Endpoint>,
    /// Oldest first.
    idle: RefCell<Vec<Idle>>,
    in_flight: Cell<usize>,
    max_idle: Cell<Duration>,
}

/// One request in flight to an endpoint; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Lease(Rc<Pool>);

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: Instant,
}

/// Kept connections to one endpoint, at most, unless more are in flight.
const IDLE: usize = 256;
/// A connection is not kept longer than this, to be below what upstreams keep themselves.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

// === impl Pools ===

impl Pools {
    /// No connections yet.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A place in the endpoint's pool for one request.
    pub(super) fn lease(&self, endpoint: &Arc<Endpoint>, idle_timeout: Duration) -> Lease {
        let mut pools = self.by_endpoint.borrow_mut();
        let pool = pools.entry(endpoint.id()).or_insert_with(|| Rc::new(Pool::new(endpoint)));
        pool.max_idle.set(idle_timeout.min(LONGEST_IDLE));
        pool.in_flight.set(pool.in_flight.get() + 1);
        Lease(Rc::clone(pool))
    }

    /// Requests in flight to an endpoint from this worker.
    pub(super) fn in_flight(&self, endpoint: u64) -> usize {
        self.by_endpoint.borrow().get(&endpoint).map_or(0, |pool| pool.in_flight.get())
    }

    /// Counts up, for choices in turn.
    pub(super) fn next_turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    /// Closes what was idle too long or died, and forgets endpoints that are gone.
    pub(super) fn sweep(&self) {
        self.by_endpoint.borrow_mut().retain(|_, pool| {
            pool.sweep();
            pool.endpoint.strong_count() > 0
        });
    }
}

// === impl Pool ===

impl Pool {
    fn new(endpoint: &Arc<Endpoint>) -> Self {
        Self {
            endpoint: Arc::downgrade(endpoint),
            idle: RefCell::default(),
            in_flight: Cell::new(0),
            max_idle: Cell::new(LONGEST_IDLE),
        }
    }

    fn sweep(&self) {
        let max_idle = self.max_idle.get();
        self.idle
            .borrow_mut()
            .retain(|idle| idle.since.elapsed() < max_idle && idle.link.is_alive());
    }
}

// === impl Lease ===

impl Lease {
    /// The connection that was used last and still lives.
    pub(super) fn checkout(&self) -> Option<Box<Link>> {
        loop {
            let Idle { link, since } = self.0.idle.borrow_mut().pop()?;
            if recent().duration_since(since) >= self.0.max_idle.get() {
                // The others are older.
                self.0.idle.borrow_mut().clear();
                return None;
            }
            if link.is_alive() {
                return Some(link);
            }
        }
    }

    /// Keeps a connection for the next request, unless enough are kept or its endpoint is gone.
    pub(super) fn keep(&self, link: Box<Link>) {
        let mut idle = self.0.idle.borrow_mut();
        // With as many in flight the next ones are about to be asked for.
        let most = IDLE.max(self.0.in_flight.get());
        if idle.len() < most && self.0.endpoint.strong_count() > 0 {
            idle.push(Idle { link, since: recent() });
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}
