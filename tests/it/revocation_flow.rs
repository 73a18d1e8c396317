//! From the log through the follower into the set that decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::clock::{ManualClock, SystemClock, UnixTime};
use portcullis::feed::compaction;
use portcullis::feed::embedded::EmbeddedStore;
use portcullis::revocation::follower::{AppliedCursor, Follower};
use portcullis::revocation::{Filter, RevocationLog, Revocations};
use portcullis::shutdown::Shutdown;

use crate::support::records::{reinstate, revoke};

const LIMIT: Duration = Duration::from_secs(10);
const NOW: UnixTime = UnixTime::from_secs(1);

/// A node: a store, and a set that follows it.
struct Node {
    store: EmbeddedStore,
    revocations: Arc<Revocations>,
    applied: AppliedCursor,
    _shutdown: Shutdown,
}

impl Node {
    async fn start(folder: &tempfile::TempDir) -> Self {
        let store = EmbeddedStore::open(folder.path().join("r.redb")).expect("a store");
        let revocations = Arc::new(Revocations::new(&[], Duration::from_secs(10)));
        let clock = Arc::new(ManualClock::at(NOW));
        let (follower, applied) =
            Follower::new(store.feed(), Arc::clone(&revocations), Arc::default(), clock);
        let (shutdown, drain) = Shutdown::new();
        tokio::spawn(follower.run(drain));
        assert!(applied.loaded().await);
        Self { store, revocations, applied, _shutdown: shutdown }
    }

    fn holds(&self, value: &str) -> bool {
        self.revocations.set().holds(&revoke(value, 0).name, None, NOW)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_in_the_set_on_every_thread() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Arc::new(Node::start(&folder).await);
    let answered = Arc::new(AtomicU64::new(0));
    let readers = (0..2).map(|_| {
        let (node, answered) = (Arc::clone(&node), Arc::clone(&answered));
        std::thread::spawn(move || {
            let mut seen = 0;
            while seen < 300 {
                seen = answered.load(Ordering::SeqCst);
                for value in seen.saturating_sub(3)..seen {
                    assert!(node.holds(&value.to_string()), "{value} was answered and is missed");
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let log = node.store.log();
    for value in 0..300_u64 {
        let cursor = log.append(vec![revoke(&value.to_string(), 100)]).await.expect("appended");
        assert!(node.applied.reached(&cursor, LIMIT).await);
        answered.store(value + 1, Ordering::SeqCst);
    }
    for reader in readers {
        reader.join().expect("nothing was missed");
    }
}

#[tokio::test]
async fn a_restarted_node_knows_everything_before_it_decides() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let batch = (0..10_000).map(|i| revoke(&i.to_string(), 100)).collect();
    node.store.log().append(batch).await.expect("appended");
    node.store.log().append(vec![reinstate("7")]).await.expect("appended");
    drop(node);
    let node = Node::start(&folder).await;
    assert!(node.revocations.freshness().is_loaded());
    assert_eq!(node.revocations.set().len(), 9_999);
    assert!(node.holds("9999") && !node.holds("7"));
}

#[tokio::test]
async fn a_reinstatement_reaches_the_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let log = node.store.log();
    for (record, want) in
        [(revoke("a", 100), true), (reinstate("a"), false), (revoke("a", 90), true)]
    {
        let cursor = log.append(vec![record]).await.expect("appended");
        assert!(node.applied.reached(&cursor, LIMIT).await);
        assert_eq!(node.holds("a"), want);
    }
}

#[tokio::test]
async fn a_quiet_node_stays_fresh() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let mut feed = node.store.feed();
    portcullis::revocation::RevocationFeed::load(&mut feed).await.expect("a checkpoint");
    // Four heartbeats of another reader are two seconds.
    for _ in 0..4 {
        portcullis::revocation::RevocationFeed::next(&mut feed).await.expect("a heartbeat");
    }
    let staleness = node.revocations.freshness().staleness().expect("loaded");
    assert!(staleness < Duration::from_secs(1), "{staleness:?}");
}

#[tokio::test]
async fn expired_entries_leave_the_store_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let log = node.store.log();
    log.append(vec![revoke("old", 5), revoke("far", u64::MAX)]).await.expect("appended");
    let (shutdown, drain) = Shutdown::new();
    let task = tokio::spawn({
        let log = log.clone();
        async move { compaction::run(log, &SystemClock, Duration::from_millis(10), drain).await }
    });
    let left = async {
        loop {
            let page = log.list(Filter::default(), None, 10).await.expect("a page");
            if page.items.len() == 1 {
                return page.items[0].name.value.to_string();
            }
        }
    };
    assert_eq!(tokio::time::timeout(LIMIT, left).await.expect("in time"), "far");
    shutdown.begin();
    task.await.expect("ends when told");
}
