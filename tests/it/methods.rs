//! Methods, preflights, tunnels and upgrades (security.md B25–B27, B29): nothing but a verified request is
//! forwarded, and no connection becomes anything but HTTP.

use crate::support::gateway::{ORDERS, TestGateway};
use crate::support::raw::Raw;

fn status(gateway: &TestGateway, request: &str) -> u16 {
    let method = request.split(' ').next().unwrap_or_default();
    Raw::connect(gateway.data).send(request).answer_to(method).map_or(0, |answer| answer.status)
}

fn request(method: &str, fields: &str) -> String {
    format!("{method} /orders/1 HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n")
}

#[test]
fn no_method_is_exempt_from_the_token() {
    let gateway = TestGateway::start(ORDERS);
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PURGE", "LINK",
        "LOCK", "SEARCH", "M-SEARCH", "DEBUG", "QUERY",
    ] {
        assert_eq!(status(&gateway, &request(method, "")), 401, "{method}");
        assert_eq!(status(&gateway, &request(method, "Content-Length: 0\r\n")), 401, "{method}");
    }
    let good = format!("Authorization: Bearer {}\r\n", gateway.issuer.good());
    for fields in ["", &*good] {
        for method in ["TRACE", "TRACK", "get", "Get", "gET", "G3T", "GET!", &"A".repeat(200)] {
            assert_eq!(status(&gateway, &request(method, fields)), 405, "{method}");
        }
        for method in ["G\u{e9}T", "", "GET\0", "GET\t", "(GET)", "GET\r"] {
            assert!(matches!(status(&gateway, &request(method, fields)), 0 | 400), "{method:?}");
        }
    }
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_head_answer_has_no_body() {
    let gateway = TestGateway::start(ORDERS);
    let good = gateway.issuer.good();
    for (fields, wanted) in
        [(String::new(), 401), (format!("Authorization: Bearer {good}\r\n"), 200)]
    {
        let mut raw = Raw::connect(gateway.data);
        let answer = raw.send(request("HEAD", &fields)).answer_to("HEAD").expect("an answer");
        assert_eq!(answer.status, wanted);
        assert!(raw.is_closed(), "bytes after the head");
    }
}

#[test]
fn a_preflight_is_a_request_like_any_other() {
    let gateway = TestGateway::start(ORDERS);
    for fields in [
        "Origin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n",
        "Origin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n\
         Access-Control-Request-Headers: authorization\r\nAccess-Control-Request-Private-Network: true\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        for method in ["OPTIONS", "GET", "HEAD"] {
            let mut raw = Raw::connect(gateway.data);
            let answer = raw.send(request(method, fields)).answer_to(method).expect("an answer");
            assert_eq!(answer.status, 401, "{method} {fields}");
            let cors = answer.fields.iter().any(|(name, _)| name.starts_with("access-control"));
            assert!(!cors, "{:?}", answer.fields);
        }
    }
    let star = "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&gateway, star), 400);
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn nothing_becomes_a_tunnel() {
    let gateway = TestGateway::start(ORDERS);
    let good = format!("Authorization: Bearer {}\r\n", gateway.issuer.good());
    let inside = "GET /orders/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for fields in ["", &*good] {
        for target in ["a:80", "127.0.0.1:22", "/orders/1", "http://a/orders/1", "*", ""] {
            let request =
                format!("CONNECT {target} HTTP/1.1\r\nHost: a:80\r\n{fields}\r\n{inside}");
            let answer = Raw::connect(gateway.data).send(request).answer();
            let status = answer.map_or(400, |answer| answer.status);
            assert!(matches!(status, 400 | 405), "{target}: {status}");
        }
    }
    let settings = "HTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    for upgrade in [
        format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n{settings}"),
        "Connection: Upgrade\r\nUpgrade: h2c\r\n".to_owned(),
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            .to_owned(),
        "Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/2.0\r\n".to_owned(),
    ] {
        for method in ["GET", "POST"] {
            let head = format!("{method} /orders/1 HTTP/1.1\r\nHost: a\r\n{upgrade}");
            let before = gateway.upstream.count();
            let refused = Raw::connect(gateway.data).send(format!("{head}\r\n")).answer();
            assert_eq!(refused.expect("an answer").status, 401, "{upgrade}");
            assert_eq!(gateway.upstream.count(), before);
            let mut raw = Raw::connect(gateway.data);
            let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
            let answer = raw.send(format!("{head}{length}{good}\r\n")).answer().expect("an answer");
            assert_eq!(answer.status, 200, "an ordinary request: {upgrade}");
            let seen = gateway.upstream.last();
            for name in ["upgrade", "connection", "http2-settings"] {
                assert_eq!(seen.field(name), None, "{upgrade}");
            }
        }
    }
    let seen = gateway.upstream.seen();
    assert!(seen.iter().all(|seen| !seen.line.contains("smuggled")));
}

#[test]
fn a_condition_or_a_range_turns_no_refusal_into_something_else() {
    let gateway = TestGateway::start(ORDERS);
    let ranges: Vec<String> = (0..800).map(|n| format!("{n}-{n}")).collect();
    let good = gateway.issuer.good();
    for (name, value) in [
        ("Range", format!("bytes={}", ranges.join(","))),
        ("If-None-Match", "*".to_owned()),
        ("If-Match", "\"x\"".to_owned()),
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT".to_owned()),
        ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT".to_owned()),
        ("Accept", "image/png;q=0".to_owned()),
        ("Accept-Encoding", "identity;q=0, *;q=0".to_owned()),
        ("Max-Forwards", "0".to_owned()),
    ] {
        let answer = gateway.get("/orders/1").field(name, &value).send();
        answer.expect_rejected(401, "token-missing");
        gateway.get("/orders/1").field(name, &value).bearer(&good).send().expect_forwarded();
        assert_eq!(gateway.upstream.last().field(name), Some(&*value));
    }
}
