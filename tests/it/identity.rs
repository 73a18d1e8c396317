//! Fields that say who somebody is (security.md B13–B16, B18–B20): believed from nobody but ourselves, and
//! forwarding fields from nobody but trusted proxies.

use crate::support::client::Answer;
use crate::support::gateway::TestGateway;
use crate::support::raw::Raw;
use crate::support::upstream::Seen;

const ROUTES: &str = r#"
[[routes]]
name = "orders"
path = "/orders/"
upstream = "orders"
auth = "required"
token_types = ["access"]
forward = { claims = { sub = "X-Auth-Subject", scope = "X-Auth-Scope" } }

[[routes]]
name = "public"
path = "/public"
upstream = "orders"
auth = "none"

[[routes]]
name = "reading"
path = "/reading"
methods = ["GET"]
upstream = "orders"
auth = "none"
"#;

/// A request to that path with these lines; `{token}` stands for a good token.
fn ask(gateway: &TestGateway, target: &str, lines: &str) -> Answer {
    let lines = lines.replace("{token}", &gateway.issuer.good());
    let head = format!("GET {target} HTTP/1.1\r\nHost: api.example\r\n{lines}\r\n\r\n");
    Raw::connect(gateway.data).send(head).answer().expect("an answer")
}

const AUTHORIZED: &str = "Authorization: Bearer {token}\r\n";

/// Every field whose name reads like one of ours.
fn about_identity(seen: &Seen) -> Vec<(String, String)> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '.', '~'], "-");
    let ours = |name: &str| plain(name).starts_with("x-auth-");
    seen.fields.iter().filter(|(name, _)| ours(name)).cloned().collect()
}

#[test]
fn only_the_gateway_s_own_identity_arrives() {
    let gateway = TestGateway::start(ROUTES);
    for forged in [
        "X-Auth-Subject: root",
        "x-auth-subject: root",
        "X-AUTH-SUBJECT: root",
        "X-Auth-Subject: root\r\nX-Auth-Subject: admin",
        "X-Auth-Subject:",
        "X-Auth-Subject: root, alice",
        "X-Auth-Subject: root\r\nX-Auth-Scope: everything\r\nx-auth-scope: more",
        "Connection: X-Auth-Subject\r\nX-Auth-Subject: root",
        "Connection: x-auth-subject, X-Auth-Scope",
        "Connection: close, X-AUTH-SUBJECT",
        "Connection: keep-alive\r\nConnection: X-Auth-Scope, x-auth-subject",
        "Connection: X-Auth-Subject,,",
    ] {
        for lines in [format!("{AUTHORIZED}{forged}"), format!("{forged}\r\n{}", AUTHORIZED.trim())]
        {
            let answer = ask(&gateway, "/orders/1", &lines);
            assert_eq!(answer.status, 200, "{forged}");
            let seen = gateway.upstream.last();
            assert_eq!(seen.all("x-auth-subject"), ["alice"], "{forged}");
            assert_eq!(seen.all("x-auth-scope"), ["orders:read"], "{forged}");
            assert_eq!(about_identity(&seen).len(), 2, "{forged}");
        }
        ask(&gateway, "/public", forged).expect_forwarded();
        assert_eq!(about_identity(&gateway.upstream.last()), [], "{forged}");
    }
}

