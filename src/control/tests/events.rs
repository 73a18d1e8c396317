//! What is applied, told to whoever watches.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::control::events::WATCHERS;
use crate::revocation::Cursor;
use crate::revocation::fixtures::{reinstate, revoke};

use super::wire::{Port, READ, port};

/// One who watches.
struct Watcher(BufReader<TcpStream>);

impl Watcher {
    fn new(port: &Port) -> Self {
        let mut stream = TcpStream::connect(port.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!(
            "GET /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {READ}\r\n\r\n",
            port.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut watcher = Self(BufReader::new(stream));
        let head = watcher.until("content-type: ");
        assert_eq!(head, "content-type: text/event-stream");
        watcher.until(": watching");
        watcher
    }

    /// The next line that begins so.
    fn until(&mut self, begins: &str) -> String {
        loop {
            let line = self.line();
            if line.starts_with(begins) {
                return line;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the events have ended");
        line.trim_end().to_owned()
    }

    /// Name, cursor and data of the next event.
    fn event(&mut self) -> (String, String, Value) {
        let name = self.until("event: ")["event: ".len()..].to_owned();
        let id = self.until("id: ")["id: ".len()..].to_owned();
        let data = self.until("data: ");
        (name, id, serde_json::from_str(&data["data: ".len()..]).unwrap())
    }
}

#[test]
fn whoever_watches_is_told_each_record_with_its_cursor() {
    let port = port();
    let mut watchers = [Watcher::new(&port), Watcher::new(&port)];
    let (one, other) = (revoke("sub", "alice", Some(5), 100), reinstate("sub", "alice"));
    let at = Cursor::new;
    port.house.revocations.tell_applied(&one, &at("7"));
    port.house.revocations.tell_applied(&other, &at("8"));
    port.house.revocations.tell_loaded(&at("odd\n9"));
    for watcher in &mut watchers {
        let (name, id, data) = watcher.event();
        assert_eq!((&*name, &*id, data), ("revoke", "7", serde_json::to_value(&one).unwrap()));
        let (name, id, data) = watcher.event();
        assert_eq!((&*name, &*id, &data["value"]), ("reinstate", "8", &json!("alice")));
        assert_eq!(watcher.until("event: "), "event: loaded");
        assert_eq!(watcher.line(), r#"data: {"entries":0}"#, "and no line that the cursor broke");
    }
}

#[test]
fn there_are_so_many_places_and_one_who_goes_leaves_his() {
    let port = port();
    let mut watchers: Vec<_> = (0..WATCHERS).map(|_| Watcher::new(&port)).collect();
    port.get("/v1/events").is_problem(503, "too_many_watchers");
    watchers.pop();
    let began = Instant::now();
    while port.call("HEAD", "/v1/events", READ, "").status != 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "the place is never free");
    }
}

#[test]
fn the_end_of_the_gateway_is_the_end_of_the_events() {
    let port = port();
    let mut watcher = Watcher::new(&port);
    let began = Instant::now();
    drop(port);
    let mut rest = Vec::new();
    watcher.0.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "a whole body: {rest:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "nobody waited for the watcher");
}

#[test]
fn nothing_can_be_asked_of_it() {
    port().get("/v1/events?claim=sub").names_field("claim");
}
