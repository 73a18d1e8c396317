//! The follower, without a network: scripted feeds, and feeds that drop, repeat and forget.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::*;
use crate::clock::{ManualClock, UnixTime};
use crate::revocation::fixtures::{reinstate, revoke};
use crate::revocation::{Checkpoint, FeedEvent, Op, RevocationError, WhenStale};
use crate::shutdown::Shutdown;
use crate::token::{TokenType, TokenTypes, Verified};

type Loaded = Result<Checkpoint, FeedError>;
type Told = Result<FeedEvent, FeedError>;

/// Says what the test tells it to; then nothing, for ever.
struct ScriptedFeed {
    loads: VecDeque<Loaded>,
    events: mpsc::UnboundedReceiver<Told>,
}

struct Scene {
    revocations: Arc<Revocations>,
    metrics: Arc<Metrics>,
    applied: AppliedCursor,
    tell: mpsc::UnboundedSender<Told>,
    _shutdown: Shutdown,
}

impl RevocationFeed for ScriptedFeed {
    async fn load(&mut self) -> Loaded {
        match self.loads.pop_front() {
            Some(load) => load,
            None => std::future::pending().await,
        }
    }

    async fn next(&mut self) -> Told {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl Scene {
    fn new(loads: impl IntoIterator<Item = Loaded>) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        let feed = ScriptedFeed { loads: loads.into_iter().collect(), events };
        let revocations = Arc::new(Revocations::new(&[], Duration::from_secs(10)));
        let metrics = Arc::new(Metrics::new());
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(150)));
        let (follower, applied) =
            Follower::new(feed, Arc::clone(&revocations), Arc::clone(&metrics), clock);
        let (shutdown, drain) = Shutdown::new();
        tokio::spawn(follower.run(drain));
        Self { revocations, metrics, applied, tell, _shutdown: shutdown }
    }

    fn tell(&self, event: Told) {
        self.tell.send(event).expect("the follower listens");
    }

    fn record(&self, at: u64, record: Revocation) {
        self.tell(Ok(FeedEvent::Record { record, at: cursor(at) }));
    }

    async fn reached(&self, at: u64) {
        assert!(self.applied.reached(&cursor(at), Duration::from_secs(20)).await, "reached {at}");
    }

    async fn until(&self, what: impl Fn(&FeedStatus) -> bool) {
        let mut status = self.applied.0.clone();
        let there = tokio::time::timeout(Duration::from_secs(20), status.wait_for(what)).await;
        drop(there.expect("in time").expect("the follower runs"));
    }

    fn revoked(&self, value: &str) -> bool {
        let token = Verified::for_test("i", TokenType::Access, json!({"jti": value}));
        let named = Arc::new(self.revocations.name(token));
        let now = UnixTime::from_secs(50);
        let outcome = self.revocations.admit(&named, TokenTypes::BOTH, WhenStale::Allow, now);
        match outcome {
            Ok(_) => false,
            Err(RevocationError::RevokedToken) => true,
            Err(error) => panic!("{error}"),
        }
    }
}

fn cursor(at: u64) -> Cursor {
    Cursor::of_number(at)
}

fn epoch(number: u128) -> Epoch {
    Epoch(Uuid::from_u128(number))
}

fn checkpoint(memory: u128, upto: u64, values: &[&str]) -> Loaded {
    let live: Vec<_> = values.iter().map(|value| revoke("jti", value, None, 100)).collect();
    Ok(Checkpoint { epoch: epoch(memory), live: live.into(), upto: cursor(upto) })
}

fn unreachable() -> FeedError {
    FeedError::Unreachable("away".into())
}

#[tokio::test]
async fn the_checkpoint_comes_first_and_then_the_log() {
    let scene = Scene::new([checkpoint(1, 5, &["a", "b"])]);
    assert!(scene.applied.loaded().await);
    assert!(scene.revoked("a") && scene.revoked("b") && !scene.revoked("c"));
    scene.record(6, revoke("jti", "c", None, 100));
    scene.record(7, reinstate("jti", "a"));
    scene.reached(7).await;
    assert!(!scene.revoked("a") && scene.revoked("b") && scene.revoked("c"));
    let status = scene.applied.status();
    assert!(status.connected && status.last_error.is_none());
    assert_eq!((status.epoch, status.applied), (Some(epoch(1)), 2));
}

