//! The OpenAPI document: kept as it is answered, and answers that are what it says.

use serde_json::{Value, json};

use crate::control::CALLS;
use crate::control::openapi::document;

use super::wire::{ADMIN, Answer, Port, port};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

/// Whether the value is what the schema says, as far as our schemas go.
fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(path) = schema["$ref"].as_str() {
        let named = document.pointer(path.trim_start_matches('#'));
        return check(document, named.ok_or_else(|| format!("no {path}"))?, value);
    }
    if let Some(each) = schema["oneOf"].as_array() {
        let fits = each.iter().filter(|one| check(document, one, value).is_ok()).count();
        return if fits == 1 { Ok(()) } else { Err(format!("{value} fits {fits} of {each:?}")) };
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.contains(value).then_some(()).ok_or_else(|| format!("{value} of {words:?}"));
    }
    let right = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("array") => {
            for item in value.as_array().into_iter().flatten() {
                check(document, &schema["items"], item)?;
            }
            value.is_array()
        }
        Some("object") => return check_object(document, schema, value),
        other => return Err(format!("type {other:?}")),
    };
    right.then_some(()).ok_or_else(|| format!("{value} is no {}", schema["type"]))
}

fn check_object(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let members = value.as_object().ok_or_else(|| format!("{value} is no object"))?;
    let lacks = |name: &&Value| !members.contains_key(name.as_str().unwrap_or_default());
    if let Some(lacking) = schema["required"].as_array().and_then(|all| all.iter().find(lacks)) {
        return Err(format!("{value} lacks {lacking}"));
    }
    for (name, member) in members {
        match schema["properties"].get(name) {
            Some(schema) => {
                check(document, schema, member).map_err(|error| format!("{name}: {error}"))?;
            }
            None if schema["additionalProperties"] == false => {
                return Err(format!("{name} is not in the document"));
            }
            None => {}
        }
    }
    Ok(())
}

fn path_of(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    if path.starts_with("/v1/tokens/") { "/v1/tokens/{jti}" } else { path }
}

#[track_caller]
fn answered(port: &Port, method: &str, target: &str, body: &Value) -> Answer {
    let document = document();
    let operation = &document["paths"][path_of(target)][method.to_ascii_lowercase()];
    let media = "application/json";
    if !body.is_null() {
        let schema = &operation["requestBody"]["content"][media]["schema"];
        let sent = check(&document, schema, body);
        assert!(sent.is_ok() || schema["$ref"] == "#/components/schemas/Lines", "{sent:?}");
    }
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let answer = port.call(method, target, ADMIN, &text);
    let response = match operation["responses"].get(answer.status.to_string()) {
        Some(response) => response["content"][media]["schema"].clone(),
        None => json!({ "$ref": "#/components/schemas/Problem" }),
    };
    assert_ne!(response, Value::Null, "{method} {target}: {answer:?}");
    check(&document, &response, &answer.json())
        .unwrap_or_else(|error| panic!("{method} {target}: {error}"));
    answer
}

#[test]
fn the_kept_document_is_the_one_that_is_answered() {
    let answer =
        port().text("GET /openapi.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert_eq!((answer.status, answer.json()), (200, document()));
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(KEPT, text).unwrap();
    } else {
        let kept = std::fs::read_to_string(KEPT).unwrap();
        assert!(kept == text, "docs/openapi.json is another: run this test with UPDATE_GOLDEN=1");
    }
}

#[test]
fn every_call_is_in_the_document_with_its_role_and_its_body() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|path| path.as_object().unwrap().values());
    assert_eq!(operations.count(), CALLS.len());
    for call in CALLS {
        let operation = &paths[call.path][call.method.as_str().to_ascii_lowercase()];
        assert_eq!(operation["operationId"], call.name.as_str());
        assert_eq!(operation.get("requestBody").is_some(), !call.media.is_empty(), "{call:?}");
        for (name, response) in operation["responses"].as_object().unwrap() {
            let content = response["content"].as_object().into_iter().flatten();
            for (_, media) in content {
                let named = media["schema"]["$ref"].as_str().unwrap().trim_start_matches('#');
                assert!(document.pointer(named).is_some(), "{call:?} {name}: {named}");
            }
        }
    }
}

