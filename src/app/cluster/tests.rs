//! Nodes in one process, each with a feed that says what the test tells it to.

use tokio::sync::mpsc;

use super::*;
use crate::app::cluster::voice::Voice;
use crate::clock::{ManualClock, UnixTime};
use crate::control::{Nodes, Wait};
use crate::feed::alone::AloneRoster;
use crate::revocation::follower::Follower;
use crate::revocation::{
    Checkpoint, Cursor, Ear, Epoch, FeedEvent, LiveNode, Name, Op, Presence, Revocation,
    RevocationFeed,
};
use crate::shutdown::Shutdown;

struct ScriptedFeed {
    epoch: Epoch,
    events: mpsc::UnboundedReceiver<FeedEvent>,
    /// Whether the node was announced when it loaded.
    announced: mpsc::UnboundedSender<bool>,
    roster: AloneRoster,
}

struct Member {
    cluster: Arc<Cluster<AloneRoster>>,
    tell: mpsc::UnboundedSender<FeedEvent>,
    loaded: mpsc::UnboundedReceiver<bool>,
    shutdown: Shutdown,
}

/// A store whose roster answers nothing.
#[derive(Clone, Debug)]
struct Mute;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

impl RevocationFeed for ScriptedFeed {
    async fn load(&mut self) -> Result<Checkpoint, FeedError> {
        let announced = !self.roster.nodes().await?.is_empty();
        self.announced.send(announced).ok();
        Ok(Checkpoint { epoch: self.epoch, live: Vec::new().into(), upto: cursor(5) })
    }

    async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        match self.events.recv().await {
            Some(event) => Ok(event),
            None => std::future::pending().await,
        }
    }
}

impl NodeRoster for Mute {
    async fn announce(&self, _: &Presence) -> Result<(), FeedError> {
        Err(FeedError::Refused("no right to announce".to_owned()))
    }

    async fn withdraw(&self, _: Uuid) -> Result<(), FeedError> {
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<LiveNode>, FeedError> {
        Err(FeedError::Refused("no right to list".to_owned()))
    }

    async fn tell(&self, _: Audience, _: Vec<u8>) -> Result<(), FeedError> {
        Ok(())
    }

    async fn listen(&self, _: Uuid) -> Result<Ear, FeedError> {
        Err(FeedError::Refused("no right to listen".to_owned()))
    }
}

impl Member {
    /// Starts one, and waits until it has loaded and all others can see it.
    async fn start(roster: &AloneRoster, name: &str, epoch: u128) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        let (announced, loaded) = mpsc::unbounded_channel();
        let epoch = Epoch(Uuid::from_u128(epoch));
        let feed = ScriptedFeed { epoch, events, announced, roster: roster.clone() };
        let (shutdown, drain) = Shutdown::new();
        let cluster = cluster(feed, roster.clone(), name, &drain);
        tokio::spawn(Arc::clone(&cluster).run(drain));
        assert!(cluster.applied.loaded().await);
        // It hears what it says itself as soon as others hear it.
        while roster.nodes().await.expect("listed").is_empty() {
            tokio::task::yield_now().await;
        }
        Self { cluster, tell, loaded, shutdown }
    }

    fn id(&self) -> Uuid {
        self.cluster.own().id
    }

    fn apply(&self, at: u64, record: &Revocation) {
        let event = FeedEvent::Record { record: record.clone(), at: cursor(at) };
        self.tell.send(event).expect("the follower listens");
    }

    async fn reached(&self, at: u64) {
        assert!(self.cluster.applied.reached(&cursor(at), PATIENCE).await, "reached {at}");
    }

    /// What a call at this node answers.
    async fn confirm(&self, record: &Revocation, wait: Wait, limit: Duration) -> Nodes {
        self.cluster.confirm(Some(record), wait, limit).await
    }
}

fn cluster<R: NodeRoster>(
    feed: impl RevocationFeed,
    roster: R,
    name: &str,
    drain: &Drain,
) -> Arc<Cluster<R>> {
    let revocations = Arc::new(Revocations::new(&[], SECOND * 2));
    let own = NodeName { name: name.into(), id: Uuid::new_v4() };
    let voice = Arc::new(Voice::new(roster, own, Arc::clone(&revocations)));
    let feed = Announced::new(feed, Arc::clone(&voice));
    let (metrics, clock) = (Arc::new(Metrics::new()), Arc::new(ManualClock::at(NOW)));
    let (follower, applied) = Follower::new(
        feed,
        Arc::clone(&revocations),
        Arc::clone(&metrics),
        Arc::clone(&clock) as _,
    );
    tokio::spawn(follower.run(drain.clone()));
    Arc::new(Cluster::new(voice, applied, revocations, metrics, clock))
}

const NOW: UnixTime = UnixTime::from_secs(50);

