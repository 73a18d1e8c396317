//! `docs/control.md` says what the code does: every call with its role, every code with its status.

use std::collections::BTreeSet;

use crate::control::calls::role_name;
use crate::control::error::every_kind;
use crate::control::{CALLS, Needs};

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/control.md"));

/// The first two cells of every table row whose first cell begins with `begins`, without backquotes.
fn rows(begins: fn(&str) -> bool) -> BTreeSet<(String, String)> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().replace('`', ""));
        let (first, second) = (cells.next()?, cells.next()?);
        begins(&first).then_some((first, second))
    })
    .collect()
}

#[test]
fn the_document_has_every_call_with_its_role_and_no_other() {
    let in_code: BTreeSet<(String, String)> = CALLS
        .iter()
        .map(|call| {
            let role = match call.needs {
                Needs::Nothing => "none",
                Needs::Role(role) => role_name(role),
            };
            (format!("{} {}", call.method, call.path), role.to_owned())
        })
        .collect();
    let is_call =
        |cell: &str| ["GET /", "POST /", "PUT /", "DELETE /"].iter().any(|m| cell.starts_with(m));
    assert_eq!(rows(is_call), in_code);
}

#[test]
fn the_document_has_every_code_with_its_status_and_no_other() {
    let in_code: BTreeSet<(String, String)> = every_kind()
        .iter()
        .map(|error| {
            let (status, code) = error.kind();
            (code.to_owned(), status.as_str().to_owned())
        })
        .collect();
    let is_code =
        |cell: &str| !cell.is_empty() && cell.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let documented: BTreeSet<_> = rows(is_code)
        .into_iter()
        .filter(|(_, status)| status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    assert_eq!(documented, in_code);
}
