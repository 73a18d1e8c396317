//! Tokens in cookies and queries, the double submit that protects a cookie, fresh tokens, and
//! preflights: in the standard form of refusals.

use serde_json::json;

use crate::support::client::{Answer, Ask};
use crate::support::gateway::TestGateway;
use crate::support::issuer::now;

const ROUTES: &str = r#"
[[routes]]
name = "cookie"
path = "/cookie"
upstream = "orders"
auth = "required"
token_from = [ { cookie = "session" } ]
forward = { token = false, claims = { sub = "X-Auth-Subject" } }

[[routes]]
name = "query"
path = "/query"
upstream = "orders"
auth = "required"
token_from = [ { query = "jwt", prefix = "Bearer " } ]
forward = { token = false, claims = { sub = "X-Auth-Subject" } }

[[routes]]
name = "all"
path = "/all"
upstream = "orders"
auth = "optional"
token_from = [ { header = "Authorization", scheme = "Bearer" }, { cookie = "session" }, { query = "jwt" } ]
forward = { claims = { sub = "X-Auth-Subject" } }

[[routes]]
name = "fresh"
path = "/fresh"
upstream = "orders"
auth = "required"
fresh = true

[[routes]]
name = "recent"
path = "/recent"
upstream = "orders"
auth = "required"
fresh = "10m"

[[routes]]
name = "preflight"
path = "/preflight"
upstream = "orders"
auth = "required"
exempt_options = true
forward = { claims = { sub = "X-Auth-Subject" } }
"#;

fn refused(answer: &Answer, status: u16, code: &str) {
    answer.expect_rejected(status, code);
}

#[test]
fn a_cookie_s_token_is_taken_out_and_the_other_cookies_stay() {
    let gateway = TestGateway::start(ROUTES);
    let token = gateway.issuer.good();
    let cookies = format!("theme=dark; session={token}; lang=en");
    gateway.get("/cookie").field("Cookie", &cookies).send().expect_forwarded();
    let seen = gateway.upstream.last();
    assert_eq!(seen.all("cookie"), ["theme=dark; lang=en"]);
    assert_eq!(seen.field("x-auth-subject"), Some("alice"));
    gateway.get("/cookie").field("Cookie", &format!("session={token}")).send().expect_forwarded();
    assert_eq!(gateway.upstream.last().all("cookie"), [""; 0]);
    refused(&gateway.get("/cookie").bearer(&token).send(), 401, "token-missing");
    let two = format!("session={token}; session={}", gateway.issuer.of("bob"));
    refused(&gateway.get("/cookie").field("Cookie", &two).send(), 400, "bad-credentials");
}

#[test]
fn a_cookie_alone_changes_nothing_and_with_its_token_s_csrf_claim_it_does() {
    let gateway = TestGateway::start(ROUTES);
    let token = gateway.issuer.token(json!({ "csrf": "proof" }));
    let post =
        |token: &str| gateway.ask("POST", "/cookie").field("Cookie", &format!("session={token}"));
    refused(&post(&token).send(), 403, "csrf-failed");
    refused(&post(&token).field("X-CSRF-TOKEN", "other").send(), 403, "csrf-failed");
    let without = gateway.issuer.good();
    refused(&post(&without).field("X-CSRF-TOKEN", "proof").send(), 403, "csrf-failed");
    post(&token).field("X-CSRF-TOKEN", "proof").send().expect_forwarded();
    let expired = gateway.issuer.expired();
    refused(&post(&expired).field("X-CSRF-TOKEN", "proof").send(), 401, "token-expired");
}

