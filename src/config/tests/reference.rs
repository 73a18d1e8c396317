//! The reference held to the code, and the documentation to the reference.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{EVERY_KEY, SMALLEST, parse};
use crate::config::reference::{Given, KEYS, Key};

/// What must stand around a key for it to be read at all.
fn file_with(key: &Key, value: &str) -> String {
    let below = |table: &str| key.path.strip_prefix(table);
    let smallest =
        |marker: &str, line: String| SMALLEST.replace(marker, &format!("{line}\n{marker}"));
    // A list element's key becomes a list of one table; names of the operator's own become "orders".
    let assignment = |rest: &str| match rest.split_once("[].") {
        Some((list, element)) => format!("{list} = [ {{ {element} = {value} }} ]"),
        None => format!("{} = {value}", rest.replace('*', "sub")),
    };
    if let Some(rest) = below("issuers[].") {
        let name = rest.split('.').next().unwrap_or_default();
        let without: String = SMALLEST
            .split_inclusive('\n')
            .filter(|line| !line.starts_with(&format!("{name} =")))
            .collect();
        without.replacen("[[issuers]]\n", &format!("[[issuers]]\n{}\n", assignment(rest)), 1)
    } else if let Some(rest) = below("routes[].") {
        let without = SMALLEST.split_once("[[routes]]\n").expect("a route");
        let lines = without.1.split_inclusive('\n');
        let lines: String = lines.filter(|line| !line.starts_with(&format!("{rest} ="))).collect();
        format!("{}[[routes]]\n{}\n{lines}", without.0, assignment(rest))
    } else if let Some(rest) = below("upstreams.*.") {
        let line = assignment(rest);
        let text = if rest == "endpoints" {
            SMALLEST.replace("endpoints = [\"http://127.0.0.1:9000\"]\n", "")
        } else {
            SMALLEST.to_owned()
        };
        text.replace("[upstreams.orders]\n", &format!("[upstreams.orders]\n{line}\n"))
    } else if let Some(rest) = below("callbacks.*.") {
        let kind = if rest == "kind" { "" } else { "kind = \"introspection\"\n" };
        let others: String = ["url = \"https://a.example/\"", "client_id = \"a\"", SECRET]
            .iter()
            .filter(|line| !line.starts_with(&format!("{rest} =")))
            .map(|line| format!("{line}\n"))
            .collect();
        format!("{SMALLEST}\n[callbacks.sub]\n{kind}{others}{}\n", assignment(rest))
    } else {
        let (table, rest) = key.path.split_once('.').expect("a table's key");
        smallest("[[issuers]]", format!("[{table}]\n{}\n", assignment(rest)))
    }
}

const SECRET: &str = "client_secret = { env = \"LONG\" }";

/// The key as the operator would see it in a file of [`file_with`].
fn shown(key: &Key) -> String {
    let path = key.path.replace("[]", "[0]").replace("upstreams.*", "upstreams.orders");
    path.replace('*', "sub")
}

#[test]
fn every_key_of_the_reference_is_read() {
    for key in KEYS {
        let errors = parse(&file_with(key, "1979-05-27")).expect_err(key.path);
        let about = errors.iter().find(|error| error.key == shown(key));
        let problem =
            &about.unwrap_or_else(|| panic!("{} is not read: {errors}", key.path)).problem;
        for unread in ["unknown", "missing", "not supported in this version"] {
            assert!(!problem.contains(unread), "{}: {problem}", key.path);
        }
    }
}

#[test]
fn a_default_said_aloud_changes_nothing() {
    let silent = parse(SMALLEST).expect("the smallest file").describe();
    // Any key of its, at its default.
    let asking = Key { path: "callbacks.*.when_down", ..KEYS[0] };
    let asking = parse(&file_with(&asking, "\"reject\"")).expect("a callback").describe();
    for key in KEYS {
        let Given::Default(value) = key.given else { continue };
        // A key of a table that is asked for as a whole, or beside `auth = "none"`, needs more.
        if key.path.contains("health.") || key.path == "issuers[].keys.discovery" {
            continue;
        }
        let said =
            parse(&file_with(key, value)).unwrap_or_else(|errors| panic!("{}: {errors}", key.path));
        let silent = if key.path.starts_with("callbacks.") { &asking } else { &silent };
        assert_eq!(said.describe(), *silent, "{}", key.path);
    }
}

#[test]
fn every_required_key_is_missed() {
    for key in KEYS.iter().filter(|key| key.given == Given::Required) {
        let (table, name) = key.path.rsplit_once('.').expect("a table's key");
        let empty = Key { path: table.trim_end_matches("[]"), ..*key };
        let text = match table {
            "issuers[]" => "[[issuers]]\n".to_owned() + SMALLEST,
            "routes[]" => "[[routes]]\n".to_owned() + SMALLEST,
            "upstreams.*" => "[upstreams.empty]\n".to_owned() + SMALLEST,
            "callbacks.*" => "[callbacks.empty]\n".to_owned() + SMALLEST,
            _ => file_with(&empty, "[ {} ]"),
        };
        let errors = parse(&text).expect_err(key.path);
        let missed = |key: &str| key.ends_with(&format!(".{name}"));
        let found = errors.iter().any(|e| missed(&e.key) && e.problem == "is missing");
        assert!(found, "{}: {errors}", key.path);
    }
}

