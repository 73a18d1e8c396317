//! The follower under a hundred thousand schedules of faults: seeded, in virtual time, without a network.
//!
//! Checked before every event that is told and after every fault: what was applied never passes again
//! unless it was reinstated later, and freshness claims no more than is known. At the end: the set is
//! the model. `PORTCULLIS_SIMULATION_SEED=n` runs the one schedule that a failure names.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::clock::{Clock, ManualClock, UnixTime};
use crate::observe::metrics::Metrics;
use crate::revocation::{Cursor, Epoch, Revocations};
use crate::shutdown::Shutdown;

use super::Follower;

mod copied;
mod feed;
mod model;
mod store;

use feed::SimulatedFeed;
use model::{Loaded, Model};
use store::Store;

/// What the feed and the director share.
struct World {
    random: Random,
    store: Store,
    model: Model,
    clock: Arc<ManualClock>,
    revocations: Arc<Revocations>,
    faults: [u64; FAULTS.len()],
    /// What the last node had loaded, and perhaps not applied to its end, when it stopped.
    dropped: Option<Loaded>,
}

/// SplitMix64.
struct Random(u64);

type Shared = Arc<Mutex<World>>;

/// What the director may do.
const FAULTS: [&str; 11] = [
    "revoke",
    "reinstate",
    "damage",
    "truncate",
    "away",
    "hang",
    "back",
    "new epoch",
    "rollback",
    "replica",
    "clock",
];
/// The wall clock at the beginning of each schedule.
const START: u64 = 100_000;
const SCHEDULES: u64 = 100_000;

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True once in `times`.
    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

// === impl World ===

impl World {
    fn new(seed: u64) -> Shared {
        Arc::new(Mutex::new(Self {
            random: Random(seed),
            store: Store::new(),
            model: Model::default(),
            clock: Arc::new(ManualClock::at(UnixTime::from_secs(START))),
            revocations: Arc::new(Revocations::new(&[], Duration::from_secs(10))),
            faults: [0; FAULTS.len()],
            dropped: None,
        }))
    }

    /// Another process, which has nothing in its memory; `kept` is what its copy says.
    fn begin_again(&mut self, kept: Option<(Epoch, Cursor)>) {
        self.revocations = Arc::new(Revocations::new(&[], Duration::from_secs(10)));
        if let Some(loaded) = self.dropped.take()
            && kept == Some((store::epoch(loaded.epoch), store::cursor(loaded.upto)))
        {
            self.model.load(loaded);
        }
    }

    fn check(&self) {
        self.model.check(&self.revocations, &self.store, self.clock.now());
    }

    /// One fault, or one change of the log.
    fn act(&mut self) {
        let fault = match self.random.below(24) {
            0..=7 => 0,
            8..=12 => 1,
            other => usize::try_from(other - 11).expect("small"),
        };
        let fault = fault.min(FAULTS.len() - 1);
        self.faults[fault] += 1;
        let (store, random) = (&mut self.store, &mut self.random);
        match fault {
            0 => store.revoke(random),
            1 => store.reinstate(random),
            2 => store.damage(),
            3 => store.truncate(random),
            4 => store.away = true,
            5 => store.hung = true,
            6 => (store.away, store.hung) = (false, false),
            7 => store.forget(random, true),
            8 => store.forget(random, false),
            9 => store.replica(random),
            _ => self.move_clock(),
        }
    }

    /// At most 300 s ahead and 20 s behind: beyond that the margins promise nothing.
    fn move_clock(&mut self) {
        self.store.clock_offset = match self.random.below(3) {
            0 => 0,
            1 => i64::try_from(self.random.below(300)).expect("small"),
            _ => -i64::try_from(self.random.below(20)).expect("small"),
        };
    }

    /// The wall clock follows the virtual one.
    fn tick(&self) {
        let now = self.store.now().as_secs().saturating_add_signed(self.store.clock_offset);
        self.clock.set(UnixTime::from_secs(now));
    }
}

/// Runs one schedule, and what its faults were.
async fn run(seed: u64, metrics: &Arc<Metrics>) -> [u64; FAULTS.len()] {
    let world = World::new(seed);
    let (revocations, clock) = {
        let world = world.lock().expect("no panic before");
        (Arc::clone(&world.revocations), Arc::clone(&world.clock))
    };
    let wake = Arc::new(Notify::new());
    let feed = SimulatedFeed::new(Arc::clone(&world), Arc::clone(&wake));
    let (follower, applied) = Follower::new(feed, revocations, Arc::clone(metrics), clock);
    let (_shutdown, drain) = Shutdown::new();
    let follower = follower.with_seed(seed);
    let node = async move {
        // Sweeping and counting take most of the time.
        match seed % 8 {
            0 => follower.run(drain).await,
            _ => follower.run_alone().await,
        }
    };
    tokio::select! {
        biased;
        () = node => unreachable!("nobody stops it"),
        () = direct(&world, &wake) => {}
    }
    let world = world.lock().expect("no panic before");
    let status = applied.status();
    assert!(status.connected && status.last_error.is_none(), "caught up: {status:?}");
    assert_eq!(status.epoch_changes, world.model.losses, "losses are counted");
    world.model.check_end(&world.store, &world.revocations);
    world.faults
}

/// Does what happens outside the node.
async fn direct(world: &Shared, wake: &Notify) {
    let lock = || world.lock().expect("no panic before");
    let steps = 4 + lock().random.below(16);
    for _ in 0..steps {
        let pause = {
            let mut world = lock();
            world.act();
            world.tick();
            world.check();
            if world.random.once_in(3) { 0 } else { world.random.below(900) }
        };
        wake.notify_one();
        sleep(Duration::from_millis(pause)).await;
    }
    {
        let mut world = lock();
        world.store.heal();
        world.tick();
    }
    // Longer than the longest pause.
    for _ in 0..2 {
        wake.notify_one();
        sleep(Duration::from_millis(6500)).await;
        let world = lock();
        world.tick();
        world.check();
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Runs the schedule on a runtime; says which it was when it fails.
fn run_on(runtime: &Runtime, seed: u64, metrics: &Arc<Metrics>) -> [u64; FAULTS.len()] {
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(seed, metrics))))
        .unwrap_or_else(|_told| panic!("PORTCULLIS_SIMULATION_SEED={seed} fails"))
}

#[test]
fn no_schedule_of_faults_lets_a_revoked_token_through() {
    if let Ok(seed) = std::env::var("PORTCULLIS_SIMULATION_SEED") {
        run_on(&runtime(), seed.parse().expect("a number"), &Arc::default());
        return;
    }
    let next = AtomicU64::new(0);
    let totals: Mutex<[u64; FAULTS.len()]> = Mutex::default();
    let work = || {
        let (runtime, metrics) = (runtime(), Arc::default());
        let mut sums = [0; FAULTS.len()];
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SCHEDULES {
                break;
            }
            let faults = run_on(&runtime, seed, &metrics);
            sums.iter_mut().zip(faults).for_each(|(sum, more)| *sum += more);
        }
        let mut totals = totals.lock().expect("no panic before");
        totals.iter_mut().zip(sums).for_each(|(total, more)| *total += more);
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no violation"));
    });
    let totals = totals.into_inner().expect("no panic before");
    for (fault, total) in FAULTS.iter().zip(totals) {
        assert!(total > 1000, "{fault} happened {total} times");
    }
}
