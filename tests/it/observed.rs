//! What an operator sees: the access log, the counters, request ids, readiness and status (security.md B39).

use serde_json::{Value, json};

use crate::support::client::{Ask, get};
use crate::support::eventually::eventually;
use crate::support::gateway::{ORDERS, TestGateway};
use crate::support::held::HeldUpstream;
use crate::support::raw::Raw;

const SHADOW: &str = r#"
[[routes]]
name = "shadow"
path = "/shadow"
methods = ["GET"]
upstream = "orders"
auth = "required"
token_types = ["access"]
shadow = true

[[routes]]
name = "dead"
path = "/dead"
upstream = "dead"
auth = "none"

[upstreams.dead]
endpoints = ["http://127.0.0.1:1"]
"#;

#[track_caller]
fn fields(line: &Value, wanted: Value) {
    for (name, value) in wanted.as_object().expect("an object") {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
}

/// Sends it and gives the one line that it adds to the log.
#[track_caller]
fn line_of(gateway: &TestGateway, before: usize, ask: &Ask) -> Value {
    ask.send();
    let mut lines = gateway.log_lines(before + 1);
    assert_eq!(lines.len(), before + 1, "one line a request");
    lines.remove(before)
}

#[test]
fn each_request_is_one_line_that_tells_what_became_of_it() {
    let gateway = TestGateway::start(&(ORDERS.to_owned() + SHADOW));
    let good = gateway.issuer.token(json!({ "jti": "id-1" }));
    let orders = |token: &str| gateway.get("/orders/1").bearer(token);
    let stolen = gateway.issuer.token(json!({ "jti": "id-2" }));
    gateway.revoke(&json!({ "claim": "jti", "value": "id-2" }));
    let asked = [
        (
            orders(&good),
            json!({
                "route": "orders", "status": 200, "outcome": "forwarded", "reason": "",
                "method": "GET", "path": "/orders/1", "subject": "alice", "token_id": "id-1",
                "issuer": "main", "client": "127.0.0.1", "host": gateway.data.to_string(),
            }),
        ),
        (
            gateway.get("/orders/1"),
            json!({
                "route": "orders", "status": 401, "outcome": "rejected", "reason": "missing",
                "subject": null, "token_id": null,
            }),
        ),
        (orders(&gateway.issuer.expired()), json!({ "status": 401, "reason": "expired" })),
        (
            orders(&stolen),
            json!({
                "status": 401, "outcome": "rejected", "reason": "revoked_token",
                "subject": "alice", "token_id": "id-2",
            }),
        ),
        (
            gateway.get("/nowhere?x=y"),
            json!({ "route": "", "status": 404, "reason": "no_route", "path": "/nowhere" }),
        ),
        (gateway.get("/orders/../x"), json!({ "route": "", "reason": "path_ambiguous" })),
        (gateway.ask("POST", "/shadow"), json!({ "status": 405, "reason": "method" })),
        (
            gateway.get("/shadow"),
            json!({
                "route": "shadow", "status": 200, "outcome": "shadowed", "reason": "missing",
            }),
        ),
        (
            gateway.get("/dead"),
            json!({ "route": "dead", "status": 502, "outcome": "rejected", "reason": "connect" }),
        ),
    ];
    for (before, (ask, wanted)) in asked.into_iter().enumerate() {
        fields(&line_of(&gateway, before, &ask), wanted);
    }
}

#[test]
fn the_log_has_no_query_and_no_token() {
    let gateway = TestGateway::start(ORDERS);
    let good = gateway.issuer.good();
    let target = format!("/orders/1?token={good}&secret=in-the-query");
    let told = line_of(&gateway, 0, &gateway.get(&target).bearer(&good));
    assert!(told["duration_us"].as_u64().is_some_and(|micros| micros > 0));
    let body = json!({ "line": format!("GET {target} HTTP/1.1"), "subject": "alice" });
    assert_eq!(told["bytes"], body.to_string().len());
    let log = std::fs::read_to_string(gateway.folder.path().join("access.log")).expect("a log");
    assert!(!log.contains("in-the-query") && !log.contains('?'), "a query in the log");
    let signature = good.rsplit('.').next().expect("a signature");
    assert!(!log.contains(signature), "a token in the log");
}

#[test]
fn a_client_cannot_write_the_log() {
    let gateway = TestGateway::start(ORDERS);
    let forged = "/x%0d%0a%7b%22status%22:200%7d";
    gateway.get(forged).field("User-Agent", "\"}\\n{\"status\":200}").send();
    let path = "/orders/\"},{\"status\":200}";
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = Raw::connect(gateway.data).send(head).answer();
    let long = format!("/{}", "y".repeat(5000));
    gateway.get(&long).send().expect_rejected(404, "no-route");
    let lines = gateway.log_lines(3);
    assert!(lines.iter().all(|line| line["status"] != 200), "{lines:?}");
    assert_eq!(lines[0]["path"], forged);
    let last = lines.last().expect("a line");
    assert_eq!(last["path"].as_str().map(str::len), Some(64), "cut");
    assert!(answer.is_none_or(|answer| answer.status == 400));
}

#[test]
fn the_client_s_address_is_believed_from_trusted_proxies_alone() {
    let trusting = "workers = 1\ntrusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]";
    let listed = "192.0.2.1, 203.0.113.5, 10.0.0.7";
    for (listener, wanted) in [("workers = 1", "127.0.0.1"), (trusting, "203.0.113.5")] {
        let gateway = TestGateway::start_edited(ORDERS, &[("workers = 1", listener)]);
        gateway.get("/orders/1").field("X-Forwarded-For", listed).send();
        gateway.get("/orders/1").field("X-Forwarded-For", "unknown").send();
        let lines = gateway.log_lines(2);
        assert_eq!(lines[0]["client"], wanted);
        assert_eq!(lines[1]["client"], "127.0.0.1");
    }
}

#[test]
fn a_client_that_leaves_is_told_as_gone() {
    let held = HeldUpstream::start("", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let gateway = TestGateway::start(&(ORDERS.to_owned() + &held.route()));
    let request = "GET /held HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut raw = Raw::connect(gateway.data);
    raw.send(request);
    held.wait_for(1);
    drop(raw);
    let line = gateway.log_lines(1).remove(0);
    fields(
        &line,
        json!({ "route": "held", "status": 499, "outcome": "client_gone", "reason": "client_gone" }),
    );
    let series =
        "portcullis_requests_total{route=\"held\",outcome=\"client_gone\",reason=\"client_gone\"}";
    eventually("counted", || (gateway.metric(series) >= 1.0).then_some(()));
    held.release();
}

#[test]
fn a_client_that_leaves_within_the_answer_is_told_as_gone() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let held = HeldUpstream::start(head, "world");
    let gateway = TestGateway::start(&(ORDERS.to_owned() + &held.route()));
    let mut raw = Raw::connect(gateway.data);
    raw.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"hello") {
        let mut byte = [0];
        assert_eq!(raw.read(&mut byte).expect("bytes"), 1);
        bytes.extend(byte);
    }
    drop(raw);
    held.release();
    let line = gateway.log_lines(1).remove(0);
    fields(&line, json!({ "route": "held", "status": 200 }));
    // Whether the rest was still written to the closed connection is the kernel's affair.
    let outcome = line["outcome"].as_str().expect("text");
    assert!(matches!(outcome, "client_gone" | "forwarded"), "{outcome}");
}

