//! A forger's tools, and the court before which forged tokens are brought: the gateway must refuse
//! each, tell the upstream nothing, and keep the token out of its answers and its log.

use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::gateway::{ORDERS, TestGateway};

/// A gateway, and what was shown to it so far.
#[derive(Debug)]
pub struct Court {
    pub gateway: TestGateway,
    shown: RefCell<Vec<String>>,
}

// === impl Court ===

impl Court {
    pub fn new() -> Self {
        Self::of(TestGateway::start(ORDERS))
    }

    pub fn of(gateway: TestGateway) -> Self {
        Self { gateway, shown: RefCell::default() }
    }

    /// The issuer's own key signs this header and payload, whatever they are.
    pub fn signed(&self, header: &str, payload: &str) -> String {
        self.gateway.issuer.key.sign_bytes(header.as_bytes(), payload.as_bytes())
    }

    /// The token must be refused as invalid.
    #[track_caller]
    pub fn refuses(&self, what: &str, token: &str) {
        self.refuses_as(what, token, 401, "token-invalid");
    }

    /// The token must be refused with this status and code.
    #[track_caller]
    pub fn refuses_as(&self, what: &str, token: &str, status: u16, code: &str) {
        self.shown.borrow_mut().push(token.to_owned());
        let before = self.gateway.upstream.count();
        let answer = self.gateway.get("/orders/1").bearer(token).send();
        let text = answer.text();
        assert_eq!(answer.status, status, "{what}: {text}");
        assert_eq!(answer.json()["code"], code, "{what}: {text}");
        answer.expect_rejected(status, code);
        assert_eq!(self.gateway.upstream.count(), before, "{what}: the upstream was asked");
        let told = format!("{:?} {text}", answer.fields);
        for part in telling(token) {
            assert!(!told.contains(part), "{what}: the answer holds the token");
        }
    }

    /// The token must be let through.
    #[track_caller]
    pub fn accepts(&self, what: &str, token: &str) {
        self.shown.borrow_mut().push(token.to_owned());
        let answer = self.gateway.get("/orders/1").bearer(token).send();
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    }

    /// One clean line was logged for each token shown, and no token is in any.
    #[track_caller]
    pub fn adjourn(self) {
        let shown = self.shown.into_inner();
        let lines = self.gateway.log_lines(shown.len());
        assert_eq!(lines.len(), shown.len(), "one line for each request");
        let log = std::fs::read_to_string(self.gateway.folder.path().join("access.log"));
        let log = log.expect("a log");
        for part in shown.iter().flat_map(|token| telling(token)) {
            assert!(!log.contains(part), "the log holds a token: {part}");
        }
    }
}

/// The parts of a token that would give it away.
fn telling(token: &str) -> impl Iterator<Item = &str> {
    token.split('.').filter(|part| part.len() > 16)
}

// === free functions ===

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// Header and payload in base64url, and the signature as it is.
pub fn assembled(header: &str, payload: &str, signature: &str) -> String {
    format!("{}.{}.{signature}", b64(header), b64(payload))
}

/// The members of an object.
pub fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

/// The token's three segments.
pub fn segments(token: &str) -> [&str; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().expect("three segments")
}

/// One DER value.
pub fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut whole = vec![tag];
    match content.len() {
        length @ 0..128 => whole.push(length as u8),
        length @ 128..256 => whole.extend([0x81, length as u8]),
        length => whole.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    whole.extend(content);
    whole
}

/// PEM as OpenSSL writes it.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// `a + b` as big-endian numbers, one byte longer when it must be.
pub fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let length = a.len().max(b.len());
    let at = |n: &[u8], place: usize| n.len().checked_sub(place + 1).map_or(0, |i| u16::from(n[i]));
    let (mut sum, mut carry) = (Vec::new(), 0);
    for place in 0..length {
        let digit = at(a, place) + at(b, place) + carry;
        sum.push(digit as u8);
        carry = digit >> 8;
    }
    if carry > 0 {
        sum.push(carry as u8);
    }
    sum.reverse();
    sum
}

/// `a - b` as big-endian numbers of one length, `a` the greater.
pub fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (mut difference, mut borrow) = (a.to_vec(), 0_i16);
    for place in (0..a.len()).rev() {
        let digit = i16::from(a[place]) - i16::from(b[place]) - borrow;
        borrow = i16::from(digit < 0);
        difference[place] = digit.rem_euclid(256) as u8;
    }
    difference
}
