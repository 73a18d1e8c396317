//! The differential test: the same requests to flask-jwt-extended with its own block list and to the
//! gateway in profile `flask` before a plain upstream. Every answer must be the same, byte for byte,
//! but for the differences listed in `differences`, each with its reason.

mod bodies;
mod cases;
mod differences;
mod gateways;
mod tokens;

use std::collections::BTreeMap;

use crate::support::client::{Answer, Ask, ask};

use gateways::Pair;

/// One request, sent to both.
#[derive(Debug)]
pub struct Case {
    /// What is in the request; with the route it names the case.
    pub what: String,
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What is compared of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: u16,
    body: String,
}

// === impl Case ===

impl Case {
    pub fn get(route: &str, what: impl Into<String>) -> Self {
        let (what, target) = (what.into(), route.to_owned());
        Self { what, method: "GET", target, fields: Vec::new(), body: Vec::new() }
    }

    pub fn posted(self, media: &str, body: &str) -> Self {
        let body = body.as_bytes().to_vec();
        Self { method: "POST", body, ..self }.field("Content-Type", media)
    }

    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    pub fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    fn to(&self, address: std::net::SocketAddr) -> Answer {
        let ask = ask(address, self.method, &self.target).body(&self.body);
        self.fields.iter().fold(ask, |ask: Ask, (name, value)| ask.field(name, value)).send()
    }

    fn name(&self) -> String {
        let route = self.target.split('?').next().unwrap_or_default();
        format!("{} {route}: {}", self.method, self.what)
    }
}

// === impl Outcome ===

impl Outcome {
    /// The library's answer, or the gateway's: who was let through as whom, or the refusal as it is.
    fn of(answer: &Answer) -> Self {
        let body = match answer.status {
            200 => unescaped(answer.json()["subject"].as_str()),
            500 => "a crash".to_owned(),
            _ => answer.text(),
        };
        Self { status: answer.status, body }
    }
}

/// What stands in an identity header is percent-encoded where it is not visible ASCII.
fn unescaped(subject: Option<&str>) -> String {
    let Some(subject) = subject else { return "nobody".to_owned() };
    let mut bytes = Vec::new();
    let mut rest = subject.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%');
        let byte = code.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn every_request_is_answered_as_flask_jwt_extended_answers_it() {
    let pair = Pair::start();
    let cases = cases::all(&pair.tokens);
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let (mut equal, mut known) = (0, BTreeMap::<&str, Vec<String>>::new());
    let mut unknown = Vec::new();
    for case in &cases {
        let theirs = case.to(pair.app.address);
        let ours = case.to(pair.gateway_of(&case.target));
        let (theirs_said, ours_said) = (Outcome::of(&theirs), Outcome::of(&ours));
        // Whatever is listed: nobody comes in here whom the library keeps out.
        assert!(ours.status != 200 || theirs.status == 200, "{}: {theirs_said:?}", case.name());
        let told = format!("{}\n    theirs {theirs_said:?}\n    ours   {ours_said:?}", case.name());
        if ours.status >= 400 {
            assert_eq!(ours.field("content-type"), Some("application/json"), "{told}");
            assert_eq!(ours.field("www-authenticate"), None, "{told}");
        }
        match differences::reason(case, theirs.status, ours.status) {
            _ if theirs_said == ours_said => equal += 1,
            Some(reason) => known.entry(reason).or_default().push(told),
            None => unknown.push(told),
        }
    }
    report(cases.len(), equal, &known);
    let page = include_str!("../../docs/moving-from-flask.md");
    let told = format!("the same {},{:03} requests", cases.len() / 1000, cases.len() % 1000);
    assert!(page.contains(&told), "docs/moving-from-flask.md does not say: {told}");
    assert!(unknown.is_empty(), "{} unexplained:\n{}", unknown.len(), unknown.join("\n"));
    let unused = differences::unused(known.keys().copied());
    assert!(unused.is_empty(), "listed, but no difference: {unused:?}");
}

#[expect(clippy::print_stdout, reason = "the test's report")]
fn report(cases: usize, equal: usize, known: &BTreeMap<&str, Vec<String>>) {
    let different: usize = known.values().map(Vec::len).sum();
    println!("flask parity: {cases} cases, {equal} equal, {different} different for a reason");
    for (reason, cases) in known {
        println!("\n{reason} ({} cases)", cases.len());
        for case in cases {
            println!("  {case}");
        }
    }
}
