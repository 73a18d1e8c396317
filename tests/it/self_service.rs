//! What a token's bearer does with his own tokens at the data listener: logging out.

use serde_json::json;

use crate::support::client::Answer;
use crate::support::eventually::eventually;
use crate::support::gateway::{ORDERS, RENEW, TestGateway};
use crate::support::issuer::now;
use crate::support::raw::Raw;
#[cfg(feature = "redis")]
use crate::support::servers::redis::{Keeps, RedisServer};

const SERVED: &str = r#"
[[routes]]
name = "sessions"
path = "/auth/"
serve = "self-service"
auth = "required"
token_types = "both"

[[routes]]
name = "web"
path = "/web/"
serve = "self-service"
auth = "required"
token_from = [ { cookie = "session" } ]

[[routes]]
name = "flask"
path = "/flask/"
serve = "self-service"
auth = "required"
errors = "flask"
"#;

fn start() -> TestGateway {
    let edit = ("leeway = \"0s\"", "leeway = \"0s\"\nrequire = [\"exp\", \"iat\"]");
    TestGateway::start_edited(&(ORDERS.to_owned() + SERVED + RENEW), &[edit])
}

fn log_out(gateway: &TestGateway, token: &str) -> Answer {
    gateway.ask("POST", "/auth/logout").bearer(token).send()
}

#[track_caller]
fn done(answer: &Answer) {
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.text(), "");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

#[track_caller]
fn says(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status, &answer.json()["msg"]), (status, &message.into()));
}

#[test]
fn a_log_out_takes_the_presented_token_back_and_no_other() {
    let gateway = start();
    let (one, other) = (gateway.issuer.good(), gateway.issuer.good());
    let without_jti = gateway.issuer.token(json!({ "type": "refresh", "jti": null }));
    done(&log_out(&gateway, &one));
    gateway.get("/orders/1").bearer(&one).send().expect_rejected(401, "token-revoked");
    gateway.get("/orders/1").bearer(&other).send().expect_forwarded();
    log_out(&gateway, &one).expect_rejected(401, "token-revoked");

    gateway.get("/renew").bearer(&without_jti).send().expect_forwarded();
    done(&gateway.ask("DELETE", "/auth/logout").bearer(&without_jti).send());
    gateway.get("/renew").bearer(&without_jti).send().expect_rejected(401, "token-revoked");
    assert!(gateway.upstream.seen().iter().all(|seen| !seen.line.contains("logout")));
}

#[test]
fn a_log_out_everywhere_takes_back_what_was_issued_so_far() {
    let gateway = start();
    let (here, there) = (gateway.issuer.good(), gateway.issuer.good());
    let (refresh, bob) = (gateway.issuer.refresh(), gateway.issuer.of("bob"));
    let everywhere = gateway.ask("POST", "/auth/logout").bearer(&here);
    done(&everywhere.json(&json!({ "all": true })).send());
    for token in [&here, &there] {
        gateway.get("/orders/1").bearer(token).send().expect_rejected(401, "token-revoked");
    }
    gateway.get("/renew").bearer(&refresh).send().expect_rejected(401, "token-revoked");
    gateway.get("/orders/1").bearer(&bob).send().expect_forwarded();
    let later = gateway.issuer.token(json!({ "iat": now() + 1, "nbf": null }));
    // From the next second on it is a new log-in.
    eventually("the next second", || {
        (gateway.get("/orders/1").bearer(&later).send().status == 200).then_some(())
    });
}

#[test]
fn a_token_of_nobody_logs_itself_out_and_nobody_else() {
    let gateway = start();
    let token = gateway.issuer.token(json!({ "sub": null }));
    let everywhere = gateway.ask("POST", "/auth/logout").bearer(&token);
    let refused = everywhere.json(&json!({ "all": true })).send();
    refused.expect_rejected(403, "access-denied");
    assert_eq!(refused.json()["detail"], "The token names no subject");
    done(&log_out(&gateway, &token));
    gateway.get("/orders/1").bearer(&token).send().expect_rejected(401, "token-revoked");
}

#[test]
fn the_audit_trail_says_who_logged_himself_out() {
    let gateway = start();
    let token = gateway.issuer.token(json!({ "sub": "al\u{1}ice", "jti": "id-1" }));
    let body = json!({ "all": true });
    done(&gateway.ask("POST", "/auth/logout").bearer(&token).json(&body).send());
    let list = gateway.control("GET", "/v1/revocations").send().json();
    let entry = |claim: &str| {
        let items = list["items"].as_array().expect("items").iter();
        items.clone().find(|item| item["claim"] == claim).expect("an entry").clone()
    };
    for claim in ["jti", "sub"] {
        assert_eq!(entry(claim)["actor"], "self-service:alice");
        assert_eq!(entry(claim)["reason"], "logged out everywhere");
    }
    assert_eq!(entry("jti")["value"], "id-1");
    assert_eq!(entry("sub")["value"], "al\u{1}ice");
}

#[test]
fn a_cookie_alone_logs_nobody_out_and_a_log_out_takes_the_cookie_away() {
    let gateway = start();
    let token = gateway.issuer.token(json!({ "csrf": "proof" }));
    let ask = || gateway.ask("POST", "/web/logout").field("Cookie", &format!("session={token}"));
    ask().send().expect_rejected(403, "csrf-failed");
    ask().field("X-CSRF-TOKEN", "other").send().expect_rejected(403, "csrf-failed");
    gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
    let answer = ask().field("X-CSRF-TOKEN", "proof").send();
    done(&answer);
    let cookie = answer.field("set-cookie").expect("it is taken away");
    assert!(cookie.starts_with("session=; Path=/; Max-Age=0"), "{cookie}");
    ask().field("X-CSRF-TOKEN", "proof").send().expect_rejected(401, "token-revoked");
}