/// A section of `every_key.toml` in which every value is a date, which no key takes.
fn spoilt(value: &DeValue<'_>, key: &str, keys: &mut Vec<String>) -> String {
    match value {
        DeValue::Table(entries) => {
            let entry = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                let name: &str = name.get_ref();
                let quoted = if name.contains('.') { format!("{name:?}") } else { name.to_owned() };
                let value = spoilt(value.get_ref(), &format!("{key}.{quoted}"), keys);
                format!("{quoted} = {value}")
            };
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        DeValue::Array(elements) => {
            let element = |(index, element): (usize, &Spanned<DeValue<'_>>)| {
                spoilt(element.get_ref(), &format!("{key}[{index}]"), keys)
            };
            let elements: Vec<_> = elements.iter().enumerate().map(element).collect();
            format!("[{}]", elements.join(", "))
        }
        _ => {
            keys.push(key.to_owned());
            "1979-05-27".to_owned()
        }
    }
}

#[test]
fn no_mistake_hides_another() {
    let document = DeTable::parse(EVERY_KEY).expect("TOML");
    for (section, value) in document.get_ref() {
        let (mut keys, section) = (Vec::new(), section.get_ref());
        let text = format!("{section} = {}", spoilt(value.get_ref(), section, &mut keys));
        let errors = parse(&text).expect_err("refused");
        for key in keys {
            assert!(errors.iter().any(|error| error.key == key), "{key} is not blamed: {errors}");
        }
    }
}

#[test]
fn the_file_of_every_key_has_every_key() {
    let document = DeTable::parse(EVERY_KEY).expect("TOML");
    let mut given = Vec::new();
    paths("", &DeValue::Table(document.into_inner()), &mut given);
    for key in KEYS {
        assert!(given.iter().any(|path| path == key.path), "{} is not in every_key.toml", key.path);
    }
}

fn paths(path: &str, value: &DeValue<'_>, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        DeValue::Table(entries) => {
            for (key, value) in entries {
                let tables = [
                    "upstreams",
                    "callbacks",
                    "routes[].forward.claims",
                    "errors",
                    "errors.*.codes",
                ];
                let names = tables.contains(&path);
                let name: &str = if names { "*" } else { key.get_ref() };
                let below =
                    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                paths(&below, value.get_ref(), found);
            }
        }
        DeValue::Array(elements) => {
            for element in elements {
                paths(&format!("{path}[]"), element.get_ref(), found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_documentation_has_every_key_with_its_kind_and_default_and_no_other() {
    let docs = include_str!("../../../docs/configuration.md");
    let rows: Vec<&str> = docs.lines().filter(|line| line.starts_with("| `")).collect();
    for key in KEYS {
        let row = row(key);
        assert!(rows.contains(&&*row), "docs/configuration.md lacks the row\n{row}");
    }
    let known: Vec<String> = KEYS.iter().map(row).collect();
    for row in rows {
        assert!(
            known.iter().any(|known| known == row),
            "docs/configuration.md has a row of no key\n{row}"
        );
    }
}

/// A key's row in the documentation.
fn row(key: &Key) -> String {
    let given = match key.given {
        Given::Required => "required".to_owned(),
        Given::Default(value) => format!("`{value}`"),
        Given::Otherwise(words) => words.to_owned(),
    };
    // A table's own section says which it is.
    let sections = ["issuers[].", "upstreams.*.", "callbacks.*.", "errors.*.", "routes[]."];
    let name = sections.iter().find_map(|section| key.path.strip_prefix(section));
    let name = name.unwrap_or(key.path);
    format!("| `{name}` | {} | {given} | {} |", key.kind, key.meaning)
}

#[test]
fn the_examples_of_the_documentation_are_taken() {
    let docs = [
        include_str!("../../../docs/configuration.md"),
        include_str!("../../../docs/self-service.md"),
    ];
    let docs = docs.concat();
    let examples: Vec<&str> =
        docs.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 6, "{} examples", examples.len());
    for example in examples {
        let sections = |name: &str| example.contains(name);
        let mut text = example.to_owned();
        for (marker, part) in
            ["[[issuers]]", "[upstreams", "[[routes]]"].iter().zip(SMALLEST.split("\n\n"))
        {
            if !sections(marker) {
                text = format!("{text}\n{part}\n");
            }
        }
        let described: Value = parse(&text).unwrap_or_else(|e| panic!("{text}\n{e}")).describe();
        assert!(described["routes"].is_array());
    }
}
