//! Import and export.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::wire::{ADMIN, REVOKE, port};

const IMPORT: &str = "/v1/revocations/import";
const EXPORT: &str = "/v1/revocations/export";

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.fold(String::new(), |mut text, number| {
        writeln!(text, r#"{{"claim":"jti","value":"token-{number}"}}"#).unwrap();
        text
    })
}

#[test]
fn a_hundred_thousand_lines_are_taken_in_batches() {
    let port = port();
    let answer = port.post(IMPORT, &lines(0..100_000));
    let expected = json!({ "accepted": 100_000, "rejected": [], "rejected_total": 0 });
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(port.house.entries().len(), 100_000);
    let appends = port.house.appends.load(Ordering::SeqCst);
    assert!((10..=25).contains(&appends), "{appends} appends");
}

#[test]
fn a_bad_line_is_named_and_does_not_stop_the_rest() {
    let port = port();
    let long = "x".repeat(20_000);
    let body = format!(
        "{}\n\nnot json\n{}\r\n{{\"claim\":\"email\",\"value\":\"x\"}}\n{{\"token\":\"{long}\"}}\n\
         {{\"token\":\"bad.secret-part\"}}\n{{\"claim\":\"jti\",\"value\":1}}\n{}",
        r#"{"claim":"jti","value":"first"}"#,
        r#"{"claim":"sub","value":"second"}"#,
        r#"{"claim":"jti","value":"last, without an end of line"}"#,
    );
    let answer = port.post(IMPORT, &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    let report = answer.json();
    assert_eq!((&report["accepted"], &report["rejected_total"]), (&json!(3), &json!(5)));
    let rejected: Vec<(u64, &str)> = report["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["line"].as_u64().unwrap(), one["problem"].as_str().unwrap()))
        .collect();
    let expected = [
        (3, "not one JSON object: column 2"),
        (5, "claim: is not a claim this gateway revokes by"),
        (6, "the line is longer than 16 KiB"),
        (7, "token: is not signed by a key of a configured issuer"),
        (8, "value: must be text"),
    ];
    assert_eq!(rejected, expected);
    assert_eq!(port.house.entries().len(), 3);
}

#[test]
fn a_thousand_refused_lines_are_named_and_the_others_counted() {
    let port = port();
    let report = port.post(IMPORT, &"nonsense\n".repeat(2500)).json();
    assert_eq!(report["rejected_total"], 2500);
    assert_eq!(report["rejected"].as_array().unwrap().len(), 1000);
    assert_eq!(port.post(IMPORT, "").json()["accepted"], 0);
}

#[test]
fn a_store_that_fails_midway_says_how_much_is_recorded() {
    let port = port();
    port.house.fail_after.store(2, Ordering::SeqCst);
    let answer = port.post(IMPORT, &lines(0..30_000));
    answer.is_problem(503, "import_stopped");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let body = answer.json();
    let accepted = body["accepted"].as_u64().unwrap();
    assert!(accepted >= 10_000, "{body}");
    assert_eq!(port.house.entries().len() as u64, accepted);
    assert_eq!(body["line"], accepted, "where to go on");
}

#[test]
fn what_was_exported_can_be_imported_as_it_is() {
    let port = port();
    assert_eq!(port.post(IMPORT, &lines(0..2500)).json()["accepted"], 2500);
    let body = r#"{"claim":"sub","value":"a\nb\u0000 \"ü","issued_before":7,"reason":"why"}"#;
    assert_eq!(port.post("/v1/revocations", body).status, 201);
    let exported = port.get(EXPORT);
    assert_eq!(exported.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(exported.body).unwrap();
    assert_eq!(text.lines().count(), 2501);

    let before = port.house.entries();
    port.house.live.lock().unwrap().clear();
    let report = port.call("POST", IMPORT, ADMIN, &text).json();
    assert_eq!((&report["accepted"], &report["rejected_total"]), (&json!(2501), &json!(0)));
    assert_eq!(port.house.entries(), before, "an admin's import keeps every part of it");
}

#[test]
fn a_whole_record_without_a_cut_off_does_not_get_the_default_one() {
    let port = port();
    let id = "0190163d-8694-739b-aea5-966c26f8ad91";
    let record = json!({
        "id": id, "op": "revoke", "issuer": "https://issuer.test/", "claim": "sub", "value": "all",
        "expires_at": 8000, "at": 500, "actor": "someone",
    });
    assert_eq!(port.call("POST", IMPORT, ADMIN, &record.to_string()).status, 200);
    let entry = port.house.entries().remove(0);
    assert_eq!(entry.issued_before, None);
    assert_eq!((entry.id.to_string().as_str(), entry.at.as_secs()), (id, 500));
    assert_eq!(entry.actor.as_deref(), Some("someone"));
}

#[test]
fn a_whole_record_that_no_store_could_keep_is_refused_alone() {
    let port = port();
    let whole = |member: &str, text: String| {
        let mut record = json!({
            "v": 1, "id": "0190163d-8694-739b-aea5-966c26f8ad91", "op": "revoke", "claim": "jti",
            "value": "x", "expires_at": 8000, "at": 500,
        });
        record[member] = json!(text);
        record.to_string()
    };
    let long = whole("value", "\"".repeat(7000)).replace("\"at\"", "\"actor\":\"\\u0001\",\"at\"");
    let lines = [
        whole("actor", "a".repeat(257)),
        whole("actor", "a\0b".into()),
        whole("reason", "a\0b".into()),
        whole("value", "\u{1}".repeat(2720)),
        whole("claim", String::new()),
        long.replace("\"v\":1", "\"v\":2"),
        whole("value", String::new()),
        long,
    ];
    let report = port.call("POST", IMPORT, ADMIN, &lines.join("\n")).json();
    let problems: Vec<&str> = report["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["problem"].as_str().unwrap().split(':').next().unwrap())
        .collect();
    assert_eq!(
        problems,
        ["actor", "actor", "reason", "the line is longer than 16 KiB", "claim", "v"]
    );
    assert_eq!(report["accepted"], 2);
}

#[test]
fn without_the_admin_role_nobody_speaks_in_anothers_name() {
    let port = port();
    let record = json!({
        "id": "0190163d-8694-739b-aea5-966c26f8ad91", "op": "revoke", "claim": "jti", "value": "x",
        "issuer": "https://issuer.test/", "expires_at": 8000, "at": 500, "actor": "ops",
    });
    assert_eq!(port.call("POST", IMPORT, REVOKE, &record.to_string()).status, 200);
    let entry = port.house.entries().remove(0);
    assert_eq!((entry.actor.as_deref(), entry.at.as_secs()), (Some("app"), 1000));
}

#[test]
fn an_imported_reinstatement_removes_the_entry() {
    let port = port();
    let body = "{\"claim\":\"jti\",\"value\":\"x\"}\n{\"claim\":\"jti\",\"value\":\"x\",\"op\":\"reinstate\"}\n";
    assert_eq!(port.post(IMPORT, body).json()["accepted"], 2);
    assert_eq!(port.house.entries(), []);
}

#[test]
fn an_import_that_breaks_off_keeps_the_port_alive() {
    let port = port();
    let answer = port.text(&format!(
        "POST {IMPORT} HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {REVOKE}\r\n\
         Connection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\nnot a chunk\r\n"
    ));
    answer.is_problem(400, "body_broken");
    assert_eq!(port.get("/v1/status").status, 200);
}

#[test]
fn a_caller_that_asks_first_is_told_to_go_on_or_refused_without_its_body() {
    let port = port();
    let ask = |credential: &str, body: &str| {
        port.text(&format!(
            "POST {IMPORT} HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {credential}\r\n\
             Connection: close\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\
             Expect: 100-continue\r\n\r\n{body}"
        ))
    };
    let welcome = ask(REVOKE, "{\"claim\":\"jti\",\"value\":\"xx\"}");
    assert_eq!(welcome.status, 100, "{welcome:?}");
    assert!(String::from_utf8_lossy(&welcome.body).contains("\"accepted\":1"), "{welcome:?}");
    ask("wrong", "").is_problem(401, "unauthenticated");
}
