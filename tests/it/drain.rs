//! Stopping: what is in flight ends well, nothing new begins, and it is over in time.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::client::get;
use crate::support::eventually::eventually;
use crate::support::gateway::{ORDERS, TestGateway};
use crate::support::held::HeldUpstream;
use crate::support::raw::Raw;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
const REQUEST: &str = "GET /held HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn what_is_in_flight_is_finished_and_nothing_new_begins() {
    let held = HeldUpstream::start("", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    let mut gateway = TestGateway::start(&(ORDERS.to_owned() + &held.route()));
    let (data, control) = (gateway.data, gateway.running.control);
    let mut slow = Raw::connect(data);
    slow.send(REQUEST);
    held.wait_for(1);
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let stopping = scope.spawn(|| gateway.running.stop());
        eventually("refused", || TcpStream::connect(data).is_err().then_some(()));
        let ready = get(control, "/readyz").send();
        assert_eq!((ready.status, ready.text().contains("draining")), (503, true));
        assert!(!stopping.is_finished(), "a request is in flight");
        held.release();
        let answer = slow.answer().expect("the answer comes whole");
        assert_eq!((answer.status, &*answer.text()), (200, "done"));
        assert!(slow.is_closed(), "the connection ends with its request");
        stopping.join().expect("stopped");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    });
    let line = gateway.log_lines(1).remove(0);
    assert_eq!((&line["status"], &line["outcome"]), (&200.into(), &"forwarded".into()));
}

#[test]
fn a_body_in_flight_comes_whole() {
    let held = HeldUpstream::start(HEAD, "done");
    let mut gateway = TestGateway::start(&(ORDERS.to_owned() + &held.route()));
    let data = gateway.data;
    let mut slow = Raw::connect(data);
    slow.send(REQUEST);
    held.wait_for(1);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| gateway.running.stop());
        eventually("refused", || TcpStream::connect(data).is_err().then_some(()));
        held.release();
        assert_eq!(slow.answer().expect("the answer comes whole").text(), "done");
        stopping.join().expect("stopped");
    });
}

#[test]
fn a_request_that_never_ends_holds_the_stop_up_no_longer_than_said() {
    let held = HeldUpstream::start("", HEAD);
    let routes = ORDERS.to_owned() + &held.route();
    let edits = [("drain_timeout = \"5s\"", "drain_timeout = \"1s\"")];
    let mut gateway = TestGateway::start_edited(&routes, &edits);
    let mut slow = Raw::connect(gateway.data);
    slow.send(REQUEST);
    held.wait_for(1);
    let begun = Instant::now();
    gateway.running.stop();
    let took = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert!(slow.answer().is_none(), "cut");
    held.release();
}

#[test]
fn idle_and_silent_connections_hold_nobody_up() {
    let mut gateway = TestGateway::start(ORDERS);
    let good = gateway.issuer.good();
    let mut kept = Raw::connect(gateway.data);
    let request =
        format!("GET /orders/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {good}\r\n\r\n");
    kept.send(&request).answer().expect("an answer").expect_forwarded();
    let mut silent = Raw::connect(gateway.data);
    // An HTTP/2 client that says nothing after its preface, and answers no PING.
    let mut mute = Raw::connect(gateway.data);
    mute.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let begun = Instant::now();
    gateway.running.stop();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(kept.is_closed() && silent.is_closed());
}

#[test]
fn what_was_revoked_before_the_stop_is_refused_after_the_start() {
    let gateway = TestGateway::start(ORDERS);
    let stolen = gateway.issuer.token(serde_json::json!({ "jti": "stolen" }));
    gateway.revoke(&serde_json::json!({ "claim": "jti", "value": "stolen" }));
    let (folder, upstream) = gateway.stop();
    let gateway = TestGateway::start_in(folder, upstream, ORDERS);
    gateway.get("/orders/1").bearer(&stolen).send().expect_rejected(401, "token-revoked");
    gateway.get("/orders/1").bearer(&gateway.issuer.good()).send().expect_forwarded();
}