#[test]
fn an_upstream_that_breaks_off_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel";
            drop(std::io::Read::read(&mut stream, &mut [0; 4096]));
            drop(std::io::Write::write_all(&mut stream, answer));
        }
    });
    let routes = SHADOW.replace("127.0.0.1:1\"", &format!("{address}\""));
    let gateway = TestGateway::start(&(ORDERS.to_owned() + &routes));
    let whole = Raw::connect(gateway.data).send("GET /dead HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert!(whole.is_none(), "the client sees that it is not whole");
    let line = gateway.log_lines(1).remove(0);
    fields(
        &line,
        json!({ "route": "dead", "status": 200, "outcome": "forwarded", "reason": "upstream_body" }),
    );
}

#[test]
fn requests_are_counted_by_route_outcome_and_reason() {
    let gateway = TestGateway::start(&(ORDERS.to_owned() + SHADOW));
    let good = gateway.issuer.good();
    for _ in 0..3 {
        gateway.get("/orders/1").bearer(&good).send().expect_forwarded();
    }
    for _ in 0..2 {
        gateway.get("/orders/1").send().expect_rejected(401, "token-missing");
    }
    gateway.get("/orders/1").bearer("x").send().expect_rejected(401, "token-invalid");
    gateway.get("/nowhere").send().expect_rejected(404, "no-route");
    gateway.get("/shadow").send().expect_forwarded();
    for (route, outcome, reason, wanted) in [
        ("orders", "forwarded", "", 3.0),
        ("orders", "rejected", "missing", 2.0),
        ("orders", "rejected", "malformed", 1.0),
        ("", "rejected", "no_route", 1.0),
        ("shadow", "shadowed", "missing", 1.0),
    ] {
        let labels = format!("route=\"{route}\",outcome=\"{outcome}\",reason=\"{reason}\"");
        let series = format!("portcullis_requests_total{{{labels}}}");
        eventually(&series, || (gateway.metric(&series) >= wanted).then_some(()));
        assert!((gateway.metric(&series) - wanted).abs() < 0.1, "{series}");
    }
    assert!(gateway.metric("portcullis_request_seconds_count{route=\"orders\"}") > 5.0);
    assert!(gateway.metric("portcullis_token_cache_hits_total") >= 2.0);
    let text = get(gateway.running.control, "/metrics").send();
    let kind = text.field("content-type").expect("a type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(text.text().ends_with("# EOF\n"));
    assert!(!text.text().contains("alice"), "labels come from the configuration");
}

#[test]
fn one_id_names_a_request_everywhere() {
    let gateway = TestGateway::start(ORDERS);
    let asked = "chosen-by-the-client";
    let good = gateway.issuer.good();
    gateway.get("/orders/1").bearer(&good).field("X-Request-Id", asked).send().expect_forwarded();
    let seen = gateway.upstream.last();
    let [id] = seen.all("x-request-id")[..] else { panic!("{:?}", seen.fields) };
    assert!(uuid::Uuid::parse_str(id).is_ok(), "{id}");
    let refused = gateway.get("/orders/1").field("X-Request-Id", asked).send();
    let problem = refused.json();
    let lines = gateway.log_lines(2);
    assert_eq!(lines[0]["request_id"], id);
    let told = lines[1]["request_id"].as_str().expect("text");
    assert_eq!(problem["instance"], format!("urn:portcullis:request:{told}"));
    assert_ne!(told, id);
}

#[test]
fn a_trace_goes_on_and_a_broken_one_ends() {
    let gateway = TestGateway::start(ORDERS);
    let good = gateway.issuer.good();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (value, passes) in [
        (trace, true),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
        ("x", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, x", false),
    ] {
        let ask = gateway.get("/orders/1").bearer(&good);
        ask.field("traceparent", value).field("tracestate", "a=b").send().expect_forwarded();
        let seen = gateway.upstream.last();
        assert_eq!(seen.all("traceparent"), if passes { vec![value] } else { vec![] }, "{value}");
        assert_eq!(seen.field("tracestate").is_some(), passes, "{value}");
    }
    let twice = gateway.get("/orders/1").bearer(&good);
    twice.field("traceparent", trace).field("Traceparent", trace).send().expect_forwarded();
    assert_eq!(gateway.upstream.last().field("traceparent"), None);
}

#[test]
fn status_tells_what_runs() {
    let gateway = TestGateway::start(ORDERS);
    gateway.revoke(&json!({ "claim": "jti", "value": "stolen" }));
    gateway.revoke(&json!({ "claim": "sub", "value": "mallory" }));
    let status = gateway.control("GET", "/v1/status").send().json();
    fields(
        &status,
        json!({
            "generation": 1, "ready": true, "routes": ["orders"],
            "issuers": [{ "name": "main", "keys": 1 }],
            "version": env!("CARGO_PKG_VERSION"),
        }),
    );
    fields(
        &status["feed"],
        json!({ "kind": "embedded", "connected": true, "applied": 2, "undecodable": 0 }),
    );
    assert_eq!((&status["entries"]["jti"], &status["entries"]["sub"]), (&json!(1), &json!(1)));
    let endpoint = &status["upstreams"][0]["endpoints"][0];
    let uri = endpoint["uri"].as_str().expect("text");
    assert!(uri.contains(&gateway.upstream.address.to_string()), "{uri}");
    assert_eq!(endpoint["healthy"], true);
    assert!(status["feed"]["staleness_seconds"].as_f64().is_some_and(|age| age < 10.0));
}