#[test]
fn each_call_takes_the_parameters_that_the_document_names_and_no_other() {
    let (port, document) = (port(), document());
    let all =
        ["claim", "value", "issuer", "subject", "reason", "limit", "after", "wait", "timeout"];
    for call in CALLS {
        let method = call.method.as_str();
        let operation = &document["paths"][call.path][method.to_ascii_lowercase()];
        let named = operation["parameters"].as_array().unwrap().iter();
        let named: Vec<_> =
            named.filter(|it| it["in"] == "query").map(|it| it["name"].as_str().unwrap()).collect();
        let refuses = |name: &str| {
            // What is refused is refused before it is looked at.
            let target = format!("{}?{name}=x", call.path.replace("{jti}", "t"));
            let answer = port.call(method, &target, ADMIN, "{}");
            String::from_utf8_lossy(&answer.body).contains("is not a parameter of this call")
        };
        let strict = refuses("unheard-of");
        for name in all {
            assert_eq!(
                refuses(name),
                strict && !named.contains(&name),
                "{method} {} {name}",
                call.path
            );
        }
        assert!(strict || named.is_empty(), "{method} {}", call.path);
    }
}

#[test]
fn what_is_answered_is_what_the_document_says() {
    let port = port();
    let none = Value::Null;
    let one = json!({ "claim": "jti", "value": "a", "issued_before": 5, "reason": "why" });
    assert_eq!(answered(&port, "POST", "/v1/revocations", &one).status, 201);
    assert_eq!(
        answered(&port, "POST", "/v1/revocations", &json!({ "token": "good.b" })).status,
        201
    );
    answered(&port, "POST", "/v1/revocations?wait=all", &json!({ "claim": "sub", "value": "c" }));
    port.house.slow_node.store(true, std::sync::atomic::Ordering::SeqCst);
    let late = answered(&port, "POST", "/v1/revocations?wait=all", &one);
    assert_eq!(late.status, 202);
    assert_eq!(
        answered(&port, "GET", "/v1/revocations", &none).json()["items"].as_array().unwrap().len(),
        3
    );
    answered(&port, "GET", "/v1/revocations?limit=1", &none);
    answered(&port, "POST", "/v1/explain", &json!({ "token": "good.b", "path": "/" }));
    answered(&port, "DELETE", "/v1/revocations?claim=jti&value=a", &none);
    assert_eq!(answered(&port, "DELETE", "/v1/revocations?claim=jti&value=a", &none).status, 404);
    answered(&port, "POST", "/v1/revocations/import", &json!({ "claim": "jti" }));
    answered(&port, "POST", "/v1/revocations/import?wait=2", &one);
    let issued =
        json!({ "jti": "t", "sub": "alice", "type": "access", "expires_at": 4_000_000_000_u64 });
    answered(&port, "POST", "/v1/tokens", &issued);
    assert_eq!(
        answered(&port, "GET", "/v1/tokens", &none).json()["items"].as_array().unwrap().len(),
        1
    );
    answered(&port, "PUT", "/v1/tokens/t", &json!({ "revoke": true, "reason": "lost" }));
    answered(&port, "PUT", "/v1/tokens/t", &json!({ "revoke": false }));
    for target in ["/v1/status", "/v1/nodes", "/v1/config", "/livez", "/readyz", "/v1/nowhere"] {
        answered(&port, "GET", target, &none);
    }
    answered(&port, "POST", "/v1/reload", &none);
    port.house.reload_refused.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(answered(&port, "POST", "/v1/reload", &none).status, 422);
}
