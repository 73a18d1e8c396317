//! Keys behind a URL (security.md A44–A49): what the key server says, does not say, or is made to say.

use jsonwebtoken::Algorithm;
use portcullis::config::Config;
use portcullis::token::mint::SigningKey;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::support::client::get;
use crate::support::eventually::eventually;
use crate::support::forge::members;
use crate::support::gateway::{ORDERS, Running, TestGateway, configuration, folder};
use crate::support::issuer::{TestIssuer, good_claims};
use crate::support::jwks::{JwksServer, document};
use crate::support::upstream::TestUpstream;

const FROM_FILE: &str = r#"keys = { jwks_file = "jwks.json" }"#;

/// A gateway that was told where the keys are, and did not get any yet.
struct Keyless {
    running: Running,
    _folder: TempDir,
}

fn from_url(url: &str) -> String {
    format!("keys = {{ jwks_url = \"{url}\" }}")
}

/// A gateway that fetched the keys.
fn with_server(jwks: &str) -> (TestGateway, JwksServer) {
    let server = JwksServer::start(jwks);
    let edits = [(FROM_FILE, &*from_url(&server.url()))];
    (TestGateway::start_edited(ORDERS, &edits), server)
}

/// A gateway whose key server answers with this.
fn keyless(server: &JwksServer) -> Keyless {
    let folder = folder(&[]);
    let upstream = TestUpstream::start();
    let text = configuration(&upstream, ORDERS).replace(FROM_FILE, &from_url(&server.url()));
    let running = Running::start_unready(folder.path(), &text);
    Keyless { running, _folder: folder }
}

fn set_of(keys: &[&SigningKey]) -> String {
    let keys: Vec<Value> = keys.iter().filter_map(|key| key.public_jwk()).collect();
    json!({ "keys": keys }).to_string()
}

fn new_key() -> SigningKey {
    SigningKey::generate(Algorithm::RS256).expect("a key")
}

#[test]
fn a_flood_of_unknown_kids_fetches_hardly_anything_and_locks_nobody_out() {
    let (gateway, server) = with_server(&TestIssuer::new().key.jwks());
    let good = gateway.issuer.good();
    for n in 0..300 {
        let kid = members(json!({ "kid": uuid::Uuid::new_v4() }));
        let forged = gateway.issuer.key.sign(&kid, &good_claims());
        gateway.get("/orders/1").bearer(&forged).send().expect_rejected(401, "token-invalid");
        if n % 30 == 0 {
            gateway.get("/orders/1").bearer(&good).send().expect_forwarded();
        }
    }
    assert!(server.count() <= 3, "{} fetches", server.count());
    assert_eq!(gateway.upstream.count(), 10);
}

#[test]
fn a_new_key_is_accepted_as_soon_as_it_is_published() {
    let (gateway, server) = with_server(&TestIssuer::new().key.jwks());
    let (old, next) = (gateway.issuer.good(), new_key());
    server.publish(&set_of(&[&gateway.issuer.key, &next]));
    let token = next.sign(&Map::new(), &good_claims());
    // The first token of the new key makes the gateway look; the old ones pass all the while.
    eventually("the new key", || {
        gateway.get("/orders/1").bearer(&old).send().expect_forwarded();
        let answer = gateway.get("/orders/1").bearer(&token).send();
        assert!(matches!(answer.status, 200 | 401), "{}", answer.status);
        (answer.status == 200).then_some(())
    });
    assert_eq!(server.count(), 2);
}

#[test]
fn a_key_that_is_gone_opens_nothing_any_more() {
    let (gateway, server) = with_server(&TestIssuer::new().key.jwks());
    let (old, next) = (gateway.issuer.good(), new_key());
    gateway.get("/orders/1").bearer(&old).send().expect_forwarded();
    server.publish(&next.jwks());
    let token = next.sign(&Map::new(), &good_claims());
    eventually("the new key", || {
        (gateway.get("/orders/1").bearer(&token).send().status == 200).then_some(())
    });
    gateway.get("/orders/1").bearer(&old).send().expect_rejected(401, "token-invalid");
    let unnamed = gateway.issuer.key.clone().without_kid().sign(&Map::new(), &good_claims());
    gateway.get("/orders/1").bearer(&unnamed).send().expect_rejected(401, "token-invalid");
}

