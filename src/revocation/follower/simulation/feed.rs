//! The node's connection to the simulated store: it drops, repeats, reorders, and says when it can't go on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::model::Loaded;
use super::store::{cursor, epoch};
use super::{Shared, World};
use crate::revocation::{Checkpoint, Cursor, Epoch, FeedError, FeedEvent, Live, RevocationFeed};

/// Reads the store as an adapter would.
pub(super) struct SimulatedFeed {
    world: Shared,
    wake: Arc<Notify>,
    incarnation: u64,
    /// The next record to tell is the one after this many.
    position: usize,
    /// How many have been told in this incarnation.
    told: usize,
    loaded: Option<Loaded>,
    /// The shortest that the log had been before that.
    shortest: usize,
}

type Told = Result<FeedEvent, FeedError>;

// === impl SimulatedFeed ===

impl SimulatedFeed {
    pub(super) const fn new(world: Shared, wake: Arc<Notify>) -> Self {
        Self {
            world,
            wake,
            incarnation: 0,
            position: 0,
            told: 0,
            loaded: None,
            shortest: usize::MAX,
        }
    }

    async fn answer(&self) {
        while self.world.lock().expect("no panic before").store.hung {
            self.wake.notified().await;
        }
    }

    fn snapshot(&mut self) -> Result<Checkpoint, FeedError> {
        let mut shared = self.world.lock().expect("no panic before");
        let world = &mut *shared;
        let (store, random) = (&mut world.store, &mut world.random);
        if store.away || (!store.calm && random.once_in(8)) {
            return Err(unreachable());
        }
        // An adapter's duty: a log that was cut and has grown again is another memory.
        let known = world.model.cursor.filter(|_| world.model.epoch == Some(store.epoch));
        if known.is_some_and(|known| store.shortest < known && known <= store.shown) {
            store.begin_epoch();
        }
        self.shortest = std::mem::replace(&mut store.shortest, usize::MAX);
        let upto = store.shown;
        let live = store.live(upto);
        let entries = live.values().map(|(entry, _)| entry.clone()).collect::<Vec<_>>();
        let breaks_off = !store.calm && random.once_in(8);
        let live_batches = if breaks_off { Live::broken_off(entries) } else { entries.into() };
        self.incarnation = store.incarnation;
        (self.position, self.told) = (upto, upto);
        let loaded = Loaded { epoch: store.epoch, upto, live, began: Instant::now() };
        if breaks_off {
            world.model.load_partly();
        }
        self.loaded = Some(loaded);
        Ok(Checkpoint { epoch: epoch(store.epoch), live: live_batches, upto: cursor(upto) })
    }

    /// What there is to tell now.
    fn tell(&mut self, world: &mut World) -> Option<Told> {
        let World { store, random, model, .. } = world;
        if store.hung {
            return None;
        }
        if store.away {
            return Some(Err(unreachable()));
        }
        if self.incarnation != store.incarnation || self.position < store.floor {
            return Some(Err(FeedError::Truncated(cursor(self.position))));
        }
        if !store.calm {
            match random.below(48) {
                0..=2 => return Some(Err(unreachable())),
                3 => return Some(Err(FeedError::Truncated(cursor(self.position)))),
                // Told again from further back.
                4..=6 => {
                    let back = usize::try_from(random.below(5)).expect("small");
                    self.position = self.position.saturating_sub(back).max(store.floor);
                }
                // Out of order, from an earlier connection.
                7..=8 if self.told > store.floor => {
                    let span = (self.told - store.floor) as u64;
                    let at = store.floor + usize::try_from(random.below(span)).expect("small");
                    return Some(Ok(event(world, at)));
                }
                9 => return Some(Ok(FeedEvent::Heartbeat { at: cursor(store.shown + 1) })),
                _ => {}
            }
        }
        if self.position == store.shown {
            return None;
        }
        let at = self.position;
        self.position += 1;
        self.told = self.told.max(self.position);
        let said = &store.log[at];
        model.record(said, at + 1);
        Some(Ok(event(world, at)))
    }

    fn beat(&self, world: &mut World) -> Option<Told> {
        let store = &world.store;
        let all = self.position == store.shown && self.incarnation == store.incarnation;
        if store.hung || store.away || !all {
            return None;
        }
        world.model.known_at = Some(Instant::now());
        Some(Ok(FeedEvent::Heartbeat { at: cursor(self.position) }))
    }
}

/// The node stops.
impl Drop for SimulatedFeed {
    fn drop(&mut self) {
        // After a failed check there is nothing left to be done.
        let Ok(mut world) = self.world.lock() else { return };
        if self.loaded.is_some() {
            world.store.shortest = world.store.shortest.min(self.shortest);
        }
        world.dropped = self.loaded.take();
    }
}

impl RevocationFeed for SimulatedFeed {
    async fn resume(&mut self, known: Epoch, after: &Cursor) -> Result<(), FeedError> {
        self.answer().await;
        let shared = Arc::clone(&self.world);
        let mut world = shared.lock().expect("no panic before");
        let World { store, random, .. } = &mut *world;
        if store.away || (!store.calm && random.once_in(8)) {
            return Err(unreachable());
        }
        let at = after.as_str().parse().expect("a cursor of ours");
        // An adapter's duty, as at a load: a log that was cut and has grown again is not ours.
        let there = (store.floor..=store.shown.min(store.shortest)).contains(&at);
        if known != epoch(store.epoch) || !there {
            return Err(FeedError::Truncated(after.clone()));
        }
        self.incarnation = store.incarnation;
        (self.position, self.told) = (at, at);
        Ok(())
    }

    async fn load(&mut self) -> Result<Checkpoint, FeedError> {
        if self.loaded.take().is_some() {
            // It was not applied to its end: the log is as old to us as it was before.
            let store = &mut self.world.lock().expect("no panic before").store;
            store.shortest = store.shortest.min(self.shortest);
        }
        self.answer().await;
        let checkpoint = self.snapshot();
        let slow = self.world.lock().expect("no panic before").random.below(40);
        // A third of the loads take a while, in which the log goes on.
        sleep(Duration::from_millis(slow.saturating_sub(26) * 20)).await;
        checkpoint
    }

    async fn next(&mut self) -> Told {
        let world = Arc::clone(&self.world);
        let lock = || world.lock().expect("no panic before");
        if let Some(loaded) = self.loaded.take() {
            lock().model.load(loaded);
        }
        loop {
            let pause = {
                let world = &mut *lock();
                world.tick();
                world.check();
                if let Some(told) = self.tell(world) {
                    return told;
                }
                Duration::from_millis(if world.store.calm { 5000 } else { 500 })
            };
            let quiet = tokio::select! {
                biased;
                () = self.wake.notified() => false,
                () = sleep(pause) => true,
            };
            if quiet && let Some(beat) = self.beat(&mut lock()) {
                return beat;
            }
        }
    }
}

fn event(world: &World, at: usize) -> FeedEvent {
    let (said, at) = (&world.store.log[at], cursor(at + 1));
    if said.damaged {
        return FeedEvent::Undecodable { at };
    }
    FeedEvent::Record { record: said.record.clone(), at }
}

fn unreachable() -> FeedError {
    FeedError::Unreachable("away".into())
}
