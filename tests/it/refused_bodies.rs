//! Refused requests whose unread body is a whole permitted request (security.md B06, B07, B28): it is
//! drained or the connection is closed, and it is never run.

use crate::support::client::Answer;
use crate::support::gateway::{ORDERS, PUBLIC, TestGateway};
use crate::support::raw::Raw;

/// What the smuggler wants run. It needs no token, so nothing but its framing can stop it.
const INSIDE: &str = "GET /public/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
/// Whoever comes next on the connection.
const NEXT: &str = "GET /public/next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn start() -> TestGateway {
    TestGateway::start(&(ORDERS.to_owned() + PUBLIC))
}

fn lines_seen(gateway: &TestGateway) -> Vec<String> {
    gateway.upstream.seen().into_iter().map(|seen| seen.line).collect()
}

/// Sends it, then another request; gives all answers.
fn exchange(gateway: &TestGateway, request: &str, next: &str) -> Vec<Answer> {
    let mut raw = Raw::connect(gateway.data);
    raw.send(request).send(next);
    raw.answers()
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

#[test]
fn the_body_of_a_refused_request_is_never_run() {
    let gateway = start();
    let length = format!("Content-Length: {}\r\n", INSIDE.len());
    let coded = "Transfer-Encoding: chunked\r\n".to_owned();
    let head = |method: &str, fields: &str| {
        format!("{method} /orders/1 HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    };
    for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        for request in [
            head(method, &length) + INSIDE,
            head(method, &coded) + &chunked(INSIDE),
            head(method, &format!("{length}Authorization: Bearer x.y.z\r\n")) + INSIDE,
            head(method, &format!("{length}Connection: keep-alive\r\n")) + INSIDE,
            head(method, &format!("{length}Connection: close\r\n")) + INSIDE,
        ] {
            let mut raw = Raw::connect(gateway.data);
            raw.send(&request).send(NEXT);
            let first = raw.answer_to(method).expect("a refusal");
            assert_eq!(first.status, 401, "{request}");
            let later = raw.answers();
            assert!(later.len() <= 1, "{later:?} after {request}");
            assert!(later.iter().all(|answer| answer.text().contains("/public/next")), "{later:?}");
        }
    }
    let seen = lines_seen(&gateway);
    assert!(seen.iter().all(|line| line == "GET /public/next HTTP/1.1"), "{seen:?}");
}

#[test]
fn a_refused_request_with_ambiguous_framing_ends_its_connection() {
    let gateway = start();
    let coded = chunked(INSIDE);
    let one = INSIDE.len();
    for fields in [
        format!("Content-Length: 0\r\nContent-Length: {one}\r\n"),
        format!("Content-Length: 0, {one}\r\n"),
        format!("Content-Length: +{one}\r\n"),
        format!("Content-Length: 0{one}\r\n"),
        "Transfer-Encoding: identity, chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, chunked\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: \x0bchunked\r\n".to_owned(),
    ] {
        for path in ["/orders/1", "/public/x"] {
            for body in [INSIDE, &*coded] {
                let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
                let answers = exchange(&gateway, &request, NEXT);
                let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
                assert_eq!(statuses, [400], "{request}");
            }
        }
    }
    assert_eq!(lines_seen(&gateway), [""; 0]);
}

#[test]
fn with_two_framings_the_coding_counts_and_the_connection_ends() {
    let gateway = start();
    let coded = chunked(INSIDE);
    for length in [0, 4, INSIDE.len(), coded.len(), 1000] {
        let length = format!("Content-Length: {length}\r\n");
        let coding = "Transfer-Encoding: chunked\r\n";
        for fields in [format!("{length}{coding}"), format!("{coding}{length}")] {
            let head = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let refused = exchange(&gateway, &(head("/orders/1") + &coded), NEXT);
            assert_eq!(refused.len(), 1, "{refused:?}");
            assert!(matches!(refused[0].status, 400 | 401), "{refused:?}");
            assert_eq!(lines_seen(&gateway).len(), 0);
            // RFC 9112 §6.1: refused, or read by its coding and sent on with that alone.
            let passed = exchange(&gateway, &(head("/public/x") + &coded), NEXT);
            assert_eq!(passed.len(), 1, "{passed:?}");
            assert!(matches!(passed[0].status, 200 | 400), "{passed:?}");
            for seen in gateway.upstream.take() {
                assert_eq!(seen.line, "POST /public/x HTTP/1.1");
                assert_eq!(seen.body, INSIDE.as_bytes());
                let framings =
                    seen.all("content-length").len() + seen.all("transfer-encoding").len();
                assert_eq!(framings, 1, "{:?}", seen.fields);
            }
            let broken = exchange(&gateway, &(head("/public/x") + INSIDE), NEXT);
            assert!(broken.len() <= 1 && broken.iter().all(|answer| answer.status == 400));
            assert_eq!(lines_seen(&gateway).len(), 0);
        }
    }
}

#[test]
fn a_body_that_is_announced_and_never_comes_holds_nobody_up() {
    let gateway = start();
    for fields in ["Content-Length: 9999999999999\r\n", "Content-Length: 10485761\r\n"] {
        let request = format!("POST /public/x HTTP/1.1\r\nHost: a\r\n{fields}\r\n{INSIDE}");
        let mut raw = Raw::connect(gateway.data);
        let answer = raw.send(request).answer().expect("an answer");
        answer.expect_rejected(413, "body-too-large");
        assert!(raw.is_closed());
    }
    let request =
        format!("POST /orders/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n{INSIDE}");
    let mut raw = Raw::connect(gateway.data);
    raw.send(request).answer().expect("an answer").expect_rejected(401, "token-missing");
    assert_eq!(lines_seen(&gateway), [""; 0]);
}

#[test]
fn pipelined_requests_get_their_own_answers_in_order() {
    let gateway = start();
    let good = format!("Authorization: Bearer {}\r\n", gateway.issuer.good());
    let pipeline: String = (0..12)
        .map(|n| {
            let (path, fields) = match n % 3 {
                0 => ("orders", &*good),
                1 => ("orders", ""),
                _ => ("public", ""),
            };
            format!("GET /{path}/{n} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
        })
        .collect();
    let mut raw = Raw::connect(gateway.data);
    raw.send(pipeline);
    for n in 0..12 {
        let answer = raw.answer().expect("an answer");
        match n % 3 {
            1 => drop(answer.expect_rejected(401, "token-missing")),
            _ => {
                assert!(answer.text().contains(&format!("/{n} HTTP/1.1")), "{n} {}", answer.text())
            }
        }
    }
    assert_eq!(gateway.upstream.count(), 8);
}

#[test]
fn credentials_stay_with_their_request() {
    let gateway = start();
    let good = gateway.issuer.good();
    let mut raw = Raw::connect(gateway.data);
    for _ in 0..5 {
        let with =
            format!("GET /orders/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {good}\r\n\r\n");
        raw.send(with).answer().expect("an answer").expect_forwarded();
        let without = "GET /orders/1 HTTP/1.1\r\nHost: a\r\n\r\n";
        raw.send(without).answer().expect("an answer").expect_rejected(401, "token-missing");
    }
    assert_eq!(gateway.upstream.count(), 5);
}

#[test]
fn who_is_refused_is_not_asked_to_continue() {
    let gateway = start();
    let ask = |path: &str, fields: &str| {
        let mut raw = Raw::connect(gateway.data).patience(std::time::Duration::from_secs(5));
        raw.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n{fields}\r\n"));
        raw
    };
    let expect = "Expect: 100-continue\r\n";
    for fields in [expect.to_owned(), format!("{expect}Authorization: Bearer x.y.z\r\n")] {
        let first = ask("/orders/1", &fields).answer().expect("an answer");
        assert_eq!(first.status, 401, "no 100 before the refusal");
    }
    assert_eq!(ask("/nowhere", expect).answer().expect("an answer").status, 404);
    for odd in ["Expect: 200-ok\r\n", "Expect: 100-continue, x\r\n", "Expect: \r\n"] {
        let answer = ask("/public/x", odd).answer().expect("an answer");
        answer.expect_rejected(417, "expectation-failed");
    }
    assert_eq!(gateway.upstream.count(), 0);
    let good = format!("{expect}Authorization: Bearer {}\r\n", gateway.issuer.good());
    let mut raw = ask("/orders/1", &good);
    let interim = raw.answer().expect("an interim answer");
    assert_eq!(interim.status, 100);
    raw.send("hi").answer().expect("an answer").expect_forwarded();
    let seen = gateway.upstream.last();
    assert_eq!((&*seen.body, seen.field("expect")), (&b"hi"[..], None));
}
