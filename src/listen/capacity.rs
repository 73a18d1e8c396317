//! How many connections may be open: in all, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::observe::Metrics;

/// Counts open connections of all workers.
#[derive(Debug)]
pub(super) struct Capacity {
    open: AtomicUsize,
    limit: usize,
    by_peer: Mutex<HashMap<IpAddr, usize>>,
    metrics: Arc<Metrics>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    capacity: Arc<Capacity>,
    peer: Option<IpAddr>,
}

/// Connections from one address (one /64 of IPv6). Loopback is exempt: there everybody is one address.
const PER_PEER: usize = 256;

// === impl Capacity ===

impl Capacity {
    /// Room for `limit` connections.
    pub(super) fn new(limit: usize, metrics: Arc<Metrics>) -> Self {
        Self { open: AtomicUsize::new(0), limit, by_peer: Mutex::new(HashMap::new()), metrics }
    }

    /// A place, or `None` (counted) when there is none left.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let before = self.open.fetch_add(1, Ordering::AcqRel);
        self.metrics.connections.inc();
        // From here on dropping the place gives back what was taken.
        let mut place = Place { capacity: Arc::clone(self), peer: None };
        if before >= self.limit {
            self.refuse("limit");
            return None;
        }
        let network = network(peer);
        if !network.is_loopback() {
            let mut by_peer = self.by_peer();
            let count = by_peer.entry(network).or_insert(0);
            if *count >= PER_PEER {
                drop(by_peer);
                self.refuse("limit");
                return None;
            }
            *count += 1;
            place.peer = Some(network);
        }
        self.metrics.connections_accepted.inc();
        Some(place)
    }

    /// Counts a connection that is closed before a request.
    pub(super) fn refuse(&self, reason: &'static str) {
        self.metrics.connections_refused.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }

    fn by_peer(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Counts are right even when another thread panicked between two of them.
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.capacity.open.fetch_sub(1, Ordering::AcqRel);
        self.capacity.metrics.connections.dec();
        let Some(peer) = self.peer else { return };
        let mut by_peer = self.capacity.by_peer();
        if let Some(count) = by_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                by_peer.remove(&peer);
            }
        }
    }
}

// === free functions ===

/// One customer's usual share of the address space.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(limit: usize) -> Arc<Capacity> {
        Arc::new(Capacity::new(limit, Arc::new(Metrics::new())))
    }

    #[test]
    fn a_place_is_refused_over_the_limit_and_free_again_after_it_is_left() {
        let capacity = capacity(1);
        let peer = IpAddr::from([127, 0, 0, 1]);
        let place = capacity.enter(peer);
        assert!(place.is_some());
        assert!(capacity.enter(peer).is_none());
        drop(place);
        assert!(capacity.enter(peer).is_some());
        assert_eq!(capacity.metrics.connections.get(), 0);
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let capacity = capacity(10_000);
        let greedy = IpAddr::from([192, 0, 2, 1]);
        let places: Vec<_> = (0..PER_PEER).map(|_| capacity.enter(greedy).unwrap()).collect();
        assert!(capacity.enter(greedy).is_none());
        assert!(capacity.enter(IpAddr::from([192, 0, 2, 2])).is_some());
        assert_eq!(capacity.open.load(Ordering::Acquire), places.len());
        drop(places);
        assert!(capacity.enter(greedy).is_some());
        assert!(capacity.by_peer().is_empty());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let b: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        assert_eq!(network(a), network(b));
    }
}
