//! security.md B37, row by row, and arbitrary bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::config::ControlAddress;
use crate::control::Control;
use crate::control::server::HEAD_TIME;

use super::fake::Fake;
use super::wire::{ADMIN, Port, READ, REVOKE, config, over_unix, port, serve, start};

const BODY: &str = r#"{"claim":"jti","value":"x"}"#;

/// A revocation with other head lines than usual.
fn revoke_with(port: &Port, target: &str, lines: &str) -> super::wire::Answer {
    let length = BODY.len();
    port.text(&format!(
        "POST {target} HTTP/1.1\r\n{lines}Authorization: Bearer {REVOKE}\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{BODY}"
    ))
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn a_request_for_another_host_is_misdirected_whatever_it_presents() {
    let port = port();
    let number = port.address.port();
    let hosts = [
        "evil.test".to_owned(),
        format!("evil.test:{number}"),
        format!("127.0.0.1.evil.test:{number}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        format!("127.0.0.2:{number}"),
        format!("user@127.0.0.1:{number}"),
        format!("0.0.0.0:{number}"),
    ];
    for host in &hosts {
        let answer = revoke_with(&port, "/v1/revocations", &format!("Host: {host}\r\n{JSON}"));
        answer.is_problem(421, "foreign_host");
        let health = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        port.text(&health).is_problem(421, "foreign_host");
    }
    let target = format!("http://evil.test:{number}/v1/revocations");
    revoke_with(&port, &target, &format!("Host: {{host}}\r\n{JSON}"))
        .is_problem(421, "foreign_host");
    assert_eq!(port.house.entries(), []);
    for host in [format!("localhost:{number}"), format!("[::1]:{number}")] {
        let answer = revoke_with(&port, "/v1/revocations", &format!("Host: {host}\r\n{JSON}"));
        assert_eq!(answer.status, 201, "{host}: {answer:?}");
    }
}

#[test]
fn no_host_and_two_hosts_are_bad_requests() {
    let port = port();
    for lines in ["", "Host: {host}\r\nHost: {host}\r\n", "Host: {host}\r\nHost: evil.test\r\n"] {
        let answer = revoke_with(&port, "/v1/revocations", &format!("{lines}{JSON}"));
        assert_eq!(answer.status, 400, "{lines}: {answer:?}");
    }
    assert_eq!(port.house.entries(), []);
}

#[test]
fn a_web_page_of_another_origin_has_no_effect() {
    let port = port();
    let foreign = [
        "Origin: https://evil.test",
        "Origin: null",
        "Origin: http://localhost:3000",
        "Origin: https://{host}",
        "Origin: http://{host}\r\nOrigin: http://evil.test",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: other",
    ];
    for line in foreign {
        let lines = format!("Host: {{host}}\r\n{JSON}{line}\r\n");
        revoke_with(&port, "/v1/revocations", &lines).is_problem(403, "foreign_origin");
    }
    assert_eq!(port.house.entries(), []);
    let own = format!(
        "Host: {{host}}\r\n{JSON}Origin: http://{{host}}\r\nSec-Fetch-Site: same-origin\r\n"
    );
    assert_eq!(revoke_with(&port, "/v1/revocations", &own).status, 201);
}

#[test]
fn a_preflight_and_a_method_override_get_nothing() {
    let port = port();
    let preflight = port.text(
        "OPTIONS /v1/revocations HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Origin: https://evil.test\r\nAccess-Control-Request-Method: POST\r\n\r\n",
    );
    preflight.is_problem(403, "foreign_origin");
    let same = port.text(
        "OPTIONS /v1/revocations HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Access-Control-Request-Method: POST\r\n\r\n",
    );
    same.is_problem(401, "unauthenticated");
    assert_eq!(
        revoke_with(&port, "/v1/revocations", &format!("Host: {{host}}\r\n{JSON}")).status,
        201
    );
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let answer = port.text(&format!(
            "GET /v1/revocations?claim=jti&value=x&{name}=DELETE HTTP/1.1\r\nHost: {{host}}\r\n\
             Connection: close\r\nAuthorization: Bearer {ADMIN}\r\n{name}: DELETE\r\n\r\n"
        ));
        answer.is_problem(400, "invalid_field");
        let answer = port.text(&format!(
            "GET /v1/revocations HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\
             Authorization: Bearer {ADMIN}\r\n{name}: DELETE\r\n\r\n"
        ));
        assert_eq!(answer.status, 200);
    }
    assert_eq!(port.house.entries().len(), 1);
}

#[test]
fn only_json_that_says_so_is_read() {
    let port = port();
    let media = [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: application/jsonx\r\n",
        "Content-Type: text/plain; application/json\r\n",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/x-ndjson\r\n",
    ];
    for lines in media {
        let answer = revoke_with(&port, "/v1/revocations", &format!("Host: {{host}}\r\n{lines}"));
        answer.is_problem(415, "unsupported_media_type");
    }
    assert_eq!(port.house.entries(), []);
    let lines = "Host: {host}\r\nContent-Type: Application/JSON; charset=utf-8\r\n";
    assert_eq!(revoke_with(&port, "/v1/revocations", lines).status, 201);
}

#[test]
fn a_large_body_is_refused_before_and_while_it_comes() {
    let port = port();
    let large = format!(r#"{{"claim":"jti","value":"{}"}}"#, "x".repeat(64 * 1024));
    port.post("/v1/revocations", &large).is_problem(413, "body_too_large");
    let chunk = "a".repeat(0x8000);
    let chunks = format!("8000\r\n{chunk}\r\n").repeat(3);
    let answer = port.text(&format!(
        "POST /v1/revocations HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {REVOKE}\r\n\
         Connection: close\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    ));
    answer.is_problem(413, "body_too_large");
    let head =
        format!("GET /livez HTTP/1.1\r\nHost: {{host}}\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    assert_eq!(port.text(&head).status, 431);
    assert_eq!(port.house.entries(), []);
}

#[test]
fn a_port_on_all_addresses_still_wants_a_credential_and_an_own_host() {
    let all = config(ControlAddress::Tcp(([0, 0, 0, 0], 0).into()));
    let mut port = start(Fake::new(), &all);
    port.address.set_ip([127, 0, 0, 1].into());
    assert_eq!(port.get("/v1/status").status, 200);
    port.call("GET", "/v1/status", "wrong", "").is_problem(401, "unauthenticated");
    let foreign = "GET /metrics HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n";
    port.text(foreign).is_problem(421, "foreign_host");
}

#[test]
fn a_unix_socket_is_private_takes_any_host_and_still_wants_a_credential() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("control.sock");
    let port = start(Fake::new(), &config(ControlAddress::Unix(path.clone())));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let ask = |credential: &str, line: &str| {
        over_unix(
            &path,
            &format!(
                "GET /v1/status HTTP/1.1\r\nHost: whatever\r\nConnection: close\r\n{line}\
             Authorization: Bearer {credential}\r\n\r\n"
            ),
        )
    };
    assert_eq!(ask(READ, "").status, 200);
    ask("wrong", "").is_problem(401, "unauthenticated");
    ask(READ, "Host: other\r\n").is_problem(400, "bad_host");
    ask(READ, "Origin: http://whatever\r\n").is_problem(403, "foreign_origin");
    drop(port);
    assert!(!path.exists(), "the socket goes with the port");
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let all = config(ControlAddress::Tcp(([127, 0, 0, 1], 0).into()));
    let port = serve(Fake::new(), Control::bind(&all).unwrap().with_connections(8));
    let held: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(port.address).unwrap()).collect();
    let mut waiting = TcpStream::connect(port.address).unwrap();
    let request =
        format!("GET /livez HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", port.address);
    waiting.write_all(request.as_bytes()).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut answer = String::new();
    let early = waiting.read_to_string(&mut answer).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    drop(held);
    waiting.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_silent_connection_does_not_keep_others_waiting() {
    assert_eq!(HEAD_TIME, Duration::from_secs(10), "as docs/control.md says");
    let short = config(ControlAddress::Tcp(([127, 0, 0, 1], 0).into()));
    let short = Control::bind(&short).unwrap().with_head_time(Duration::from_secs(1));
    let port = serve(Fake::new(), short);
    let silent: Vec<TcpStream> =
        (0..20).map(|_| TcpStream::connect(port.address).unwrap()).collect();
    assert_eq!(port.get("/v1/status").status, 200);
    let mut half = silent.into_iter().next().unwrap();
    half.write_all(b"GET /livez HT").unwrap();
    half.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    let mut answer = Vec::new();
    // Closed at the header timeout, with or without a word.
    half.read_to_end(&mut answer).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_body_whatever_is_answered_with_a_5xx(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            r#"\{("(claim|value|token|issuer|issued_before|id|op)":("[a-z.]{0,9}"|[0-9]{1,21}|null|\[\]),?){0,4}\}"#
                .prop_map(String::into_bytes),
            "[\\PC\n{}\\[\\]\",:]{0,200}".prop_map(String::into_bytes),
        ],
        call in 0usize..3
    ) {
        // One port for all cases.
        static PORT: std::sync::OnceLock<Port> = std::sync::OnceLock::new();
        let port = PORT.get_or_init(port);
        let (target, media) = [
            ("/v1/revocations", "application/json"),
            ("/v1/revocations/import", "application/x-ndjson"),
            ("/v1/reload", "application/json"),
        ][call];
        let mut request = format!(
            "POST {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ADMIN}\r\n\
             Connection: close\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
            port.address, body.len()
        ).into_bytes();
        request.extend_from_slice(&body);
        let answer = port.raw(&request);
        prop_assert!((200..500).contains(&answer.status), "{answer:?}");
        if answer.status >= 400 {
            answer.problem();
        }
    }

    #[test]
    fn no_target_whatever_is_answered_with_a_5xx(target in "/(v1/revocations)?[!-~]{0,60}") {
        static PORT: std::sync::OnceLock<Port> = std::sync::OnceLock::new();
        let port = PORT.get_or_init(port);
        let answer = port.call("GET", &target, READ, "");
        prop_assert!((200..500).contains(&answer.status), "{answer:?}");
    }
}