fn cursor(at: u64) -> Cursor {
    Cursor::of_number(at)
}

fn revoke(value: &str) -> Revocation {
    Revocation {
        id: Uuid::now_v7(),
        op: Op::Revoke,
        name: Name { issuer: "i".into(), claim: "jti".into(), value: value.into() },
        issued_before: None,
        expires_at: UnixTime::from_secs(100),
        at: NOW,
        actor: None,
        reason: None,
        token: None,
    }
}

fn names(nodes: &[NodeName]) -> Vec<&str> {
    let mut names: Vec<&str> = nodes.iter().map(|node| &*node.name).collect();
    names.sort_unstable();
    names
}

async fn three() -> (AloneRoster, [Member; 3]) {
    let roster = AloneRoster::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| {
        let roster = roster.clone();
        async move { Member::start(&roster, name, 1).await }
    });
    let members = [a.await, b.await, c.await];
    (roster, members)
}

#[tokio::test]
async fn all_have_confirmed_when_it_is_in_force_at_each_and_not_before() {
    let (_roster, [a, b, c]) = three().await;
    let record = revoke("x");
    a.apply(6, &record);
    a.reached(6).await;
    b.apply(6, &record);
    let short = a.confirm(&record, Wait::All, SECOND / 2).await;
    assert_eq!((names(&short.missing), short.complete), (vec!["c"], false));
    assert_eq!(names(&short.confirmed), ["a", "b"]);
    let two = a.confirm(&record, Wait::Nodes(2), PATIENCE).await;
    assert!(two.complete, "{two:?}");
    let cluster = Arc::clone(&a.cluster);
    let (asked, limit) = (record.clone(), PATIENCE);
    let waiting =
        tokio::spawn(async move { cluster.confirm(Some(&asked), Wait::All, limit).await });
    c.apply(6, &record);
    let all = waiting.await.expect("no panic");
    assert_eq!((names(&all.confirmed), all.complete), (vec!["a", "b", "c"], true));
    assert!(all.missing.is_empty() && all.problem.is_none());
}

#[tokio::test]
async fn a_node_that_is_further_without_the_record_in_force_has_not_confirmed() {
    let (_roster, [a, b, c]) = three().await;
    let record = revoke("x");
    for member in [&a, &c] {
        member.apply(6, &record);
        member.reached(6).await;
    }
    // A compacted log left out what was superseded by a record that is further on.
    b.apply(7, &revoke("y"));
    b.reached(7).await;
    let without = a.confirm(&record, Wait::All, SECOND / 2).await;
    assert_eq!(names(&without.missing), ["b"]);
    b.apply(8, &record);
    assert!(a.confirm(&record, Wait::All, PATIENCE).await.complete);
}