#[test]
fn a_parameter_s_token_is_taken_out_and_the_rest_of_the_query_stays() {
    let gateway = TestGateway::start(ROUTES);
    let token = gateway.issuer.good();
    let line = |target: String| {
        gateway.get(&target).send().expect_forwarded();
        gateway.upstream.last().line
    };
    assert_eq!(line(format!("/query?jwt=Bearer%20{token}")), "GET /query HTTP/1.1");
    let target = format!("/query?a=%2F&%6Awt=Bearer+{token}&b");
    assert_eq!(line(target), "GET /query?a=%2F&b HTTP/1.1");
    for (target, status, code) in [
        ("/query".to_owned(), 401, "token-missing"),
        (format!("/query?jwt={token}"), 400, "bad-credentials"),
        (format!("/query?jwt=Bearer+{token}&jwt=Bearer+x"), 400, "bad-credentials"),
        (format!("/query?jwt=Bearer+{}", gateway.issuer.expired()), 401, "token-expired"),
    ] {
        refused(&gateway.get(&target).send(), status, code);
    }
}

#[test]
fn places_are_searched_in_order_and_two_credentials_are_none() {
    let gateway = TestGateway::start(ROUTES);
    let (alice, bob) = (gateway.issuer.of("alice"), gateway.issuer.of("bob"));
    let subject = |ask: Ask| ask.send().expect_forwarded().json()["subject"].clone();
    let cookie = |token: &str| gateway.get("/all").field("Cookie", &format!("session={token}"));
    assert_eq!(subject(gateway.get("/all")), json!(null));
    assert_eq!(subject(gateway.get("/all").bearer(&alice)), "alice");
    assert_eq!(subject(cookie(&bob).field("Authorization", "Basic x")), "bob");
    assert_eq!(subject(gateway.get(&format!("/all?jwt={bob}"))), "bob");
    refused(&cookie(&bob).bearer(&alice).send(), 400, "bad-credentials");
    refused(&cookie(&bob).field("Authorization", "Bearer").send(), 400, "bad-credentials");
    let posted = gateway.ask("POST", "/all").field("Cookie", &format!("session={bob}"));
    refused(&posted.send(), 403, "csrf-failed");
}

#[test]
fn a_token_of_an_old_log_in_is_told_what_to_ask_for() {
    let gateway = TestGateway::start(ROUTES);
    let (soon, past, old) = (now() + 300, now() - 300, now() - 900);
    for (path, claims, status) in [
        ("/fresh", json!({}), 401),
        ("/fresh", json!({ "fresh": false }), 401),
        ("/fresh", json!({ "fresh": "true" }), 401),
        ("/fresh", json!({ "fresh": past }), 401),
        ("/fresh", json!({ "auth_time": past }), 401),
        ("/fresh", json!({ "fresh": true }), 200),
        ("/fresh", json!({ "fresh": soon }), 200),
        ("/recent", json!({}), 401),
        ("/recent", json!({ "auth_time": old }), 401),
        ("/recent", json!({ "auth_time": old, "fresh": true }), 401),
        ("/recent", json!({ "auth_time": "now" }), 401),
        ("/recent", json!({ "auth_time": past }), 200),
        ("/recent", json!({ "fresh": true }), 200),
        ("/recent", json!({ "fresh": true, "iat": old }), 401),
    ] {
        let answer = gateway.get(path).bearer(&gateway.issuer.token(claims.clone())).send();
        if status == 200 {
            answer.expect_forwarded();
            continue;
        }
        refused(&answer, status, "token-not-fresh");
        let age = if path == "/fresh" { "0" } else { "600" };
        let challenge = answer.field("www-authenticate").expect("a challenge");
        assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
        assert!(challenge.ends_with(&format!("max_age=\"{age}\"")), "{claims}: {challenge}");
    }
}

#[test]
fn a_preflight_needs_no_token_where_the_route_says_so_and_is_nobody() {
    let gateway = TestGateway::start(ROUTES);
    let ask = |method: &str| gateway.ask(method, "/preflight").field("X-Auth-Subject", "root");
    ask("OPTIONS").send().expect_forwarded();
    assert_eq!(gateway.upstream.last().field("x-auth-subject"), None);
    ask("OPTIONS").bearer(&gateway.issuer.good()).send().expect_forwarded();
    assert_eq!(gateway.upstream.last().field("x-auth-subject"), None);
    refused(&ask("GET").send(), 401, "token-missing");
    refused(&gateway.ask("OPTIONS", "/fresh").send(), 401, "token-missing");
}
