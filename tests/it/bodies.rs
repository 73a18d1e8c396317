//! Credentials in bodies: a member of a JSON body, and a form's field that proves a cookie's request.

use serde_json::json;

use crate::support::client::{Answer, Ask};
use crate::support::gateway::TestGateway;
use crate::support::raw::Raw;

const ROUTES: &str = r#"
[[routes]]
name = "kept"
path = "/kept"
upstream = "orders"
auth = "required"
token_from = [ { header = "Authorization", scheme = "Bearer" }, { json = "access_token", body_bytes = "8KiB" } ]
forward = { claims = { sub = "X-Auth-Subject" } }

[[routes]]
name = "removed"
path = "/removed"
upstream = "orders"
auth = "required"
token_from = [ { header = "Authorization", scheme = "Bearer" }, { json = "access_token", body_bytes = "8KiB" } ]
forward = { token = false, claims = { sub = "X-Auth-Subject" } }

[[routes]]
name = "form"
path = "/form"
upstream = "orders"
auth = "required"
token_from = [ { cookie = "session", csrf_form = "csrf_token", body_bytes = "1KiB" } ]

[[routes]]
name = "other"
path = "/other"
upstream = "orders"
auth = "none"
"#;

const FORM: &str = "application/x-www-form-urlencoded";

fn start() -> TestGateway {
    TestGateway::start(ROUTES)
}

fn posted(gateway: &TestGateway, path: &str, body: &str) -> Ask {
    gateway.ask("POST", path).field("Content-Type", "application/json").body(body.as_bytes())
}

fn subject(answer: &Answer) -> String {
    answer.expect_forwarded().json()["subject"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_token_in_the_body_is_found_and_the_body_goes_on_as_it_was() {
    let gateway = start();
    let body = format!(
        r#" {{ "n": 1.50, "access_token" : "{}" , "x": [ 1,2 ] }} "#,
        gateway.issuer.good()
    );
    assert_eq!(subject(&posted(&gateway, "/kept", &body).send()), "alice");
    let seen = gateway.upstream.last();
    assert_eq!(String::from_utf8_lossy(&seen.body), body);
    assert_eq!(seen.field("content-length"), Some(&*body.len().to_string()));
    for (body, status, code) in [
        ("{}", 401, "token-missing"),
        ("", 401, "token-missing"),
        ("[1]", 401, "token-missing"),
        ("{\"access_token\":7}", 400, "bad-credentials"),
        ("{\"access_token\":\"a b\"}", 400, "bad-credentials"),
        ("{\"access_token\":\"a.b.c\"}", 401, "token-invalid"),
        ("{\"access_token\":\"a\",\"access_token\":\"b\"}", 400, "bad-credentials"),
    ] {
        posted(&gateway, "/kept", body).send().expect_rejected(status, code);
    }
    let plain = gateway.ask("POST", "/kept").field("Content-Type", "text/plain");
    plain.body(body.as_bytes()).send().expect_rejected(401, "token-missing");
}

#[test]
fn a_revoked_or_expired_token_in_the_body_is_refused() {
    let gateway = start();
    let token = gateway.issuer.good();
    let body = json!({ "access_token": token }).to_string();
    posted(&gateway, "/kept", &body).send().expect_forwarded();
    gateway.revoke(&json!({ "token": token }));
    posted(&gateway, "/kept", &body).send().expect_rejected(401, "token-revoked");
    let body = json!({ "access_token": gateway.issuer.expired() }).to_string();
    posted(&gateway, "/kept", &body).send().expect_rejected(401, "token-expired");
}

#[test]
fn a_token_that_does_not_go_on_is_taken_out_of_the_body() {
    let gateway = start();
    let token = gateway.issuer.good();
    let body = format!(r#"{{"n":1.50,"access_token":"{token}","x":[ 1,2 ]}}"#);
    let want = r#"{"n":1.50,"x":[ 1,2 ]}"#;
    let ask = posted(&gateway, "/removed", &body).field("Content-Digest", "sha-256=:x:");
    assert_eq!(subject(&ask.send()), "alice");
    let seen = gateway.upstream.last();
    assert_eq!(String::from_utf8_lossy(&seen.body), want);
    assert_eq!(seen.field("content-length"), Some(&*want.len().to_string()));
    assert_eq!(seen.field("content-digest"), None);
    // Also where another place had the one that counts; two that differ are refused.
    let both = posted(&gateway, "/removed", &body).bearer(&token);
    both.send().expect_rejected(400, "bad-credentials");
    let plain = posted(&gateway, "/removed", r#"{"a":1}"#).bearer(&token);
    assert_eq!(subject(&plain.send()), "alice");
    assert_eq!(gateway.upstream.last().body, br#"{"a":1}"#);
}

#[test]
fn a_body_is_read_up_to_its_bound_and_only_where_it_counts() {
    let gateway = start();
    let token = gateway.issuer.good();
    let long = json!({ "access_token": token, "x": "y".repeat(9000) }).to_string();
    posted(&gateway, "/kept", &long).send().expect_rejected(413, "body-too-large");
    // A header's token needs no body, and streams one of any length.
    let streamed = posted(&gateway, "/kept", &long).bearer(&token).send();
    assert_eq!(subject(&streamed), "alice");
    assert_eq!(gateway.upstream.last().body.len(), long.len());
    posted(&gateway, "/other", &long).send().expect_forwarded();
    let chunks = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let head = "POST /kept HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let mut raw = Raw::connect(gateway.data);
    assert_eq!(raw.send(head.to_owned() + &chunks).answer().expect("an answer").status, 413);
    let line = gateway.log_lines(1).remove(0);
    assert_eq!((&line["route"], &line["reason"]), (&json!("kept"), &json!("body")));
}

#[test]
fn a_form_s_field_proves_that_its_own_site_sent_it() {
    let gateway = start();
    let token = gateway.issuer.token(json!({ "csrf": "a+b c" }));
    let cookie = format!("session={token}");
    let ask = |body: &str| {
        let ask = gateway.ask("POST", "/form").field("Cookie", &cookie);
        ask.field("Content-Type", FORM).body(body.as_bytes())
    };
    ask("x=1&csrf_token=a%2Bb+c").send().expect_forwarded();
    assert_eq!(gateway.upstream.last().body, b"x=1&csrf_token=a%2Bb+c");
    ask("x=1").field("X-CSRF-Token", "a+b c").send().expect_forwarded();
    ask("x=1").send().expect_rejected(403, "csrf-failed");
    ask("csrf_token=other").send().expect_rejected(403, "csrf-failed");
    ask("csrf_token=a%2Bb+c").field("X-CSRF-Token", "y").send().expect_rejected(403, "csrf-failed");
    ask(&format!("x={}", "y".repeat(1100))).send().expect_rejected(413, "body-too-large");
    let multipart = gateway.ask("POST", "/form").field("Cookie", &cookie);
    let multipart = multipart.field("Content-Type", "multipart/form-data; boundary=b");
    multipart.body(b"csrf_token=a%2Bb+c").send().expect_rejected(403, "csrf-failed");
}
