//! Redis fails over to a replica: what a node then says, what waiting for replicas promises, and that a
//! server which is no primary any more confirms nothing.

use std::time::{Duration, Instant};

use portcullis::feed::redis::{RedisFeed, RedisStore};
use portcullis::revocation::{
    FeedError, FeedEvent, RedisConfig, RevocationFeed, RevocationLog, StoreUrl,
};
use serde_json::json;

use crate::support::brokers::{Broker, Nodes, RedisPair};
use crate::support::client::{ask, get};
use crate::support::eventually::eventually;
use crate::support::gateway::CREDENTIAL;
use crate::support::program::Program;
use crate::support::records::{append_each, load, revoke};
use crate::support::servers::redis::{Keeps, RedisServer};

const FAR: u64 = 1 << 40;

async fn store(pair: &RedisPair, replicas: u8) -> RedisStore {
    let config = RedisConfig {
        url: StoreUrl::new(&pair.url()),
        stream: "portcullis:revocations".to_owned(),
        replicas,
        username: None,
        password: None,
        tls: None,
    };
    RedisStore::open(&config).await.expect("a store")
}

/// The first failure; heartbeats before it are none of its business.
async fn failure(feed: &mut RedisFeed) -> FeedError {
    let failing = async {
        loop {
            match feed.next().await {
                Ok(FeedEvent::Heartbeat { .. }) => {}
                Ok(event) => panic!("{event:?}"),
                Err(error) => return error,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), failing).await.expect("it is told")
}

#[test]
fn a_node_says_what_a_failover_has_lost_and_gives_it_back() {
    let (mut pair, mut nodes) = (RedisPair::start(), Nodes::new());
    let folder = tempfile::tempdir().expect("a folder");
    nodes.write(folder.path(), &pair.table());
    let program = Program::start(&folder.path().join("gateway.toml"));
    let revoke = |id: &str| {
        let body = json!({ "claim": "jti", "value": id });
        let asked = ask(program.control, "POST", "/v1/revocations").bearer(CREDENTIAL).json(&body);
        assert_eq!(asked.send().status, 201, "{id} is acknowledged");
    };
    let tokens = ["kept", "lost", "lost-too", "another"].map(|id| nodes.token(id));
    let status = |token: &str| get(program.data, "/orders/1").bearer(token).send().status;
    assert_eq!(program.logged("before its replicas have a record"), 1);
    assert_eq!(program.logged("min-replicas-to-write 0"), 1);
    revoke("kept");
    pair.remember();
    for id in ["lost", "lost-too"] {
        revoke(id);
    }
    pair.fail_over();
    eventually("given back", || {
        assert!(tokens[..3].iter().all(|token| status(token) != 200), "one passes");
        (program.logged("gave revocations back") > 0).then_some(())
    });
    assert_eq!(program.logged("Redis has lost records that it had acknowledged"), 1);
    assert_eq!(program.logged("has lost its memory"), 1);
    let metrics = get(program.control, "/metrics").send().text();
    assert!(metrics.contains("portcullis_epoch_changes_total 1"), "{metrics}");
    eventually("the node serves", || (status(&tokens[3]) == 200).then_some(()));
    let new = nodes.add(&pair.table());
    nodes.ready(new);
    for token in &tokens[..3] {
        assert_eq!(status(token), 401);
        assert_eq!(nodes.orders(new, token).status, 401, "at a new node");
    }
    assert_eq!(nodes.orders(new, &tokens[3]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_by_a_replica_is_there_after_a_failover() {
    let mut pair = RedisPair::start();
    let log = store(&pair, 1).await.log();
    for round in 0..4 {
        append_each(&log, &[revoke(&round.to_string(), FAR)]).await;
        let asked = Instant::now();
        pair.lag();
        let late = log.append(vec![revoke("late", FAR)]).await;
        assert!(matches!(late, Err(FeedError::Unreachable(_))), "{late:?}");
        let text = late.expect_err("seen").to_string();
        assert!(text.contains("0 of the 1 replicas"), "{text}");
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
        pair.fail_over();
        pair.catch_up();
        let live = load(&mut store(&pair, 0).await.feed()).await.0;
        assert_eq!(live.len(), round + 1, "what was acknowledged, and nothing else: {live:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_cut_off_from_its_replicas_confirms_nothing() {
    let pair = RedisPair::start();
    for (name, value) in [("min-replicas-to-write", "1"), ("min-replicas-max-lag", "3")] {
        assert_eq!(pair.primary().cli(&["config", "set", name, value]).trim(), "OK");
    }
    let store = store(&pair, 0).await;
    let mut feed = store.feed();
    eventually("Redis has noticed its replica", || {
        let told = pair.primary().cli(&["info", "replication"]);
        told.contains("min_slaves_good_slaves:1").then_some(())
    });
    load(&mut feed).await;
    feed.next().await.expect("a heartbeat");
    // The replica may be primary elsewhere by now.
    pair.lag();
    let error = failure(&mut feed).await;
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    let error = feed.load().await.expect_err("nor is it loaded from");
    assert!(matches!(error, FeedError::Unreachable(_)), "{error}");
    pair.catch_up();
    eventually("it takes writes again", || {
        let told = pair.primary().cli(&["info", "replication"]);
        told.contains("min_slaves_good_slaves:1").then_some(())
    });
    load(&mut feed).await;
}

#[tokio::test]
async fn a_primary_that_became_a_replica_confirms_nothing() {
    let server = RedisServer::start(Keeps::All);
    let store = server.store().await;
    let mut feed = store.feed();
    load(&mut feed).await;
    feed.next().await.expect("a heartbeat");
    // Of nobody who answers: it goes on serving what it had.
    assert_eq!(server.cli(&["replicaof", "127.0.0.1", "1"]).trim(), "OK");
    let error = failure(&mut feed).await;
    assert!(error.to_string().contains("replica"), "{error}");
    let error = feed.load().await.expect_err("nor is it loaded from");
    assert!(error.to_string().contains("replica"), "{error}");
    assert_eq!(server.cli(&["replicaof", "no", "one"]).trim(), "OK");
    load(&mut feed).await;
}
