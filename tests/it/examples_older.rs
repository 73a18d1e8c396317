//! The three examples of flask-jwt-extended 3, whose stores were allow-lists, replayed by curl against the
//! applications of `examples/flask` behind their gateways.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use crate::examples::Example;

/// Asks as the examples' readers do; the status and what was said.
#[track_caller]
fn curl(to: SocketAddr, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--request", method]);
    curl.args(["--write-out", "\n%{http_code}"]);
    if !token.is_empty() {
        curl.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    if !body.is_empty() {
        curl.args(["--header", "Content-Type: application/json", "--data", body]);
    }
    let output = curl.arg(format!("http://{to}{path}")).output().expect("curl runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (body, status) = text.rsplit_once('\n').expect("a status");
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{body:?}: {error}"));
    (status.parse().expect("a status"), body)
}

const WHO: &str = r#"{"username": "test", "password": "test"}"#;

fn says(message: &str) -> Value {
    json!({ "msg": message })
}

fn revoked() -> (u16, Value) {
    (401, says("Token has been revoked"))
}

fn world() -> (u16, Value) {
    (200, json!({ "hello": "world" }))
}

/// Logs in; the access and the refresh token.
#[track_caller]
fn log_in(to: SocketAddr, path: &str, wanted: u16) -> (String, String) {
    let (status, tokens) = curl(to, "POST", path, "", WHO);
    assert_eq!(status, wanted, "{tokens}");
    let token = |kind: &str| tokens[kind].as_str().expect("a token").to_owned();
    (token("access_token"), token("refresh_token"))
}

#[track_caller]
fn renew(to: SocketAddr, path: &str, refresh: &str, wanted: u16) -> String {
    let (status, renewed) = curl(to, "POST", path, refresh, "");
    assert_eq!(status, wanted, "{renewed}");
    renewed["access_token"].as_str().expect("a token").to_owned()
}

#[test]
fn the_basic_example_is_replayed() {
    let example = Example::start("basic");
    let to = example.gateway.data;
    let (access, refresh) = log_in(to, "/login", 200);
    assert_eq!(curl(to, "GET", "/protected", &access, ""), world());
    let renewed = renew(to, "/refresh", &refresh, 200);
    let out = (200, says("Successfully logged out"));
    assert_eq!(curl(to, "DELETE", "/logout", &access, ""), out);
    assert_eq!(curl(to, "GET", "/protected", &access, ""), revoked());
    assert_eq!(curl(to, "GET", "/protected", &renewed, ""), world());
    assert_eq!(curl(to, "DELETE", "/logout2", &refresh, ""), out);
    assert_eq!(curl(to, "POST", "/refresh", &refresh, ""), revoked());
}

#[test]
fn the_redis_example_is_replayed_with_an_allow_list_that_fills_itself() {
    let example = Example::start("redis_blacklist");
    let to = example.gateway.data;
    let (access, refresh) = log_in(to, "/auth/login", 201);
    assert_eq!(curl(to, "GET", "/protected", &access, ""), world());
    let renewed = renew(to, "/auth/refresh", &refresh, 201);
    assert_eq!(curl(to, "GET", "/protected", &renewed, ""), world());
    let said = (200, says("Access token revoked"));
    assert_eq!(curl(to, "DELETE", "/auth/access_revoke", &access, ""), said);
    assert_eq!(curl(to, "GET", "/protected", &access, ""), revoked());
    assert_eq!(curl(to, "GET", "/protected", &renewed, ""), world());
    let said = (200, says("Refresh token revoked"));
    assert_eq!(curl(to, "DELETE", "/auth/refresh_revoke", &refresh, ""), said);
    assert_eq!(curl(to, "POST", "/auth/refresh", &refresh, ""), revoked());
    // Signed by the application, and not handed out through the gate: unknown is revoked.
    let (stranger, _) = log_in(example.app.address, "/auth/login", 201);
    assert_eq!(curl(to, "GET", "/protected", &stranger, ""), revoked());
}

#[test]
fn the_database_example_is_replayed_without_a_database_or_a_route_on_tokens() {
    let example = Example::start("database_blacklist");
    let to = example.gateway.data;
    let (access, refresh) = log_in(to, "/auth/login", 201);
    assert_eq!(curl(to, "GET", "/protected", &access, ""), world());
    let (stranger, _) = log_in(example.app.address, "/auth/login", 201);
    assert_eq!(curl(to, "GET", "/protected", &stranger, ""), revoked());

    let tokens = || curl(to, "GET", "/auth/token", &access, "").1;
    let listed = tokens();
    let of = |kind: &str| {
        let mut rows = listed.as_array().expect("rows").iter();
        rows.find(|row| row["token_type"] == kind).expect("a row").clone()
    };
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    for row in [of("access"), of("refresh")] {
        assert_eq!((&row["user_identity"], &row["revoked"]), (&json!("test"), &json!(false)));
    }
    let id = of("refresh")["token_id"].as_str().expect("an id").to_owned();
    let put = |id: &str, body: &str| curl(to, "PUT", &format!("/auth/token/{id}"), &access, body);
    assert_eq!(put(&id, r#"{"revoke": true}"#), (200, says("Token revoked")));
    assert_eq!(curl(to, "POST", "/auth/refresh", &refresh, ""), revoked());
    let now = tokens();
    let row = now.as_array().expect("rows").iter().find(|row| row["token_id"] == *id);
    assert_eq!(row.expect("a row")["revoked"], true);
    assert_eq!(put(&id, r#"{"revoke": false}"#), (200, says("Token unrevoked")));
    let renewed = renew(to, "/auth/refresh", &refresh, 201);
    assert_eq!(curl(to, "GET", "/protected", &renewed, ""), world());

    assert_eq!(put(&id, "{}"), (400, says("Missing 'revoke' in body")));
    assert_eq!(put(&id, r#"{"revoke": "yes"}"#), (400, says("'revoke' must be a boolean")));
    let unknown = (404, says("The specified token was not found"));
    assert_eq!(put("4711", r#"{"revoke": true}"#), unknown);
}