#[test]
fn a_key_server_that_fails_takes_no_key_away() {
    let garbage = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n".to_vec();
    let failed = "portcullis_key_fetches_total{issuer=\"main\",outcome=\"failed\"}";
    for answer in [
        Vec::new(),
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"keys\"".to_vec(),
        document(b"<html>"),
        document(b"{\"keys\":[]}"),
        document(b"{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"alg\":\"HS256\"}]}"),
        garbage,
    ] {
        let (gateway, server) = with_server(&TestIssuer::new().key.jwks());
        let good = gateway.issuer.good();
        gateway.get("/orders/1").bearer(&good).send().expect_forwarded();
        server.say(answer.clone());
        let unknown = new_key().sign(&Map::new(), &good_claims());
        gateway.get("/orders/1").bearer(&unknown).send().expect_rejected(401, "token-invalid");
        eventually("a failed fetch", || (gateway.metric(failed) >= 1.0).then_some(()));
        gateway.get("/orders/1").bearer(&good).send().expect_forwarded();
        gateway.get("/orders/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
        let said = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(gateway.get("/orders/1").bearer(&unknown).send().status, 401, "{said}");
    }
}

/// A gateway whose key server answers so has no keys, and says so.
fn no_keys_from(answer: Vec<u8>, issuer: &TestIssuer) {
    let server = JwksServer::start("");
    server.say(answer);
    let keyless = keyless(&server);
    // A second attempt is only begun when the first has been judged.
    eventually("two fetches", || (server.count() > 1).then_some(()));
    let ready = get(keyless.running.control, "/readyz").send();
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("no keys are loaded for issuer"), "{}", ready.text());
    let answer = get(keyless.running.data, "/orders/1").bearer(&issuer.good()).send();
    answer.expect_rejected(503, "keys-unavailable");
    assert_eq!(answer.field("retry-after"), Some("1"));
}

