//! The control port of the assembled gateway under attack, and the data port that knows nothing of it
//! (security.md B37, B38).

use serde_json::json;

use crate::support::client::{Answer, get};
use crate::support::gateway::{CREDENTIAL, ORDERS, TestGateway};
use crate::support::raw::Raw;

const BODY: &str = r#"{"claim":"sub","value":"alice"}"#;

/// A revocation with these fields, beside its body's own.
fn revoke(gateway: &TestGateway, host: &str, fields: &str) -> Answer {
    let head = format!(
        "POST /v1/revocations HTTP/1.1\r\n{host}{fields}Content-Length: {}\r\nConnection: close\r\n\r\n",
        BODY.len()
    );
    Raw::connect(gateway.running.control).send(head + BODY).answer().expect("an answer")
}

/// Nothing of it took effect, and no page may read the answer.
#[track_caller]
fn without_effect(gateway: &TestGateway, answer: &Answer) {
    let cors = answer.fields.iter().any(|(name, _)| name.starts_with("access-control"));
    assert!(!cors, "{:?}", answer.fields);
    gateway.get("/orders/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
}

fn own_host(gateway: &TestGateway) -> String {
    format!("Host: {}\r\n", gateway.running.control)
}

const TYPED: &str = "Content-Type: application/json\r\n";

#[test]
fn nobody_revokes_without_the_credential() {
    let gateway = TestGateway::start(ORDERS);
    let host = own_host(&gateway);
    let user = format!("Authorization: Bearer {}\r\n", gateway.issuer.good());
    let cut = format!("Authorization: Bearer {}\r\n", &CREDENTIAL[1..]);
    let longer = format!("Authorization: Bearer {CREDENTIAL}x\r\n");
    let basic = format!("Authorization: Basic {CREDENTIAL}\r\n");
    let upper = format!("Authorization: Bearer {}\r\n", CREDENTIAL.to_uppercase());
    let elsewhere = format!("X-Api-Key: {CREDENTIAL}\r\nCookie: token={CREDENTIAL}\r\n");
    let fields =
        ["", &*user, &cut, &longer, &basic, &upper, &elsewhere, "Authorization: Bearer \r\n"];
    for fields in fields {
        let answer = revoke(&gateway, &host, &format!("{TYPED}{fields}"));
        assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("unauthenticated")));
        assert!(!answer.text().contains("control-credential"), "{}", answer.text());
        without_effect(&gateway, &answer);
    }
    let good = format!("Authorization: Bearer {CREDENTIAL}\r\n");
    let twice = revoke(&gateway, &host, &format!("{TYPED}{good}{good}"));
    assert!(matches!(twice.status, 400 | 401), "{}", twice.status);
    without_effect(&gateway, &twice);
    for call in ["/v1/revocations", "/v1/status", "/v1/config", "/v1/revocations/export"] {
        assert_eq!(get(gateway.running.control, call).send().status, 401, "{call}");
        let query = format!("{call}?access_token={CREDENTIAL}");
        assert_eq!(get(gateway.running.control, &query).send().status, 401, "{call}");
    }
}

#[test]
fn a_web_page_does_nothing_here() {
    let gateway = TestGateway::start(ORDERS);
    let host = own_host(&gateway);
    let good = format!("Authorization: Bearer {CREDENTIAL}\r\n");
    let port = gateway.running.control.port();
    for (name, wanted, host, fields) in [
        ("rebound", 421, "Host: evil.test\r\n".to_owned(), TYPED.to_owned()),
        ("rebound, port", 421, format!("Host: evil.test:{port}\r\n"), TYPED.to_owned()),
        ("lookalike", 421, format!("Host: 127.0.0.1.evil.test:{port}\r\n"), TYPED.to_owned()),
        ("user part", 421, format!("Host: 127.0.0.1@evil.test:{port}\r\n"), TYPED.to_owned()),
        ("other port", 421, "Host: 127.0.0.1:1\r\n".to_owned(), TYPED.to_owned()),
        ("no host", 400, String::new(), TYPED.to_owned()),
        ("two hosts", 400, format!("{host}{host}"), TYPED.to_owned()),
        ("empty host", 421, "Host:\r\n".to_owned(), TYPED.to_owned()),
        ("origin", 403, host.clone(), format!("{TYPED}Origin: https://evil.test\r\n")),
        ("null origin", 403, host.clone(), format!("{TYPED}Origin: null\r\n")),
        ("cross-site", 403, host.clone(), format!("{TYPED}Sec-Fetch-Site: cross-site\r\n")),
        ("same-site", 403, host.clone(), format!("{TYPED}Sec-Fetch-Site: same-site\r\n")),
        ("text", 415, host.clone(), "Content-Type: text/plain\r\n".to_owned()),
        ("form", 415, host.clone(), "Content-Type: application/x-www-form-urlencoded\r\n".into()),
        ("multipart", 415, host.clone(), "Content-Type: multipart/form-data\r\n".to_owned()),
        ("no type", 415, host.clone(), String::new()),
        ("gzip", 415, host.clone(), format!("{TYPED}Content-Encoding: gzip\r\n")),
    ] {
        let answer = revoke(&gateway, &host, &format!("{good}{fields}"));
        assert_eq!(answer.status, wanted, "{name}: {}", answer.text());
        without_effect(&gateway, &answer);
    }
    let preflight = "Origin: https://evil.test\r\nAccess-Control-Request-Method: POST\r\n";
    let head =
        format!("OPTIONS /v1/revocations HTTP/1.1\r\n{host}{preflight}Connection: close\r\n\r\n");
    let answer = Raw::connect(gateway.running.control).send(head).answer().expect("an answer");
    assert!(matches!(answer.status, 403 | 405), "{}", answer.status);
    without_effect(&gateway, &answer);
}

