//! `portcullis explain`: why a token would be refused.

use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::args::ExplainArgs;
use super::client::{Client, object};
use super::control::{entries, show, token};
use super::output::{date, items, scalar};

/// `portcullis explain`.
pub(super) async fn explain(args: ExplainArgs) -> Result<(), Failure> {
    let shown = token(args.token.is_some(), args.token_file.as_deref())?;
    let body = object([
        ("token", shown.map(Value::from)),
        ("method", args.method.map(Value::from)),
        ("host", args.host.map(Value::from)),
        ("path", Some(args.path.into())),
    ]);
    let mut client = Client::connect(&args.reach).await?;
    let (_status, explained) = client.send_json(Method::POST, "/v1/explain", &body).await?;
    show(&args.reach, &explained, words)
}

fn words(explained: &Value) -> String {
    let mut text = match &explained["answer"] {
        Value::Null => scalar(&explained["outcome"]),
        answer => {
            let [status, code] = ["status", "code"].map(|name| scalar(&answer[name]));
            format!("{}: {status} {code}", scalar(&explained["outcome"]))
        }
    };
    for (what, name) in [("route", "route"), ("to upstream", "upstream")] {
        if explained[name].is_string() {
            text += &format!(", {what} {}", scalar(&explained[name]));
        }
    }
    text.push('\n');
    for check in items(&explained["checks"]) {
        let [name, outcome, reason, detail] =
            ["check", "outcome", "reason", "detail"].map(|name| scalar(&check[name]));
        let why = if reason.is_empty() { detail } else { format!("{reason}: {detail}") };
        let line = format!("  {name:<10}  {outcome:<7}  {why}");
        text += &format!("{}\n", line.trim_end());
    }
    if explained["token"].is_object() {
        text += &told(&explained["token"]);
    }
    if !items(&explained["entries"]).is_empty() {
        let page = json!({ "items": explained["entries"] });
        text += &format!("revoked by\n{}", entries(&page));
    }
    text
}

fn told(token: &Value) -> String {
    let [kind, jti, subject, issuer] =
        ["type", "jti", "subject", "issuer"].map(|name| scalar(&token[name]));
    let [issued, expires] = ["issued_at", "expires_at"].map(|name| date(&token[name]));
    format!("token: {kind} {jti} of {subject} by {issuer}, issued {issued}, expires {expires}\n")
}
