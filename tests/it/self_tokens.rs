//! A bearer's list of his own tokens, and what he does with it.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::eventually::eventually;
use crate::support::gateway::TestGateway;
use crate::support::issuer::now;
use crate::support::login::Service;

const SERVED: &str = r#"
[[routes]]
name = "sessions"
path = "/auth/"
serve = "self-service"
auth = "required"
token_types = "both"

[[routes]]
name = "flask"
path = "/flask/"
serve = "self-service"
auth = "required"
errors = "flask"
"#;

const REGISTER: &str =
    "[revocation]\nregister = { enabled = true }\nembedded = { path = \"revocations.redb\" }";

fn start() -> Service {
    Service::start_with(REGISTER, SERVED)
}

/// A registered token of this subject.
fn issued(service: &Service, subject: &str, id: &str) -> String {
    let token = service.issuer().token(json!({ "sub": subject, "jti": id }));
    service.log_in_json(&json!({ "access_token": token }));
    token
}

fn list(service: &Service, token: &str) -> Vec<Value> {
    let answer = service.gateway.get("/auth/tokens").bearer(token).send();
    let items = answer.expect_forwarded().json()["items"].as_array().expect("items").clone();
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    items
}

fn put(service: &Service, token: &str, id: &str, body: &str) -> Answer {
    let ask = service.gateway.ask("PUT", &format!("/auth/tokens/{id}")).bearer(token);
    ask.field("Content-Type", "application/json").body(body.as_bytes()).send()
}

const REVOKE: &str = r#"{"revoke": true}"#;
const REINSTATE: &str = r#"{"revoke": false}"#;

#[test]
fn a_bearer_lists_his_own_live_tokens() {
    let service = start();
    let (one, _) = (issued(&service, "alice", "a1"), issued(&service, "bob", "b1"));
    let refresh = service.issuer().token(json!({ "jti": "a2", "type": "refresh" }));
    service.log_in_json(&json!({ "data": { "refresh_token": refresh } }));
    let items = list(&service, &one);
    let told = |key: &str| items.iter().map(|item| item[key].clone()).collect::<Vec<_>>();
    assert_eq!(told("jti"), ["a1", "a2"]);
    assert_eq!(told("type"), ["access", "refresh"]);
    assert_eq!(told("current"), [true, false]);
    assert_eq!(told("revoked"), [false, false]);
    assert!(told("expires_at").iter().all(|at| at.as_u64().is_some_and(|at| at > now())));
    assert_eq!(list(&service, &refresh).len(), 2);
    let head = service.gateway.ask("HEAD", "/auth/tokens").bearer(&one).send();
    assert_eq!((head.status, head.text()), (200, String::new()));
}

#[test]
fn a_bearer_ends_another_session_of_his_and_begins_it_again() {
    let service = start();
    let (here, there) = (issued(&service, "alice", "a1"), issued(&service, "alice", "a2"));
    let done = put(&service, &here, "a2", REVOKE);
    assert_eq!(done.expect_forwarded().json(), json!({ "jti": "a2", "revoked": true }));
    service.is_refused(&there);
    service.passes(&here);
    assert_eq!(list(&service, &here)[1]["revoked"], true);
    // What was taken back can't give itself back, nor look around.
    put(&service, &there, "a2", REINSTATE).expect_rejected(401, "token-revoked");
    service.gateway.get("/auth/tokens").bearer(&there).send().expect_rejected(401, "token-revoked");
    // Saying it again is harmless.
    put(&service, &here, "a2", REVOKE).expect_forwarded();
    let back = put(&service, &here, "a2", REINSTATE);
    assert_eq!(back.expect_forwarded().json(), json!({ "jti": "a2", "revoked": false }));
    service.passes(&there);
    put(&service, &here, "a2", REINSTATE).expect_forwarded();
    eventually("both are logged", || {
        let lines = service.gateway.log_lines(1);
        let logged = |word: &str| lines.iter().any(|line| line["reason"] == word);
        (logged("revoke") && logged("reinstate")).then_some(())
    });
}

#[test]
fn another_s_token_is_as_unknown_as_none() {
    let service = start();
    let (alice, bob) = (issued(&service, "alice", "a1"), issued(&service, "bob", "b1"));
    let answers: Vec<Value> = ["b1", "none", "b%20"]
        .map(|id| {
            let answer = put(&service, &alice, id, REVOKE);
            if id == "b%20" {
                answer.expect_rejected(400, "bad-request");
            } else {
                answer.expect_rejected(404, "token-not-found");
            }
            let mut problem = answer.json();
            problem["instance"] = Value::Null;
            problem
        })
        .into();
    assert_eq!(answers[0], answers[1]);
    service.passes(&bob);
}

