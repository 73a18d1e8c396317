//! What bodies and answers consist of, as JSON Schema.

use serde_json::{Map, Value, json};

/// A reference to one of them.
pub(super) fn schema_of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// All of them.
pub(super) fn schemas() -> Value {
    let mut all = Map::new();
    for part in [asked(), records(), tokens(), explained(), operating()] {
        all.extend(part.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    }
    Value::Object(all)
}

fn asked() -> Vec<(&'static str, Value)> {
    let claim = [
        ("claim", text()),
        ("value", text()),
        ("issuer?", text()),
        ("issued_before?", seconds()),
        ("expires_at?", seconds()),
        ("reason?", text()),
    ];
    let issued = [
        ("jti", text()),
        ("issuer?", text()),
        ("sub?", text()),
        ("type?", text()),
        ("issued_at?", seconds()),
        ("expires_at?", seconds()),
    ];
    let token = || ("token", json!({ "type": "string", "writeOnly": true }));
    let asked = [("token?", token().1), ("method?", text()), ("host?", text()), ("path", text())];
    vec![
        ("Revoke", one_of(vec![object(&claim), object(&[token(), ("reason?", text())])])),
        ("Register", one_of(vec![object(&issued), object(&[token()])])),
        ("Change", object(&[("revoke", boolean()), ("reason?", text())])),
        ("Inquiry", object(&asked)),
        ("Lines", json!({ "type": "string", "description": "JSON objects, one on each line" })),
    ]
}

fn records() -> Vec<(&'static str, Value)> {
    let record = [
        ("id", text()),
        ("op", json!({ "enum": ["revoke", "reinstate", "register"] })),
        ("issuer", text()),
        ("claim", text()),
        ("value", text()),
        ("issued_before?", seconds()),
        ("expires_at", seconds()),
        ("at", seconds()),
        ("actor?", text()),
        ("reason?", text()),
        ("token?", json!({ "type": "object" })),
    ];
    let answered = [("cursor", text()), ("nodes", schema_of("Nodes"))];
    let rejected = object(&[("line", count()), ("problem", text())]);
    let nodes = [
        ("confirmed", list(schema_of("Node"))),
        ("missing", list(schema_of("Node"))),
        ("problem?", text()),
    ];
    let imported = [
        ("accepted", count()),
        ("rejected", list(rejected)),
        ("rejected_total", count()),
        ("nodes?", schema_of("Nodes")),
    ];
    vec![
        ("Record", object(&record)),
        ("Recorded", object(&[&record[..], &answered].concat())),
        ("Entries", page("Record")),
        ("Imported", object(&imported)),
        ("Node", object(&[("name", text()), ("id", text())])),
        ("Nodes", object(&nodes)),
    ]
}

fn tokens() -> Vec<(&'static str, Value)> {
    let token = [
        ("issuer", text()),
        ("jti", text()),
        ("subject", or_null(text())),
        ("type", or_null(text())),
        ("issued_at", or_null(seconds())),
        ("expires_at", or_null(seconds())),
    ];
    let seen = [
        ("first_seen", or_null(seconds())),
        ("last_seen", or_null(seconds())),
        ("revoked", boolean()),
    ];
    let issued = [("id", text()), ("kept_until", seconds()), ("cursor", text())];
    let listed = [&token[..], &seen].concat();
    vec![
        ("Token", object(&listed)),
        ("Tokens", page("Token")),
        ("Changed", object(&[&listed[..], &[("cursor", or_null(text()))]].concat())),
        ("Issued", object(&[&token[..], &issued].concat())),
    ]
}

fn explained() -> Vec<(&'static str, Value)> {
    let check = [
        ("check", text()),
        ("outcome", json!({ "enum": ["passed", "refused", "skipped", "pending"] })),
        ("reason?", text()),
        ("detail?", text()),
    ];
    let told = [
        ("issuer", text()),
        ("type", text()),
        ("key", or_null(text())),
        ("jti", or_null(text())),
        ("subject", or_null(text())),
        ("issued_at", or_null(seconds())),
        ("expires_at", or_null(seconds())),
        ("valid_until", seconds()),
    ];
    let answer = [("status", count()), ("code", text()), ("challenge?", text()), ("body", text())];
    let name = object(&[("issuer", text()), ("claim", text()), ("value", text())]);
    let outcomes = json!({ "enum": ["forwarded", "served", "asked", "shadowed", "rejected"] });
    let explained = [
        ("outcome", outcomes),
        ("route", or_null(text())),
        ("upstream", or_null(text())),
        ("checks", list(object(&check))),
        ("token", or_null(object(&told))),
        ("entries", list(one_of(vec![schema_of("Record"), name]))),
        ("answer", or_null(object(&answer))),
    ];
    vec![("Explained", object(&explained))]
}

fn operating() -> Vec<(&'static str, Value)> {
    let number = || json!({ "type": "number" });
    let node = [
        ("name", text()),
        ("id", text()),
        ("this", boolean()),
        ("epoch", or_null(text())),
        ("cursor", or_null(text())),
        ("staleness_seconds", or_null(number())),
        ("last_seen_seconds", number()),
    ];
    let problem = [
        ("type", text()),
        ("title", text()),
        ("status", count()),
        ("code", text()),
        ("detail", text()),
        ("field?", text()),
        ("problems?", list(text())),
        ("accepted?", count()),
        ("rejected_total?", count()),
        ("line?", count()),
    ];
    vec![
        ("LiveNodes", object(&[("items", list(object(&node)))])),
        ("Reloaded", object(&[("generation", count()), ("changes", list(text()))])),
        ("Health", object(&[("status", text()), ("detail?", text())])),
        ("Problem", object(&problem)),
        ("Anything", json!({ "type": "object" })),
        ("Text", text()),
    ]
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn boolean() -> Value {
    json!({ "type": "boolean" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// UNIX seconds.
fn seconds() -> Value {
    json!({ "type": "integer", "minimum": 0, "description": "UNIX seconds" })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn or_null(schema: Value) -> Value {
    one_of(vec![schema, json!({ "type": "null" })])
}

fn one_of(schemas: Vec<Value>) -> Value {
    json!({ "oneOf": schemas })
}

fn page(item: &str) -> Value {
    object(&[("items", list(schema_of(item))), ("next", or_null(text()))])
}

/// An object of these members and no other; one whose name ends with `?` may be absent.
fn object(members: &[(&str, Value)]) -> Value {
    let name = |name: &str| name.trim_end_matches('?').to_owned();
    let required = members.iter().filter(|(name, _)| !name.ends_with('?')).map(|(it, _)| name(it));
    let required: Vec<String> = required.collect();
    let properties: Map<String, Value> =
        members.iter().map(|(it, schema)| (name(it), schema.clone())).collect();
    json!({
        "type": "object", "required": required, "properties": properties, "additionalProperties": false,
    })
}