#[test]
fn what_is_no_call_is_refused_and_nothing_is_taken_back() {
    let gateway = start();
    let token = gateway.issuer.good();
    for (method, path, status, code) in [
        ("GET", "/auth/logout", 405, "method-not-allowed"),
        ("OPTIONS", "/auth/logout", 405, "method-not-allowed"),
        ("POST", "/auth", 404, "no-route"),
        ("POST", "/auth/", 404, "no-route"),
        ("POST", "/auth/logout/", 404, "no-route"),
        ("POST", "/auth/logout/all", 404, "no-route"),
        ("POST", "/auth/login", 404, "no-route"),
    ] {
        let answer = gateway.ask(method, path).bearer(&token).send();
        answer.expect_rejected(status, code);
        assert_eq!(answer.field("allow"), (status == 405).then_some("POST, DELETE"));
    }
    gateway.ask("POST", "/auth/logout").send().expect_rejected(401, "token-missing");
    let expired = gateway.issuer.expired();
    log_out(&gateway, &expired).expect_rejected(401, "token-expired");
    for body in ["all", "[]", r#"{"al":true}"#, r#"{"all":1}"#] {
        let ask = gateway.ask("POST", "/auth/logout").bearer(&token).body(body.as_bytes());
        let answer = ask.send();
        answer.expect_rejected(400, "invalid-body");
        assert_ne!(answer.json()["detail"], "The request body is not what is asked for here");
    }
    gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
}

#[test]
fn a_call_whose_client_leaves_is_done_to_its_end() {
    let gateway = start();
    let token = gateway.issuer.good();
    let request = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
    );
    eventually("the log-out", || {
        Raw::connect(gateway.data).send(&request);
        (gateway.get("/orders/1").bearer(&token).send().status == 401).then_some(())
    });
}

#[test]
fn a_body_that_is_long_or_slow_or_broken_ends_early() {
    let limits =
        ("drain_timeout = \"5s\"", "drain_timeout = \"5s\"\nlimits = { header_timeout = \"1s\" }");
    let gateway = TestGateway::start_edited(&(ORDERS.to_owned() + SERVED), &[limits]);
    let token = gateway.issuer.good();
    let head = |fields: &str| {
        format!(
            "POST /auth/logout HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{fields}\r\n\r\n"
        )
    };
    let refused = |request: String, status: u16| {
        let answer = Raw::connect(gateway.data).send(request).answer().expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.field("connection"), Some("close"));
    };
    // None of it is waited for.
    refused(head("Content-Length: 4097"), 413);
    refused(head("Transfer-Encoding: chunked") + "1001\r\n" + &" ".repeat(4097), 413);
    refused(head("Content-Length: 2") + "{", 408);
    refused(head("Transfer-Encoding: chunked") + "1\r\n{\r\nzz\r\n", 400);
    gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
}

#[test]
fn a_route_in_the_profile_of_flask_answers_as_its_examples_do() {
    let gateway = start();
    let token = gateway.issuer.good();
    let log_out = |method: &str| gateway.ask(method, "/flask/logout").bearer(&token).send();
    says(&gateway.ask("DELETE", "/flask/logout").send(), 401, "Missing Authorization Header");
    says(&log_out("DELETE"), 200, "Successfully logged out");
    says(&log_out("POST"), 401, "Token has been revoked");
}

#[test]
fn a_call_is_counted_and_logged_as_any_request() {
    let gateway = start();
    let token = gateway.issuer.token(json!({ "jti": "id-1" }));
    log_out(&gateway, &token);
    log_out(&gateway, &token);
    let lines = gateway.log_lines(2);
    let told = |line: usize, name: &str| lines[line][name].clone();
    for (line, outcome, reason) in [(0, "served", "logout"), (1, "rejected", "revoked_token")] {
        assert_eq!(told(line, "outcome"), outcome);
        assert_eq!(told(line, "reason"), reason);
        assert_eq!(told(line, "route"), "sessions");
        assert_eq!(told(line, "subject"), "alice");
        assert_eq!(told(line, "token_id"), "id-1");
        let labels = format!("route=\"sessions\",outcome=\"{outcome}\",reason=\"{reason}\"");
        let series = format!("portcullis_requests_total{{{labels}}}");
        assert!((gateway.metric(&series) - 1.0).abs() < f64::EPSILON, "{series}");
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_log_out_that_is_not_recorded_is_not_acknowledged() {
    let mut redis = RedisServer::start(Keeps::All);
    let feed = format!(
        "[revocation]\nfeed = \"redis\"\nmax_staleness = \"1h\"\nredis = {{ url = \"{}\" }}",
        redis.url()
    );
    let edits = [("[revocation]\nembedded = { path = \"revocations.redb\" }", &*feed)];
    let gateway = TestGateway::start_edited(&(ORDERS.to_owned() + SERVED), &edits);
    let token = gateway.issuer.good();
    redis.kill();
    let answer = log_out(&gateway, &token);
    answer.expect_rejected(503, "not-recorded");
    assert_eq!(answer.field("retry-after"), Some("1"));
    gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
    redis.restart();
    eventually("the store is back", || (log_out(&gateway, &token).status == 204).then_some(()));
    gateway.get("/orders/1").bearer(&token).send().expect_rejected(401, "token-revoked");
}
