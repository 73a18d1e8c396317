//! Somebody else asked about a token: what the route does with each answer, and what it keeps.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::eventually::eventually;
use crate::support::gateway::TestGateway;
use crate::support::issuer::now;
use crate::support::provider::{Manner, TestProvider, response};

/// A route that asks by introspection; `more` goes into the callback's table.
fn introspecting(provider: &TestProvider, more: &str) -> TestGateway {
    TestGateway::start(&routes(&provider.url(), "introspection", more))
}

pub fn routes(url: &str, kind: &str, more: &str) -> String {
    let credentials = match kind {
        "introspection" => "client_id = \"gate\"\nclient_secret = { file = \"control.secret\" }",
        _ => "bearer_secret = { file = \"control.secret\" }",
    };
    format!(
        r#"
[callbacks.other]
kind = "{kind}"
url = "{url}"
{credentials}
{more}

[[routes]]
name = "orders"
path = "/orders/"
upstream = "orders"
auth = "required"
callback = "other"

[[routes]]
name = "alone"
path = "/alone/"
upstream = "orders"
auth = "required"
"#
    )
}

#[track_caller]
fn rejected(answer: &Answer, status: u16, code: &str) {
    answer.expect_rejected(status, code);
    assert_eq!(answer.field("retry-after").is_some(), status == 503);
}

