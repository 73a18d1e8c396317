//! A service that issues tokens, behind a gateway that registers what it hands out.

use std::io::{BufRead, BufReader, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::client::Answer;
use super::gateway::{ORDERS, RENEW, TestGateway};
use super::issuer::TestIssuer;
use super::upstream::TestUpstream;

/// The route to it beside [`ORDERS`] and [`RENEW`].
pub const LOGIN: &str = r#"
[[routes]]
name = "login"
path = "=/login"
upstream = "orders"
auth = "none"
register_from = ["access_token", "data.refresh_token"]
register_from_cookies = ["session"]
"#;

/// What a test's own `[revocation]` stands in for.
pub const STORE: &str = "[revocation]\nembedded = { path = \"revocations.redb\" }";
/// Only what was handed out passes.
pub const ALLOW_LIST: &str =
    "[revocation]\nmode = \"allow-list\"\nembedded = { path = \"revocations.redb\" }";

/// Answers whatever it is told to; everything is at its end when its connection ends.
pub struct Service {
    pub gateway: TestGateway,
    answer: Arc<Mutex<Vec<u8>>>,
    pub heads: Arc<Mutex<Vec<String>>>,
}

// === impl Service ===

impl Service {
    pub fn start(revocation: &str) -> Self {
        Self::start_with(revocation, "")
    }

    /// With more routes.
    pub fn start_with(revocation: &str, routes: &str) -> Self {
        let (answer, heads) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (own, seen) = (Arc::clone(&answer), Arc::clone(&heads));
        let upstream = TestUpstream::start_with(move |mut stream| {
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().expect("a second handle"));
            while !head.ends_with("\r\n\r\n") && lines.read_line(&mut head).unwrap_or(0) > 0 {}
            let bytes = match head.starts_with("POST /login") {
                true => own.lock().expect("not poisoned").clone(),
                false => {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
                }
            };
            seen.lock().expect("not poisoned").push(head);
            drop(stream.write_all(&bytes));
        });
        let routes = ORDERS.to_owned() + LOGIN + RENEW + routes;
        let gateway = TestGateway::start_before(upstream, &routes, &[(STORE, revocation)]);
        Self { gateway, answer, heads }
    }

    pub fn issuer(&self) -> &TestIssuer {
        &self.gateway.issuer
    }

    /// Logs in; the service answers with these fields and this body.
    pub fn log_in(&self, status: &str, fields: &str, body: &str) -> Answer {
        self.will_answer(format!("HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n{body}"));
        let ask = self.gateway.ask("POST", "/login").field("Accept-Encoding", "gzip");
        ask.body(b"{}").send()
    }

    /// What a log-in gets from now on, byte for byte.
    pub fn will_answer(&self, bytes: String) {
        *self.answer.lock().expect("not poisoned") = bytes.into_bytes();
    }

    #[track_caller]
    pub fn log_in_json(&self, body: &Value) -> Answer {
        let body = body.to_string();
        let fields = format!(
            "Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n",
            body.len()
        );
        let answer = self.log_in("200 OK", &fields, &body);
        assert_eq!((answer.status, answer.text()), (200, body));
        answer
    }

    #[track_caller]
    pub fn passes(&self, token: &str) {
        self.gateway.get("/orders/1").bearer(token).send().expect_forwarded();
    }

    #[track_caller]
    pub fn is_refused(&self, token: &str) {
        self.gateway.get("/orders/1").bearer(token).send().expect_rejected(401, "token-revoked");
    }

    pub fn count(&self, outcome: &str) -> f64 {
        let labels = format!("route=\"login\",outcome=\"{outcome}\"");
        self.gateway.metric(&format!("portcullis_registrations_total{{{labels}}}"))
    }
}
