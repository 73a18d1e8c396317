//! The documents, held against the code: every code, reason, metric and endpoint is in `docs/`, and
//! nothing is there that is not in the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use portcullis::reject::{Code, REASONS};
use portcullis::self_service::{Done, Endpoint};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Cells of the table's rows that begin with a word in backquotes.
fn rows(text: &str) -> Vec<Vec<String>> {
    let row = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).skip(1).collect();
    text.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

fn quoted(cell: &str) -> impl Iterator<Item = String> + '_ {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[test]
fn every_code_is_documented_with_its_status_and_what_follows_from_it() {
    let text = document("docs/errors.md");
    let table = text.split("## Outcomes").next().expect("the table");
    let rows = rows(table);
    assert_eq!(rows.len(), Code::ALL.len(), "as many rows as codes");
    for code in Code::ALL {
        let name = format!("`{}`", code.as_str());
        let row = rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no row {name}"));
        assert_eq!(row[1], code.status().as_str(), "{name}");
        assert_eq!(row[3].contains("closes"), code.closes(), "{name}");
        assert_eq!(row[3].contains("Retry-After"), code.retry_after().is_some(), "{name}");
    }
}

#[test]
fn every_reason_is_documented_and_no_other() {
    let text = document("docs/errors.md");
    let table = text.split("## Outcomes").next().expect("the table");
    let documented: BTreeSet<String> =
        rows(table).iter().flat_map(|row| quoted(&row[4]).collect::<Vec<_>>()).collect();
    let real: BTreeSet<String> = REASONS.iter().map(|reason| (*reason).to_owned()).collect();
    assert_eq!(documented, real);
}

#[test]
fn every_metric_is_documented_and_no_other() {
    // A family without a series is not in the exposition, so the registrations are read instead.
    let source = document("src/observe/metrics.rs");
    let registered = source.split("registry.register(").skip(1);
    let named = |rest: &str| rest.split('"').nth(1).map(|name| format!("portcullis_{name}"));
    let real: BTreeSet<String> = registered.filter_map(named).collect();
    let documented: BTreeSet<String> = rows(&document("docs/metrics.md"))
        .iter()
        .filter_map(|row| quoted(&row[0]).next())
        .map(|name| name.trim_end_matches("_total").to_owned())
        .collect();
    assert_eq!(documented, real);
    assert!(real.len() > 20, "{real:?}");
}

/// The name in `,"name":"`, as it stands in a literal.
fn member(literal: &str) -> Option<&str> {
    literal.strip_prefix([',', '{'])?.strip_prefix("\\\"")?.split("\\\"").next()
}

#[test]
fn every_member_of_the_access_log_is_documented_in_its_order() {
    let source = document("src/observe/access_log/line.rs");
    let written = source.split("#[cfg(test)]").next().expect("what writes it");
    let written: Vec<&str> = written.split("b\"").filter_map(member).collect();
    let text = document("docs/errors.md");
    let (_, log) = text.split_once("## The access log").expect("the access log");
    let documented: Vec<String> =
        rows(log).iter().flat_map(|row| quoted(&row[0]).collect::<Vec<_>>()).collect();
    assert_eq!(documented, written);
    assert!(written.len() > 10, "{written:?}");
}

#[test]
fn every_self_service_call_is_documented_with_its_methods_and_its_word_in_the_log() {
    let text = document("docs/self-service.md");
    let (_, calls) = text.split_once("## Calls").expect("the calls");
    let rows = rows(calls.split("## A browser").next().expect("the table"));
    let id: std::sync::Arc<str> = "{jti}".into();
    let endpoints = [
        ("/logout", Endpoint::Logout, vec![Done::LoggedOut, Done::LoggedOutEverywhere]),
        ("/tokens", Endpoint::Tokens, vec![Done::Listed(Vec::new())]),
        (
            "/tokens/{jti}",
            Endpoint::Token(id.clone()),
            vec![Done::Revoked(id.clone()), Done::Reinstated(id)],
        ),
    ];
    assert_eq!(rows.len(), endpoints.len(), "as many rows as calls");
    let outcomes = document("docs/errors.md");
    for (path, endpoint, done) in endpoints {
        assert_eq!(Endpoint::at(path), Some(endpoint.clone()));
        let call = format!("`{} /auth{path}`", endpoint.allow());
        let row = rows.iter().find(|row| row[0] == call).unwrap_or_else(|| panic!("no row {call}"));
        let words: Vec<&str> = done.iter().map(Done::word).collect();
        assert_eq!(quoted(&row[3]).collect::<Vec<_>>(), words, "{call}");
        assert!(words.iter().all(|word| outcomes.contains(&format!("`{word}`"))), "{call}");
    }
}
