//! `GET /openapi.json`: every call as an OpenAPI 3.1 document, made of the table that the router is made of.
//! `docs/openapi.json` is the same, and a test holds real answers against it.

mod schemas;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::calls::{CALLS, Call, CallName, Needs, role_name};

use schemas::{schema_of, schemas};

/// What the document says of a call that the table does not.
struct Described {
    summary: &'static str,
    /// The parameters of its query; a test asks each call whether it takes them.
    query: &'static [&'static str],
    /// The schema of its body.
    body: Option<&'static str>,
    answers: Answers,
}

/// What a call answers when it is done: status, what that means, media type and schema.
type Answers = &'static [(u16, &'static str, &'static str, &'static str)];

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
/// The query of a call that waits for nodes.
const WAIT: &[&str] = &["wait", "timeout"];
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
    let Described { summary, query, body, answers } = described(call.name);
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
        "parameters": parameters(call, query),
        "responses": responses,
    });
    if let Some(schema) = body {
        let content = call
            .media
            .iter()
            .map(|media| ((*media).to_owned(), json!({ "schema": schema_of(schema) })));
        let content: Map<String, Value> = content.collect();
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn parameters(call: &Call, query: &[&str]) -> Vec<Value> {
    let in_path = call.path.split(['{', '}']).nth(1).map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = query.iter().map(|name| {
        let required = call.name == CallName::Reinstate && ["claim", "value"].contains(name);
        json!({ "name": name, "in": "query", "required": required, "schema": parameter(name) })
    });
    in_path.into_iter().chain(in_query).collect()
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

#[rustfmt::skip] // a table reads best with a row on a line
const fn described(name: CallName) -> Described {
    match name {
        CallName::Revoke => says("Take back a token, or all that carry a claim's value", WAIT, Some("Revoke"), &[(201, DONE, JSON, "Recorded"), (202, WAITING, JSON, "Recorded")]),
        CallName::Reinstate => says("Remove an entry again", &["claim", "value", "issuer", "reason", "wait", "timeout"], None, &[(200, DONE, JSON, "Recorded"), (202, WAITING, JSON, "Recorded")]),
        CallName::List => says("List entries", &["claim", "value", "issuer", "limit", "after"], None, &[(200, "a page", JSON, "Entries")]),
        CallName::Import => says("Record a line each", WAIT, Some("Lines"), &[(200, DONE, JSON, "Imported"), (202, WAITING, JSON, "Imported")]),
        CallName::Export => says("Every live entry, a line each", &["claim", "value", "issuer"], None, &[(200, "a record on each line", LINES, "Lines")]),
        CallName::Register => says("Register an issued token", &[], Some("Register"), &[(201, "registered", JSON, "Issued")]),
        CallName::Tokens => says("List registered tokens", &["subject", "issuer", "limit", "after"], None, &[(200, "a page", JSON, "Tokens")]),
        CallName::Change => says("Revoke or reinstate a registered token", &["issuer"], Some("Change"), &[(200, "the token as it is now", JSON, "Changed")]),
        CallName::Explain => says("What would become of a request with this token", &[], Some("Inquiry"), &[(200, "what was checked, and how it ends", JSON, "Explained")]),
        CallName::Events => says("What is applied, as it happens", &[], None, &[(200, "server-sent events", "text/event-stream", "Text")]),
        CallName::Status => says("How the gateway is", &[], None, &[(200, "feed, cursor, staleness, entries, keys, routes, upstreams", JSON, "Anything")]),
        CallName::Nodes => says("Who follows the same store", &[], None, &[(200, "the live nodes, this one first", JSON, "LiveNodes")]),
        CallName::Config => says("The running configuration", &[], None, &[(200, "without its secrets", JSON, "Anything")]),
        CallName::Reload => says("Read the configuration again", &[], None, &[(200, "applied", JSON, "Reloaded")]),
        CallName::Livez => says("Whether the process answers", &[], None, &[(200, "it does", JSON, "Health")]),
        CallName::Readyz => says("Whether it may be sent traffic", &[], None, &[(200, "it may", JSON, "Health")]),
        CallName::Metrics => says("The counters", &[], None, &[(200, "OpenMetrics text", "application/openmetrics-text", "Text")]),
        CallName::OpenApi => says("This document", &[], None, &[(200, "OpenAPI 3.1", JSON, "Anything")]),
    }
}

const fn says(
    summary: &'static str,
    query: &'static [&'static str],
    body: Option<&'static str>,
    answers: Answers,
) -> Described {
    Described { summary, query, body, answers }
}
