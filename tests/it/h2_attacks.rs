//! HTTP/2 requests that would become something else in HTTP/1.1 (security.md B33, B34): reset or refused,
//! and nothing is injected.

use crate::support::gateway::{ORDERS, PUBLIC, TestGateway};
use crate::support::h2::{DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, block, frame};

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "api.example"), (":path", "/public")];

fn start() -> TestGateway {
    TestGateway::start(&(ORDERS.to_owned() + PUBLIC))
}

fn with<'f>(more: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    [&GET[..], more].concat()
}

fn asked(gateway: &TestGateway, fields: &[(&str, &str)]) -> Outcome {
    Http2::connect(gateway.data).ask(1, fields).outcome(1)
}

/// Refused in one way or another, and the upstream heard nothing.
#[track_caller]
fn refused(gateway: &TestGateway, fields: &[(&str, &str)]) {
    let before = gateway.upstream.count();
    let outcome = asked(gateway, fields);
    let ours = match &outcome {
        Outcome::Answered(status, _) => matches!(status, 400 | 404 | 405 | 431),
        Outcome::Reset | Outcome::Ended => true,
    };
    assert!(ours, "{outcome:?} to {fields:?}");
    assert_eq!(gateway.upstream.count(), before, "{fields:?}");
}

#[test]
fn an_http2_request_is_judged_as_any_other() {
    let gateway = start();
    let bearer = format!("Bearer {}", gateway.issuer.good());
    let orders = |more: &[(&str, &str)]| {
        let mut fields = with(more);
        fields[3].1 = "/orders/1";
        asked(&gateway, &fields)
    };
    let code = |outcome: Outcome| match outcome {
        Outcome::Answered(status, text) => {
            let problem: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            (status, problem["code"].as_str().unwrap_or_default().to_owned())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(code(orders(&[])), (401, "token-missing".to_owned()));
    assert_eq!(code(orders(&[("authorization", "Bearer x")])), (401, "token-invalid".to_owned()));
    let auth = ("authorization", &*bearer);
    assert_eq!(code(orders(&[auth, auth])), (400, "bad-credentials".to_owned()));
    assert_eq!(code(orders(&[auth, ("x_auth_subject", "root")])), (400, "bad-request".to_owned()));
    assert_eq!(gateway.upstream.count(), 0);
    let fields = [auth, ("x-auth-subject", "root"), ("cookie", "a=1"), ("cookie", "b=2")];
    assert_eq!(code(orders(&fields)).0, 200);
    let seen = gateway.upstream.last();
    assert_eq!(seen.line, "GET /orders/1 HTTP/1.1");
    assert_eq!(seen.all("x-auth-subject"), ["alice"]);
    assert_eq!(seen.all("host"), ["api.example"]);
    assert_eq!(seen.all("cookie"), ["a=1; b=2"]);
}

#[test]
fn no_byte_of_a_field_becomes_a_line() {
    let gateway = start();
    for value in ["a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\r", "a\0b", "\u{1}", "\u{7f}"] {
        refused(&gateway, &with(&[("x-field", value)]));
        for pseudo in [":path", ":authority", ":method", ":scheme"] {
            let mut fields = GET;
            let field = fields.iter_mut().find(|(name, _)| *name == pseudo).expect("there");
            let joined = format!("{}{value}", field.1);
            field.1 = &joined;
            refused(&gateway, &fields);
        }
    }
    for name in [
        "x-field\r\nx-injected",
        "x:field",
        "X-Field",
        "x field",
        "",
        "x\0",
        "x\n",
        ":",
        "x-fi\u{e9}ld",
        "(x)",
        "x-injected: 1\r\nx",
    ] {
        refused(&gateway, &with(&[(name, "v")]));
    }
    let seen = gateway.upstream.seen();
    assert!(seen.iter().all(|seen| seen.field("x-injected").is_none()));
}

#[test]
fn connection_fields_do_not_exist_in_http2() {
    let gateway = start();
    for field in [
        ("connection", "close"),
        ("connection", "x-auth-subject"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "h2c"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("te", "gzip"),
    ] {
        refused(&gateway, &with(&[field]));
    }
    assert!(matches!(asked(&gateway, &with(&[("te", "trailers")])), Outcome::Answered(200, _)));
}

#[test]
fn pseudo_fields_are_there_once_first_and_well_formed() {
    let gateway = start();
    for name in [":method", ":scheme", ":path"] {
        let less: Vec<_> = GET.into_iter().filter(|(named, _)| *named != name).collect();
        refused(&gateway, &less);
    }
    for twice in GET {
        refused(&gateway, &with(&[twice]));
    }
    for (place, value) in [
        (0, ""),
        (0, "get"),
        (0, "GET /public HTTP/1.1"),
        (0, "CONNECT"),
        (0, "TRACE"),
        (1, ""),
        (1, "ftp"),
        (1, "http://evil.example/"),
        (2, ""),
        (2, "a b"),
        (2, "user@api.example"),
        (2, "api.example/x"),
        (2, "api.example:x"),
        (2, "api.example:99999"),
        (2, "api.example\\x"),
        (3, ""),
        (3, "*"),
        (3, "public"),
        (3, "/public x"),
        (3, "//public"),
        (3, "/public/../public"),
        (3, "http://evil.example/public"),
    ] {
        let mut fields = GET;
        fields[place].1 = value;
        refused(&gateway, &fields);
    }
    for more in [(":status", "200"), (":protocol", "websocket"), (":unknown", "x"), (":", "x")] {
        refused(&gateway, &with(&[more]));
    }
    let late = [GET[0], GET[1], GET[2], ("x-field", "v"), GET[3]];
    refused(&gateway, &late);
    assert!(matches!(asked(&gateway, &GET), Outcome::Answered(200, _)), "the good one");
}

#[test]
fn there_is_one_authority() {
    let gateway = start();
    refused(&gateway, &with(&[("host", "evil.example")]));
    refused(&gateway, &with(&[("host", "api.example"), ("host", "evil.example")]));
    refused(&gateway, &with(&[("host", "")]));
    let without = [GET[0], GET[1], GET[3]];
    refused(&gateway, &without);
    for fields in
        [with(&[("host", "api.example")]), [&without[..], &[("host", "api.example")]].concat()]
    {
        assert!(matches!(asked(&gateway, &fields), Outcome::Answered(200, _)), "{fields:?}");
        assert_eq!(gateway.upstream.last().all("host"), ["api.example"]);
    }
}

#[test]
fn a_length_that_lies_smuggles_nothing() {
    let gateway = start();
    let inside = b"GET /public/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = |more: &[(&'static str, &'static str)]| {
        let mut fields = with(more);
        fields[0].1 = "POST";
        block(&fields)
    };
    for length in ["0", "5", "41", "43", "99999", "+42", "042", "42, 42", "-1", "0x2a", "", "4 2"] {
        let mut connection = Http2::connect(gateway.data);
        connection.send(frame(HEADERS, END_HEADERS, 1, &post(&[("content-length", length)])));
        connection.send(frame(DATA, END_STREAM, 1, inside));
        let outcome = connection.outcome(1);
        assert!(!matches!(outcome, Outcome::Answered(200, _)), "{length:?}: {outcome:?}");
        let mut twice = Http2::connect(gateway.data);
        let fields = [("content-length", "42"), ("content-length", "0")];
        twice.send(frame(HEADERS, END_HEADERS, 1, &post(&fields)));
        assert!(!matches!(
            twice.send(frame(DATA, END_STREAM, 1, inside)).outcome(1),
            Outcome::Answered(200, _)
        ));
    }
    let mut honest = Http2::connect(gateway.data);
    honest.send(frame(HEADERS, END_HEADERS, 1, &post(&[("content-length", "42")])));
    honest.send(frame(DATA, END_STREAM, 1, inside));
    assert!(matches!(honest.outcome(1), Outcome::Answered(200, _)));
    let seen = gateway.upstream.seen();
    assert!(seen.iter().all(|seen| seen.line == "POST /public HTTP/1.1"), "{seen:?}");
    assert_eq!(seen.last().map(|seen| &*seen.body), Some(&inside[..]));
}

#[test]
fn trailers_of_http2_bring_no_identity() {
    let gateway = start();
    for trailer in [
        (":path", "/orders/1"),
        (":authority", "evil.example"),
        ("x-auth-subject", "root"),
        ("authorization", "Bearer x"),
        ("host", "evil.example"),
        ("content-length", "9"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("x\r\ny", "z"),
    ] {
        let mut fields = GET;
        fields[0].1 = "POST";
        let mut connection = Http2::connect(gateway.data);
        connection.send(frame(HEADERS, END_HEADERS, 1, &block(&fields)));
        connection.send(frame(DATA, 0, 1, b"hi"));
        connection.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[trailer])));
        let outcome = connection.outcome(1);
        for seen in gateway.upstream.take() {
            assert_eq!(
                (&*seen.line, &*seen.body),
                ("POST /public HTTP/1.1", &b"hi"[..]),
                "{trailer:?}"
            );
            assert_eq!(seen.trailers, [""; 0], "{trailer:?} {outcome:?}");
            assert_eq!(seen.all("host"), ["api.example"]);
        }
    }
}

#[test]
fn streams_of_one_connection_do_not_share_credentials() {
    let gateway = start();
    let bearer = format!("Bearer {}", gateway.issuer.good());
    let mut orders = GET;
    orders[3].1 = "/orders/1";
    let mut connection = Http2::connect(gateway.data);
    let good = [&orders[..], &[("authorization", &*bearer)]].concat();
    assert!(matches!(connection.ask(1, &good).outcome(1), Outcome::Answered(200, _)));
    let outcome = connection.ask(3, &orders).outcome(3);
    assert!(!matches!(outcome, Outcome::Answered(200, _)), "{outcome:?}");
    assert_eq!(gateway.upstream.count(), 1);
}
