//! Who is addressed (security.md B11, B12): one authority, in every spelling the same, and the one that was
//! judged is the one that is sent.

use crate::support::gateway::TestGateway;
use crate::support::raw::Raw;

/// Everything is public but one host and all below another.
const ROUTES: &str = r#"
[[routes]]
name = "admin"
hosts = ["admin.example.com", "*.internal.example.com"]
path = "/"
upstream = "orders"
auth = "required"
token_types = ["access"]

[[routes]]
name = "rest"
path = "/"
upstream = "orders"
auth = "none"
"#;

fn status(gateway: &TestGateway, target: &str, hosts: &str) -> u16 {
    let head = format!("GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
    Raw::connect(gateway.data).send(head).answer().expect("an answer").status
}

#[test]
fn no_spelling_of_a_host_leads_around_its_route() {
    let gateway = TestGateway::start(ROUTES);
    for host in [
        "admin.example.com",
        "ADMIN.EXAMPLE.COM",
        "Admin.Example.Com",
        "admin.example.com.",
        "ADMIN.example.com.",
        "admin.example.com:80",
        "admin.example.com:443",
        "admin.example.com:8080",
        "admin.example.com.:80",
        "a.internal.example.com",
        "a.b.internal.example.com",
        "A.INTERNAL.EXAMPLE.COM.",
        "a.internal.example.com:9",
    ] {
        assert_eq!(status(&gateway, "/", &format!("Host: {host}\r\n")), 401, "{host}");
        let absolute = format!("http://{host}/");
        let got = status(&gateway, &absolute, &format!("Host: {host}\r\n"));
        assert_eq!(got, 401, "{absolute}");
    }
    assert_eq!(gateway.upstream.count(), 0);
    for host in
        ["example.com", "internal.example.com", "xadmin.example.com", "admin.example.com.evil"]
    {
        assert_eq!(status(&gateway, "/", &format!("Host: {host}\r\n")), 200, "{host}");
        assert_eq!(gateway.upstream.last().all("host"), [host]);
    }
}

#[test]
fn a_request_that_names_no_authority_or_two_is_refused() {
    let gateway = TestGateway::start(ROUTES);
    for hosts in [
        "",
        "Host:\r\n",
        "Host: \r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: admin.example.com\r\n",
        "Host: a, b\r\n",
        "Host: a b\r\n",
        "Host: a@admin.example.com\r\n",
        "Host: a/x\r\n",
        "Host: a?x\r\n",
        "Host: a#x\r\n",
        "Host: a\\b\r\n",
        "Host: a:\r\n",
        "Host: a:x\r\n",
        "Host: a:-1\r\n",
        "Host: a:99999\r\n",
        "Host: a:80:80\r\n",
        "Host: :80\r\n",
        "Host: [::1\r\n",
        "Host: [x]\r\n",
        "Host: a%2eb\r\n",
        "Host: http://a\r\n",
        "Host: a;b\r\n",
        "Host: \"a\"\r\n",
        "Host: a\0\r\n",
        "Host: \u{e9}\r\n",
        "Host : a\r\n",
        " Host: a\r\n",
        "Host: a\r\n Host: b\r\n",
        "X-Forwarded-Host: a\r\n",
    ] {
        assert_eq!(status(&gateway, "/", hosts), 400, "{hosts:?}");
    }
    assert_eq!(gateway.upstream.count(), 0);
    let old = "GET / HTTP/1.0\r\n\r\n";
    let answer = Raw::connect(gateway.data).send(old).answer().expect("an answer");
    assert_eq!(answer.status, 400);
}

#[test]
fn the_target_s_authority_and_host_are_one() {
    let gateway = TestGateway::start(ROUTES);
    for (target, host) in [
        ("http://admin.example.com/", "a"),
        ("http://a/", "admin.example.com"),
        ("http://a@b/", "b"),
        ("http://a:81/", "a"),
        ("https://a:80/", "a"),
        ("ftp://a/", "a"),
        ("file:///etc/passwd", "a"),
        ("http://127.0.0.1:9901/v1/status", "a"),
        ("http://169.254.169.254/latest/", "a"),
        ("ws://a/", "a"),
        ("http://", "a"),
    ] {
        assert_eq!(status(&gateway, target, &format!("Host: {host}\r\n")), 400, "{target} {host}");
    }
    assert_eq!(gateway.upstream.count(), 0);
    for (target, host) in [("http://a/x?y", "a"), ("http://A:80/x?y", "a"), ("HTTP://a/x?y", "A")] {
        assert_eq!(status(&gateway, target, &format!("Host: {host}\r\n")), 200, "{target} {host}");
        let seen = gateway.upstream.last();
        assert_eq!((&*seen.line, &*seen.all("host")), ("GET /x?y HTTP/1.1", &[host][..]));
    }
}