#[test]
fn a_call_is_its_method_and_its_path_and_nothing_else() {
    let gateway = TestGateway::start(ORDERS);
    let answer = gateway.control("GET", "/v1/reload").send();
    assert_eq!((answer.status, answer.field("allow")), (405, Some("POST")));
    let field = "X-HTTP-Method-Override";
    let answer = gateway.control("GET", "/v1/reload").field(field, "POST").send();
    assert_eq!(answer.status, 405);
    for path in [
        "//v1/status",
        "/v1//status",
        "/v1/status/",
        "/V1/status",
        "/v1/./status",
        "/v1/../v1/status",
        "/v1/%73tatus",
        "/v1/status;x",
        "/v1",
        "/",
        "/debug/pprof",
        "/config",
        "/v2/status",
    ] {
        let answer = gateway.control("GET", path).send();
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(gateway.control("GET", "/v1/status").send().status, 200);
    for body in
        ["", "[]", "null", "{", "{\"claim\":\"sub\"}", "{\"claim\":\"sub\",\"claim\":\"jti\"}"]
    {
        let answer =
            gateway.control("POST", "/v1/revocations").field("Content-Type", "application/json");
        assert_eq!(answer.body(body.as_bytes()).send().status, 400, "{body}");
    }
    let entry = json!({ "claim": "sub", "value": "x", "unknown": 1 });
    assert_eq!(gateway.control("POST", "/v1/revocations").json(&entry).send().status, 400);
    let large = json!({ "claim": "sub", "value": "x".repeat(70_000) });
    assert_eq!(gateway.control("POST", "/v1/revocations").json(&large).send().status, 413);
}

#[test]
fn the_control_port_tells_no_secret() {
    let gateway = TestGateway::start(ORDERS);
    let told = ["/v1/config", "/v1/status"].map(|call| gateway.control("GET", call).send().text());
    let open = ["/metrics", "/readyz", "/livez"]
        .map(|call| get(gateway.running.control, call).send().expect_forwarded().text());
    let pem = gateway.issuer.key.to_pem().expect("a key");
    let pem = String::from_utf8_lossy(pem.expose()).into_owned();
    let line = pem.lines().nth(1).expect("a second line");
    for text in told.iter().chain(&open) {
        assert!(!text.is_empty());
        assert!(!text.contains(CREDENTIAL) && !text.contains(line), "{text}");
    }
}

#[test]
fn the_data_port_knows_nothing_of_control() {
    let everywhere = r#"
[[routes]]
name = "all"
path = "/"
upstream = "orders"
auth = "required"
token_types = ["access"]
"#;
    let calls = [
        ("GET", "/metrics"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/v1/status"),
        ("GET", "/v1/config"),
        ("POST", "/v1/revocations"),
        ("DELETE", "/v1/revocations?claim=jti&value=x"),
        ("POST", "/v1/reload"),
        ("GET", "/debug"),
        ("GET", "/healthz"),
        ("GET", "/.well-known/jwks.json"),
        ("GET", "/"),
    ];
    let gateway = TestGateway::start(ORDERS);
    for (method, path) in calls {
        for host in [gateway.data, gateway.running.control] {
            let ask = gateway.ask(method, path).field("Host", &host.to_string()).bearer(CREDENTIAL);
            ask.send().expect_rejected(404, "no-route");
        }
    }
    let gateway = TestGateway::start(everywhere);
    for (method, path) in calls {
        let answer = gateway.ask(method, path).bearer(CREDENTIAL).send();
        answer.expect_rejected(401, "token-invalid");
        let ask = gateway.ask(method, path).bearer(&gateway.issuer.good());
        ask.send().expect_forwarded();
        assert_eq!(gateway.upstream.last().line, format!("{method} {path} HTTP/1.1"));
    }
}
