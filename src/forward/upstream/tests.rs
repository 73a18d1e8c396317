//! Choice among endpoints.

use super::*;
use crate::token::Claims;

pub(in crate::forward) fn config(endpoints: &[&str], balance: Balance) -> UpstreamConfig {
    UpstreamConfig {
        name: Arc::from("orders"),
        endpoints: endpoints.iter().map(|uri| uri.parse().unwrap()).collect(),
        balance,
        connect_timeout: Duration::from_secs(1),
        response_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        retries: 1,
        health: None,
    }
}

const THREE: [&str; 3] = ["http://a:1", "http://b:2", "http://c:3"];

fn three(balance: Balance) -> Upstream {
    Upstream::build(&config(&THREE, balance), None, &Metrics::new())
}

fn places(upstream: &Upstream, tried: Tried, count: usize) -> Vec<Option<usize>> {
    let pools = Pools::new();
    let permit = Permit::anonymous();
    (0..count).map(|_| upstream.choose(&pools, &permit, tried).map(|(place, _)| place)).collect()
}

#[test]
fn endpoints_are_used_in_turn() {
    for balance in [Balance::RoundRobin, Balance::LeastRequests] {
        let got = places(&three(balance), Tried::default(), 4);
        assert_eq!(got, [Some(0), Some(1), Some(2), Some(0)]);
    }
}

#[test]
fn an_endpoint_that_failed_is_passed_over_unless_it_is_the_last() {
    let upstream = three(Balance::RoundRobin);
    upstream.endpoints[0].avoid();
    let got = places(&upstream, Tried::default(), 4);
    assert!(got.iter().all(|place| matches!(place, Some(1 | 2))), "{got:?}");
    for endpoint in upstream.endpoints() {
        endpoint.avoid();
    }
    assert!(places(&upstream, Tried::default(), 1)[0].is_some());
}

#[test]
fn an_unhealthy_or_tried_endpoint_is_never_chosen() {
    let upstream = three(Balance::LeastRequests);
    upstream.endpoints[1].set_healthy(false);
    let mut tried = Tried::default();
    tried.add(0);
    assert_eq!(places(&upstream, tried, 2), [Some(2), Some(2)]);
    tried.add(2);
    assert_eq!(places(&upstream, tried, 1), [None]);
}

#[test]
fn the_same_value_goes_to_the_same_endpoint_and_stays_when_another_goes() {
    let upstream = three(Balance::Hash("sub".into()));
    let chosen = |claims: &Claims, endpoints: &[Arc<Endpoint>]| {
        let subject = claims.look("sub").unwrap();
        endpoints.iter().max_by_key(|endpoint| weight(subject, endpoint)).unwrap().id()
    };
    for subject in 0..50 {
        let claims = Claims::parse(format!(r#"{{"sub":"user-{subject}"}}"#).as_bytes()).unwrap();
        let first = chosen(&claims, upstream.endpoints());
        let others: Vec<_> = upstream
            .endpoints()
            .iter()
            .filter(|endpoint| endpoint.id() == first || endpoint.id() % 2 == 0)
            .cloned()
            .collect();
        assert_eq!(chosen(&claims, &others), first);
    }
}

#[test]
fn a_reload_keeps_the_endpoints_that_stay() {
    let metrics = Metrics::new();
    let before = Upstream::build(&config(&THREE, Balance::RoundRobin), None, &metrics);
    let after = config(&["http://c:3", "http://d:4"], Balance::RoundRobin);
    let after = Upstream::build(&after, Some(&before), &metrics);
    assert!(Arc::ptr_eq(&before.endpoints[2], &after.endpoints[0]));
    assert!(before.endpoints.iter().all(|endpoint| endpoint.id() != after.endpoints[1].id()));
}