#[test]
fn what_an_operator_took_back_its_bearer_can_t_give_back() {
    let service = start();
    let (here, there) = (issued(&service, "alice", "a1"), issued(&service, "alice", "a2"));
    service.gateway.revoke(&json!({ "claim": "jti", "value": "a2", "reason": "stolen" }));
    put(&service, &here, "a2", REINSTATE).expect_rejected(403, "access-denied");
    // Revoking it once more does not make it his own.
    put(&service, &here, "a2", REVOKE).expect_forwarded();
    put(&service, &here, "a2", REINSTATE).expect_rejected(403, "access-denied");
    service.is_refused(&there);
}

#[test]
fn after_a_log_out_everywhere_no_single_token_comes_back() {
    let service = start();
    let (here, there) = (issued(&service, "alice", "a1"), issued(&service, "alice", "a2"));
    put(&service, &here, "a2", REVOKE).expect_forwarded();
    let everywhere = service.gateway.ask("POST", "/auth/logout").bearer(&here);
    assert_eq!(everywhere.json(&json!({ "all": true })).send().status, 204);
    let later = service.issuer().token(json!({ "jti": "a3", "iat": now() + 1, "nbf": null }));
    eventually("the next second", || {
        (service.gateway.get("/orders/1").bearer(&later).send().status == 200).then_some(())
    });
    put(&service, &later, "a2", REINSTATE).expect_rejected(403, "access-denied");
    service.is_refused(&there);
}

#[test]
fn a_body_that_says_neither_is_refused() {
    let service = start();
    let here = issued(&service, "alice", "a1");
    for (body, detail) in [
        ("", "Missing 'revoke' in body"),
        ("{}", "Missing 'revoke' in body"),
        (r#"{"revoke": "true"}"#, "'revoke' must be a boolean"),
    ] {
        let answer = put(&service, &here, "a1", body);
        answer.expect_rejected(400, "invalid-body");
        assert_eq!(answer.json()["detail"], detail);
    }
    let other = service.gateway.ask("POST", "/auth/tokens/a1").bearer(&here).send();
    other.expect_rejected(405, "method-not-allowed");
    assert_eq!(other.field("allow"), Some("PUT"));
    let other = service.gateway.ask("DELETE", "/auth/tokens").bearer(&here).send();
    assert_eq!(other.expect_rejected(405, "method-not-allowed").field("allow"), Some("GET, HEAD"));
}

#[test]
fn a_client_of_flask_jwt_extended_s_database_example_sees_what_it_knows() {
    let service = start();
    let (here, _) = (issued(&service, "alice", "a1"), issued(&service, "alice", "a2"));
    let other = issued(&service, "bob", "b1");
    let ask = |method: &str, path: &str, body: &str| {
        let ask = service.gateway.ask(method, path).bearer(&here);
        let answer = ask.field("Content-Type", "application/json").body(body.as_bytes()).send();
        (answer.status, answer.json())
    };
    let (status, rows) = ask("GET", "/flask/token", "");
    assert_eq!((status, rows.as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(rows[1]["token_id"], "a2");
    assert_eq!(rows[1]["user_identity"], "alice");
    assert_eq!(rows[1]["token_type"], "access");
    assert_eq!(rows[1]["revoked"], false);
    assert!(rows[1]["expires"].as_str().is_some_and(|date| date.ends_with(" GMT")), "{rows}");
    let says = |message: &str| json!({ "msg": message });
    for (path, body, status, message) in [
        ("/flask/token/a2", REVOKE, 200, "Token revoked"),
        ("/flask/token/a2", REINSTATE, 200, "Token unrevoked"),
        ("/flask/token/b1", REVOKE, 404, "The specified token was not found"),
        ("/flask/token/none", REVOKE, 404, "The specified token was not found"),
        ("/flask/token/a2", "", 400, "Missing 'revoke' in body"),
        ("/flask/token/a2", "[]", 400, "Missing 'revoke' in body"),
        ("/flask/token/a2", "{\"revoke\": null}", 400, "Missing 'revoke' in body"),
        ("/flask/token/a2", "{\"revoke\": 1}", 400, "'revoke' must be a boolean"),
    ] {
        assert_eq!(ask("PUT", path, body), (status, says(message)), "{path} {body}");
    }
    service.passes(&other);
}

#[test]
fn without_a_register_there_is_no_list() {
    let gateway = TestGateway::start(SERVED);
    let token = gateway.issuer.good();
    for ask in [gateway.get("/auth/tokens"), gateway.ask("PUT", "/auth/tokens/a1")] {
        ask.bearer(&token).body(REVOKE.as_bytes()).send().expect_rejected(404, "no-route");
    }
}
