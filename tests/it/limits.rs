//! Too much, too long, too slow (security.md B31, B32): refused or closed, while others are served.

use std::time::{Duration, Instant};

use crate::support::eventually::eventually;
use crate::support::gateway::{ORDERS, PUBLIC, TestGateway};
use crate::support::h2::{Http2, Outcome};
use crate::support::raw::Raw;

/// The answer's status; 0 when the connection was closed without one that could be read.
fn status(gateway: &TestGateway, bytes: &[u8]) -> u16 {
    Raw::connect(gateway.data).send(bytes).answer().map_or(0, |answer| answer.status)
}

#[track_caller]
fn lives(gateway: &TestGateway) {
    let begun = Instant::now();
    gateway.get("/orders/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_head_beyond_the_limits_is_refused() {
    let gateway = TestGateway::start(&(ORDERS.to_owned() + PUBLIC));
    let head = |fields: &str| format!("GET /public HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let large = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes));
    let target =
        |bytes: usize| format!("GET /public?{} HTTP/1.1\r\nHost: a\r\n\r\n", "q".repeat(bytes));
    let method =
        |bytes: usize| format!("{} /public HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(bytes));
    for (what, bytes, wanted) in [
        ("500 fields", head(&many(500)), &[431][..]),
        ("20,000 fields", head(&many(20_000)), &[431, 0]),
        ("101 fields", head(&many(101)), &[431]),
        ("a field of 33 KiB", head(&large(33 * 1024)), &[431]),
        ("a field of 256 KiB", head(&large(256 * 1024)), &[431, 0]),
        ("a field of 4 MiB", head(&large(4 * 1024 * 1024)), &[431, 0]),
        ("a target of 9 KiB", target(9 * 1024), &[414]),
        ("a target of 128 KiB", target(128 * 1024), &[414, 431, 0]),
        ("a method of 17 letters", method(17), &[405]),
        ("a method of 64 KiB", method(64 * 1024), &[400, 405, 414, 431, 0]),
        ("a line of 10 MiB", "G".repeat(10 * 1024 * 1024), &[400, 414, 431, 0]),
        ("garbage", "\u{1}\u{2}\u{3}garbage\r\n\r\n".to_owned(), &[400, 0]),
        ("a line feed flood", "\r\n".repeat(100_000), &[400, 431, 0]),
    ] {
        let got = status(&gateway, bytes.as_bytes());
        assert!(wanted.contains(&got), "{what}: {got}");
        assert_eq!(gateway.upstream.count(), 0, "{what}");
    }
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, b'\r', b'\n', b'\r', b'\n'];
    assert!(matches!(status(&gateway, &hello), 0 | 400));
    assert_eq!(status(&gateway, head(&many(90)).as_bytes()), 200);
    assert_eq!(status(&gateway, target(7 * 1024).as_bytes()), 200);
    lives(&gateway);
}

#[test]
fn a_body_beyond_the_limit_is_refused_however_it_comes() {
    let limits = "workers = 1\nlimits = { body_bytes = \"64KiB\" }";
    let gateway =
        TestGateway::start_edited(&(ORDERS.to_owned() + PUBLIC), &[("workers = 1", limits)]);
    let head = "POST /public HTTP/1.1\r\nHost: a\r\n";
    let announced = format!("{head}Content-Length: 65537\r\n\r\n");
    assert_eq!(status(&gateway, announced.as_bytes()), 413);
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let mut raw = Raw::connect(gateway.data);
    raw.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
    for _ in 0..5 {
        raw.send(&chunk);
    }
    let answer = raw.send("0\r\n\r\n").answer();
    assert!(answer.is_none_or(|answer| answer.status == 413));
    assert_eq!(gateway.upstream.count(), 0, "nothing whole came through");
    let exact = format!("{head}Content-Length: 65536\r\n\r\n{}", "x".repeat(65536));
    assert_eq!(status(&gateway, exact.as_bytes()), 200);
    lives(&gateway);
}

#[test]
fn a_flood_of_trailers_and_of_chunks_does_no_harm() {
    let gateway = TestGateway::start(&(ORDERS.to_owned() + PUBLIC));
    let head = "POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let trailers: String = (0..5000).map(|n| format!("x-{n}: y\r\n")).collect();
    let got = status(&gateway, format!("{head}1\r\nx\r\n0\r\n{trailers}\r\n").as_bytes());
    assert!(matches!(got, 200 | 400 | 431 | 0), "{got}");
    assert!(gateway.upstream.take().iter().all(|seen| seen.trailers.is_empty()));
    let got =
        status(&gateway, format!("{head}{}0\r\n\r\n", "1\r\nx\r\n".repeat(20_000)).as_bytes());
    assert_eq!(got, 200);
    assert_eq!(gateway.upstream.last().body.len(), 20_000);
    let extension = format!("{head}1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(20_000));
    let before = gateway.upstream.count();
    assert!(matches!(status(&gateway, extension.as_bytes()), 400 | 0));
    assert_eq!(gateway.upstream.count(), before);
    lives(&gateway);
}

#[test]
fn the_slow_are_closed_and_the_others_are_served() {
    let limits = "workers = 1\nlimits = { header_timeout = \"1s\", idle_timeout = \"1s\" }";
    let gateway =
        TestGateway::start_edited(&(ORDERS.to_owned() + PUBLIC), &[("workers = 1", limits)]);
    let begun = Instant::now();
    let mut stalled: Vec<Raw> = (0..300)
        .map(|n| {
            let mut raw = Raw::connect(gateway.data).patience(Duration::from_secs(10));
            raw.send(match n % 4 {
                0 => "",
                1 => "G",
                2 => "GET /public HTTP/1.1\r\nHost: a\r\nX-Slow: ",
                _ => "POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
            });
            raw
        })
        .collect();
    for _ in 0..5 {
        lives(&gateway);
    }
    for (n, raw) in stalled.iter_mut().enumerate() {
        match raw.answer() {
            Some(answer) => assert!(matches!(answer.status, 408), "{n}: {}", answer.status),
            None => assert!(begun.elapsed() < Duration::from_secs(9), "{n}: not closed"),
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    eventually("closed", || (gateway.metric("portcullis_connections") < 1.0).then_some(()));
    assert!(gateway.upstream.take().iter().all(|seen| seen.line.starts_with("GET /orders/1 ")));
}

#[test]
fn a_head_that_drips_is_closed_in_time() {
    let limits = "workers = 1\nlimits = { header_timeout = \"1s\" }";
    let gateway = TestGateway::start_edited(ORDERS, &[("workers = 1", limits)]);
    let mut raw = Raw::connect(gateway.data).patience(Duration::from_millis(50));
    raw.send("GET /orders/1 HTTP/1.1\r\nHost: a\r\n");
    let begun = Instant::now();
    eventually("closed", || {
        raw.send("X: y\r\n");
        raw.is_closed().then_some(())
    });
    let took = begun.elapsed();
    assert!((Duration::from_millis(800)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

/// Asks for a path on a connection that stays; the status, and whether it ends with this answer.
#[track_caller]
fn ask(raw: &mut Raw, path: &str) -> (u16, bool) {
    let answer = raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer();
    let answer = answer.expect("an answer");
    (answer.status, answer.field("connection") == Some("close"))
}

#[test]
fn a_connection_ends_after_its_last_request_and_says_so() {
    let limits = "workers = 1\nlimits = { requests_per_connection = 3 }";
    let gateway = TestGateway::start_edited(PUBLIC, &[("workers = 1", limits)]);
    // Forwarded, or refused at once.
    for (last, status) in [("/public", 200), ("/nowhere", 404)] {
        let mut raw = Raw::connect(gateway.data);
        assert_eq!(ask(&mut raw, "/public"), (200, false));
        assert_eq!(ask(&mut raw, "/nowhere"), (404, false));
        assert_eq!(ask(&mut raw, last), (status, true));
        assert!(raw.is_closed());
    }
    let mut http2 = Http2::connect(gateway.data);
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a")];
    for stream in [1, 3, 5] {
        let outcome =
            http2.ask(stream, &[&fields[..], &[(":path", "/public")]].concat()).outcome(stream);
        assert!(matches!(outcome, Outcome::Answered(200, _)), "{outcome:?}");
    }
    eventually("closed", || (gateway.metric("portcullis_connections") < 1.0).then_some(()));
}

#[test]
fn a_connection_that_is_old_ends_with_its_next_answer() {
    let limits = "workers = 1\nlimits = { connection_age = \"1s\" }";
    let gateway = TestGateway::start_edited(PUBLIC, &[("workers = 1", limits)]);
    let begun = Instant::now();
    let mut raw = Raw::connect(gateway.data);
    eventually("the last answer", || {
        let (status, last) = ask(&mut raw, "/public");
        assert_eq!(status, 200);
        last.then_some(())
    });
    assert!(raw.is_closed());
    assert!((1..5).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}
