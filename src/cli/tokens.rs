//! `portcullis tokens`: the register through the control port.

use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::args::{ChangeArgs, ListTokensArgs, RegisterArgs, TokensArgs, TokensCommand};
use super::client::{Client, escaped, object, query};
use super::control::{show, token};
use super::output::{date, page, scalar};

const ROOT: &str = "/v1/tokens";

/// Lists, unless something else was asked for.
pub(super) async fn tokens(args: TokensArgs) -> Result<(), Failure> {
    match args.command {
        None => list(args.list).await,
        Some(TokensCommand::Register(args)) => register(args).await,
        Some(TokensCommand::Revoke(args)) => change(args, true).await,
        Some(TokensCommand::Reinstate(args)) => change(args, false).await,
    }
}

async fn list(args: ListTokensArgs) -> Result<(), Failure> {
    let limit = args.limit.to_string();
    let parameters = [
        ("subject", args.subject.as_deref()),
        ("issuer", args.issuer.as_deref()),
        ("limit", Some(limit.as_str())),
        ("after", args.after.as_deref()),
    ];
    let mut client = Client::connect(&args.reach).await?;
    let answer = client.call(Method::GET, &query(ROOT, &parameters)).await?;
    show(&args.reach, &answer, listed)
}

async fn register(args: RegisterArgs) -> Result<(), Failure> {
    let shown = token(args.token.is_some(), args.token_file.as_deref())?;
    let body = object([
        ("token", shown.map(Value::from)),
        ("jti", args.jti.map(Value::from)),
        ("issuer", args.issuer.map(Value::from)),
        ("sub", args.sub.map(Value::from)),
        ("type", args.token_type.map(Value::from)),
        ("expires_at", args.expires_at.map(|time| json!(time))),
    ]);
    let mut client = Client::connect(&args.reach).await?;
    let (_status, told) = client.send_json(Method::POST, ROOT, &body).await?;
    show(&args.reach, &told, |told| {
        let [id, issuer] = ["jti", "issuer"].map(|name| scalar(&told[name]));
        let until = date(&told["kept_until"]);
        format!("registered: {id} of {issuer}, kept until {until}\n")
    })
}

async fn change(args: ChangeArgs, revoke: bool) -> Result<(), Failure> {
    let path = format!("{ROOT}/{}", escaped(&args.jti));
    let target = query(&path, &[("issuer", args.issuer.as_deref())]);
    let revoked = Some(Value::from(revoke));
    let body = object([("revoke", revoked), ("reason", args.reason.map(Value::from))]);
    let mut client = Client::connect(&args.reach).await?;
    let (_status, told) = client.send_json(Method::PUT, &target, &body).await?;
    show(&args.reach, &told, |told| {
        let [id, issuer] = ["jti", "issuer"].map(|name| scalar(&told[name]));
        let word = match (revoke, &told["revoked"]) {
            (true, _) => "revoked",
            (false, Value::Bool(true)) => "reinstated, but something else revokes it",
            (false, _) => "reinstated",
        };
        format!("{word}: {id} of {issuer}\n")
    })
}

fn listed(listed: &Value) -> String {
    let heads =
        ["jti", "subject", "type", "issued", "expires", "first seen", "last seen", "revoked"];
    page(listed, &heads, |item| {
        let texts = ["jti", "subject", "type"].map(|name| scalar(&item[name]));
        let times = ["issued_at", "expires_at", "first_seen", "last_seen"];
        let times = times.map(|name| date(&item[name]));
        let revoked = if item["revoked"] == true { "yes" } else { "no" };
        [&texts[..], &times, &[revoked.to_owned()]].concat()
    })
}
