//! The commands that are one call of the control port.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Failure;
use super::args::{ListArgs, Reach, ReinstateArgs, RevokeArgs, WaitArgs};
use super::client::{Client, object, query};
use super::output::{date, items, out, outline, page, raw, scalar, wrote};

const ROOT: &str = "/v1/revocations";
/// A token is never longer; what is, is another file.
const MAX_TOKEN: u64 = 64 * 1024;

/// `portcullis revoke`.
pub(super) async fn revoke(args: RevokeArgs) -> Result<(), Failure> {
    let shown = token(args.token.is_some(), args.token_file.as_deref())?;
    let body = object([
        ("token", shown.map(Value::from)),
        ("claim", args.claim.map(Value::from)),
        ("value", args.value.map(Value::from)),
        ("issuer", args.issuer.map(Value::from)),
        ("issued_before", args.issued_before.map(|time| json!(time))),
        ("expires_at", args.expires_at.map(|time| json!(time))),
        ("reason", args.reason.map(Value::from)),
    ]);
    let mut client = Client::connect(&args.reach).await?;
    let target = query(ROOT, &waiting(&args.wait));
    let (status, record) = client.send_json(Method::POST, &target, &body).await?;
    show(&args.reach, &record, |record| told("revoked", record))?;
    confirmed(status, &record)
}

/// `portcullis reinstate`.
pub(super) async fn reinstate(args: ReinstateArgs) -> Result<(), Failure> {
    let parameters = [
        ("claim", Some(args.claim.as_str())),
        ("value", Some(args.value.as_str())),
        ("issuer", args.issuer.as_deref()),
        ("reason", args.reason.as_deref()),
    ];
    let parameters = [&parameters[..], &waiting(&args.wait)].concat();
    let mut client = Client::connect(&args.reach).await?;
    let (status, record) = client.ask(Method::DELETE, &query(ROOT, &parameters)).await?;
    show(&args.reach, &record, |record| told("reinstated", record))?;
    confirmed(status, &record)
}

/// `portcullis list`.
pub(super) async fn list(args: ListArgs) -> Result<(), Failure> {
    let limit = args.limit.to_string();
    let parameters = [
        ("claim", args.claim.as_deref()),
        ("value", args.value.as_deref()),
        ("issuer", args.issuer.as_deref()),
        ("limit", Some(limit.as_str())),
        ("after", args.after.as_deref()),
    ];
    let mut client = Client::connect(&args.reach).await?;
    let answer = client.call(Method::GET, &query(ROOT, &parameters)).await?;
    show(&args.reach, &answer, entries)
}

/// `portcullis status`.
pub(super) async fn status(reach: Reach) -> Result<(), Failure> {
    let status = Client::connect(&reach).await?.call(Method::GET, "/v1/status").await?;
    show(&reach, &status, outline)
}

/// `portcullis nodes`.
pub(super) async fn nodes(reach: Reach) -> Result<(), Failure> {
    let nodes = Client::connect(&reach).await?.call(Method::GET, "/v1/nodes").await?;
    show(&reach, &nodes, gateways)
}

/// `portcullis reload`.
pub(super) async fn reload(reach: Reach) -> Result<(), Failure> {
    let report = Client::connect(&reach).await?.call(Method::POST, "/v1/reload").await?;
    show(&reach, &report, outline)
}

/// The answer as it came, or in words.
pub(super) fn show(
    reach: &Reach,
    answer: &Value,
    words: impl Fn(&Value) -> String,
) -> Result<(), Failure> {
    if reach.json {
        return wrote(writeln!(raw(), "{answer}"));
    }
    wrote(out().write_all(words(answer).as_bytes()))
}

/// The parameters of a call that waits.
pub(super) fn waiting(args: &WaitArgs) -> [(&'static str, Option<&str>); 2] {
    [("wait", args.wait.as_deref()), ("timeout", args.timeout.as_deref())]
}

/// A failure when it was recorded, and not confirmed as far as was asked.
pub(super) fn confirmed(status: StatusCode, answer: &Value) -> Result<(), Failure> {
    if status != StatusCode::ACCEPTED {
        return Ok(());
    }
    let nodes = &answer["nodes"];
    let mut text = "it is recorded, and not confirmed as far as you asked".to_owned();
    for (what, part) in [("confirmed", &nodes["confirmed"]), ("missing", &nodes["missing"])] {
        text += &format!("\n{what}: {}", names(part));
    }
    if nodes["problem"].is_string() {
        text += &format!("\n{}", scalar(&nodes["problem"]));
    }
    Err(Failure::Failed(anyhow!(text)))
}

fn names(nodes: &Value) -> String {
    let names: Vec<_> = items(nodes).iter().map(|node| scalar(&node["name"])).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

fn gateways(nodes: &Value) -> String {
    let seconds = |value: &Value| value.as_f64().map_or("-".into(), |age| format!("{age:.1} s"));
    page(nodes, &["", "name", "id", "cursor", "stale for", "seen"], |item| {
        let mark = if item["this"] == true { "*" } else { "" };
        let [name, id, cursor] = ["name", "id", "cursor"].map(|name| scalar(&item[name]));
        let ages = ["staleness_seconds", "last_seen_seconds"].map(|name| seconds(&item[name]));
        [&[mark.to_owned(), name, id, cursor][..], &ages].concat()
    })
}

fn told(what: &str, record: &Value) -> String {
    let [claim, value, issuer] = ["claim", "value", "issuer"].map(|name| scalar(&record[name]));
    let cut_off = match date(&record["issued_before"]) {
        none if none.is_empty() => none,
        date => format!(" issued up to {date}"),
    };
    let until = date(&record["expires_at"]);
    let mut text = format!("{what}: {claim} {value} of {issuer}{cut_off}, kept until {until}\n");
    let nodes = &record["nodes"]["confirmed"];
    if items(nodes).len() > 1 {
        text += &format!("in force on: {}\n", names(nodes));
    }
    text
}

/// A page of entries.
pub(super) fn entries(entries: &Value) -> String {
    let heads = ["claim", "value", "issuer", "issued up to", "kept until", "by", "reason"];
    page(entries, &heads, |item| {
        let texts = ["claim", "value", "issuer"].map(|name| scalar(&item[name]));
        let dates = ["issued_before", "expires_at"].map(|name| date(&item[name]));
        let notes = ["actor", "reason"].map(|name| scalar(&item[name]));
        [&texts[..], &dates, &notes].concat()
    })
}

/// The token of `--token -` or `--token-file`.
pub(super) fn token(piped: bool, file: Option<&Path>) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    if let Some(path) = file {
        let named = || path.display().to_string();
        let file = std::fs::File::open(path).with_context(named)?;
        file.take(MAX_TOKEN).read_to_string(&mut text).with_context(named)?;
    } else if piped {
        std::io::stdin()
            .lock()
            .take(MAX_TOKEN)
            .read_to_string(&mut text)
            .context("standard input")?;
    } else {
        return Ok(None);
    }
    match text.trim() {
        "" => Err(Failure::Usage("there is no token in the input".into())),
        token => Ok(Some(token.to_owned())),
    }
}
