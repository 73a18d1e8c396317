//! Paths spelt so that a gateway and a server behind it might read them differently (security.md B21–B24).

use crate::support::gateway::TestGateway;
use crate::support::raw::Raw;

/// A public neighbour, and everything else public too: the widest door there is beside `/admin`.
const ROUTES: &str = r#"
[[routes]]
name = "public"
path = "/public"
upstream = "orders"
auth = "none"

[[routes]]
name = "rest"
path = "/"
upstream = "orders"
auth = "none"

[[routes]]
name = "admin"
path = "/admin"
upstream = "orders"
auth = "required"
token_types = ["access"]

[[routes]]
name = "renewal"
path = "/renewal"
upstream = "orders"
auth = "required"
token_types = ["refresh"]
"#;

const SPELLINGS: [&str; 58] = [
    "/admin",
    "/admin/",
    "/admin/x",
    "/public/../admin",
    "/public/./../admin",
    "/public/..//admin",
    "/public/x/../../admin",
    "/public/%2e%2e/admin",
    "/public/%2E%2E/admin",
    "/public/.%2e/admin",
    "/public/%2e./admin",
    "/public/..%2fadmin",
    "/public/..%2Fadmin",
    "/public/%2e%2e%2fadmin",
    "/public%2f..%2fadmin",
    "/public/..%5cadmin",
    "/public/..\\admin",
    "/public\\..\\admin",
    "/public/%252e%252e/admin",
    "/public/..%252fadmin",
    "/public/%25%32%65%25%32%65/admin",
    "/public/%2%65%2%65/admin",
    "/public/..;/admin",
    "/public/..;x=y/admin",
    "/public;/../admin",
    "/public;/..;/admin",
    "/public/%2e%2e;/admin",
    "/;/admin",
    "/admin;x",
    "/admin;/x",
    "/%3b/../admin",
    "//admin",
    "///admin",
    "/public//../admin",
    "/./admin",
    "/%2e/admin",
    "/%61dmin",
    "/%61%64%6d%69%6e",
    "/%2561dmin",
    "/%25%36%31dmin",
    "/adm%69n/",
    "/admin%2f",
    "/admin%2fx",
    "/admin%00",
    "/admin%20",
    "/%00/admin",
    "/public/%c0%ae%c0%ae/admin",
    "/public/..%c0%afadmin",
    "/public/%e0%80%ae%e0%80%ae/admin",
    "/public/\u{ff0e}\u{ff0e}/admin",
    "/public/..%ef%bc%8fadmin",
    "/admin#/public",
    "/public#/../admin",
    "/public%23/../admin",
    "/public?/../admin",
    "/public%3f/../../admin",
    "/\\admin",
    "/public/..\tadmin",
];

