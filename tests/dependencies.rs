//! What may be in the graph: licences, sources, one crypto library, and the floors that advisories set.

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;

/// Licences that may be combined with Apache-2.0.
const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not be in the graph, and why.
const BANNED: &[(&str, &str)] = &[
    ("ring", "a second crypto library: two rustls providers panic at the first handshake"),
    ("openssl-sys", "a second TLS library"),
    ("rsa", "RUSTSEC-2023-0071"),
    ("rustls-pemfile", "unmaintained"),
    ("async-std", "unmaintained"),
];

/// The oldest version without a known hole (major, minor, patch).
const FLOORS: &[(&str, (u64, u64, u64))] = &[
    ("h2", (0, 4, 18)),
    ("hyper", (1, 11, 0)),
    ("jsonwebtoken", (10, 3, 0)),
    ("redb", (4, 5, 0)),
    ("rustls", (0, 23, 18)),
    ("tokio", (1, 44, 2)),
];

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What is built on this machine; `metadata` alone also lists what no feature turns on.
fn packages() -> Vec<Value> {
    let tree = cargo(&["tree", "--locked", "--edges", "all", "--prefix", "none"]);
    let tree = String::from_utf8(tree).expect("UTF-8");
    let built: HashSet<_> =
        tree.lines().filter_map(|line| line.split_once(" v")).map(|(name, _)| name).collect();
    let graph = cargo(&["metadata", "--format-version", "1", "--locked"]);
    let graph: Value = serde_json::from_slice(&graph).expect("JSON");
    let mut packages = graph["packages"].as_array().expect("a list").clone();
    packages.retain(|package| built.contains(text(package, "name")));
    assert!(packages.len() > 50, "only {} packages are built", packages.len());
    packages
}

fn text<'a>(package: &'a Value, member: &str) -> &'a str {
    package[member].as_str().unwrap_or_default()
}

/// `A OR B AND (C)`: every AND-part must offer one allowed licence.
fn is_allowed(expression: &str) -> bool {
    expression
        .replace(['(', ')'], "")
        .replace('/', " OR ")
        .split(" AND ")
        .all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn every_licence_is_one_that_may_be_combined_with_ours() {
    for package in packages() {
        let licence = text(&package, "license");
        assert!(is_allowed(licence), "{}: {licence:?}", text(&package, "name"));
    }
}

#[test]
fn every_crate_comes_from_the_one_registry() {
    for package in packages() {
        let name = text(&package, "name");
        let source = package["source"].as_str();
        let ours = name == "portcullis" && source.is_none();
        let registry = source.is_some_and(|from| from.contains("crates.io-index"));
        assert!(ours || registry, "{name} comes from {source:?}");
    }
}

#[test]
fn banned_crates_are_not_in_the_graph() {
    for package in packages() {
        let name = text(&package, "name");
        let why = BANNED.iter().find(|(banned, _)| *banned == name);
        assert_eq!(why, None, "{name}");
    }
}

#[test]
fn no_crate_is_older_than_its_last_security_fix() {
    for package in packages() {
        let name = text(&package, "name");
        let Some((_, floor)) = FLOORS.iter().find(|(named, _)| *named == name) else { continue };
        let mut parts =
            text(&package, "version").split(['.', '-', '+']).map_while(|n| n.parse().ok());
        let mut next = || parts.next().unwrap_or(0);
        let version = (next(), next(), next());
        assert!(version >= *floor, "{name} {version:?} is below {floor:?}");
    }
}