#[tokio::test]
async fn a_replay_undoes_nothing() {
    let scene = Scene::new([checkpoint(1, 5, &[])]);
    scene.record(6, reinstate("jti", "a"));
    scene.record(7, revoke("jti", "a", None, 100));
    scene.record(6, reinstate("jti", "a"));
    scene.record(5, reinstate("jti", "a"));
    scene.record(8, revoke("jti", "b", None, 100));
    scene.reached(8).await;
    assert!(scene.revoked("a"));
    assert_eq!(scene.applied.status().applied, 3);
}

#[tokio::test]
async fn a_gap_loads_again_and_the_checkpoint_is_the_truth() {
    let scene = Scene::new([checkpoint(1, 5, &["a", "b"]), checkpoint(1, 9, &["b", "c"])]);
    scene.record(6, revoke("jti", "x", None, 100));
    scene.reached(6).await;
    scene.tell(Err(FeedError::Truncated(cursor(6))));
    scene.reached(9).await;
    assert!(!scene.revoked("a") && !scene.revoked("x"), "reinstated in the gap");
    assert!(scene.revoked("b") && scene.revoked("c"));
    assert_eq!(scene.metrics.epoch_changes.get(), 0);
}

#[tokio::test]
async fn a_store_that_lost_its_memory_takes_nothing_from_ours() {
    // Another epoch; then the same one with a cursor behind ours.
    for (memory, upto) in [(2, 1), (1, 3)] {
        let scene = Scene::new([checkpoint(1, 5, &["a"]), checkpoint(memory, upto, &["b"])]);
        scene.reached(5).await;
        scene.tell(Err(FeedError::Truncated(cursor(5))));
        scene.until(|status| status.epoch_changes == 1).await;
        assert!(scene.revoked("a") && scene.revoked("b"));
        assert_eq!(scene.metrics.epoch_changes.get(), 1);
        scene.record(upto + 1, revoke("jti", "c", None, 100));
        scene.reached(upto + 1).await;
        assert!(scene.revoked("c"), "the new memory's cursors count");
    }
}

#[tokio::test]
async fn a_large_checkpoint_is_put_in_whole_and_one_that_breaks_off_leaves_nothing() {
    let values: Vec<String> = (0..9000).map(|number| number.to_string()).collect();
    let large: Vec<&str> = values.iter().map(String::as_str).collect();
    let stray =
        (0..5000).map(|number| revoke("jti", &format!("stray-{number}"), None, 900)).collect();
    let broken = Checkpoint {
        epoch: epoch(1),
        live: crate::revocation::Live::broken_off(stray),
        upto: cursor(4),
    };
    let scene = Scene::new([Ok(broken), checkpoint(1, 5, &large), checkpoint(1, 9, &["x"])]);
    scene.reached(5).await;
    assert_eq!(scene.revocations.set().len(), 9000);
    scene.tell(Err(FeedError::Truncated(cursor(5))));
    scene.reached(9).await;
    assert_eq!(scene.revocations.set().len(), 1);
}

#[tokio::test]
async fn a_checkpoint_that_breaks_off_is_not_the_truth() {
    let (sender, live) = super::super::Live::channel();
    let half = vec![revoke("jti", "a", None, 100)];
    assert!(tokio::task::spawn_blocking(move || sender.blocking_send(half)).await.expect("sent"));
    let broken = Ok(Checkpoint { epoch: epoch(1), live, upto: cursor(9) });
    let scene = Scene::new([checkpoint(1, 5, &["x"]), broken, checkpoint(1, 10, &["x"])]);
    scene.reached(5).await;
    scene.tell(Err(FeedError::Truncated(cursor(5))));
    scene.reached(10).await;
    assert!(scene.revoked("x") && !scene.revoked("a"));
}

