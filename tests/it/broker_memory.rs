//! The broker comes back with less than it acknowledged: no revoked token passes at any node, the nodes
//! say so, and give back what it has lost. Real brokers, whole gateways.

use crate::support::brokers::{Broker, Nodes, on_each};
use crate::support::eventually::eventually;

on_each!("redis" redis crate::support::servers::redis::RedisServer:
    what_the_broker_has_lost_comes_back_from_the_nodes,
    what_was_lost_while_no_node_ran_comes_back_from_their_copies);
#[cfg(feature = "redis")]
on_each!("redis" redis_that_keeps_nothing super::Volatile:
    what_the_broker_has_lost_comes_back_from_the_nodes,
    what_was_lost_while_no_node_ran_comes_back_from_their_copies);
on_each!("redis" redis_that_fails_over crate::support::brokers::RedisPair:
    what_the_broker_has_lost_comes_back_from_the_nodes,
    what_was_lost_while_no_node_ran_comes_back_from_their_copies);
on_each!("nats" nats crate::support::servers::nats::NatsServer:
    what_the_broker_has_lost_comes_back_from_the_nodes,
    what_was_lost_while_no_node_ran_comes_back_from_their_copies);
on_each!("postgres" postgres crate::support::brokers::Postgres:
    what_the_broker_has_lost_comes_back_from_the_nodes,
    what_was_lost_while_no_node_ran_comes_back_from_their_copies);

/// A Redis without persistence, which forgets by a restart.
#[cfg(feature = "redis")]
pub(crate) struct Volatile(crate::support::servers::redis::RedisServer);

#[cfg(feature = "redis")]
impl Broker for Volatile {
    const KEEPS: bool = false;

    fn start() -> Self {
        use crate::support::servers::redis::{Keeps, RedisServer};
        Self(RedisServer::start(Keeps::Nothing))
    }

    fn table(&self) -> String {
        self.0.table()
    }

    fn kill(&mut self) {
        self.0.kill();
    }

    fn again(&mut self) {
        self.0.restart();
    }

    fn cut(&mut self) {
        self.0.cut();
    }

    fn pause(&self) {
        self.0.pause();
    }

    fn resume(&self) {
        self.0.resume();
    }

    fn forget(&mut self) {
        self.0.restart();
    }
}

const REVOKED: [&str; 3] = ["kept", "lost", "lost-too"];

/// None of the revoked tokens passes anywhere, not even where a stale state goes on.
fn none_passes(nodes: &Nodes) {
    for node in 0..nodes.running.len() {
        for id in REVOKED {
            let answer = nodes.lenient(node, &nodes.token(id));
            assert!(answer.status != 200, "{id} passes at node {node}");
        }
    }
}

/// The node has noticed, and owes nothing any more.
fn has_given_back(nodes: &Nodes, node: usize) -> bool {
    let status = nodes.status(node);
    status["feed"]["epoch_changes"].as_u64() > Some(0)
        && status["local_copy"]["owed"] == 0
        && status["local_copy"]["written"] == true
}

/// A node that has never been told anything learns all of it from the store.
fn a_new_node_knows_everything<B: Broker>(nodes: &mut Nodes, broker: &B) {
    let new = nodes.add(&broker.table());
    nodes.ready(new);
    for id in REVOKED {
        assert_eq!(nodes.orders(new, &nodes.token(id)).status, 401, "{id} at the new node");
    }
    assert_eq!(nodes.orders(new, &nodes.token("another")).status, 200);
    assert_eq!(nodes.status(new)["feed"]["epoch_changes"], 0);
}

fn what_the_broker_has_lost_comes_back_from_the_nodes<B: Broker>() {
    let mut broker = B::start();
    let mut nodes = Nodes::start(&broker.table(), 2);
    nodes.revoke(0, REVOKED[0]);
    broker.remember();
    nodes.revoke(0, REVOKED[1]);
    nodes.revoke(1, REVOKED[2]);
    broker.forget();
    let mut said = false;
    eventually("both nodes have noticed, and what was lost is back", || {
        none_passes(&nodes);
        for node in 0..2 {
            let ready = nodes.readyz(node);
            said |= ready.status == 200 && ready.text().contains("has lost its memory");
        }
        (0..2).all(|node| has_given_back(&nodes, node)).then_some(())
    });
    assert!(said, "/readyz names the loss while the node stays ready");
    let sum = |name| nodes.metric(0, name) + nodes.metric(1, name);
    assert!(sum("portcullis_epoch_changes_total") >= 2.0);
    assert!(sum("portcullis_revocation_given_back_total") >= 1.0);
    eventually("the gauge says so", || (sum("portcullis_revocation_owed") < 1.0).then_some(()));
    for node in 0..2 {
        nodes.ready(node);
        assert_eq!(nodes.detail(node), "", "nothing is owed any more");
        assert_eq!(nodes.orders(node, &nodes.token("another")).status, 200);
    }
    a_new_node_knows_everything(&mut nodes, &broker);
}

fn what_was_lost_while_no_node_ran_comes_back_from_their_copies<B: Broker>() {
    let mut broker = B::start();
    let mut nodes = Nodes::start(&broker.table(), 2);
    nodes.revoke(0, REVOKED[0]);
    broker.remember();
    nodes.revoke(0, REVOKED[1]);
    nodes.revoke(1, REVOKED[2]);
    for node in &mut nodes.running {
        node.stop();
    }
    broker.forget();
    for node in 0..2 {
        nodes.again(node);
    }
    eventually("both nodes have noticed, and what was lost is back", || {
        none_passes(&nodes);
        (0..2).all(|node| has_given_back(&nodes, node)).then_some(())
    });
    a_new_node_knows_everything(&mut nodes, &broker);
}
