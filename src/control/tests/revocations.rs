//! Revoke, reinstate, list.

use std::sync::atomic::Ordering;

use super::fake::{ISSUER, node};
use super::wire::{ADMIN, READ, REVOKE, port};

const ROOT: &str = "/v1/revocations";

#[test]
fn a_revocation_answers_with_the_whole_record_its_cursor_and_its_nodes() {
    let port = port();
    let body = r#"{"claim":"jti","value":"t-1","reason":"lost","expires_at":5000}"#;
    let answer = port.post(&format!("{ROOT}?wait=all&timeout=2s"), body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let record = answer.json();
    assert_eq!(record["op"], "revoke");
    assert_eq!(record["issuer"], ISSUER);
    assert_eq!((&record["claim"], &record["value"]), (&"jti".into(), &"t-1".into()));
    assert_eq!((&record["actor"], &record["reason"]), (&"app".into(), &"lost".into()));
    assert_eq!(record["expires_at"], 5000);
    assert!(record["id"].is_string() && record["at"].is_u64() && record["cursor"].is_string());
    let nodes = serde_json::json!({ "confirmed": [node("one"), node("two")], "missing": [] });
    assert_eq!(record["nodes"], nodes);
    let entries = port.house.entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].id.to_string(), record["id"].as_str().unwrap());
    assert_eq!(port.house.counted("revoke", "201"), 1);
}

#[test]
fn who_waits_in_vain_hears_202_and_which_nodes_are_missing() {
    let port = port();
    let body = r#"{"claim":"jti","value":"t-1"}"#;
    let alone = port.post(ROOT, body);
    let only = serde_json::json!({ "confirmed": [node("one")], "missing": [] });
    assert_eq!((alone.status, &alone.json()["nodes"]), (201, &only));
    port.house.slow_node.store(true, Ordering::SeqCst);
    let behind = serde_json::json!({ "confirmed": [node("one")], "missing": [node("two")] });
    let revoked = port.post(&format!("{ROOT}?wait=all"), body);
    assert_eq!((revoked.status, &revoked.json()["nodes"]), (202, &behind));
    assert_eq!(port.house.entries().len(), 1, "it is recorded all the same");
    let target = format!("{ROOT}?claim=jti&value=t-1&wait=2&timeout=1s");
    let reinstated = port.call("DELETE", &target, ADMIN, "");
    assert_eq!((reinstated.status, &reinstated.json()["nodes"]), (202, &behind));
    port.post(&format!("{ROOT}?wait=some"), body).names_field("wait");
    port.post(&format!("{ROOT}?wait=all&timeout=2h"), body).names_field("timeout");
    assert_eq!(port.house.entries().len(), 0, "what is malformed does nothing");
}

