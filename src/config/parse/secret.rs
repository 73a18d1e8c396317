//! Secrets: named by an environment variable or a file, never written in the configuration, and never
//! absent without a word (security.md B41).

use std::io::{ErrorKind, Read as _};
use std::os::unix::ffi::OsStringExt as _;

use crate::config::raw::Node;
use crate::secret::Secret;

/// A file longer than this is no secret but a mistake.
const LONGEST: u64 = 64 << 10;

/// Resolves a secret of at least so many bytes; `why` says who asks for that many.
pub(super) fn secret(node: &Node<'_>, least: usize, why: &str) -> Option<Secret> {
    if !node.is_table() {
        node.hide();
        let problem = "a secret is never written in this file";
        return node.wrong_but(problem, "{ env = \"NAME\" } or { file = \"path\" }");
    }
    let table = node.table()?;
    let bytes = match (table.has("env"), table.has("file")) {
        (true, false) => table.read("env", variable)?,
        (false, true) => table.read("file", file)?,
        _ => return node.wrong("expected either `env` or `file`"),
    };
    if bytes.is_empty() {
        return node.wrong("the secret is empty");
    }
    if bytes.len() < least {
        return node.wrong(format!("the secret has {} bytes; {why}", bytes.len()));
    }
    Some(Secret::new(bytes))
}

/// Whether both keys name the same place, so that two credentials would be one.
pub(super) fn same(one: &Secret, other: &Secret) -> bool {
    one.expose() == other.expose()
}

fn variable(node: &Node<'_>) -> Option<Vec<u8>> {
    let name = node.text()?;
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !name.bytes().all(sound) || name.starts_with(|c: char| c.is_ascii_digit()) {
        // It may be the secret itself.
        node.hide();
        return node.wrong("expected the name of an environment variable");
    }
    let Some(value) = node.source().environment(name) else {
        return node.wrong(format!("the environment variable {name} is not set"));
    };
    Some(value.into_vec())
}

fn file(node: &Node<'_>) -> Option<Vec<u8>> {
    let path = node.file()?;
    let mut bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(problem) => return node.wrong(format!("can't be read: {problem}")),
    };
    if bytes.ends_with(b"\n") {
        bytes.truncate(bytes.len() - if bytes.ends_with(b"\r\n") { 2 } else { 1 });
    }
    Some(bytes)
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    // A pipe or device would be waited for.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err("it is longer than 64 KiB".to_owned());
    }
    Ok(bytes)
}
