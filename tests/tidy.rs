//! The house's rules, executed: layers, file sizes, first lines, banned calls, documents that keep up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by layer; a file may use its own layer only where `NEIGHBOURS` says so.
const LAYERS: &[(u8, &[&str])] = &[
    (6, &["main", "cli", "demo"]),
    (5, &["app", "control"]),
    (4, &["gateway", "snapshot"]),
    (
        3,
        &[
            "listen",
            "forward",
            "feed",
            "reject",
            "callback",
            "token/refresh",
            "revocation/follower",
        ],
    ),
    (2, &["config"]),
    (1, &["request", "route", "token", "revocation", "access", "self_service"]),
    (
        0,
        &[
            "clock", "code", "instant", "peer", "body", "backoff", "deadline", "shutdown",
            "secret", "observe", "outbound",
        ],
    ),
];

/// Same-layer uses that are meant: the left may name the right.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("deadline", "instant"),
    ("main", "cli"),
    ("cli", "demo"),
    ("app", "control"),
    ("gateway", "snapshot"),
    ("reject", "forward"),
    ("reject", "callback"),
    ("revocation", "token"),
    ("access", "token"),
    ("access", "revocation"),
    ("control", "app"),
    ("self_service", "revocation"),
];

/// Calls that have no place in the tree, and the one file each may be in.
const BANNED: &[(&str, &str)] = &[
    ("todo!(", ""),
    ("unimplemented!(", ""),
    ("dbg!(", ""),
    ("#[ignore", ""),
    ("TODO", ""),
    ("FIXME", ""),
    ("SystemTime::now", "src/clock.rs"),
    ("thread::sleep", ""),
];

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md")
}

/// The text of one section of ARCHITECTURE.md.
fn section<'a>(document: &'a str, title: &str) -> &'a str {
    let (_, text) = document.split_once(&format!("## {title}\n")).expect("the section");
    text.split("\n## ").next().expect("its text")
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folders: &[&str]) -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("UTF-8"));
            }
        }
    }
    let mut found = BTreeMap::new();
    for folder in folders {
        walk(&root().join(folder), &mut found);
    }
    assert!(!found.is_empty(), "no Rust files below {folders:?}");
    found
}

/// `src/token/refresh.rs` is room `token`, and `token/refresh` where the table names it.
fn room_and_layer(file: &str) -> (String, u8) {
    let place = file.strip_prefix("src/").expect("a source file").trim_end_matches(".rs");
    let room = place.split('/').next().expect("a first part");
    let named = |wanted: &str| {
        LAYERS.iter().find(|(_, rooms)| rooms.contains(&wanted)).map(|(layer, _)| *layer)
    };
    let mut parts: Vec<&str> = place.split('/').collect();
    while parts.len() > 1 {
        if let Some(layer) = named(&parts.join("/")) {
            return (room.to_owned(), layer);
        }
        parts.pop();
    }
    (room.to_owned(), named(room).unwrap_or_else(|| panic!("{file}: its room is in no layer")))
}

/// Sources that are built, without the modules that only tests have.
fn program_files() -> BTreeMap<String, String> {
    let mut files = rust_files(&["src"]);
    let mut test_modules = Vec::new();
    for (file, text) in &files {
        let home = file.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("/lib");
        for rest in text.split("#[cfg(test)]\n").skip(1) {
            let rest = rest.split_once("mod ").map_or("", |(_, rest)| rest);
            let name = rest.split([';', ' ']).next().unwrap_or_default();
            test_modules.push(format!("{home}/{name}.rs"));
            test_modules.push(format!("{home}/{name}/"));
        }
    }
    files.retain(|file, _| !test_modules.iter().any(|module| file.starts_with(&**module)));
    files
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().expect("a first part")
}

fn rooms_named(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("crate::").map(|(at, word)| {
        let rest = &text[at + word.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn every_file_says_in_its_first_line_what_it_is_for() {
    for (file, text) in rust_files(&["src", "tests", "benches"]) {
        assert!(text.starts_with("//! "), "{file} does not begin with //!");
    }
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    for (file, text) in rust_files(&["src", "tests", "benches"]) {
        let lines = text.lines().count();
        assert!(lines <= 400, "{file} has {lines} lines");
    }
}

#[test]
fn arrows_between_rooms_point_down() {
    for (file, text) in program_files() {
        if file == "src/lib.rs" {
            continue;
        }
        let (room, layer) = room_and_layer(&file);
        for used in rooms_named(without_tests(&text)) {
            let Some(below) =
                LAYERS.iter().find(|(_, rooms)| rooms.contains(&used)).map(|(layer, _)| *layer)
            else {
                continue;
            };
            let meant = NEIGHBOURS.contains(&(&*room, used));
            let fine = room == used || below < layer || (below == layer && meant);
            assert!(fine, "{file} (layer {layer}) names {used} (layer {below})");
        }
    }
}

#[test]
fn banned_calls_are_nowhere() {
    for (file, text) in rust_files(&["src", "tests", "benches"]) {
        if file == "tests/tidy.rs" {
            continue;
        }
        for (word, home) in BANNED {
            assert!(!text.contains(word) || file == *home, "{file} has {word}");
        }
        let waits = text.contains("time::sleep(") && file.starts_with("tests/");
        let home = file.ends_with("support/eventually.rs");
        assert!(!waits || home, "{file} sleeps: wait for the condition with `eventually`");
    }
}

#[test]
fn sources_are_ascii_but_for_named_signs() {
    for (file, text) in program_files() {
        let odd = without_tests(&text)
            .chars()
            .find(|c| !c.is_ascii() && !"§µ→≥≤×—–…“”’é²³·".contains(*c));
        assert_eq!(odd, None, "{file}");
    }
}

#[test]
fn every_invariant_of_the_architecture_names_a_test_that_exists() {
    let document = architecture();
    let code: String = rust_files(&["src", "tests"]).into_values().collect();
    let mut named = 0;
    let words = quoted(section(&document, "Invariants"));
    for test in words.filter(|word| word.contains('_') && !word.contains(':')) {
        assert!(code.contains(&format!("fn {test}")), "ARCHITECTURE.md names the test {test}");
        named += 1;
    }
    assert!(named >= 10, "only {named} tests are named");
}

#[test]
fn the_architecture_s_layers_are_the_enforced_ones() {
    let document = architecture();
    let rows = section(&document, "Rooms and layers").lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let layer: u8 = cells.next()?.parse().ok()?;
        Some((layer, cells.next()?))
    });
    let told: BTreeMap<u8, Vec<String>> = rows
        .map(|(layer, rooms)| (layer, quoted(rooms).map(|room| room.replace("::", "/")).collect()))
        .collect();
    let real: BTreeMap<u8, Vec<String>> = LAYERS
        .iter()
        .map(|(layer, rooms)| (*layer, rooms.iter().map(|&room| room.to_owned()).collect()))
        .collect();
    assert_eq!(told, real);
}

#[test]
fn every_file_that_the_architecture_names_is_there() {
    let document = architecture();
    let mut named = 0;
    for word in quoted(&document.replace("```", "")) {
        if !word.contains('/') || word.contains(' ') {
            continue;
        }
        let places = [format!("src/{word}"), format!("src/{word}.rs"), word.to_owned()];
        let there = places.iter().any(|place| root().join(place).exists());
        assert!(there, "ARCHITECTURE.md names {word}");
        named += 1;
    }
    assert!(named >= 40, "only {named} files are named");
}
