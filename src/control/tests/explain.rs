//! What is asked about is read strictly, and the entries come with who made them.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::fake::ISSUER;
use super::wire::{READ, port};

#[test]
fn a_request_is_asked_about_and_the_entries_come_whole_while_the_store_answers() {
    let port = port();
    port.post("/v1/revocations", r#"{"claim":"jti","value":"a","reason":"lost"}"#);
    let ask = |body: &str| port.call("POST", "/v1/explain", READ, body);
    let told = ask(r#"{"token":"good.a","path":"/orders?x=1"}"#).json();
    assert_eq!(
        (&told["route"], &told["answer"]),
        (&json!("GET localhost /orders?x=1"), &json!(null))
    );
    let entry = &told["entries"][0];
    assert_eq!(
        (&entry["value"], &entry["actor"], &entry["reason"]),
        (&json!("a"), &json!("app"), &json!("lost"))
    );
    let told = ask(r#"{"path":"/","method":"PUT","host":"api.test"}"#).json();
    assert_eq!((&told["route"], &told["entries"]), (&json!("PUT api.test /"), &json!([])));
    port.house.fail_after.store(0, Ordering::SeqCst);
    let told = ask(r#"{"token":"good.a","path":"/"}"#).json();
    assert_eq!(told["entries"], json!([{ "issuer": ISSUER, "claim": "jti", "value": "a" }]));
}

#[test]
fn what_is_no_request_is_refused_by_its_member() {
    let port = port();
    for (body, field) in [
        ("{}", "path"),
        (r#"{"path":""}"#, "path"),
        (r#"{"path":"orders"}"#, "path"),
        (r#"{"path":"/a b"}"#, "path"),
        (r#"{"path":"/","method":"G T"}"#, "method"),
        (r#"{"path":"/","host":"a\nb"}"#, "host"),
        (r#"{"path":"/","token":""}"#, "token"),
        (r#"{"path":"/","token":7}"#, "token"),
        (r#"{"path":"/","header":"x"}"#, "header"),
    ] {
        let answer = port.call("POST", "/v1/explain", READ, body);
        answer.is_problem(400, "invalid_field");
        assert_eq!(answer.json()["field"], field, "{body}");
    }
    port.call("POST", "/v1/explain?x=1", READ, r#"{"path":"/"}"#).is_problem(400, "invalid_field");
}