#[test]
fn a_whole_token_can_be_posted_and_never_comes_back() {
    let port = port();
    let answer = port.post(ROOT, r#"{"token":"good.t-9","reason":"stolen"}"#);
    assert_eq!((answer.status, &answer.json()["value"]), (201, &"t-9".into()));
    let refused = port.post(ROOT, r#"{"token":"eyJhbGciOi.secret-part"}"#);
    refused.names_field("token");
    let mistyped = port.post(ROOT, r#"{"token":{"eyJhbGciOi.secret-part":1}}"#);
    mistyped.names_field("token");
    let misplaced =
        port.post(ROOT, r#"{"claim":"jti","value":"x","issued_before":"eyJ.secret-part"}"#);
    misplaced.names_field("issued_before");
    for answer in [refused, mistyped, misplaced] {
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret-part"), "{answer:?}");
    }
    port.post(ROOT, r#"{"token":"unloaded"}"#).is_problem(503, "not_ready");
}

#[test]
fn every_wrong_member_is_refused_by_its_name() {
    let port = port();
    let long = format!(r#"{{"claim":"jti","value":"x","reason":"{}"}}"#, "r".repeat(1025));
    let table = [
        ("{}", "claim"),
        (r#"{"claim":"jti"}"#, "value"),
        (r#"{"claim":"","value":"x"}"#, "claim"),
        (r#"{"claim":"jti","value":""}"#, "value"),
        (r#"{"claim":"email","value":"x"}"#, "claim"),
        (r#"{"claim":"jti","value":7}"#, "value"),
        (r#"{"claim":"jti","value":"x","issued_before":"now"}"#, "issued_before"),
        (r#"{"claim":"jti","value":"x","issued_before":-1}"#, "issued_before"),
        (r#"{"claim":"jti","value":"x","expires_at":1.5}"#, "expires_at"),
        (r#"{"claim":"jti","value":"x","expire_at":1}"#, "expire_at"),
        (r#"{"claim":"jti","value":"x","claim":"sub"}"#, "claim"),
        (r#"{"claim":"jti","value":"x","op":"reinstate"}"#, "op"),
        (r#"{"claim":"jti","value":"x","op":"register"}"#, "op"),
        (r#"{"claim":"jti","value":"x","actor":"boss"}"#, "actor"),
        (r#"{"claim":"jti","value":"x","at":1}"#, "at"),
        (r#"{"claim":"jti","value":"x","id":"7"}"#, "id"),
        (r#"{"token":"good.x","claim":"jti"}"#, "claim"),
        (r#"{"token":"good.x","expires_at":1}"#, "expires_at"),
        (r#"{"token":""}"#, "token"),
        (&long, "reason"),
    ];
    for (body, field) in table {
        let answer = port.post(ROOT, body);
        assert_eq!(answer.json()["field"], field, "{body}: {answer:?}");
        answer.names_field(field);
    }
    for body in ["", "null", "[]", "7", "\"x\"", "{", "{}{}", r#"{"claim":"jti","value":"x"} x"#] {
        port.post(ROOT, body).is_problem(400, "not_json");
    }
    for query in ["wait=maybe", "timeout=1", "timeout=61s", "wat=all", "wait=all&wait=all"] {
        let answer = port.post(&format!("{ROOT}?{query}"), r#"{"claim":"jti","value":"x"}"#);
        answer.is_problem(400, "invalid_field");
    }
    assert_eq!(port.house.entries(), [], "nothing of it was recorded");
}

#[test]
fn a_store_that_is_away_gives_503_with_retry_after_and_nothing_half_done() {
    let port = port();
    port.house.fail_after.store(0, Ordering::SeqCst);
    let body = r#"{"claim":"jti","value":"x"}"#;
    let calls = [
        port.post(ROOT, body),
        port.call("DELETE", &format!("{ROOT}?claim=jti&value=x"), REVOKE, ""),
        port.get(ROOT),
        port.get("/v1/revocations/export"),
    ];
    for answer in calls {
        answer.is_problem(503, "store_unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(port.house.entries(), []);
}

#[test]
fn a_reinstated_entry_is_gone_and_a_second_time_it_is_not_there() {
    let port = port();
    let target = format!("{ROOT}?claim=sub&value=a%20b&issuer=https://issuer.test/");
    port.call("DELETE", &target, REVOKE, "").is_problem(404, "no_such_entry");
    assert_eq!(port.post(ROOT, r#"{"claim":"sub","value":"a b"}"#).status, 201);
    let other = target.replace("issuer.test", "other.test");
    port.call("DELETE", &other, REVOKE, "").is_problem(404, "no_such_entry");
    let answer = port.call("DELETE", &format!("{target}&reason=mistake"), REVOKE, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let record = answer.json();
    assert_eq!((&record["op"], &record["reason"]), (&"reinstate".into(), &"mistake".into()));
    assert_eq!(record["issued_before"], serde_json::Value::Null);
    assert_eq!(record["expires_at"], 9000, "remembered as long as what it removes");
    assert_eq!(port.house.entries(), []);
    port.call("DELETE", &target, REVOKE, "").is_problem(404, "no_such_entry");
}

#[test]
fn a_reinstatement_that_could_mean_two_issuers_asks_which() {
    let port = port();
    for issuer in ["https://a.test/", "https://b.test/"] {
        let body = format!(r#"{{"claim":"jti","value":"x","issuer":"{issuer}"}}"#);
        assert_eq!(port.post(ROOT, &body).status, 201);
    }
    let target = format!("{ROOT}?claim=jti&value=x");
    port.call("DELETE", &target, REVOKE, "").names_field("issuer");
    let answer = port.call("DELETE", &format!("{target}&issuer=https://a.test/"), REVOKE, "");
    assert_eq!(answer.status, 200);
    assert_eq!(port.call("DELETE", &target, REVOKE, "").status, 200, "now it can mean only one");
    for query in ["", "?claim=jti", "?value=x", "?claim=&value=x"] {
        port.call("DELETE", &format!("{ROOT}{query}"), REVOKE, "").is_problem(400, "invalid_field");
    }
}

#[test]
fn a_listing_is_paged_to_its_end_and_filtered() {
    let port = port();
    for number in 0..25 {
        let claim = if number % 2 == 0 { "jti" } else { "sub" };
        let body = format!(r#"{{"claim":"{claim}","value":"v{number:02}"}}"#);
        assert_eq!(port.post(ROOT, &body).status, 201);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = port.get(&format!("{ROOT}?limit=10{after}")).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 10);
        seen.extend(items.iter().map(|item| item["value"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen.len(), 25);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 25);
    let page = port.get(&format!("{ROOT}?claim=sub")).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 12);
    let page = port.get(&format!("{ROOT}?claim=sub&value=v03")).json();
    assert_eq!(page["items"][0]["value"], "v03");
    for query in ["limit=0", "limit=1001", "limit=x", "after=x", "after=W10", "after=", "claims=x"]
    {
        port.call("GET", &format!("{ROOT}?{query}"), READ, "").is_problem(400, "invalid_field");
    }
}
