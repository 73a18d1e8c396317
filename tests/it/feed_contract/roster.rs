//! What a store must do for the nodes that follow it, whichever the store.

use std::time::{Duration, Instant};

use portcullis::revocation::{Audience, Cursor, LiveNode, MAX_MESSAGE, NodeRoster, Presence};
use uuid::Uuid;

use super::Backend;
use crate::support::nodes::{PATIENCE, heard, presence};

async fn listed(roster: &impl NodeRoster) -> Vec<LiveNode> {
    let mut nodes = roster.nodes().await.expect("a list");
    nodes.sort_by(|one, other| one.presence.node.name.cmp(&other.presence.node.name));
    nodes
}

fn presences(nodes: &[LiveNode]) -> Vec<&Presence> {
    nodes.iter().map(|node| &node.presence).collect()
}

pub(super) async fn a_node_is_listed_until_it_withdraws_or_its_time_is_over<B: Backend>() {
    let backend = B::start().await;
    let (one, other) = (backend.roster(), backend.roster());
    assert_eq!(listed(&one).await, []);
    let (a, b, c) = (presence("a", 60_000), presence("b", 60_000), presence("c", 700));
    one.announce(&a).await.expect("announced");
    other.announce(&b).await.expect("announced");
    let begun = Instant::now();
    other.announce(&c).await.expect("announced");
    assert_eq!(presences(&listed(&one).await), [&a, &b, &c]);
    let nodes = loop {
        let nodes = listed(&other).await;
        if nodes.len() < 3 {
            break nodes;
        }
        assert!(begun.elapsed() < PATIENCE, "a dead node stays");
    };
    assert!(begun.elapsed() > Duration::from_millis(650), "too early: {:?}", begun.elapsed());
    assert_eq!(presences(&nodes), [&a, &b]);
    assert!(nodes[0].seen >= Duration::from_millis(600), "{:?}", nodes[0].seen);
    one.withdraw(a.node.id).await.expect("withdrawn");
    assert_eq!(presences(&listed(&other).await), [&b]);
}

pub(super) async fn an_announcement_is_replaced_by_the_next<B: Backend>() {
    let backend = B::start().await;
    let (one, other) = (backend.roster(), backend.roster());
    let first = presence("a", 700);
    one.announce(&first).await.expect("announced");
    let second = Presence { cursor: Some(Cursor::new("13-0")), lasts: 60_000, ..first };
    one.announce(&second).await.expect("announced");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(900) {
        assert_eq!(presences(&listed(&other).await), [&second]);
    }
}

pub(super) async fn what_is_said_reaches_whom_it_is_for<B: Backend>() {
    let backend = B::start().await;
    let (one, other) = (backend.roster(), backend.roster());
    let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
    let mut ears = [one.listen(a).await.expect("heard"), other.listen(b).await.expect("heard")];
    one.tell(Audience::All, b"\"to all\"".to_vec()).await.expect("said");
    for ear in &mut ears {
        assert_eq!(heard(ear).await, b"\"to all\"");
    }
    let long = format!("{:?}", "x".repeat(MAX_MESSAGE - 2)).into_bytes();
    one.tell(Audience::Node(b), long.clone()).await.expect("said");
    other.tell(Audience::Node(a), b"1".to_vec()).await.expect("said");
    assert_eq!(heard(&mut ears[0]).await, b"1");
    assert_eq!(heard(&mut ears[1]).await, long);
}

pub(super) async fn a_roster_goes_on_after_a_restart<B: Backend>() {
    let backend = B::start().await;
    let a = presence("a", 60_000);
    backend.roster().announce(&a).await.expect("announced");
    let backend = backend.restart().await;
    let roster = backend.roster();
    let begun = Instant::now();
    // The store may have forgotten it, and may take a moment to come back.
    while roster.announce(&a).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "it can't be announced again");
    }
    assert_eq!(presences(&listed(&roster).await), [&a]);
    let mut ear = roster.listen(a.node.id).await.expect("heard");
    roster.tell(Audience::All, b"1".to_vec()).await.expect("said");
    assert_eq!(heard(&mut ear).await, b"1");
}
