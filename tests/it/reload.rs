//! Reloading the configuration: whole or not at all, at once, and without losing a request
//! (security.md B42).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jsonwebtoken::Algorithm;
use portcullis::token::mint::SigningKey;
use serde_json::{Map, json};

use crate::support::gateway::{ORDERS, PUBLIC, TestGateway};
use crate::support::issuer::good_claims;
use crate::support::raw::Raw;

fn generation(gateway: &TestGateway) -> u64 {
    let status = gateway.control("GET", "/v1/status").send().json();
    status["generation"].as_u64().expect("a number")
}

#[track_caller]
fn reloaded(gateway: &TestGateway) -> serde_json::Value {
    let answer = gateway.reload();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_bad_file_changes_nothing_and_every_problem_is_told() {
    let gateway = TestGateway::start(ORDERS);
    let good = gateway.issuer.good();
    let config = gateway.control("GET", "/v1/config").send().text();
    let wrong = ORDERS.replace("upstream = \"orders\"", "upstream = \"order\"")
        + "\n[[routes]]\nname = \"open\"\npath = \"orders\"\nupstream = \"orders\"\nauth = \"nobody\"\n";
    gateway.rewrite_edited(&wrong, &[("leeway = \"0s\"", "leway = \"0s\""), ("\"5s\"", "5")]);
    let answer = gateway.reload();
    assert_eq!(answer.status, 422);
    let problem = answer.json();
    assert_eq!(problem["code"], "config_refused");
    let problems: Vec<&str> = problem["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|problem| problem.as_str())
        .collect();
    for wanted in ["leway", "drain_timeout", "\"order\"", "routes[1].path", "routes[1].auth"] {
        assert!(
            problems.iter().any(|problem| problem.contains(wanted)),
            "{wanted} in {problems:#?}"
        );
    }
    assert_eq!(generation(&gateway), 1);
    assert_eq!(gateway.control("GET", "/v1/config").send().text(), config);
    gateway.get("/orders/1").bearer(&good).send().expect_forwarded();
    gateway.get("/orders/1").send().expect_rejected(401, "token-missing");
    assert!(
        (gateway.metric("portcullis_config_reloads_total{outcome=\"refused\"}") - 1.0).abs() < 0.1
    );
    for text in ["", "\0", "[[routes]", "= 1"] {
        std::fs::write(gateway.config_path(), text).expect("written");
        assert_eq!(gateway.reload().status, 422, "{text:?}");
    }
    std::fs::remove_file(gateway.config_path()).expect("removed");
    assert_eq!(gateway.reload().status, 422);
    gateway.get("/orders/1").bearer(&good).send().expect_forwarded();
    gateway.rewrite(ORDERS);
    assert_eq!(reloaded(&gateway)["generation"], 2);
}

#[test]
fn a_key_file_that_is_gone_refuses_the_reload() {
    let gateway = TestGateway::start(ORDERS);
    let jwks = gateway.folder.path().join("jwks.json");
    for text in [Some(""), Some("{\"keys\":[]}"), Some("<html>"), None] {
        match text {
            Some(text) => std::fs::write(&jwks, text).expect("written"),
            None => std::fs::remove_file(&jwks).expect("removed"),
        }
        let answer = gateway.reload();
        assert_eq!(answer.status, 422, "{text:?}");
        assert!(answer.text().contains("main"), "{}", answer.text());
        gateway.get("/orders/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
    }
}

#[test]
fn twenty_reloads_under_load_lose_no_request() {
    let gateway = TestGateway::start(ORDERS);
    let good = gateway.issuer.good();
    let (over, passed, refused) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..6 {
            let (gateway, good, over) = (&gateway, &good, &over);
            let count = if client % 2 == 0 { &passed } else { &refused };
            scope.spawn(move || {
                let mut raw = Raw::connect(gateway.data);
                let (fields, wanted) = match client % 2 {
                    0 => (format!("Authorization: Bearer {good}\r\n"), 200),
                    _ => (String::new(), 401),
                };
                let request = format!("GET /orders/1 HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
                while !over.load(Ordering::SeqCst) {
                    let answer = raw.send(&request).answer().expect("the connection is kept");
                    assert_eq!(answer.status, wanted, "{}", answer.text());
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 0..20_u64 {
            let before = (passed.load(Ordering::SeqCst), refused.load(Ordering::SeqCst));
            let routes =
                if round % 2 == 0 { ORDERS.to_owned() + PUBLIC } else { ORDERS.to_owned() };
            gateway.rewrite(&routes);
            assert_eq!(reloaded(&gateway)["generation"], round + 2);
            let public = if round % 2 == 0 { 200 } else { 404 };
            assert_eq!(gateway.get("/public").send().status, public, "at once");
            crate::support::eventually::eventually("requests between two reloads", || {
                let now = (passed.load(Ordering::SeqCst), refused.load(Ordering::SeqCst));
                (now.0 > before.0 && now.1 > before.1).then_some(())
            });
        }
        over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_route_that_is_removed_stops_on_the_same_connection() {
    let gateway = TestGateway::start(&(ORDERS.to_owned() + PUBLIC));
    let mut raw = Raw::connect(gateway.data);
    let request = "GET /public HTTP/1.1\r\nHost: a\r\n\r\n";
    raw.send(request).answer().expect("an answer").expect_forwarded();
    gateway.rewrite(ORDERS);
    reloaded(&gateway);
    raw.send(request).answer().expect("an answer").expect_rejected(404, "no-route");
    gateway.rewrite(&(ORDERS.to_owned() + &PUBLIC.replace("none", "required")));
    reloaded(&gateway);
    raw.send(request).answer().expect("an answer").expect_rejected(401, "token-missing");
}

#[test]
fn a_rule_that_changed_holds_for_cached_tokens_at_once() {
    let gateway = TestGateway::start(ORDERS);
    let good = gateway.issuer.good();
    for (what, edit, code) in [
        ("audience", ("\"orders-api\"", "\"billing-api\""), "token-invalid"),
        ("issuer", ("https://login.example.com/", "https://login.example.net/"), "token-invalid"),
        ("required claim", ("leeway", "require = [\"exp\", \"tenant\"]\nleeway"), "token-invalid"),
        ("lifetime", ("leeway", "max_lifetime = { access = \"10m\" }\nleeway"), "token-invalid"),
        ("kind", ("token_types = [\"access\"]", "token_types = [\"refresh\"]"), "token-invalid"),
        ("typ", ("leeway", "typ = [\"at+jwt\"]\nleeway"), "token-invalid"),
        ("kinds' words", ("leeway", "token_type = { access = [\"a\"] }\nleeway"), "token-invalid"),
    ] {
        for _ in 0..2 {
            gateway.get("/orders/1").bearer(&good).send().expect_forwarded();
        }
        gateway.rewrite_edited(ORDERS, &[edit]);
        reloaded(&gateway);
        let answer = gateway.get("/orders/1").bearer(&good).send();
        assert_eq!(answer.status, 401, "{what}");
        answer.expect_rejected(401, code);
        gateway.rewrite(ORDERS);
        reloaded(&gateway);
    }
    let scoped = ORDERS.to_owned() + "scopes = [\"orders:delete\"]\n";
    gateway.rewrite(&scoped);
    reloaded(&gateway);
    gateway.get("/orders/1").bearer(&good).send().expect_rejected(403, "insufficient-scope");
}

#[test]
fn a_rotated_key_file_ends_the_old_key_s_tokens() {
    let gateway = TestGateway::start(ORDERS);
    let (cached, fresh) = (gateway.issuer.good(), gateway.issuer.good());
    gateway.get("/orders/1").bearer(&cached).send().expect_forwarded();
    let next = SigningKey::generate(Algorithm::RS256).expect("a key");
    std::fs::write(gateway.folder.path().join("jwks.json"), next.jwks()).expect("written");
    reloaded(&gateway);
    for token in [&cached, &fresh] {
        gateway.get("/orders/1").bearer(token).send().expect_rejected(401, "token-invalid");
    }
    let token = next.sign(&Map::new(), &good_claims());
    gateway.get("/orders/1").bearer(&token).send().expect_forwarded();
}

#[test]
fn what_was_revoked_stays_revoked() {
    let gateway = TestGateway::start(ORDERS);
    let stolen = gateway.issuer.token(json!({ "jti": "stolen", "tenant": "acme" }));
    let other = gateway.issuer.token(json!({ "tenant": "acme" }));
    gateway.revoke(&json!({ "claim": "jti", "value": "stolen" }));
    gateway.get("/orders/1").bearer(&stolen).send().expect_rejected(401, "token-revoked");
    gateway.get("/orders/1").bearer(&other).send().expect_forwarded();
    gateway.rewrite_edited(
        ORDERS,
        &[("[revocation]", "[revocation]\nclaims = [\"jti\", \"tenant\"]")],
    );
    reloaded(&gateway);
    gateway.get("/orders/1").bearer(&stolen).send().expect_rejected(401, "token-revoked");
    gateway.get("/orders/1").bearer(&other).send().expect_forwarded();
    // A token that was cached before the claim could be revoked by is named anew.
    gateway.revoke(&json!({ "claim": "tenant", "value": "acme" }));
    gateway.get("/orders/1").bearer(&other).send().expect_rejected(401, "token-revoked");
}

#[test]
fn what_needs_a_restart_is_said() {
    let gateway = TestGateway::start(ORDERS);
    gateway.rewrite_edited(&(ORDERS.to_owned() + PUBLIC), &[("workers = 1", "workers = 2")]);
    let report = reloaded(&gateway);
    let changes = report["changes"].to_string();
    assert!(changes.contains("listener: takes effect at the next start"), "{changes}");
    assert!(changes.contains("routes: changed"), "{changes}");
    assert!(!changes.contains("issuers"), "{changes}");
    gateway.get("/public").send().expect_forwarded();
}

#[test]
fn only_an_admin_reloads() {
    let more = r#"credentials = [{ name = "reader", secret = { file = "reader.secret" }, role = "revoke" }, "#;
    let folder = tempfile::tempdir().expect("a folder");
    let reader = "another-credential-of-more-than-32-bytes";
    let path = folder.path().join("reader.secret");
    std::fs::write(&path, reader).expect("written");
    let more = more.replace("reader.secret", &path.display().to_string());
    let gateway = TestGateway::start_edited(ORDERS, &[("credentials = [", &more)]);
    gateway.rewrite(&(ORDERS.to_owned() + PUBLIC));
    let control = gateway.running.control;
    for token in ["", reader, &gateway.issuer.good()] {
        let answer =
            crate::support::client::ask(control, "POST", "/v1/reload").bearer(token).send();
        assert!(matches!(answer.status, 401 | 403), "{}", answer.status);
    }
    assert_eq!(gateway.control("GET", "/v1/reload").send().status, 405);
    assert_eq!(generation(&gateway), 1);
    gateway.get("/public").send().expect_rejected(404, "no-route");
}
