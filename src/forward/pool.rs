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

/// Kept connections to one endpoint. One is opened only when none is idle, so that there are never more than
/// requests were in flight at once; those that are too many then grow old.
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
    /// Whether no other request to the endpoint is in flight.
    pub(super) fn is_alone(&self) -> bool {
        self.0.in_flight.get() == 1
    }

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

    /// Keeps a connection for the next request, unless its endpoint is gone.
    pub(super) fn keep(&self, link: Box<Link>) {
        if self.0.endpoint.strong_count() > 0 {
            self.0.idle.borrow_mut().push(Idle { link, since: recent() });
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::Balance;
    use crate::forward::upstream::{Upstream, tests::config};
    use crate::observe::Metrics;

    #[tokio::test]
    async fn as_many_are_kept_as_were_in_flight_at_once_and_none_is_opened_again() {
        const AT_ONCE: usize = 300;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let endpoints = config(&[&format!("http://127.0.0.1:{port}")], Balance::RoundRobin);
        let upstream = Upstream::build(&endpoints, None, &Metrics::new());
        let (pools, endpoint) = (Pools::new(), &upstream.endpoints()[0]);
        let mut accepted = Vec::new();
        for opened in [AT_ONCE, 0] {
            let mut busy = Vec::new();
            let mut new = 0;
            for _ in 0..AT_ONCE {
                let lease = pools.lease(endpoint, LONGEST_IDLE);
                let link = match lease.checkout() {
                    Some(link) => link,
                    None => {
                        new += 1;
                        let patience = Duration::from_secs(5);
                        let link = Link::connect(("127.0.0.1", port), patience).await.unwrap();
                        accepted.push(listener.accept().await.unwrap());
                        link
                    }
                };
                busy.push((lease, link));
            }
            assert_eq!(new, opened);
            // One after the other: fewer and fewer are in flight.
            for (lease, link) in busy {
                lease.keep(link);
            }
        }
    }
}