#[test]
fn a_name_that_reads_like_ours_is_refused_everywhere() {
    let gateway = TestGateway::start(ROUTES);
    for name in [
        "X_Auth_Subject",
        "X-Auth_Subject",
        "x_auth-subject",
        "X.Auth.Subject",
        "X-Auth.Subject",
        "X~Auth~Subject",
        "X-Auth~Subject",
        "X+Auth+Subject",
        "X!Auth-Subject",
        "X|Auth|Subject",
        "X_AUTH_SCOPE",
        "X'Auth-Scope",
        "X_Forwarded_For",
        "X.Forwarded-For",
        "X_Forwarded_Proto",
        "X-Forwarded_Host",
        "X_Real_IP",
        "X.Real.IP",
        "X_Request_Id",
        "Content_Length",
        "Transfer_Encoding",
        "Content.Length",
    ] {
        for value in ["root", ""] {
            let lines = format!("{AUTHORIZED}{name}: {value}");
            ask(&gateway, "/orders/1", &lines).expect_rejected(400, "bad-request");
            let lines = format!("{name}: {value}");
            ask(&gateway, "/public", &lines).expect_rejected(400, "bad-request");
        }
    }
    assert_eq!(gateway.upstream.count(), 0);
    ask(&gateway, "/public", "X_Harmless: 1\r\nX-Harmless: 2").expect_forwarded();
    let seen = gateway.upstream.last();
    assert_eq!((seen.field("x_harmless"), seen.field("x-harmless")), (None, Some("2")));
    assert!(gateway.metric("portcullis_headers_dropped_total") >= 1.0);
}

#[test]
fn connection_names_nothing_that_must_stay() {
    let gateway = TestGateway::start(ROUTES);
    for named in [
        "Authorization",
        "authorization",
        "Host",
        "Content-Length",
        "Content-Type",
        "Cookie",
        "X-Forwarded-For",
        "x-forwarded-proto",
        "Forwarded",
        "X-Real-IP",
        "X-Request-Id",
        "close, Authorization",
        "keep-alive,Host",
        "Authorization, close",
    ] {
        let lines = format!("{AUTHORIZED}Connection: {named}");
        ask(&gateway, "/orders/1", &lines).expect_rejected(400, "bad-request");
        let lines = format!("{AUTHORIZED}Connection: close\r\nConnection: {named}");
        ask(&gateway, "/orders/1", &lines).expect_rejected(400, "bad-request");
    }
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn trailers_bring_no_identity() {
    let gateway = TestGateway::start(ROUTES);
    let token = gateway.issuer.good();
    for trailer in [
        "X-Auth-Subject: root",
        "Authorization: Bearer x",
        "Host: evil.example",
        "Content-Length: 5",
        "X-Forwarded-For: 10.0.0.1",
        "X_Auth_Subject: root",
        "Transfer-Encoding: chunked",
    ] {
        let name = trailer.split(':').next().expect("a name");
        let request = format!(
            "POST /orders/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nTrailer: {name}\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{trailer}\r\n\r\n"
        );
        let before = gateway.upstream.count();
        let answer = Raw::connect(gateway.data).send(request).answer().expect("an answer");
        if answer.status != 200 {
            assert_eq!(answer.status, 400, "{trailer}");
            continue;
        }
        assert_eq!(gateway.upstream.count(), before + 1, "{trailer}");
        let seen = gateway.upstream.last();
        assert_eq!(seen.body, b"hi");
        assert_eq!(seen.trailers, [""; 0], "{trailer}");
        assert_eq!((seen.field("trailer"), seen.all("host").len()), (None, 1), "{trailer}");
        assert_eq!(seen.all("x-auth-subject"), ["alice"], "{trailer}");
    }
}

const CLAIMED: &str = "X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX-Forwarded-For: 10.0.0.3\r\n\
    X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 1\r\n\
    X-Forwarded-Prefix: /evil\r\nX-Forwarded-Server: evil\r\nX-Real-IP: 10.0.0.1\r\n\
    Forwarded: for=10.0.0.1;host=evil.example\r\nX-Request-Id: chosen-by-the-client";

#[test]
fn a_stranger_is_not_believed_where_he_comes_from() {
    let gateway = TestGateway::start(ROUTES);
    ask(&gateway, "/public", CLAIMED).expect_forwarded();
    let seen = gateway.upstream.last();
    let port = gateway.data.port().to_string();
    for (name, wanted) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "api.example"),
        ("x-forwarded-port", &*port),
    ] {
        assert_eq!(seen.all(name), [wanted], "{name}");
    }
    for name in ["forwarded", "x-forwarded-prefix", "x-forwarded-server"] {
        assert_eq!(seen.field(name), None, "{name}");
    }
    assert_ne!(seen.field("x-request-id"), Some("chosen-by-the-client"));
    assert_eq!(seen.all("host"), ["api.example"]);
}