#[test]
fn the_token_goes_in_the_body_alone_and_the_verdict_is_kept() {
    let provider = TestProvider::saying(&json!({ "active": true, "sub": "alice" }));
    let gateway = introspecting(&provider, "");
    let token = gateway.issuer.good();
    for _ in 0..3 {
        gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
    }
    let [asked] = &provider.asked()[..] else { panic!("{:?}", provider.asked()) };
    assert_eq!(asked.line, "POST /ask HTTP/1.1");
    assert_eq!(asked.field("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked.field("accept"), Some("application/json"));
    let basic = "Z2F0ZTphLWNvbnRyb2wtY3JlZGVudGlhbC1vZi1tb3JlLXRoYW4tMzItYnl0ZXM=";
    assert_eq!(asked.field("authorization"), Some(&*format!("Basic {basic}")));
    let body = String::from_utf8(asked.body.clone()).expect("text");
    assert_eq!(body, format!("token={token}&token_type_hint=access_token"));
    assert!(!asked.fields.iter().any(|(_, value)| value.contains(&token)));

    assert_eq!(gateway.metric("portcullis_callback_asked_total{callback=\"other\"}"), 1.0);
    assert_eq!(gateway.metric("portcullis_callback_cached_total{callback=\"other\"}"), 2.0);
    let metrics = crate::support::client::get(gateway.running.control, "/metrics").send().text();
    let log = format!("{:?}", gateway.log_lines(3));
    for text in [metrics, log] {
        assert!(!text.contains(&token) && !text.contains("gate:"), "{text}");
    }
}

#[test]
fn a_kept_verdict_does_not_outlive_a_revocation_or_the_token() {
    let provider = TestProvider::saying(&json!({ "active": true }));
    let gateway = introspecting(&provider, "cache = { ttl = \"1h\" }");
    let revoked = gateway.issuer.token(json!({ "jti": "one" }));
    gateway.get("/orders/1").bearer(&revoked).send().expect_forwarded();
    gateway.revoke(&json!({ "claim": "jti", "value": "one" }));
    gateway.get("/orders/1").bearer(&revoked).send().expect_rejected(401, "token-revoked");
    let short = gateway.issuer.token(json!({ "exp": now() + 3 }));
    gateway.get("/orders/1").bearer(&short).send().expect_forwarded();
    eventually("it expires", || {
        (gateway.get("/orders/1").bearer(&short).send().status == 401).then_some(())
    });
    gateway.get("/orders/1").bearer(&short).send().expect_rejected(401, "token-expired");
    // Nor does anybody ask about a token that does not hold here.
    let before = provider.count();
    gateway
        .get("/orders/1")
        .bearer(&gateway.issuer.expired())
        .send()
        .expect_rejected(401, "token-expired");
    gateway
        .get("/orders/1")
        .bearer(&gateway.issuer.refresh())
        .send()
        .expect_rejected(401, "token-invalid");
    gateway.get("/orders/1").bearer("no.token.atall").send();
    gateway.get("/orders/1").send().expect_rejected(401, "token-missing");
    gateway.get("/alone/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
    assert_eq!(provider.count(), before);
}

#[test]
fn a_token_that_is_revoked_here_while_the_question_is_out_is_refused() {
    let good = response("200 OK", "application/json", br#"{"active":true}"#);
    let provider = TestProvider::start(Manner::Held(good.clone()));
    let gateway = introspecting(&provider, "timeout = \"30s\"");
    let token = gateway.issuer.token(json!({ "jti": "two" }));
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| gateway.get("/orders/1").bearer(&token).send());
        eventually("the question is out", || (provider.count() == 1).then_some(()));
        gateway.revoke(&json!({ "claim": "jti", "value": "two" }));
        provider.now(Manner::Says(good));
        asking.join().expect("an answer")
    });
    answer.expect_rejected(401, "token-revoked");
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_token_that_is_not_active_is_401_and_that_is_kept_too() {
    let provider = TestProvider::saying(&json!({ "active": false }));
    let gateway = introspecting(&provider, "cache = { ttl = \"1h\", refused_ttl = \"1h\" }");
    let token = gateway.issuer.good();
    let answer = gateway.get("/orders/1").bearer(&token).send();
    rejected(&answer, 401, "token-inactive");
    assert!(answer.field("www-authenticate").is_some_and(|it| it.contains("invalid_token")));
    provider.now(Manner::json(&json!({ "active": true })));
    rejected(&gateway.get("/orders/1").bearer(&token).send(), 401, "token-inactive");
    assert_eq!(provider.count(), 1);
    gateway.get("/orders/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
    let lines = gateway.log_lines(3);
    assert_eq!(lines[0]["reason"], "callback_inactive");
    assert_eq!(gateway.upstream.count(), 1);
}

#[test]
fn many_requests_with_one_token_ask_once_over_all_workers() {
    let good = response("200 OK", "application/json", br#"{"active":true}"#);
    let provider = TestProvider::start(Manner::Held(good.clone()));
    let routes = routes(&provider.url(), "introspection", "timeout = \"30s\"");
    let gateway = TestGateway::start_edited(&routes, &[("workers = 1", "workers = 4")]);
    let token = gateway.issuer.good();
    std::thread::scope(|scope| {
        let ask = || gateway.get("/orders/1").bearer(&token).send();
        let asking: Vec<_> = (0..40).map(|_| scope.spawn(ask)).collect();
        eventually("the question is out", || (provider.count() > 0).then_some(()));
        // What asks nobody is not held up meanwhile.
        gateway.get("/alone/1").bearer(&token).send().expect_forwarded();
        provider.now(Manner::Says(good));
        for answer in asking {
            answer.join().expect("an answer").expect_forwarded();
        }
    });
    assert_eq!(provider.count(), 1);
}

#[test]
fn a_flood_of_tokens_asks_no_more_at_once_than_said_and_is_refused_soon() {
    let good = response("200 OK", "application/json", br#"{"active":true}"#);
    let provider = TestProvider::start(Manner::Held(good.clone()));
    let more = "timeout = \"2s\"\nconcurrency = 1\nwhen_down = \"allow\"";
    let gateway = introspecting(&provider, more);
    let tokens: Vec<String> = (0..40).map(|_| gateway.issuer.good()).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = |token| gateway.get("/orders/1").bearer(token).send().status;
        let asking: Vec<_> = tokens.iter().map(|token| scope.spawn(move || ask(token))).collect();
        eventually("the rest is refused", || {
            let refused =
                "portcullis_callback_failures_total{callback=\"other\",reason=\"callback_busy\"}";
            (gateway.metric(refused) >= 24.0).then_some(())
        });
        assert_eq!(provider.count(), 1);
        provider.now(Manner::Says(good));
        asking.into_iter().map(|answer| answer.join().expect("an answer")).collect()
    });
    // 16 are out or wait; the others are refused though the callback may let pass what it can't answer.
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 24);
    assert_eq!(provider.count(), 16);
}

#[test]
fn an_http_callback_is_sent_the_claims_and_gives_a_verdict() {
    let provider = TestProvider::saying(&json!({ "allow": false, "reason": "on leave" }));
    let gateway = TestGateway::start(&routes(&provider.url(), "http", ""));
    let token = gateway.issuer.token(json!({ "jti": "j1", "roles": ["buyer"] }));
    let answer = gateway.get("/orders/1").bearer(&token).send();
    rejected(&answer, 403, "callback-denied");
    assert!(!answer.text().contains("leave"));
    let [asked] = &provider.asked()[..] else { panic!("{:?}", provider.asked()) };
    assert_eq!(asked.field("content-type"), Some("application/json"));
    assert_eq!(
        asked.field("authorization"),
        Some("Bearer a-control-credential-of-more-than-32-bytes")
    );
    let body: Value = serde_json::from_slice(&asked.body).expect("JSON");
    assert_eq!(body["version"], 1);
    assert_eq!((&body["callback"], &body["issuer"]), (&json!("other"), &json!("main")));
    assert_eq!((&body["token_type"], &body["claims"]["jti"]), (&json!("access"), &json!("j1")));
    assert_eq!(body["claims"]["roles"], json!(["buyer"]));
    assert!(!String::from_utf8_lossy(&asked.body).contains(&token));
    provider.now(Manner::json(&json!({ "allow": true })));
    gateway.get("/orders/1").bearer(&gateway.issuer.of("bob")).send().expect_forwarded();
}

#[test]
fn shadow_optional_and_flask_routes_treat_it_like_every_other_refusal() {
    let provider = TestProvider::saying(&json!({ "active": false }));
    let routes = routes(&provider.url(), "introspection", "").replace(
        "auth = \"required\"\ncallback = \"other\"",
        "auth = \"optional\"\ncallback = \"other\"",
    ) + r#"
[[routes]]
name = "shadow"
path = "/shadow/"
upstream = "orders"
auth = "required"
callback = "other"
shadow = true

[[routes]]
name = "flask"
path = "/flask/"
upstream = "orders"
auth = "required"
callback = "other"
errors = "flask"
"#;
    let gateway = TestGateway::start(&routes);
    gateway.get("/orders/1").send().expect_forwarded();
    assert_eq!(provider.count(), 0);
    let token = gateway.issuer.good();
    rejected(&gateway.get("/orders/1").bearer(&token).send(), 401, "token-inactive");
    gateway.get("/shadow/1").bearer(&token).send().expect_forwarded();
    let said = gateway.get("/flask/1").bearer(&token).send();
    assert_eq!((said.status, &said.json()["msg"]), (401, &json!("Token has been revoked")));
    // The same when the question has to be asked first.
    gateway.get("/shadow/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
    let said = gateway.get("/flask/1").bearer(&gateway.issuer.good()).send();
    assert_eq!((said.status, &said.json()["msg"]), (401, &json!("Token has been revoked")));
    let shadowed: Vec<_> =
        gateway.log_lines(6).into_iter().filter(|line| line["route"] == "shadow").collect();
    assert_eq!(shadowed.len(), 2);
    for line in shadowed {
        assert_eq!(
            (&line["outcome"], &line["reason"]),
            (&json!("shadowed"), &json!("callback_inactive"))
        );
    }
}

#[test]
fn callbacks_come_and_go_with_a_reload() {
    let provider = TestProvider::saying(&json!({ "active": true }));
    let asking = routes(&provider.url(), "introspection", "");
    let gateway = TestGateway::start(&asking);
    let token = gateway.issuer.good();
    let orders = || gateway.get("/orders/1").bearer(&token).send();
    orders().expect_forwarded();
    let without = asking.replace("callback = \"other\"", "");
    let start = without.find("[[routes]]").expect("a route");
    for (round, routes) in
        [&without[start..], &asking, &without[start..], &asking].iter().enumerate()
    {
        gateway.rewrite(routes);
        assert_eq!(gateway.reload().status, 200);
        orders().expect_forwarded();
        orders().expect_forwarded();
        assert_eq!(provider.count(), 1 + round.div_ceil(2), "{round}");
    }
    gateway.rewrite(&asking.replace("[callbacks.other]", "[callbacks.another]"));
    assert_ne!(gateway.reload().status, 200);
    provider.now(Manner::json(&json!({ "active": false })));
    orders().expect_forwarded();
    rejected(
        &gateway.get("/orders/1").bearer(&gateway.issuer.good()).send(),
        401,
        "token-inactive",
    );
}
