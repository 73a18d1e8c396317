//! What the node should know, worked out the plain way from what it was told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::store::{Said, Store, VALUES, name};
use crate::clock::UnixTime;
use crate::revocation::{Op, Revocation, Revocations};

/// The node as it should be.
#[derive(Default)]
pub(super) struct Model {
    known: BTreeMap<Arc<str>, Revocation>,
    /// Every revocation that the node has applied: its value, its order, its end.
    applied: Vec<(Arc<str>, u64, UnixTime)>,
    pub(super) cursor: Option<usize>,
    pub(super) epoch: Option<u128>,
    /// When the node last knew everything.
    pub(super) known_at: Option<Instant>,
    pub(super) losses: u64,
    within_an_epoch: u64,
    /// A part of a checkpoint was joined, and not the rest.
    partly: bool,
}

/// What a load gave, to be applied once the follower has.
pub(super) struct Loaded {
    pub(super) epoch: u128,
    pub(super) upto: usize,
    pub(super) live: BTreeMap<Arc<str>, (Revocation, u64)>,
    pub(super) began: Instant,
}

// === impl Model ===

impl Model {
    pub(super) fn load(&mut self, loaded: Loaded) {
        let Loaded { epoch, upto, live, began } = loaded;
        let same = self.epoch == Some(epoch);
        let lost = self.cursor.is_some_and(|cursor| !same || upto < cursor);
        self.losses += u64::from(lost);
        self.within_an_epoch += u64::from(lost && same);
        // Without a copy of its own a node can't tell what was lost from what was reinstated.
        if self.losses == 0 {
            self.known.clear();
        }
        for (value, (entry, order)) in live {
            self.applied.push((Arc::clone(&value), order, entry.expires_at));
            self.merge(entry);
        }
        (self.epoch, self.cursor) = (Some(epoch), Some(upto));
        self.known_at = self.known_at.max(Some(began));
    }

    /// The follower will get a part of what it loads.
    pub(super) fn load_partly(&mut self) {
        self.partly = true;
    }

    pub(super) fn record(&mut self, said: &Said, at: usize) {
        if self.cursor.is_some_and(|cursor| at <= cursor) {
            return;
        }
        self.cursor = Some(at);
        let record = &said.record;
        match record.op {
            _ if said.damaged => {}
            Op::Reinstate => drop(self.known.remove(&record.name.value)),
            Op::Revoke | Op::Register => {
                let value = Arc::clone(&record.name.value);
                self.applied.push((value, said.order, record.expires_at));
                self.merge(record.clone());
            }
        }
    }

    fn merge(&mut self, record: Revocation) {
        let value = Arc::clone(&record.name.value);
        let merged = match self.known.remove(&value) {
            Some(old) => old.followed_by(record),
            None => record,
        };
        self.known.insert(value, merged);
    }

    /// What must hold at every moment. A node that has loaded nothing lets nobody through.
    pub(super) fn check(&self, revocations: &Revocations, store: &Store, wall: UnixTime) {
        if !revocations.freshness().is_loaded() {
            return;
        }
        for (value, order, end) in &self.applied {
            let reinstated = store.reinstated.get(&**value).is_some_and(|later| later > order);
            let held = revocations.set().holds(&name(value), None, wall);
            assert!(held || reinstated || *end < wall, "revocation {order} of {value} passes");
        }
        let now = Instant::now();
        let staleness = revocations.freshness().staleness_at(now.into_std());
        let claimed = staleness.map(|age| now - age);
        // Freshness counts whole milliseconds.
        let known = self.known_at.map(|at| at + Duration::from_millis(2));
        assert!(claimed <= known, "claims to know everything of {claimed:?}, knows {known:?}");
    }

    /// What must hold when a node with a copy has given back all that it owed: the store has it.
    pub(super) fn check_whole(&self, store: &Store, revocations: &Revocations) {
        assert_eq!(self.cursor, Some(store.log.len()), "everything was applied");
        let live = store.live(store.log.len());
        // After a store went back within one memory more may be refused than need be, never less.
        let exact = self.within_an_epoch == 0;
        for value in VALUES {
            for issued in [None, Some(5), Some(15), Some(25), Some(35)] {
                let (issued, now) = (issued.map(UnixTime::from_secs), store.now());
                let holds = revocations.set().holds(&name(value), issued, now);
                let should = covers(live.get(value).map(|(entry, _)| entry), issued, now);
                assert!(holds || !should, "{value} issued at {issued:?} passes");
                assert!(holds == should || !exact, "{value} issued at {issued:?}: {holds}");
            }
        }
    }

    /// What must hold when all is well again.
    pub(super) fn check_end(&self, store: &Store, revocations: &Revocations) {
        assert_eq!(self.cursor, Some(store.log.len()), "everything was applied");
        let staleness = revocations.freshness().staleness_at(Instant::now().into_std());
        assert!(staleness < Some(Duration::from_secs(6)), "fresh again: {staleness:?}");
        let live = store.live(store.log.len());
        // After a store went back within one memory more may be refused than need be, never less.
        let exact = self.losses == 0 || (self.within_an_epoch == 0 && !self.partly);
        for value in VALUES {
            for issued in [None, Some(5), Some(15), Some(25), Some(35)] {
                for now in [store.now(), store.now().saturating_add(Duration::from_secs(100))] {
                    let issued = issued.map(UnixTime::from_secs);
                    let holds = revocations.set().holds(&name(value), issued, now);
                    let should = covers(self.known.get(value), issued, now);
                    let must = covers(live.get(value).map(|(entry, _)| entry), issued, now);
                    assert!(holds || !must, "{value} issued at {issued:?} passes");
                    assert!(holds == should || !exact, "{value} issued at {issued:?}: {holds}");
                }
            }
        }
    }
}

fn covers(entry: Option<&Revocation>, issued: Option<UnixTime>, now: UnixTime) -> bool {
    entry.is_some_and(|entry| {
        now <= entry.expires_at
            && entry.issued_before.is_none_or(|cut| issued.is_none_or(|issued| issued <= cut))
    })
}
