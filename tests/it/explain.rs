//! What is said of a request that nobody sends is what becomes of one that is sent.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::gateway::{RENEW, TestGateway};

const ROUTES: &str = r#"
[[routes]]
name = "orders"
path = "/orders/"
methods = ["GET", "OPTIONS"]
upstream = "orders"
auth = "required"
scopes = ["orders:read"]
exempt_options = true

[[routes]]
name = "admin"
path = "/admin"
upstream = "orders"
auth = "required"
claims = [{ claim = "role", any_of = ["admin"] }]

[[routes]]
name = "open"
path = "/open"
upstream = "orders"
auth = "none"

[[routes]]
name = "maybe"
path = "/maybe"
upstream = "orders"
auth = "optional"

[[routes]]
name = "tried"
path = "/tried"
upstream = "orders"
auth = "required"
shadow = true

[[routes]]
name = "flask"
path = "/flask"
upstream = "orders"
auth = "required"
errors = "flask"

[[routes]]
name = "asked"
path = "/asked"
upstream = "orders"
auth = "required"
callback = "away"

[callbacks.away]
kind = "http"
url = "http://127.0.0.1:1/"
"#;

fn start() -> TestGateway {
    TestGateway::start(&(ROUTES.to_owned() + RENEW + "check_revocation = []\n"))
}