#[tokio::test]
async fn an_unreachable_feed_is_asked_again_and_memory_decides_meanwhile() {
    let scene = Scene::new([Err(unreachable()), Err(unreachable()), checkpoint(1, 5, &["a"])]);
    scene.until(|status| status.last_error.is_some()).await;
    assert!(!scene.revocations.freshness().is_loaded());
    scene.reached(5).await;
    scene.tell(Err(unreachable()));
    scene.until(|status| !status.connected).await;
    assert!(scene.revoked("a"));
    assert_eq!(scene.metrics.feed_connected.get(), 0);
    scene.record(6, revoke("jti", "b", None, 100));
    scene.reached(6).await;
    assert_eq!(scene.metrics.feed_connected.get(), 1);
}

#[tokio::test]
async fn what_can_not_be_decoded_is_counted_and_passed_over() {
    let scene = Scene::new([checkpoint(1, 5, &[])]);
    scene.tell(Ok(FeedEvent::Undecodable { at: cursor(6) }));
    scene.tell(Ok(FeedEvent::Undecodable { at: cursor(6) }));
    scene.record(7, revoke("jti", "a", None, 100));
    scene.reached(7).await;
    assert!(scene.revoked("a"));
    assert_eq!(scene.applied.status().undecodable, 1);
    assert_eq!(scene.metrics.revocation_undecodable.get(), 1);
}

#[tokio::test]
async fn what_had_expired_before_it_was_published_is_counted() {
    let scene = Scene::new([checkpoint(1, 5, &[])]);
    assert!(scene.applied.loaded().await);
    scene.until(|status| status.connected).await;
    // It is 150.
    scene.record(6, revoke("jti", "a", None, 100));
    scene.record(7, revoke("jti", "b", None, 152));
    scene.record(8, revoke("jti", "c", None, 400));
    scene.record(9, reinstate("jti", "a"));
    scene.reached(9).await;
    assert_eq!(scene.metrics.revocation_born_expired.get(), 1);
}

#[tokio::test]
async fn only_a_heartbeat_at_our_cursor_makes_fresh() {
    let scene = Scene::new([checkpoint(1, 5, &[])]);
    scene.reached(5).await;
    scene.until(|status| status.connected).await;
    // Seen from one fixed moment, staleness changes only when something is confirmed.
    let moment = Instant::now().into_std() + Duration::from_secs(60);
    let staleness = || scene.revocations.freshness().staleness_at(moment).expect("loaded");
    let before = staleness();
    while scene.revocations.freshness().staleness() < Some(Duration::from_millis(5)) {
        tokio::task::yield_now().await;
    }
    scene.record(6, revoke("jti", "a", None, 100));
    scene.tell(Ok(FeedEvent::Heartbeat { at: cursor(9) }));
    scene.record(7, revoke("jti", "b", None, 100));
    scene.reached(7).await;
    assert_eq!(staleness(), before, "neither a record nor a beat from ahead of us is everything");
    scene.tell(Ok(FeedEvent::Heartbeat { at: cursor(7) }));
    scene.record(8, revoke("jti", "c", None, 100));
    scene.reached(8).await;
    assert!(staleness() < before);
}

