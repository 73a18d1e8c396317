//! Families: whoever takes a refresh token back takes its access tokens back, on every node, and gives
//! them back with it.

use std::path::Path;

use portcullis::config::Config;
use serde_json::json;

use crate::support::client::Answer;
use crate::support::eventually::eventually;
use crate::support::gateway::{ORDERS, TestGateway, configuration};
use crate::support::issuer::now;
use crate::support::servers::redis::{Keeps, RedisServer};
use crate::support::upstream::TestUpstream;

const LEEWAY: &str = "leeway = \"0s\"";
const STORE: &str = "embedded = { path = \"revocations.redb\" }";

/// Two nodes of a cluster, for an issuer with that family.
fn nodes(redis: &RedisServer, claim: &str) -> [TestGateway; 2] {
    let family = format!("{LEEWAY}\nfamily = {{ claim = \"{claim}\" }}");
    let store = format!("feed = \"redis\"\nredis = {{ url = \"{}\" }}", redis.url());
    [(); 2].map(|()| TestGateway::start_edited(ORDERS, &[(LEEWAY, &family), (STORE, &store)]))
}

fn asked(node: &TestGateway, token: &str) -> Answer {
    node.get("/orders/1").bearer(token).send()
}

#[track_caller]
fn refused_everywhere(nodes: &[TestGateway], token: &str) {
    for node in nodes {
        eventually("refused", || (asked(node, token).status == 401).then_some(()));
        asked(node, token).expect_rejected(401, "token-revoked");
    }
}

#[track_caller]
fn passes_everywhere(nodes: &[TestGateway], token: &str) {
    for node in nodes {
        eventually("let through", || (asked(node, token).status == 200).then_some(()));
    }
}

#[test]
fn a_revoked_refresh_token_takes_its_access_tokens_along_on_every_node_and_back() {
    let redis = RedisServer::start(Keeps::Nothing);
    let nodes = nodes(&redis, "refresh_jti");
    let issuer = &nodes[0].issuer;
    let exp = now() + 7200;
    let refresh = issuer.token(json!({ "type": "refresh", "jti": "r1", "exp": exp }));
    let [one, other, foreign] =
        ["r1", "r1", "r2"].map(|id| issuer.token(json!({ "refresh_jti": id })));
    for token in [&one, &other, &foreign] {
        passes_everywhere(&nodes, token);
    }

    let record = nodes[0].revoke(&json!({ "claim": "jti", "value": "r1" })).json();
    for token in [&one, &other] {
        refused_everywhere(&nodes, token);
    }
    passes_everywhere(&nodes, &foreign);
    let target = "/v1/revocations?claim=jti&value=r1";
    assert_eq!(nodes[1].control("DELETE", target).send().status, 200, "{record}");
    for token in [&one, &other] {
        passes_everywhere(&nodes, token);
    }

    // The token itself says as much, and when the last of its access tokens ends.
    let record = nodes[1].revoke(&json!({ "token": refresh })).json();
    assert_eq!((&record["claim"], &record["value"]), (&json!("jti"), &json!("r1")));
    assert!(record["expires_at"].as_u64() >= Some(exp + 24 * 3600), "{record}");
    for token in [&one, &other] {
        refused_everywhere(&nodes, token);
    }
    // One access token alone is its own affair.
    let record = nodes[0].revoke(&json!({ "token": foreign })).json();
    assert_ne!(record["value"], "r2");
}

#[test]
fn a_posted_refresh_token_ends_the_session_that_it_shares() {
    let redis = RedisServer::start(Keeps::Nothing);
    let nodes = nodes(&redis, "sid");
    let issuer = &nodes[0].issuer;
    let refresh = issuer.token(json!({ "type": "refresh", "sid": "s1" }));
    let [one, other, foreign] = ["s1", "s1", "s2"].map(|id| issuer.token(json!({ "sid": id })));
    let record = nodes[0].revoke(&json!({ "token": one })).json();
    assert_eq!(record["claim"], "jti", "an access token alone");
    refused_everywhere(&nodes, &one);
    passes_everywhere(&nodes, &other);
    let record = nodes[0].revoke(&json!({ "token": refresh })).json();
    assert_eq!((&record["claim"], &record["value"]), (&json!("sid"), &json!("s1")));
    refused_everywhere(&nodes, &other);
    passes_everywhere(&nodes, &foreign);
    let target = "/v1/revocations?claim=sid&value=s1";
    assert_eq!(nodes[1].control("DELETE", target).send().status, 200);
    passes_everywhere(&nodes, &other);
    // Where the refresh token's jti is the session's id, that names them too.
    nodes[1].revoke(&json!({ "claim": "jti", "value": "s2" }));
    refused_everywhere(&nodes, &foreign);
}

#[test]
fn a_family_or_identity_that_can_be_none_is_refused() {
    let upstream = TestUpstream::start();
    for (line, problem) in [
        ("family = { claim = \"jti\" }", "says something else of its token"),
        ("family = {}", "family.claim"),
        ("family = \"sid\"", "expected a table"),
        ("family = { claims = \"sid\" }", "did you mean \"claim\""),
        ("identity = 7", "expected text"),
        ("identity = \"\"", "must not be empty"),
    ] {
        let text = configuration(&upstream, ORDERS).replace(LEEWAY, line);
        let errors = Config::parse(&text, Path::new("gateway.toml")).expect_err(line).to_string();
        assert!(errors.contains(problem), "{line}: {errors}");
    }
}

#[test]
fn an_identity_claim_stands_for_the_subject() {
    let identity = format!("{LEEWAY}\nidentity = \"identity\"");
    let gateway = TestGateway::start_edited(ORDERS, &[(LEEWAY, &identity)]);
    let token = |changes| gateway.issuer.token(changes);
    let good = token(json!({ "sub": null, "identity": "alice" }));
    asked(&gateway, &good).expect_forwarded();
    // Required in place of `sub`, which says nothing here.
    asked(&gateway, &token(json!({}))).expect_rejected(401, "token-invalid");
    gateway.revoke(&json!({ "claim": "sub", "value": "alice" }));
    asked(&gateway, &good).expect_rejected(401, "token-revoked");
    let other = token(json!({ "sub": null, "identity": { "id": 7 } }));
    asked(&gateway, &other).expect_forwarded();
    let subjects: Vec<_> =
        gateway.log_lines(4).iter().map(|line| line["subject"].clone()).collect();
    assert_eq!(subjects, [json!("alice"), json!(null), json!("alice"), json!(null)]);
}
