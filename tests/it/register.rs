//! The allow-list and the register, over the whole gateway.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::eventually::eventually;
use crate::support::gateway::{ORDERS, TestGateway};
use crate::support::issuer::{ISSUER, now};

/// What stands in the usual configuration's `[revocation]`.
const STORE: &str = "embedded = { path = \"revocations.redb\" }";
const ALLOW: &str = "embedded = { path = \"revocations.redb\" }\nmode = \"allow-list\"";
const SEEN: &str = "embedded = { path = \"revocations.redb\" }\n\
                    register = { enabled = true, seen_every = \"1s\", max_tokens = 50 }";

fn start(revocation: &str) -> TestGateway {
    TestGateway::start_edited(ORDERS, &[(STORE, revocation)])
}

fn orders(gateway: &TestGateway, token: &str) -> Answer {
    gateway.get("/orders/1").bearer(token).send()
}

fn post(gateway: &TestGateway, body: &Value) -> Answer {
    gateway.control("POST", "/v1/tokens").json(body).send()
}

fn list(gateway: &TestGateway, query: &str) -> Value {
    let answer = gateway.control("GET", &format!("/v1/tokens{query}")).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn put(gateway: &TestGateway, id: &str, body: &Value) -> Answer {
    gateway.control("PUT", &format!("/v1/tokens/{id}")).json(body).send()
}

/// The `jti`s of a page.
fn ids(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a page").iter();
    items.map(|item| item["jti"].as_str().expect("text")).collect()
}

#[test]
fn in_allow_list_mode_an_unknown_token_is_refused_and_a_registered_one_passes() {
    let lax = ("leeway = \"0s\"", "leeway = \"0s\"\nrequire = [\"exp\"]");
    let gateway = TestGateway::start_edited(ORDERS, &[(STORE, ALLOW), lax]);
    let [known, unknown] = ["a", "b"].map(|id| gateway.issuer.token(json!({ "jti": id })));
    orders(&gateway, &known).expect_rejected(401, "token-revoked");
    let answer = post(&gateway, &json!({ "token": known }));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let told = answer.json();
    assert_eq!((&told["jti"], &told["subject"]), (&"a".into(), &"alice".into()));
    assert!(told["cursor"].is_string() && told["kept_until"].is_u64());
    orders(&gateway, &known).expect_forwarded();
    orders(&gateway, &unknown).expect_rejected(401, "token-revoked");
    let nameless = gateway.issuer.token(json!({ "jti": null }));
    orders(&gateway, &nameless).expect_rejected(401, "token-revoked");
    let reasons: Vec<Value> =
        gateway.log_lines(4).iter().map(|line| line["reason"].clone()).collect();
    assert_eq!(reasons, ["not_registered", "", "not_registered", "no_token_id"]);
    for body in [json!({ "token": nameless }), json!({ "token": gateway.issuer.expired() })] {
        let answer = post(&gateway, &body);
        assert_eq!((answer.status, &answer.json()["field"]), (400, &"token".into()));
        assert!(!answer.text().contains("eyJ"), "{}", answer.text());
    }
}

#[test]
fn a_token_is_registered_by_its_id_alone() {
    let gateway = start(ALLOW);
    let token = gateway.issuer.token(json!({ "jti": "a" }));
    let body = json!({ "jti": "a", "sub": "alice", "type": "access", "expires_at": now() + 60 });
    assert_eq!(post(&gateway, &body).status, 201);
    orders(&gateway, &token).expect_forwarded();
    let past = json!({ "jti": "b", "expires_at": now() - 60 });
    assert_eq!(post(&gateway, &past).json()["field"], "expires_at");
    let page = list(&gateway, "?subject=alice");
    assert_eq!(page["items"][0]["type"], "access");
    assert_eq!(page["items"][0]["revoked"], false);
}

#[test]
fn registrations_survive_a_restart_and_revocations_come_first() {
    let gateway = start(ALLOW);
    let [kept, revoked] = ["a", "b"].map(|id| gateway.issuer.token(json!({ "jti": id })));
    for token in [&kept, &revoked] {
        assert_eq!(post(&gateway, &json!({ "token": token })).status, 201);
    }
    gateway.revoke(&json!({ "claim": "jti", "value": "b" }));
    let (folder, upstream) = gateway.stop();
    let routes = format!("{ORDERS}[revocation.register]\nenabled = true\n");
    let gateway = TestGateway::start_in(folder, upstream, &routes);
    let page = list(&gateway, "?subject=alice");
    assert_eq!(ids(&page), ["a", "b"]);
    assert_eq!(
        (&page["items"][0]["revoked"], &page["items"][1]["revoked"]),
        (&json!(false), &json!(true))
    );
    gateway.rewrite_edited(ORDERS, &[(STORE, ALLOW)]);
    assert_eq!(gateway.reload().status, 200, "the mode is no matter of a start");
    orders(&gateway, &kept).expect_forwarded();
    orders(&gateway, &revoked).expect_rejected(401, "token-revoked");
    orders(&gateway, &gateway.issuer.good()).expect_rejected(401, "token-revoked");
}

#[test]
fn the_flask_profile_says_what_the_library_says() {
    let routes = format!("{ORDERS}errors = \"flask\"\n");
    let gateway = TestGateway::start_edited(&routes, &[(STORE, ALLOW)]);
    let answer = orders(&gateway, &gateway.issuer.good());
    assert_eq!((answer.status, answer.text().trim()), (401, r#"{"msg":"Token has been revoked"}"#));
}

#[test]
fn a_token_that_is_seen_is_listed_revoked_and_reinstated() {
    let gateway = start(SEEN);
    let token = gateway.issuer.token(json!({ "jti": "a b/ü", "sid": "s1", "iat": now() - 5 }));
    orders(&gateway, &token).expect_forwarded();
    orders(&gateway, &gateway.issuer.of("bob")).expect_forwarded();
    let page = eventually("it is listed", || {
        let page = list(&gateway, &format!("?subject=alice&issuer={ISSUER}"));
        (ids(&page) == ["a b/ü"]).then_some(page)
    });
    let item = &page["items"][0];
    assert_eq!((&item["type"], &item["revoked"]), (&json!("access"), &json!(false)));
    assert!(item["first_seen"].as_u64() >= item["issued_at"].as_u64(), "{item}");
    let (first, last) = (item["first_seen"].as_u64(), item["last_seen"].as_u64());
    let later = eventually("it is seen again", || {
        orders(&gateway, &token).expect_forwarded();
        let page = list(&gateway, "?subject=alice");
        (page["items"][0]["last_seen"].as_u64() > last).then_some(page)
    });
    assert_eq!(later["items"][0]["first_seen"].as_u64(), first);

    let path = "a%20b%2F%C3%BC";
    let answer = put(&gateway, path, &json!({ "revoke": true, "reason": "lost" }));
    assert_eq!((answer.status, &answer.json()["revoked"]), (200, &json!(true)));
    orders(&gateway, &token).expect_rejected(401, "token-revoked");
    let entries = gateway.control("GET", "/v1/revocations").send().json();
    assert_eq!(entries["items"].as_array().map(Vec::len), Some(1), "registered tokens are none");
    assert_eq!(entries["items"][0]["reason"], "lost");
    let answer = put(&gateway, path, &json!({ "revoke": false }));
    assert_eq!((answer.status, &answer.json()["revoked"]), (200, &json!(false)));
    orders(&gateway, &token).expect_forwarded();
    let answer = put(&gateway, path, &json!({ "revoke": false }));
    assert_eq!((answer.status, &answer.json()["cursor"]), (200, &Value::Null), "nothing to do");
    gateway.revoke(&json!({ "claim": "sid", "value": "s1" }));
    assert_eq!(list(&gateway, "?subject=alice")["items"][0]["revoked"], true, "by its session");
    assert_eq!(put(&gateway, path, &json!({ "revoke": false })).json()["revoked"], true);
    assert_eq!(gateway.metric("portcullis_register_tokens"), 2.0);
}

#[test]
fn wrong_calls_are_refused_by_their_field() {
    let gateway = start(SEEN);
    let table = [
        ("PUT", "/v1/tokens/a", json!({ "revoke": true }), 404, "no_such_token"),
        ("PUT", "/v1/tokens/a", json!({}), 400, "invalid_field"),
        ("PUT", "/v1/tokens/a", json!({ "revoke": "yes" }), 400, "invalid_field"),
        ("PUT", "/v1/tokens/%FF", json!({ "revoke": true }), 400, "invalid_field"),
        ("PUT", "/v1/tokens/a/b", json!({ "revoke": true }), 404, "no_such_call"),
        ("PUT", "/v1/tokens/", json!({ "revoke": true }), 404, "no_such_call"),
        ("POST", "/v1/tokens", json!({}), 400, "invalid_field"),
        ("POST", "/v1/tokens", json!({ "token": "x.y.z" }), 400, "invalid_field"),
        ("POST", "/v1/tokens", json!({ "jti": "a", "issuer": "nobody" }), 400, "invalid_field"),
        ("POST", "/v1/tokens", json!({ "jti": "a", "expires_at": "soon" }), 400, "invalid_field"),
        ("POST", "/v1/tokens", json!({ "jti": "a", "token": "x" }), 400, "invalid_field"),
        ("GET", "/v1/tokens?limit=0", json!({}), 400, "invalid_field"),
        ("GET", "/v1/tokens?after=x", json!({}), 400, "invalid_field"),
        ("GET", "/v1/tokens?sub=alice", json!({}), 400, "invalid_field"),
        ("DELETE", "/v1/revocations?claim=registered&value=a", json!({}), 400, "invalid_field"),
        (
            "POST",
            "/v1/revocations",
            json!({ "claim": "registered", "value": "a" }),
            400,
            "invalid_field",
        ),
    ];
    for (method, target, body, status, code) in table {
        let answer = gateway.control(method, target).json(&body).send();
        let said = (answer.status, answer.json()["code"].clone());
        assert_eq!(said, (status, code.into()), "{method} {target}: {}", answer.text());
    }
}

#[test]
fn without_a_register_its_calls_say_so() {
    let gateway = TestGateway::start(ORDERS);
    let calls = [
        ("GET", "/v1/tokens", json!({})),
        ("POST", "/v1/tokens", json!({ "jti": "a" })),
        ("PUT", "/v1/tokens/a", json!({ "revoke": true })),
    ];
    for (method, target, body) in calls {
        let answer = gateway.control(method, target).json(&body).send();
        assert_eq!((answer.status, &answer.json()["code"]), (409, &"register_off".into()));
    }
}

#[test]
fn a_listing_comes_in_pages_and_a_full_register_lists_no_more() {
    let gateway = start(SEEN);
    let put_in = |id: String| {
        let body = json!({ "jti": id, "sub": "carol", "expires_at": now() + 600 });
        assert_eq!(post(&gateway, &body).status, 201);
    };
    (0..55).for_each(|number| put_in(format!("{number:02}")));
    let (mut seen, mut query) = (Vec::new(), "?subject=carol&limit=7".to_owned());
    loop {
        let page = list(&gateway, &query);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?subject=carol&limit=7&after={next}");
    }
    assert_eq!(seen, (0..50).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    eventually("it is counted", || {
        (gateway.metric("portcullis_register_unlisted_total") >= 5.0).then_some(())
    });
}

#[test]
fn one_id_of_two_issuers_needs_the_issuer() {
    let second = format!(
        r#"{ORDERS}
[[issuers]]
name = "second"
issuer = "https://second.example/"
audiences = ["orders-api"]
keys = {{ jwks_file = "jwks.json" }}
"#
    );
    let routes = second.replace("auth = \"required\"", "auth = \"required\"\nissuers = [\"main\"]");
    let gateway = TestGateway::start_edited(&routes, &[(STORE, SEEN)]);
    for issuer in [ISSUER, "https://second.example/"] {
        let body = json!({ "jti": "a", "issuer": issuer, "sub": "u" });
        assert_eq!(post(&gateway, &body).status, 201);
    }
    let answer = put(&gateway, "a", &json!({ "revoke": true }));
    assert_eq!((answer.status, &answer.json()["field"]), (400, &"issuer".into()));
    let one = put(&gateway, "a?issuer=https://second.example/", &json!({ "revoke": true }));
    assert_eq!((one.status, &one.json()["revoked"]), (200, &json!(true)));
    let page = list(&gateway, "");
    let revoked: Vec<&Value> = (0..2).map(|at| &page["items"][at]["revoked"]).collect();
    assert_eq!(revoked, [&json!(false), &json!(true)]);
}

#[cfg(feature = "redis")]
mod redis {
    use super::*;
    use crate::support::servers::redis::{Keeps, RedisServer};

    #[test]
    fn what_is_registered_on_one_node_passes_on_the_other_and_after_a_restart() {
        let mut server = RedisServer::start(Keeps::All);
        let store = format!(
            "feed = \"redis\"\nredis = {{ url = \"{}\" }}\nmode = \"allow-list\"",
            server.url()
        );
        let (one, other) = (start(&store), start(&store));
        let [known, unknown] = ["a", "b"].map(|id| one.issuer.token(json!({ "jti": id })));
        assert_eq!(post(&one, &json!({ "token": known })).status, 201);
        orders(&one, &known).expect_forwarded();
        eventually("the other node follows", || {
            (orders(&other, &known).status == 200).then_some(())
        });
        orders(&other, &unknown).expect_rejected(401, "token-revoked");
        assert_eq!(ids(&list(&other, "?subject=alice")), ["a"]);
        drop((one, other));
        server.restart();
        let third = start(&store);
        orders(&third, &known).expect_forwarded();
        orders(&third, &unknown).expect_rejected(401, "token-revoked");
        assert_eq!(ids(&list(&third, "?subject=alice")), ["a"]);
    }
}