#[tokio::test]
async fn a_node_of_another_memory_has_not_confirmed() {
    let roster = AloneRoster::new();
    let (a, b) = (Member::start(&roster, "a", 1).await, Member::start(&roster, "b", 2).await);
    let record = revoke("x");
    for member in [&a, &b] {
        member.apply(6, &record);
        member.reached(6).await;
    }
    let nodes = a.confirm(&record, Wait::All, SECOND / 2).await;
    assert_eq!((names(&nodes.missing), nodes.complete), (vec!["b"], false));
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_missing_until_its_announcement_ends() {
    let roster = AloneRoster::new();
    let a = Member::start(&roster, "a", 1).await;
    let node = NodeName { name: "dead".into(), id: Uuid::new_v4() };
    let (epoch, staleness) = (None, None);
    let presence = Presence { node, lasts: 4000, epoch, cursor: None, staleness };
    roster.announce(&presence).await.expect("announced");
    let record = revoke("x");
    a.apply(6, &record);
    a.reached(6).await;
    let begun = Instant::now();
    let early = a.confirm(&record, Wait::All, SECOND * 2).await;
    assert_eq!((names(&early.missing), early.complete), (vec!["dead"], false));
    let late = a.confirm(&record, Wait::All, SECOND * 30).await;
    assert!(late.complete && late.missing.is_empty(), "{late:?}");
    let after = begun.elapsed();
    assert!((SECOND * 3..SECOND * 6).contains(&after), "{after:?}");
}

#[tokio::test]
async fn a_store_that_forgot_its_list_does_not_make_a_node_gone() {
    let (roster, [a, b, c]) = three().await;
    a.cluster.list().await.expect("listed");
    for gone in [&b, &c] {
        roster.withdraw(gone.id()).await.expect("forgotten");
    }
    let record = revoke("x");
    a.apply(6, &record);
    a.reached(6).await;
    let nodes = a.confirm(&record, Wait::All, SECOND / 2).await;
    assert_eq!((names(&nodes.missing), nodes.complete), (vec!["b", "c"], false));
}

#[tokio::test]
async fn after_a_loss_of_memory_nobody_can_say_that_these_are_all() {
    let (_roster, [a, b, c]) = three().await;
    let record = revoke("x");
    for member in [&a, &b, &c] {
        member.apply(6, &record);
        member.reached(6).await;
    }
    assert!(a.confirm(&record, Wait::All, SECOND * 5).await.complete);
    a.cluster.voice.loaded(Epoch(Uuid::from_u128(9)), &cursor(1)).await;
    let nodes = a.confirm(&record, Wait::All, SECOND / 2).await;
    assert!(!nodes.complete && nodes.problem.is_some_and(|why| why.contains("lost its memory")));
    assert_eq!(names(&nodes.confirmed), ["a", "b", "c"]);
    assert!(a.confirm(&record, Wait::Nodes(3), SECOND * 5).await.complete);
}

#[tokio::test]
async fn a_node_that_stops_leaves_at_once() {
    let (roster, [a, b, c]) = three().await;
    a.cluster.list().await.expect("listed");
    b.shutdown.begin();
    let gone = async {
        while lock(&a.cluster.known).contains_key(&b.id())
            || roster.nodes().await.expect("listed").len() > 2
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("in time");
    let record = revoke("x");
    for member in [&a, &c] {
        member.apply(6, &record);
        member.reached(6).await;
    }
    let nodes = a.confirm(&record, Wait::All, PATIENCE).await;
    assert_eq!((names(&nodes.confirmed), nodes.complete), (vec!["a", "c"], true));
    let listed = a.cluster.nodes().await.expect("listed");
    let listed: Vec<_> = listed.iter().map(|seen| (&*seen.node.name, seen.this)).collect();
    assert_eq!(listed, [("a", true), ("c", false)]);
}

#[tokio::test]
async fn everything_so_far_is_confirmed_by_a_look_at_the_store_after_the_question() {
    let roster = AloneRoster::new();
    let (a, b) = (Member::start(&roster, "a", 1).await, Member::start(&roster, "b", 1).await);
    let short = a.cluster.confirm(None, Wait::All, SECOND).await;
    assert_eq!(names(&short.missing), ["b"], "at the same cursor, and nothing fresh since");
    let beats = async {
        loop {
            b.tell.send(FeedEvent::Heartbeat { at: cursor(5) }).expect("the follower listens");
            sleep(SECOND / 20).await;
        }
    };
    tokio::select! {
        () = beats => unreachable!("it beats for ever"),
        all = a.cluster.confirm(None, Wait::All, PATIENCE) => assert!(all.complete, "{all:?}"),
    }
}

#[tokio::test]
async fn a_question_that_is_too_long_for_a_store_asks_without_the_name() {
    let roster = AloneRoster::new();
    let a = Member::start(&roster, "a", 1).await;
    let mut ear = roster.listen(Uuid::nil()).await.expect("heard");
    let record = revoke(&"\u{1}".repeat(4000));
    let asking = a.confirm(&record, Wait::Nodes(2), SECOND / 10);
    let (_in_vain, message) = tokio::join!(asking, ear.hear());
    let message = message.expect("a message");
    assert!(message.len() < crate::revocation::MAX_MESSAGE, "{}", message.len());
    match Signal::from_bytes(&message) {
        Some(Signal::Question(question)) => assert!(question.held.is_empty() && question.settled),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_is_announced_before_it_loads() {
    let mut a = Member::start(&AloneRoster::new(), "a", 1).await;
    assert_eq!(a.loaded.recv().await, Some(true));
}

#[tokio::test]
async fn without_a_roster_revocations_are_followed_and_nothing_is_confirmed() {
    let (tell, events) = mpsc::unbounded_channel();
    let (announced, _loaded) = mpsc::unbounded_channel();
    let epoch = Epoch(Uuid::from_u128(1));
    let feed = ScriptedFeed { epoch, events, announced, roster: AloneRoster::new() };
    let (_shutdown, drain) = Shutdown::new();
    let cluster = cluster(feed, Mute, "a", &drain);
    tokio::spawn(Arc::clone(&cluster).run(drain));
    let record = revoke("x");
    let event = FeedEvent::Record { record: record.clone(), at: cursor(6) };
    tell.send(FeedEvent::Heartbeat { at: cursor(5) }).expect("the follower listens");
    tell.send(event).expect("the follower listens");
    assert!(cluster.applied.reached(&cursor(6), PATIENCE).await);
    assert!(!cluster.revocations.is_stale(), "the heartbeat passed");
    let nodes = cluster.confirm(Some(&record), Wait::All, SECOND / 2).await;
    assert!(!nodes.complete && nodes.problem.is_some_and(|why| why.contains("no right to list")));
    assert_eq!(names(&nodes.confirmed), ["a"]);
    let label = vec![("outcome", "unknown".to_owned())];
    assert_eq!(cluster.metrics.waits.get_or_create(&label).get(), 1);
}
