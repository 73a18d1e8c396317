//! The callback's service down, slow, lying and flooding: what the route does.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::callbacks::routes;
use crate::support::eventually::eventually;
use crate::support::gateway::TestGateway;
use crate::support::provider::{Manner, TestProvider, response};

/// Asks with a token of its own, and gives the status and the logged reason.
fn asked(gateway: &TestGateway, requests: &mut usize) -> (u16, String) {
    let answer = gateway.get("/orders/1").bearer(&gateway.issuer.good()).send();
    if answer.status == 503 {
        answer.expect_rejected(503, "callback-unavailable");
        assert_eq!(answer.field("retry-after"), Some("1"));
        assert_eq!(answer.field("www-authenticate"), None);
    }
    *requests += 1;
    let lines = gateway.log_lines(*requests);
    let reason = lines[*requests - 1]["reason"].as_str().expect("a reason").to_owned();
    (answer.status, reason)
}

fn start(provider: &TestProvider, kind: &str, more: &str) -> TestGateway {
    TestGateway::start(&routes(&provider.url(), kind, more))
}

fn kinds() -> [(&'static str, Manner); 2] {
    [
        ("introspection", Manner::json(&json!({ "active": true }))),
        ("http", Manner::json(&json!({ "allow": true }))),
    ]
}

#[test]
fn a_service_that_is_down_or_slow_is_503_or_passes_as_said() {
    let slow = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"active\": true}";
    for (kind, good) in kinds() {
        for when_down in ["reject", "allow"] {
            let provider = TestProvider::start(Manner::Closes);
            let more = format!("timeout = \"300ms\"\nwhen_down = \"{when_down}\"");
            let gateway = start(&provider, kind, &more);
            let mut requests = 0;
            let unavailable = |status| Manner::Says(response(status, "text/plain", b"later"));
            for (manner, reason) in [
                (Manner::Closes, "callback_connect"),
                (Manner::Silent, "callback_timeout"),
                (Manner::Drips(slow.to_vec()), "callback_timeout"),
                (unavailable("503 Service Unavailable"), "callback_unavailable"),
                (good.clone(), ""),
                (unavailable("429 Too Many Requests"), "callback_unavailable"),
                (unavailable("500 Internal Server Error"), "callback_unavailable"),
                (good.clone(), ""),
            ] {
                provider.now(manner.clone());
                let began = Instant::now();
                let outcome = asked(&gateway, &mut requests);
                let wanted = match (when_down, reason) {
                    ("reject", reason) if !reason.is_empty() => (503, reason.to_owned()),
                    _ => (200, String::new()),
                };
                assert_eq!(outcome, wanted, "{kind} {when_down} {manner:?}");
                assert!(began.elapsed() < Duration::from_secs(5), "{manner:?}");
            }
            let passed =
                gateway.metric("portcullis_callback_passed_while_down_total{callback=\"other\"}");
            assert_eq!(passed, if when_down == "allow" { 6.0 } else { 0.0 });
        }
    }
}

/// Answers that no honest service gives, and the reason each is logged with.
fn lies(location: &str) -> Vec<(Manner, &'static str)> {
    let says = |status, kind, body: &str| Manner::Says(response(status, kind, body.as_bytes()));
    let json = "application/json";
    let moved = |status: &str| {
        let body = "{\"active\":true}";
        let kind = format!("application/json\r\nLocation: {location}");
        Manner::Says(response(status, &kind, body.as_bytes()))
    };
    let huge = format!("{{\"active\":true,\"x\":\"{}\"}}", "x".repeat(1 << 20));
    let deep = format!("{{\"active\":true,\"x\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let (answer, status) = ("callback_answer", "callback_status");
    vec![
        (says("200 OK", "text/html", "{\"active\":true}"), answer),
        (says("200 OK", "application/token-introspection+jwt", "{\"active\":true}"), answer),
        (says("200 OK", "application/json\r\nContent-Encoding: gzip", "{\"active\":true}"), answer),
        (
            says("200 OK", "application/json\r\nContent-Type: text/plain", "{\"active\":true}"),
            answer,
        ),
        (Manner::text("{\"active\":\"true\"}"), answer),
        (Manner::text("{\"active\":true,\"active\":true}"), answer),
        (Manner::text("{}"), answer),
        (Manner::text(""), answer),
        (Manner::text(&huge), answer),
        (Manner::text(&deep), answer),
        (Manner::Says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), answer),
        (Manner::Endless, answer),
        (Manner::text("{\"active\":true,\"sub\":\"mallory\"}"), "callback_contradiction"),
        (
            Manner::text("{\"active\":true,\"iss\":\"https://evil.example/\"}"),
            "callback_contradiction",
        ),
        (Manner::text("{\"active\":true,\"aud\":\"other\"}"), "callback_contradiction"),
        (moved("302 Found"), status),
        (moved("307 Temporary Redirect"), status),
        (says("204 No Content", json, ""), status),
        (says("201 Created", json, "{\"active\":true}"), status),
        (says("401 Unauthorized", json, "{\"error\":\"invalid_client\"}"), status),
        (says("404 Not Found", json, "{\"active\":true}"), status),
    ]
}

#[test]
fn a_service_that_lies_never_lets_anybody_through() {
    let canary = TestProvider::saying(&json!({ "active": true }));
    let lies = lies(&format!("http://{}/", canary.address));
    for when_down in ["reject", "allow"] {
        let provider = TestProvider::start(Manner::Closes);
        let gateway = start(&provider, "introspection", &format!("when_down = \"{when_down}\""));
        let mut requests = 0;
        for (manner, reason) in &lies {
            provider.now(manner.clone());
            let outcome = asked(&gateway, &mut requests);
            let short: String = format!("{manner:?}").chars().take(200).collect();
            assert_eq!(outcome, (503, (*reason).to_owned()), "{when_down} {short}");
        }
        assert_eq!(gateway.upstream.count(), 0);
    }
    assert_eq!(canary.count(), 0, "a redirect was followed");
}

#[test]
fn an_http_callback_that_lies_never_lets_anybody_through() {
    let provider = TestProvider::start(Manner::Closes);
    let gateway = start(&provider, "http", "when_down = \"allow\"");
    let mut requests = 0;
    for body in [
        "{\"allow\":\"true\"}",
        "{\"allow\":true,\"allow\":false}",
        "{\"allow\":true,\"deny\":true}",
        "{\"active\":true}",
        "true",
        "",
    ] {
        provider.now(Manner::text(body));
        assert_eq!(asked(&gateway, &mut requests), (503, "callback_answer".to_owned()), "{body}");
    }
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn nobody_there_is_503_and_what_is_down_for_long_is_left_alone() {
    let vacant = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address")
    };
    let url = format!("http://{vacant}/ask");
    let gateway = TestGateway::start(&routes(&url, "introspection", ""));
    let mut requests = 0;
    for _ in 0..5 {
        assert_eq!(asked(&gateway, &mut requests), (503, "callback_connect".to_owned()));
    }
    eventually("it is left alone", || {
        (asked(&gateway, &mut requests) == (503, "callback_down".to_owned())).then_some(())
    });
    // What was forwarded to nobody else goes on.
    gateway.get("/alone/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
}

#[test]
fn a_service_that_hangs_holds_up_no_other_route() {
    let provider = TestProvider::start(Manner::Silent);
    let gateway = start(&provider, "introspection", "timeout = \"5s\"");
    std::thread::scope(|scope| {
        let tokens: Vec<_> = (0..20).map(|_| gateway.issuer.good()).collect();
        let ask = |token: String| gateway.get("/orders/1").bearer(&token).send().status;
        let hanging: Vec<_> =
            tokens.into_iter().map(|token| scope.spawn(move || ask(token))).collect();
        eventually("they hang", || (provider.count() == 20).then_some(()));
        let began = Instant::now();
        for _ in 0..50 {
            gateway.get("/alone/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
        }
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        provider.now(Manner::Closes);
        assert!(hanging.into_iter().all(|answer| answer.join().expect("an answer") == 503));
    });
}

#[test]
fn a_connection_that_the_service_closed_is_opened_again() {
    let good = br#"{"active":true}"#;
    let closing = response("200 OK", "application/json", good);
    let provider = TestProvider::start(Manner::Says(closing.clone()));
    let gateway = start(&provider, "introspection", "");
    let mut requests = 0;
    assert_eq!(asked(&gateway, &mut requests).0, 200);
    // Closed by its next question without an answer: that is asked once more, on another connection.
    provider.now(Manner::ClosesOnce(closing));
    assert_eq!(asked(&gateway, &mut requests).0, 200);
    assert_eq!(provider.count(), 3);
}
