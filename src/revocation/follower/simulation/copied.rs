//! The same faults for a node that has a copy of its own: it starts again at any moment, goes on from
//! there, and gives back what the store has lost. At the end the store is what the node knows.

use std::pin::Pin;

use tokio::time::Instant;

use super::store::cursor;
use super::*;
use crate::feed::local::LocalCopy;
use crate::revocation::{Cursor, FeedError, Filter, Name, Page, Revocation, RevocationLog};

/// Writes to the simulated store.
struct SimulatedLog(Shared, Arc<Notify>);

/// A running node: stops where it is when it is dropped.
type Node = Pin<Box<dyn Future<Output = ()>>>;

struct Scene {
    world: Shared,
    wake: Arc<Notify>,
    copy: LocalCopy,
    metrics: Arc<Metrics>,
    log: SimulatedLog,
    restarts: u64,
}

const COPIED_SCHEDULES: u64 = 400;

// === impl SimulatedLog ===

impl RevocationLog for SimulatedLog {
    async fn append(&self, records: Vec<Revocation>) -> Result<Cursor, FeedError> {
        let store = &mut self.0.lock().expect("no panic before").store;
        if store.away || store.hung {
            return Err(FeedError::Unreachable("away".into()));
        }
        for record in records {
            store.repeat(record);
        }
        self.1.notify_one();
        Ok(cursor(store.log.len()))
    }

    async fn list(&self, _: Filter, _: Option<Name>, _: usize) -> Result<Page, FeedError> {
        unreachable!("nobody lists")
    }

    async fn compact(&self, _: UnixTime) -> Result<usize, FeedError> {
        unreachable!("nobody compacts")
    }
}

// === impl Scene ===

impl Scene {
    fn new(seed: u64, metrics: &Arc<Metrics>) -> Self {
        let (world, wake) = (World::new(seed), Arc::new(Notify::new()));
        let log = SimulatedLog(Arc::clone(&world), Arc::clone(&wake));
        let copy = LocalCopy::in_memory();
        Self { world, wake, copy, metrics: Arc::clone(metrics), log, restarts: 0 }
    }

    /// A node that knows nothing but its copy.
    fn start(&mut self, seed: u64) -> Node {
        self.restarts += 1;
        let feed = SimulatedFeed::new(Arc::clone(&self.world), Arc::clone(&self.wake));
        let feed = self.copy.over_at_once(feed);
        let mut world = self.world.lock().expect("no panic before");
        let kept = feed.known().map(|(epoch, cursor)| (epoch, cursor.clone()));
        world.begin_again(kept);
        let (revocations, clock) = (Arc::clone(&world.revocations), Arc::clone(&world.clock));
        let (follower, _) = Follower::new(feed, revocations, Arc::clone(&self.metrics), clock);
        Box::pin(follower.with_seed(seed).run_alone())
    }

    async fn pass(&self, node: &mut Node, millis: u64) {
        tokio::select! {
            biased;
            () = node => unreachable!("nobody stops it"),
            () = sleep(Duration::from_millis(millis)) => {}
        }
    }

    /// As the gateway does: not while it does not hear.
    async fn give_back(&self, node: &mut Node) {
        let hears = {
            let world = self.world.lock().expect("no panic before");
            let age = world.revocations.freshness().staleness_at(Instant::now().into_std());
            age.is_some_and(|age| age < Duration::from_secs(3))
        };
        if !hears {
            return;
        }
        tokio::select! {
            biased;
            () = node => unreachable!("nobody stops it"),
            // A store that is away gets it later.
            outcome = self.copy.give_back(&self.log, &self.metrics) => drop(outcome),
        }
    }

    async fn run(&mut self, seed: u64) {
        let mut node = self.start(seed);
        let steps = 4 + self.below(16);
        for step in 0..steps {
            if self.below(6) == 0 {
                drop(node);
                // What it was writing is written by then.
                sleep(Duration::from_millis(1)).await;
                node = self.start(seed ^ step);
            }
            let pause = {
                let mut world = self.world.lock().expect("no panic before");
                world.act();
                world.tick();
                world.check();
                if world.random.once_in(3) { 0 } else { world.random.below(900) }
            };
            self.wake.notify_one();
            self.pass(&mut node, pause).await;
            if self.below(4) == 0 {
                self.give_back(&mut node).await;
            }
        }
        {
            let mut world = self.world.lock().expect("no panic before");
            world.store.heal();
            world.tick();
        }
        for _ in 0..3 {
            self.wake.notify_one();
            self.pass(&mut node, 6500).await;
            self.give_back(&mut node).await;
            let world = self.world.lock().expect("no panic before");
            world.tick();
            world.check();
        }
        assert_eq!(self.copy.status().expect("readable").owed, 0, "all was given back");
        let world = self.world.lock().expect("no panic before");
        world.model.check_whole(&world.store, &world.revocations);
    }

    fn below(&self, end: u64) -> u64 {
        self.world.lock().expect("no panic before").random.below(end)
    }
}

#[test]
fn a_node_that_starts_again_and_gives_back_lets_no_revoked_token_through_either() {
    let single = std::env::var("PORTCULLIS_SIMULATION_SEED").ok();
    let seeds = match single.map(|seed| seed.parse::<u64>().expect("a number")) {
        Some(seed) => seed..seed + 1,
        None => 0..COPIED_SCHEDULES,
    };
    let (runtime, metrics) = (runtime(), Arc::<Metrics>::default());
    let (mut restarts, alone) = (0, seeds.end - seeds.start == 1);
    for seed in seeds {
        let mut scene = Scene::new(seed, &metrics);
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(scene.run(seed))));
        restarts += scene.restarts;
        assert!(outcome.is_ok(), "PORTCULLIS_SIMULATION_SEED={seed} fails");
    }
    assert!(alone || restarts > 2 * COPIED_SCHEDULES, "{restarts} starts");
    assert!(alone || metrics.revocation_given_back.get() > 50);
}
