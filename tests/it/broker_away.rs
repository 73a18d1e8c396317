//! The broker is dead or stands still: nodes start from their own copy, go by `when_stale`, say why, and
//! catch up. Real brokers, whole gateways.

use std::time::{Duration, Instant};

use crate::support::brokers::{Broker, Nodes, on_each};
use crate::support::client::Answer;
use crate::support::eventually::eventually;

on_each!("redis" redis crate::support::servers::redis::RedisServer:
    a_node_starts_from_its_copy_and_catches_up_from_its_cursor,
    a_node_that_never_loaded_anything_lets_nobody_through,
    a_broker_that_stands_still_makes_stale_within_the_second);
on_each!("nats" nats crate::support::servers::nats::NatsServer:
    a_node_starts_from_its_copy_and_catches_up_from_its_cursor,
    a_node_that_never_loaded_anything_lets_nobody_through,
    a_broker_that_stands_still_makes_stale_within_the_second);
on_each!("postgres" postgres crate::support::brokers::Postgres:
    a_node_starts_from_its_copy_and_catches_up_from_its_cursor,
    a_node_that_never_loaded_anything_lets_nobody_through,
    a_broker_that_stands_still_makes_stale_within_the_second);

#[track_caller]
fn is_503_with_retry_after(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.field("retry-after").is_some(), "{:?}", answer.fields);
}

fn a_node_starts_from_its_copy_and_catches_up_from_its_cursor<B: Broker>() {
    let mut broker = B::start();
    let mut nodes = Nodes::start(&broker.table(), 2);
    nodes.revoke(0, "before");
    nodes.running[0].stop();
    nodes.revoke(1, "meanwhile");
    broker.kill();
    nodes.again(0);
    let [before, meanwhile, good] = ["before", "meanwhile", "good"].map(|id| nodes.token(id));
    eventually("it has what it kept", || (nodes.lenient(0, &good).status == 200).then_some(()));
    assert_eq!(nodes.lenient(0, &before).status, 401);
    assert_eq!(nodes.lenient(0, &meanwhile).status, 200, "it can't know, and may go on here");
    for token in [&before, &meanwhile, &good] {
        is_503_with_retry_after(&nodes.orders(0, token));
    }
    let ready = nodes.readyz(0);
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("has not answered since the start"), "{}", ready.text());
    assert_eq!(nodes.status(0)["feed"]["restored"], true);

    broker.again();
    nodes.ready(0);
    eventually("it has caught up", || (nodes.orders(0, &meanwhile).status == 401).then_some(()));
    assert_eq!(nodes.orders(0, &before).status, 401);
    assert_eq!(nodes.orders(0, &good).status, 200);
    let status = nodes.status(0);
    assert_eq!(status["feed"]["applied"], 1, "from its cursor, not by a checkpoint: {status}");
    assert_eq!(status["feed"]["restored"], false);
    assert_eq!(status["feed"]["epoch_changes"], 0);
}

fn a_node_that_never_loaded_anything_lets_nobody_through<B: Broker>() {
    let mut broker = B::start();
    broker.kill();
    let mut nodes = Nodes::new();
    let node = nodes.add(&broker.table());
    let good = nodes.token("good");
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(3) {
        is_503_with_retry_after(&nodes.orders(node, &good));
        is_503_with_retry_after(&nodes.lenient(node, &good));
        let ready = nodes.readyz(node);
        assert_eq!(ready.status, 503);
        assert!(ready.text().contains("not loaded"), "{}", ready.text());
    }
    broker.again();
    nodes.ready(node);
    assert_eq!(nodes.orders(node, &good).status, 200);
}

fn a_broker_that_stands_still_makes_stale_within_the_second<B: Broker>() {
    let broker = B::start();
    let nodes = Nodes::start(&broker.table(), 1);
    nodes.revoke(0, "revoked");
    let [revoked, good] = ["revoked", "good"].map(|id| nodes.token(id));
    broker.pause();
    let paused = Instant::now();
    let refused = eventually("stale", || {
        assert_eq!(nodes.lenient(0, &revoked).status, 401);
        assert_eq!(nodes.lenient(0, &good).status, 200);
        let answer = nodes.orders(0, &good);
        (answer.status != 200).then_some(answer)
    });
    // Two seconds after the last heartbeat, of which there are two a second.
    let after = paused.elapsed();
    assert!((1000..3000).contains(&after.as_millis()), "after {after:?}");
    is_503_with_retry_after(&refused);
    // Never 401 from a state that may be wrong.
    is_503_with_retry_after(&nodes.orders(0, &revoked));
    assert_eq!((nodes.lenient(0, &revoked).status, nodes.lenient(0, &good).status), (401, 200));
    let ready = nodes.readyz(0);
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("the revocation state is stale"), "{}", ready.text());
    broker.resume();
    eventually("fresh", || (nodes.orders(0, &good).status == 200).then_some(()));
    nodes.ready(0);
    assert_eq!(nodes.orders(0, &revoked).status, 401);
}

#[cfg(feature = "redis")]
#[test]
fn the_log_says_each_change_once() {
    use crate::support::client::ask;
    use crate::support::gateway::CREDENTIAL;
    use crate::support::program::Program;
    use crate::support::servers::redis::{Keeps, RedisServer};

    let (server, nodes) = (RedisServer::start(Keeps::All), Nodes::new());
    let folder = tempfile::tempdir().expect("a folder");
    let table = format!("{}\nmax_staleness = \"1s\"", Broker::table(&server));
    nodes.write(folder.path(), &table);
    let program = Program::start(&folder.path().join("gateway.toml"));
    let good = nodes.token("good");
    let status = || {
        let asked = crate::support::client::get(program.data, "/orders/1");
        asked.bearer(&good).send().status
    };
    // It comes and goes, and then stays.
    for _ in 0..3 {
        server.pause();
        eventually("stale, and said", || {
            (status() == 503 && program.logged("state is stale") > 0).then_some(())
        });
        server.resume();
        eventually("fresh", || (status() == 200).then_some(()));
    }
    eventually("said when it lasts", || (program.logged("fresh again") > 0).then_some(()));
    for words in ["state is stale", "fresh again"] {
        assert_eq!(program.logged(words), 1, "{words}");
    }
    // A pause as short as these may not be taken for a failure.
    for words in ["feed failed", "feed answers again"] {
        assert!(program.logged(words) <= 1, "{words}");
    }
    let body = serde_json::json!({ "claim": "jti", "value": "lost" });
    let asked = ask(program.control, "POST", "/v1/revocations").bearer(CREDENTIAL).json(&body);
    assert_eq!(asked.send().status, 201);
    server.cli(&["flushall"]);
    eventually("given back", || (program.logged("gave revocations back") > 0).then_some(()));
    assert_eq!(program.logged("has lost its memory"), 1);
    assert_eq!(program.logged("will be given back"), 1);
}
