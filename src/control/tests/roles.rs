//! Who may call what, and what everyone else is told.

use crate::config::Role;
use crate::control::{CALLS, CallName, Needs};

use super::wire::{ADMIN, READ, REVOKE, port};

#[test]
fn each_call_takes_its_role_and_the_greater_ones_and_no_other() {
    let port = port();
    let who = [
        ("", None),
        (READ, Some(Role::Read)),
        (REVOKE, Some(Role::Revoke)),
        (ADMIN, Some(Role::Admin)),
    ];
    for call in CALLS {
        for (credential, role) in who {
            let body = match call.name {
                CallName::Revoke => r#"{"claim":"jti","value":"x"}"#,
                CallName::Register => r#"{"jti":"x"}"#,
                CallName::Change => r#"{"revoke":true}"#,
                CallName::Explain => r#"{"path":"/"}"#,
                _ => "",
            };
            let query = if call.name == CallName::Reinstate { "?claim=jti&value=x" } else { "" };
            let target = format!("{}{query}", call.path);
            // An answer that never ends is asked for its head by those who may have it.
            let endless = call.name == CallName::Events && role.is_some();
            let method = if endless { "HEAD" } else { call.method.as_str() };
            let answer = port.call(method, &target, credential, body);
            let what = format!("{} {} as {role:?}: {answer:?}", call.method, call.path);
            match (call.needs, role) {
                (Needs::Role(_), None) => {
                    answer.is_problem(401, "unauthenticated");
                    let challenge = answer.header("www-authenticate").unwrap();
                    assert!(challenge.starts_with("Bearer"), "{what}");
                }
                (Needs::Role(needs), Some(role)) if role < needs => {
                    answer.is_problem(403, "forbidden");
                }
                // Gone once reinstated: then it is 404, which a caller without the role never sees.
                _ => assert!([200, 201, 404].contains(&answer.status), "{what}"),
            }
        }
    }
}

#[test]
fn every_other_method_is_405_with_allow_and_no_effect() {
    let port = port();
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];
    for call in CALLS {
        let own: Vec<&str> = CALLS
            .iter()
            .filter(|other| other.path == call.path)
            .map(|other| other.method.as_str())
            .collect();
        for method in methods.iter().filter(|method| !own.contains(method)) {
            let answer = port.call(method, call.path, ADMIN, r#"{"claim":"jti","value":"x"}"#);
            answer.is_problem(405, "method_not_allowed");
            assert_eq!(answer.header("allow").unwrap(), own.join(", "));
            if call.needs != Needs::Nothing {
                port.call(method, call.path, "wrong", "").is_problem(401, "unauthenticated");
            }
        }
    }
    assert_eq!(port.house.entries(), []);
}

#[test]
fn a_path_that_is_not_exactly_a_calls_is_404_to_those_who_may_ask() {
    let port = port();
    let paths = [
        "/",
        "/v1",
        "/v1/revocations/",
        "//v1/revocations",
        "/v1/Revocations",
        "/v1/%72evocations",
        "/v1/./revocations",
        "/v1/x/../revocations",
        "/livez/",
        "/debug/pprof",
        "/v2/revocations",
    ];
    for path in paths {
        port.call("GET", path, READ, "").is_problem(404, "no_such_call");
        port.call("GET", path, "wrong", "").is_problem(401, "unauthenticated");
    }
    assert_eq!(port.house.counted("none", "404"), paths.len() as u64);
}

#[test]
fn wrong_credentials_of_every_shape_are_401() {
    let port = port();
    let fields = [
        "",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Basic b3BzOng=\r\n",
        "Cookie: access_token=x\r\n",
        "X-Api-Key: x\r\n",
        "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.\r\n",
    ];
    for field in fields {
        let answer = port.text(&format!(
            "GET /v1/status HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n{field}\r\n"
        ));
        answer.is_problem(401, "unauthenticated");
    }
    let twice = port.text(&format!(
        "GET /v1/status HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\
         Authorization: Bearer {ADMIN}\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
    ));
    twice.is_problem(401, "unauthenticated");
    port.call("GET", &format!("/v1/status?access_token={ADMIN}"), "wrong", "")
        .is_problem(401, "unauthenticated");
}

#[test]
fn guessing_is_slowed_and_the_right_credential_is_not() {
    let port = port();
    for _ in 0..400 {
        let answer = port.call("GET", "/v1/status", "wrong", "");
        if answer.status == 429 {
            answer.is_problem(429, "too_many_attempts");
            assert_eq!(port.get("/v1/status").status, 200, "nobody can lock operators out");
            return;
        }
    }
    // Slower than a hundred a second, the bucket never empties: then nothing had to be slowed.
    assert!(port.house.counted("status", "401") == 400);
}