fn explained(gateway: &TestGateway, method: &str, path: &str, token: Option<&str>) -> Value {
    let mut body = json!({ "method": method, "path": path });
    if let Some(token) = token {
        body["token"] = token.into();
    }
    let answer = gateway.control("POST", "/v1/explain").json(&body).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn sent(gateway: &TestGateway, method: &str, path: &str, token: Option<&str>) -> Answer {
    let ask = gateway.ask(method, path);
    match token {
        Some(token) => ask.bearer(token).send(),
        None => ask.send(),
    }
}

/// The body of a refusal, without what differs from one request to the next.
fn body(text: &str) -> Value {
    let mut body: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    if let Some(problem) = body.as_object_mut() {
        problem.remove("instance");
    }
    body
}

fn last(explained: &Value) -> (&str, &str) {
    let last = explained["checks"].as_array().and_then(|checks| checks.last()).expect("a check");
    (last["check"].as_str().expect("a name"), last["outcome"].as_str().expect("an outcome"))
}

/// Asks about it and sends it; whether it was refused.
#[track_caller]
fn compared(gateway: &TestGateway, method: &str, path: &str, token: Option<&str>) -> bool {
    let told = explained(gateway, method, path, token);
    let answer = sent(gateway, method, path, token);
    let what = format!("{method} {path} {token:?}: {told} but {answer:?}");
    if told["answer"].is_null() {
        let outcome = told["outcome"].as_str();
        assert!(matches!(outcome, Some("forwarded" | "shadowed")), "{what}");
        assert_eq!((answer.status, &told["upstream"]), (200, &json!("orders")), "{what}");
        return false;
    }
    assert_eq!(told["outcome"], "rejected", "{what}");
    assert_eq!(told["answer"]["status"], answer.status, "{what}");
    assert_eq!(told["answer"]["challenge"].as_str(), answer.field("www-authenticate"), "{what}");
    let said = told["answer"]["body"].as_str().expect("a body");
    assert_eq!(body(said), body(&answer.text()), "{what}");
    assert_eq!(last(&told).1, "refused", "{what}");
    true
}

#[test]
fn what_is_explained_is_what_happens() {
    let gateway = start();
    let issuer = &gateway.issuer;
    let mut forged = issuer.good();
    forged.truncate(forged.len() - 8);
    forged.push_str("AAAAAAAA");
    let tokens = [
        issuer.good(),
        issuer.refresh(),
        issuer.expired(),
        issuer.token(json!({ "scope": "orders:write" })),
        issuer.token(json!({ "iss": "https://other.example/" })),
        issuer.token(json!({ "aud": "another" })),
        issuer.token(json!({ "jti": "taken-back" })),
        issuer.of("bob"),
        issuer.token(json!({ "role": "admin" })),
        forged,
        "no-token".to_owned(),
    ];
    gateway.revoke(&json!({ "claim": "jti", "value": "taken-back", "reason": "stolen" }));
    gateway.revoke(&json!({ "claim": "sub", "value": "bob" }));
    let shown: Vec<_> = tokens.iter().map(|token| Some(&**token)).chain([None]).collect();
    let paths = [
        "/orders/7?x=1",
        "/admin",
        "/renew",
        "/open",
        "/maybe",
        "/tried",
        "/flask",
        "/nowhere",
        "/orders/%2e%2e/x",
        "/orders/a//b",
    ];
    let mut refused = 0;
    for path in paths {
        for method in ["GET", "OPTIONS", "DELETE"] {
            let each = shown.iter().filter(|token| compared(&gateway, method, path, **token));
            refused += each.count();
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn the_check_that_refuses_is_named_with_the_entry_and_who_made_it() {
    let gateway = start();
    let token = gateway.issuer.token(json!({ "jti": "t1", "sub": "alice" }));
    let told = explained(&gateway, "GET", "/orders/7", Some(&token));
    assert_eq!((&told["outcome"], last(&told)), (&json!("forwarded"), ("access", "passed")));
    assert_eq!((&told["entries"], &told["answer"]), (&json!([]), &Value::Null));
    assert_eq!((&told["token"]["jti"], &told["token"]["type"]), (&json!("t1"), &json!("access")));
    gateway.revoke(&json!({ "claim": "jti", "value": "t1", "reason": "laptop stolen" }));
    gateway.revoke(&json!({ "claim": "sub", "value": "alice" }));
    let told = explained(&gateway, "GET", "/orders/7", Some(&token));
    assert_eq!(last(&told), ("revocation", "refused"));
    assert_eq!(told["checks"][5]["reason"], "revoked_token");
    assert_eq!(told["answer"]["code"], "token-revoked");
    let entries = told["entries"].as_array().expect("a list");
    assert_eq!(entries.len(), 2, "{told}");
    assert_eq!(
        (&entries[0]["claim"], &entries[0]["reason"]),
        (&json!("jti"), &json!("laptop stolen"))
    );
    assert_eq!((&entries[1]["claim"], &entries[1]["actor"]), (&json!("sub"), &json!("test")));
    let refresh = gateway.issuer.refresh();
    let told = explained(&gateway, "GET", "/renew", Some(&refresh));
    let check = &told["checks"][5];
    assert_eq!((&check["check"], &check["outcome"]), (&json!("revocation"), &json!("skipped")));
    let told = explained(&gateway, "GET", "/open", Some(&token));
    assert_eq!((&told["outcome"], last(&told)), (&json!("forwarded"), ("credential", "skipped")));
}

#[test]
fn nobody_is_asked_and_nothing_is_kept_or_counted() {
    let gateway = start();
    let token = gateway.issuer.good();
    let told = explained(&gateway, "GET", "/asked", Some(&token));
    assert_eq!((&told["outcome"], last(&told)), (&json!("asked"), ("callback", "pending")));
    for path in ["/orders/1", "/admin", "/nowhere"] {
        explained(&gateway, "GET", path, Some(&token));
    }
    for series in ["portcullis_token_cache_hits_total", "portcullis_token_cache_misses_total"] {
        assert!(gateway.metric(series).abs() < f64::EPSILON, "{series}");
    }
    assert!(gateway.upstream.seen().is_empty());
    assert_eq!(sent(&gateway, "GET", "/orders/1", Some(&token)).status, 200);
    let misses = gateway.metric("portcullis_token_cache_misses_total");
    assert!((misses - 1.0).abs() < f64::EPSILON, "{misses}");
    assert_eq!(gateway.log_lines(1).len(), 1, "what was explained is no request");
}

#[test]
fn what_is_no_request_is_refused_by_its_member_and_no_token_is_repeated() {
    let gateway = start();
    let refused = [
        (json!({ "token": "secret-token" }), "path"),
        (json!({ "path": "orders", "token": "secret-token" }), "path"),
        (json!({ "path": "/a b" }), "path"),
        (json!({ "path": "/", "method": "G T" }), "method"),
        (json!({ "path": "/", "host": "a\nb" }), "host"),
        (json!({ "path": "/", "token": "" }), "token"),
        (json!({ "path": "/", "secret-token": 1 }), "secret-token"),
    ];
    for (body, field) in refused {
        let answer = gateway.control("POST", "/v1/explain").json(&body).send();
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.starts_with(field), "{body}: {detail}");
        assert!(field == "secret-token" || !detail.contains("secret-token"), "{detail}");
    }
    let told = explained(&gateway, "GET", "/orders/1", Some("secret-token"));
    assert!(!told.to_string().contains("secret-token"), "{told}");
}