/// How the most eager of servers reads a path: decoded again and again, backslashes as slashes,
/// parameters cut off, dots resolved, slashes merged.
fn eager(target: &str) -> String {
    let mut path = target.split(['?', '#']).next().unwrap_or_default().as_bytes().to_vec();
    for _ in 0..4 {
        path = decoded(&path);
    }
    let path = String::from_utf8_lossy(&path).replace('\\', "/");
    let path = path.split(['?', '#', '\0']).next().unwrap_or_default();
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16);
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let pair = path.get(at + 1).zip(path.get(at + 2));
        match pair.and_then(|(high, low)| hex(*high).zip(hex(*low))) {
            Some((high, low)) if path[at] == b'%' => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

fn reads_as_admin(line: &str) -> bool {
    let target = line.split(' ').nth(1).unwrap_or_default();
    eager(target) == "/admin" || eager(target).starts_with("/admin/")
}

/// Every spelling, with these field lines; nothing that can be read as `/admin` may come through.
#[track_caller]
fn nothing_reaches_admin(gateway: &TestGateway, lines: &str) {
    let mut passed = 0;
    for spelling in SPELLINGS {
        let before = gateway.upstream.count();
        let head =
            format!("GET {spelling} HTTP/1.1\r\nHost: a\r\n{lines}Connection: close\r\n\r\n");
        let answer = Raw::connect(gateway.data).send(head).answer().expect(spelling);
        let seen = gateway.upstream.seen();
        for request in &seen[before..] {
            assert!(!reads_as_admin(&request.line), "{spelling} became {}", request.line);
        }
        assert!(matches!(answer.status, 200 | 400 | 401), "{spelling}: {}", answer.status);
        assert_eq!(answer.status == 200, seen.len() > before, "{spelling}");
        passed += usize::from(answer.status == 200);
    }
    assert!(passed < 10, "{passed} spellings passed");
}

#[test]
fn the_eager_reader_finds_what_it_is_there_to_find() {
    for line in ["GET /public/%252e%252e;x/admin HTTP/1.1", "GET \\x\\..//admin?q HTTP/1.1"] {
        assert!(reads_as_admin(line), "{line}");
    }
    assert!(!reads_as_admin("GET /administration HTTP/1.1"));
}

#[test]
fn no_spelling_reaches_a_protected_path_without_a_token() {
    nothing_reaches_admin(&TestGateway::start(ROUTES), "");
}

#[test]
fn no_spelling_reaches_a_protected_path_with_another_route_s_token() {
    let gateway = TestGateway::start(ROUTES);
    let refresh = gateway.issuer.refresh();
    gateway.get("/renewal").bearer(&refresh).send().expect_forwarded();
    nothing_reaches_admin(&gateway, &format!("Authorization: Bearer {refresh}\r\n"));
}

#[test]
fn no_absolute_target_reaches_a_protected_path() {
    let gateway = TestGateway::start(ROUTES);
    for target in [
        "http://a/admin",
        "http://a//admin",
        "http://a/public/../admin",
        "http://a/%61dmin",
        "HTTP://a/admin",
        "https://a/admin",
        "http://x@a/admin",
        "//a/admin",
        "http:/admin",
        "http:///admin",
        "a/admin",
        "admin",
        "*",
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = Raw::connect(gateway.data).send(head).answer().expect(target);
        assert!(matches!(answer.status, 400 | 401), "{target}: {}", answer.status);
    }
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_query_satisfies_no_path_rule() {
    let gateway = TestGateway::start(ROUTES);
    for target in [
        "/admin?/public",
        "/admin?/public/",
        "/admin/?x=/public",
        "/admin?",
        "/admin?next=/public#x",
        "/admin/x?..%2f..%2fpublic",
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = Raw::connect(gateway.data).send(head).answer().expect(target);
        assert!(matches!(answer.status, 400 | 401), "{target}: {}", answer.status);
    }
    assert_eq!(gateway.upstream.count(), 0);
    gateway.get("/public?/admin").send().expect_forwarded();
    assert_eq!(gateway.upstream.last().line, "GET /public?/admin HTTP/1.1");
}

#[test]
fn a_fragment_is_neither_judged_nor_sent() {
    let gateway = TestGateway::start(ROUTES);
    for (target, wanted) in [("/public#x", "/public"), ("/public?q#/../admin", "/public?q")] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = Raw::connect(gateway.data).send(head).answer().expect("an answer");
        if answer.status != 400 {
            answer.expect_forwarded();
            assert_eq!(gateway.upstream.last().line, format!("GET {wanted} HTTP/1.1"));
        }
        let head = format!("GET /admin{target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = Raw::connect(gateway.data).send(head).answer().expect("an answer");
        assert!(matches!(answer.status, 400 | 401), "{target}: {}", answer.status);
    }
}

#[test]
fn a_legal_path_comes_through_byte_for_byte() {
    let gateway = TestGateway::start(ROUTES);
    let token = gateway.issuer.good();
    for target in [
        "/admin",
        "/admin/",
        "/%61dmin",
        "/admin/%7Etilde",
        "/admin/~tilde",
        "/admin/a%20b",
        "/admin/caf%C3%A9",
        "/admin/caf%c3%a9",
        "/admin/100%25",
        "/admin/...",
        "/admin/.hidden",
        "/admin/a:b@c",
        "/admin/!$&'()*+,=",
        "/admin/x.y-z_0",
        "/admin?",
        "/admin?a=b&a=c&&;d",
        "/admin?q=%0d%0aX-Injected:%201",
        "/admin?q=../..//%2e%2e\\x",
        "/admin/%E2%80%AE",
        "/admin?q=%00%ff",
    ] {
        gateway.get(target).bearer(&token).send().expect_forwarded();
        let seen = gateway.upstream.last();
        assert_eq!(seen.line, format!("GET {target} HTTP/1.1"));
        assert_eq!(seen.field("x-injected"), None);
    }
    for target in ["/admin/%0d%0aX-Injected:%201", "/admin/%0aX", "/admin/%7f"] {
        gateway.get(target).bearer(&token).send().expect_rejected(400, "bad-request");
    }
}
