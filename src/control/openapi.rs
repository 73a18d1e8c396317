//! `GET /openapi.json`: every call as an OpenAPI 3.1 document, made of the table that the router is made of.
//! `docs/openapi.json` is the same, and a test holds real answers against it.

mod schemas;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::calls::{CALLS, Call, CallName, Needs, role_name};

use schemas::{schema_of, schemas};

/// What a call answers when it is done: status, what that means, media type and schema.
type Answers = &'static [(u16, &'static str, &'static str, &'static str)];

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const DONE: &str = "recorded, and in force on as many nodes as were asked for";
const WAITING: &str = "recorded, and the nodes waited for have not all confirmed";

/// `GET /openapi.json`.
pub(super) fn openapi() -> Response {
    Json(document()).into_response()
}

/// The document.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for call in CALLS {
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        path[call.method.as_str().to_ascii_lowercase()] = operation(call);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis control port",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Revoke, reinstate, register, list, look and reload. docs/control.md says it in words.",
        },
        "servers": [{ "url": "http://127.0.0.1:9901" }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": {
                "Problem": {
                    "description": "Refused or failed: RFC 9457, with a `code` that stays",
                    "content": { "application/problem+json": { "schema": schema_of("Problem") } },
                },
            },
            "securitySchemes": { "credential": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(call: &Call) -> Value {
    let (summary, answers) = described(call.name);
    let mut responses = Map::new();
    for (status, meaning, media, schema) in answers {
        let content = json!({ *media: { "schema": schema_of(schema) } });
        let answer = json!({ "description": meaning, "content": content });
        responses.insert(status.to_string(), answer);
    }
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
    let mut operation = json!({
        "operationId": call.name.as_str(),
        "summary": summary,
        "security": match call.needs {
            Needs::Nothing => json!([]),
            Needs::Role(role) => json!([{ "credential": [role_name(role)] }]),
        },
        "parameters": parameters(call),
        "responses": responses,
    });
    if let Some(schema) = asked(call.name) {
        let content = call
            .media
            .iter()
            .map(|media| ((*media).to_owned(), json!({ "schema": schema_of(schema) })));
        let content: Map<String, Value> = content.collect();
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn parameters(call: &Call) -> Vec<Value> {
    let in_path = call.path.split(['{', '}']).nth(1).map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = query(call.name).iter().map(|name| {
        let required = call.name == CallName::Reinstate && ["claim", "value"].contains(name);
        json!({ "name": name, "in": "query", "required": required, "schema": parameter(name) })
    });
    in_path.into_iter().chain(in_query).collect()
}

/// The parameters of its query; a test asks each call whether it takes them.
const fn query(name: CallName) -> &'static [&'static str] {
    match name {
        CallName::Revoke | CallName::Import => &["wait", "timeout"],
        CallName::Reinstate => &["claim", "value", "issuer", "reason", "wait", "timeout"],
        CallName::List => &["claim", "value", "issuer", "limit", "after"],
        CallName::Export => &["claim", "value", "issuer"],
        CallName::Tokens => &["subject", "issuer", "limit", "after"],
        CallName::Change => &["issuer"],
        CallName::Register
        | CallName::Explain
        | CallName::Status
        | CallName::Nodes
        | CallName::Config
        | CallName::Reload
        | CallName::Livez
        | CallName::Readyz
        | CallName::Metrics
        | CallName::OpenApi => &[],
    }
}

fn parameter(name: &str) -> Value {
    match name {
        "wait" => {
            json!({ "type": "string", "pattern": "^(none|all|[0-9]{1,5})$", "default": "none" })
        }
        "timeout" => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m)$", "default": "2s" }),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
        _ => json!({ "type": "string" }),
    }
}

/// The schema of its body.
const fn asked(name: CallName) -> Option<&'static str> {
    match name {
        CallName::Revoke => Some("Revoke"),
        CallName::Import => Some("Lines"),
        CallName::Register => Some("Register"),
        CallName::Change => Some("Change"),
        CallName::Explain => Some("Inquiry"),
        CallName::Reinstate
        | CallName::List
        | CallName::Export
        | CallName::Tokens
        | CallName::Status
        | CallName::Nodes
        | CallName::Config
        | CallName::Reload
        | CallName::Livez
        | CallName::Readyz
        | CallName::Metrics
        | CallName::OpenApi => None,
    }
}

#[rustfmt::skip] // a table reads best with a row on a line
const fn described(name: CallName) -> (&'static str, Answers) {
    match name {
        CallName::Revoke => ("Take back a token, or all that carry a claim's value", &[(201, DONE, JSON, "Recorded"), (202, WAITING, JSON, "Recorded")]),
        CallName::Reinstate => ("Remove an entry again", &[(200, DONE, JSON, "Recorded"), (202, WAITING, JSON, "Recorded")]),
        CallName::List => ("List entries", &[(200, "a page", JSON, "Entries")]),
        CallName::Import => ("Record a line each", &[(200, DONE, JSON, "Imported"), (202, WAITING, JSON, "Imported")]),
        CallName::Export => ("Every live entry, a line each", &[(200, "a record on each line", LINES, "Lines")]),
        CallName::Register => ("Register an issued token", &[(201, "registered", JSON, "Issued")]),
        CallName::Tokens => ("List registered tokens", &[(200, "a page", JSON, "Tokens")]),
        CallName::Change => ("Revoke or reinstate a registered token", &[(200, "the token as it is now", JSON, "Changed")]),
        CallName::Explain => ("What would become of a request with this token", &[(200, "what was checked, and how it ends", JSON, "Explained")]),
        CallName::Status => ("How the gateway is", &[(200, "feed, cursor, staleness, entries, keys, routes, upstreams", JSON, "Anything")]),
        CallName::Nodes => ("Who follows the same store", &[(200, "the live nodes, this one first", JSON, "LiveNodes")]),
        CallName::Config => ("The running configuration", &[(200, "without its secrets", JSON, "Anything")]),
        CallName::Reload => ("Read the configuration again", &[(200, "applied", JSON, "Reloaded")]),
        CallName::Livez => ("Whether the process answers", &[(200, "it does", JSON, "Health")]),
        CallName::Readyz => ("Whether it may be sent traffic", &[(200, "it may", JSON, "Health")]),
        CallName::Metrics => ("The counters", &[(200, "OpenMetrics text", "application/openmetrics-text", "Text")]),
        CallName::OpenApi => ("This document", &[(200, "OpenAPI 3.1", JSON, "Anything")]),
    }
}