#[test]
fn a_key_set_from_elsewhere_or_too_large_is_no_key_set() {
    let issuer = TestIssuer::new();
    let elsewhere = JwksServer::start(&issuer.key.jwks());
    let redirect = |status: &str, to: &str| {
        let head = format!("HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        head.into_bytes()
    };
    let padded = format!("{{\"x\":\"{}\",{}", "y".repeat(300 * 1024), &issuer.key.jwks()[1..]);
    let endless = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n".to_vec();
    let zipped =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00";
    let answers = [
        redirect("301 Moved Permanently", &elsewhere.url()),
        redirect("302 Found", &elsewhere.url()),
        redirect("307 Temporary Redirect", &elsewhere.url()),
        redirect("308 Permanent Redirect", "file:///etc/passwd"),
        document(padded.as_bytes()),
        [endless, vec![b' '; 2 * 1024 * 1024]].concat(),
        zipped.to_vec(),
        document(&[issuer.key.jwks().as_bytes(), b"x"].concat()),
    ];
    std::thread::scope(|scope| {
        for answer in answers {
            scope.spawn(|| no_keys_from(answer, &issuer));
        }
    });
    assert_eq!(elsewhere.count(), 0, "a redirect was followed");
}

#[test]
fn odd_keys_verify_nothing_and_good_ones_beside_them_go_on() {
    let issuer = TestIssuer::new();
    let (enc, stranger) = (new_key(), new_key());
    let ec = SigningKey::generate(Algorithm::ES256).expect("a key");
    let twin = |key: &SigningKey, changes: Value| {
        let mut jwk = key.public_jwk().expect("public");
        for (name, value) in members(changes) {
            jwk[name] = value;
        }
        jwk
    };
    let jwks = json!({ "keys": [
        null, 7, [], {}, "key", { "kty": 5 }, { "kty": "RSA" }, { "kty": "martian", "kid": "m" },
        { "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256", "kid": "h" },
        twin(&enc, json!({ "use": "enc" })),
        twin(&stranger, json!({ "key_ops": ["encrypt"], "use": null })),
        twin(&stranger, json!({ "e": "AQ", "kid": "e1" })),
        twin(&stranger, json!({ "n": "AQAB", "kid": "tiny" })),
        twin(&ec, json!({ "alg": "ES384", "kid": "mixed" })),
        twin(&ec, json!({ "x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "kid": "off" })),
        issuer.key.public_jwk(),
    ] });
    let (gateway, _server) = with_server(&jwks.to_string());
    gateway.get("/orders/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
    let secret = b"secretsecretsecretsecretsecret";
    let hmac = SigningKey::from_secret(Algorithm::HS256, secret).expect("a key").with_kid("h");
    for key in [
        enc,
        stranger.clone(),
        stranger.clone().with_kid("e1"),
        stranger.with_kid("tiny"),
        ec.clone().with_kid("mixed"),
        ec.with_kid("off"),
        hmac,
    ] {
        let token = key.sign(&Map::new(), &good_claims());
        gateway.get("/orders/1").bearer(&token).send().expect_rejected(401, "token-invalid");
    }
    assert_eq!(gateway.upstream.count(), 1);
}

#[test]
fn a_configuration_that_could_not_check_is_refused() {
    let folder = folder(&[("jwks.json", &TestIssuer::new().key.jwks())]);
    let path = folder.path().join("gateway.toml");
    let good = configuration(&TestUpstream::start(), ORDERS);
    std::fs::write(&path, &good).expect("written");
    Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    let audience = r#"audiences = ["orders-api"]"#;
    for (from, to) in [
        (FROM_FILE, &*from_url("http://login.example.com/jwks.json")),
        (FROM_FILE, &*from_url("file:///etc/passwd")),
        (FROM_FILE, &*from_url("http://169.254.169.254/latest/")),
        (FROM_FILE, &*from_url("http://127.0.0.1.evil.example/")),
        (FROM_FILE, &*from_url("http://localhost@evil.example/")),
        (FROM_FILE, ""),
        (audience, ""),
        (audience, "audiences = []"),
        (audience, r#"audiences = [""]"#),
        (r#"algorithms = ["RS256"]"#, r#"algorithms = ["none"]"#),
        (r#"algorithms = ["RS256"]"#, r#"algorithms = ["RS256", "HS256"]"#),
        (r#"algorithms = ["RS256"]"#, "algorithms = []"),
        (r#"auth = "required""#, ""),
        (r#"auth = "required""#, r#"auth = "requierd""#),
        (r#"auth = "required""#, "auth = false"),
        (r#"token_types = ["access"]"#, "token_types = []"),
        ("leeway = \"0s\"", "leeway = \"1h\""),
        ("leeway = \"0s\"", "leway = \"0s\""),
        ("control.secret", "missing.secret"),
        ("workers = 1", "workers = 1\ntrusted_proxies = [\"0.0.0.0/0\"]"),
    ] {
        assert!(good.contains(from), "{from}");
        std::fs::write(&path, good.replace(from, to)).expect("written");
        assert!(Config::load(&path).is_err(), "{to:?} for {from:?} was accepted");
    }
}

#[test]
fn a_reload_that_changes_a_rule_keeps_the_keys_that_were_fetched() {
    let server = JwksServer::start(&TestIssuer::new().key.jwks());
    let keys = from_url(&server.url());
    let gateway = TestGateway::start_edited(ORDERS, &[(FROM_FILE, &keys)]);
    let good = gateway.issuer.good();
    gateway.get("/orders/1").bearer(&good).send().expect_forwarded();
    server.say(Vec::new());
    for leeway in ["leeway = \"1s\"", "leeway = \"2s\""] {
        gateway.rewrite_edited(ORDERS, &[(FROM_FILE, &keys), ("leeway = \"0s\"", leeway)]);
        assert_eq!(gateway.reload().status, 200);
        gateway.get("/orders/1").bearer(&good).send().expect_forwarded();
        assert_eq!(get(gateway.running.control, "/readyz").send().status, 200);
    }
    // Another place is another set of keys: nothing is carried over to it.
    let elsewhere = JwksServer::start(&new_key().jwks());
    gateway.rewrite_edited(ORDERS, &[(FROM_FILE, &from_url(&elsewhere.url()))]);
    assert_eq!(gateway.reload().status, 200);
    let answer = gateway.get("/orders/1").bearer(&good).send();
    assert!(matches!(answer.status, 401 | 503), "{}", answer.status);
    eventually("the other keys", || {
        let answer = gateway.get("/orders/1").bearer(&good).send();
        assert_ne!(answer.status, 200);
        (answer.status == 401).then_some(())
    });
}

/// A gateway that discovers its keys with a server that says this of itself; `ISSUER` is its own address.
fn discovering(metadata: &str) -> (Keyless, JwksServer, String) {
    let server = JwksServer::start("");
    let base = format!("http://{}/", server.address);
    server.publish(&metadata.replace("ISSUER", &base));
    let folder = folder(&[]);
    let text = configuration(&TestUpstream::start(), ORDERS)
        .replace(FROM_FILE, "keys = { discovery = true }")
        .replace("https://login.example.com/", &base);
    let running = Running::start_unready(folder.path(), &text);
    (Keyless { running, _folder: folder }, server, base)
}

fn refuses_metadata(metadata: &str) {
    let (keyless, server, base) = discovering(metadata);
    eventually("two attempts", || (server.count() > 1).then_some(()));
    assert_eq!(server.asked()[0], "GET /.well-known/openid-configuration HTTP/1.1");
    assert_eq!(get(keyless.running.control, "/readyz").send().status, 503, "{metadata}");
    let token = TestIssuer::new().token(json!({ "iss": base }));
    let answer = get(keyless.running.data, "/orders/1").bearer(&token).send();
    answer.expect_rejected(503, "keys-unavailable");
}

#[test]
fn discovery_believes_only_the_issuer_s_own_document() {
    let keys = JwksServer::start(&TestIssuer::new().key.jwks());
    let said = |issuer: &str, uri: &str| json!({ "issuer": issuer, "jwks_uri": uri }).to_string();
    let metadata = [
        said("https://login.example.com/", &keys.url()),
        said("ISSUERx", &keys.url()),
        said("", &keys.url()),
        json!({ "jwks_uri": keys.url() }).to_string(),
        said("ISSUER", "http://login.example.com/jwks.json"),
        said("ISSUER", "file:///etc/passwd"),
        said("ISSUER", "http://169.254.169.254/latest/meta-data/"),
        said("ISSUER", &format!("http://x@{}/jwks.json", keys.address)),
        said("ISSUER", ""),
        "<html>".to_owned(),
    ];
    std::thread::scope(|scope| {
        for metadata in &metadata {
            scope.spawn(|| refuses_metadata(metadata));
        }
    });
    assert_eq!(keys.count(), 0, "keys were fetched from where a stranger said");
    let (keyless, _server, base) = discovering(&said("ISSUER", &keys.url()));
    let token = TestIssuer::new().token(json!({ "iss": base }));
    eventually("the keys", || {
        let answer = get(keyless.running.data, "/orders/1").bearer(&token).send();
        (answer.status == 200).then_some(())
    });
}