#[tokio::test(start_paused = true)]
async fn expired_entries_are_swept_and_counted() {
    let scene = Scene::new([checkpoint(1, 5, &["a"])]);
    scene.record(6, revoke("jti", "old", None, 89));
    scene.reached(6).await;
    assert_eq!(scene.revocations.set().len(), 2);
    while scene.metrics.revocation_swept.get() == 0 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert_eq!(scene.revocations.set().len(), 1);
    assert_eq!(scene.metrics.revocation_swept.get(), 1);
    let text = scene.metrics.render();
    assert!(text.contains(r#"portcullis_revocation_entries{claim="jti"}"#), "{text}");
}

#[tokio::test]
async fn waiting_for_a_cursor_ends_with_its_time() {
    let scene = Scene::new([checkpoint(1, 5, &[])]);
    scene.reached(5).await;
    assert!(!scene.applied.reached(&cursor(6), Duration::from_millis(20)).await);
}

#[tokio::test]
async fn whoever_waits_looks_again_at_a_beat() {
    let scene = Scene::new([checkpoint(1, 5, &[])]);
    scene.reached(5).await;
    let over = std::cell::Cell::new(false);
    let mut waiting = pin!(scene.applied.until(|_| over.get(), Duration::from_secs(20)));
    assert!(poll!(waiting.as_mut()).is_pending());
    over.set(true);
    scene.tell(Ok(FeedEvent::Heartbeat { at: cursor(5) }));
    assert!(waiting.await);
}

/// A store whose connection drops, repeats, cuts its log off, and forgets that it had told.
struct FlakyFeed {
    log: Arc<[Revocation]>,
    faults: VecDeque<u8>,
    position: usize,
    told: usize,
}

impl FlakyFeed {
    fn live(&self, upto: usize) -> Vec<Revocation> {
        let mut live = BTreeMap::new();
        for record in &self.log[..upto] {
            match record.op {
                Op::Reinstate => drop(live.remove(&record.name)),
                Op::Revoke | Op::Register => {
                    let old: Option<Revocation> = live.remove(&record.name);
                    let new =
                        old.map_or_else(|| record.clone(), |old| old.followed_by(record.clone()));
                    live.insert(record.name.clone(), new);
                }
            }
        }
        live.into_values().collect()
    }

    fn tell(&mut self) -> Option<FeedEvent> {
        let record = self.log.get(self.position).cloned()?;
        self.position += 1;
        self.told = self.told.max(self.position);
        Some(FeedEvent::Record { record, at: cursor(self.position as u64) })
    }
}

impl RevocationFeed for FlakyFeed {
    async fn load(&mut self) -> Loaded {
        // A checkpoint may be older than the end of the log, never older than what was told.
        if self.faults.pop_front() == Some(9) {
            return Err(unreachable());
        }
        let upto = self.told + (self.log.len() - self.told) / 2;
        (self.position, self.told) = (upto, upto);
        let live = self.live(upto).into();
        Ok(Checkpoint { epoch: epoch(1), live, upto: cursor(upto as u64) })
    }

    async fn next(&mut self) -> Told {
        match self.faults.pop_front() {
            Some(0) => return Err(unreachable()),
            Some(1) => return Err(FeedError::Truncated(cursor(self.position as u64))),
            // Told again from further back.
            Some(back @ 2..=4) => self.position = self.position.saturating_sub(usize::from(back)),
            Some(5) => return Ok(FeedEvent::Heartbeat { at: cursor(self.log.len() as u64) }),
            _ => {}
        }
        match self.tell() {
            Some(event) => Ok(event),
            None => std::future::pending().await,
        }
    }

    fn more(&mut self) -> VecDeque<FeedEvent> {
        let count = match self.faults.front().copied() {
            Some(count @ 6..=8) => usize::from(count) - 5,
            _ => return VecDeque::new(),
        };
        self.faults.pop_front();
        // Some of them again.
        self.position = self.position.saturating_sub(count / 2);
        std::iter::from_fn(|| self.tell()).take(count).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn after_any_faults_the_set_is_what_the_log_says(
        steps in proptest::collection::vec((0..5_u8, any::<bool>()), 1..40),
        faults in proptest::collection::vec(0..12_u8, 0..40),
    ) {
        let log: Vec<_> = steps.iter().map(|(value, give_back)| {
            let value = value.to_string();
            if *give_back { reinstate("jti", &value) } else { revoke("jti", &value, None, 100) }
        }).collect();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let end = cursor(log.len() as u64);
            let feed = FlakyFeed { log: log.into(), faults: faults.into(), position: 0, told: 0 };
            let want = feed.live(feed.log.len());
            let revocations = Arc::new(Revocations::new(&[], Duration::from_secs(10)));
            let clock = Arc::new(ManualClock::at(UnixTime::from_secs(50)));
            let (follower, applied) = Follower::new(feed, Arc::clone(&revocations), Arc::default(), clock);
            let (_shutdown, drain) = Shutdown::new();
            let task = tokio::spawn(follower.run(drain));
            assert!(applied.reached(&end, Duration::from_secs(600)).await);
            let set = revocations.set();
            assert_eq!(set.len(), want.len());
            let names: Vec<_> = want.iter().map(|entry| set.put(entry)).collect();
            assert_eq!(set.len(), names.len(), "the set held nothing else, and all of it");
            task.abort();
        });
    }
}
