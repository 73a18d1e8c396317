//! Status, configuration, reload, health, metrics.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::wire::{ADMIN, port};

#[test]
fn the_operating_calls_answer() {
    let port = port();
    assert_eq!(port.get("/v1/status").json()["feed"]["connected"], true);
    assert_eq!(port.get("/v1/config").json()["control"]["credentials"][0]["secret"], "redacted");
    assert_eq!(port.get("/livez").json(), json!({ "status": "alive" }));
    let answer = port.get("/livez");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let head = port.call("HEAD", "/readyz", "", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn the_nodes_are_listed_or_it_is_said_that_they_can_not_be() {
    let port = port();
    let listed = port.get("/v1/nodes").json();
    let (only, id) = (&listed["items"][0], uuid::Uuid::nil().to_string());
    let named = json!({ "name": only["name"], "id": only["id"], "this": only["this"] });
    assert_eq!(named, json!({ "name": "one", "id": id, "this": true }));
    assert_eq!((&only["staleness_seconds"], &only["cursor"]), (&json!(0.3), &json!("41")));
    port.house.fail_after.store(0, Ordering::SeqCst);
    port.get("/v1/nodes").is_problem(503, "store_unavailable");
}

#[test]
fn readiness_says_why_not() {
    let port = port();
    let plain = "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n";
    assert_eq!(port.text(plain).json(), json!({ "status": "ready" }));
    port.house.unready.store(true, Ordering::SeqCst);
    let answer = port.text(plain);
    answer.is_problem(503, "not_ready");
    assert_eq!(answer.json()["detail"], "no checkpoint yet");
    assert_eq!(port.get("/livez").status, 200, "alive all the same");
}

#[test]
fn a_reload_tells_what_changed_or_every_problem() {
    let port = port();
    let answer = port.call("POST", "/v1/reload", ADMIN, "");
    assert_eq!(answer.json(), json!({ "generation": 2, "changes": ["routes: 1 added"] }));
    port.house.reload_refused.store(true, Ordering::SeqCst);
    let answer = port.call("POST", "/v1/reload", ADMIN, "");
    answer.is_problem(422, "config_refused");
    assert_eq!(answer.json()["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn metrics_are_open_metrics_and_count_the_calls() {
    let port = port();
    assert_eq!(port.get("/v1/status").status, 200);
    let plain = "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n";
    let answer = port.text(plain);
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(media));
    let text = String::from_utf8(answer.body).unwrap();
    let line = r#"portcullis_control_requests_total{call="status",status="200"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_kept_alive_connection_serves_several_calls() {
    let port = port();
    let one = "GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n";
    let last = "GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n";
    let answer = port.text(&format!("{one}{one}{last}"));
    let all = String::from_utf8_lossy(&answer.body);
    assert_eq!(all.matches("HTTP/1.1 200").count(), 2, "two more behind the first: {all}");
}