#[test]
fn a_trusted_proxy_s_word_is_carried_on() {
    let trusting = "workers = 1\ntrusted_proxies = [\"127.0.0.1/32\"]";
    let gateway = TestGateway::start_edited(ROUTES, &[("workers = 1", trusting)]);
    ask(&gateway, "/public", CLAIMED).expect_forwarded();
    let seen = gateway.upstream.last();
    for (name, wanted) in [
        ("x-forwarded-for", "10.0.0.1, 10.0.0.2, 10.0.0.3, 127.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "1"),
        (
            "forwarded",
            "for=10.0.0.1;host=evil.example, for=127.0.0.1;proto=http;host=\"api.example\"",
        ),
        ("x-request-id", "chosen-by-the-client"),
    ] {
        assert_eq!(seen.all(name), [wanted], "{name}");
    }
    // Who he is, a proxy can't say either; nor is its word a second authority.
    ask(&gateway, "/public", "X-Auth-Subject: root").expect_forwarded();
    assert_eq!(about_identity(&gateway.upstream.last()), []);
    assert_eq!(gateway.upstream.last().all("host"), ["api.example"]);
    let lines = "X_Forwarded_For: 10.0.0.1";
    ask(&gateway, "/public", lines).expect_rejected(400, "bad-request");
}

#[test]
fn no_field_changes_the_target_or_the_method() {
    let gateway = TestGateway::start(ROUTES);
    for field in [
        "X-Original-URL: /public",
        "X-Rewrite-URL: /public",
        "X-Original-URI: /public",
        "X-Forwarded-Uri: /public",
        "X-Forwarded-Path: /public",
        "X-Forwarded-Prefix: /public",
        "X-Envoy-Original-Path: /public",
        "X-Accel-Redirect: /public",
        "X-Sendfile: /public",
        "X-HTTP-Method-Override: OPTIONS",
        "X-Auth-Request-Redirect: /public",
    ] {
        ask(&gateway, "/orders/1", field).expect_rejected(401, "token-missing");
        let back = field.replace("/public", "/orders/1");
        ask(&gateway, "/public", &back).expect_forwarded();
        assert_eq!(gateway.upstream.last().line, "GET /public HTTP/1.1", "{field}");
    }
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"] {
        let answer = gateway.ask("POST", "/reading").field(name, "GET").send();
        answer.expect_rejected(405, "method-not-allowed");
        assert_eq!(answer.field("allow"), Some("GET"));
        gateway.get("/reading").field(name, "DELETE").send().expect_forwarded();
        assert_eq!(gateway.upstream.last().line, "GET /reading HTTP/1.1");
    }
}

#[test]
fn no_field_switches_authentication_off() {
    let gateway = TestGateway::start(ROUTES);
    for field in [
        "User-Agent: kube-probe/1.30",
        "User-Agent: GoogleHC/1.0",
        "User-Agent: ELB-HealthChecker/2.0",
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "X-Middleware-Subrequest: middleware:middleware:middleware",
        "X-Envoy-Internal: true",
        "X-Internal: 1",
        "X-Portcullis-Internal: 1",
        "X-Auth-Subject: alice",
        "X-Authenticated: true",
        "X-Consumer-Username: alice",
        "Access-Control-Request-Method: GET\r\nOrigin: https://app.example",
        "X-Debug: 1",
        "X-Forwarded-Proto: https",
        "Cookie: session=admin; authenticated=true",
        "From: admin@example.com",
        "Via: 1.1 portcullis",
        "X-SSL-Client-Verify: SUCCESS",
        "X-Purpose: preview",
    ] {
        ask(&gateway, "/orders/1", field).expect_rejected(401, "token-missing");
    }
    assert_eq!(gateway.upstream.count(), 0);
}
