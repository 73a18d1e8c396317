//! Which subject says what, and how a name becomes one.

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use crate::revocation::{Cursor, Name};

/// What a subject is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'s> {
    /// What the nodes say about the name of this digest.
    Entry(&'s str),
    /// A revocation by an application; the subject's last part.
    App(&'s str),
    /// The store's memory.
    Epoch,
    /// Which tombstones are gone.
    Sweep,
    /// None of ours.
    Unknown,
}

/// Hex digits of a digest: 160 bits, so that nobody finds two names of one subject.
const DIGITS: usize = 40;

/// Every subject of the stream.
pub(super) fn all(stream: &str) -> Vec<String> {
    vec![entries(stream), apps(stream), epoch(stream), sweep(stream)]
}

/// What the nodes say.
pub(super) fn entries(stream: &str) -> String {
    format!("{stream}.entry.*")
}

/// What applications say.
pub(super) fn apps(stream: &str) -> String {
    format!("{stream}.app.>")
}

/// The store's memory.
pub(super) fn epoch(stream: &str) -> String {
    format!("{stream}.meta.epoch")
}

/// Which tombstones are gone.
pub(super) fn sweep(stream: &str) -> String {
    format!("{stream}.meta.sweep")
}

/// The one subject for what the nodes say about a name.
pub(super) fn entry(stream: &str, name: &Name) -> String {
    format!("{stream}.entry.{}", digest_of(name))
}

/// The first 40 hex digits of the SHA-256 of issuer, claim and value with a NUL in between, which
/// none of them may hold.
pub(super) fn digest_of(name: &Name) -> String {
    use std::fmt::Write as _;
    let text = [&*name.issuer, &*name.claim, &*name.value].join("\0");
    let mut digits = String::with_capacity(DIGITS);
    for byte in &digest(&SHA256, text.as_bytes()).as_ref()[..DIGITS / 2] {
        write!(digits, "{byte:02x}").expect("a String takes everything");
    }
    digits
}

/// What a subject of this stream is for.
pub(super) fn place<'s>(stream: &str, subject: &'s str) -> Place<'s> {
    let Some(rest) = subject.strip_prefix(stream).and_then(|rest| rest.strip_prefix('.')) else {
        return Place::Unknown;
    };
    match rest.split_once('.') {
        Some(("entry", digest)) => Place::Entry(digest),
        Some(("app", rest)) => Place::App(rest.rsplit('.').next().unwrap_or(rest)),
        Some(("meta", "epoch")) => Place::Epoch,
        Some(("meta", "sweep")) => Place::Sweep,
        _ => Place::Unknown,
    }
}

/// Whether the last part of an application's subject is the record's id, so that no two records
/// can come to share a subject.
pub(super) fn is_own(last: &str, id: Uuid) -> bool {
    last.parse() == Ok(id)
}

/// The cursor of a sequence; compares like it.
pub(super) fn cursor(sequence: u64) -> Cursor {
    Cursor::new(&format!("{sequence:020}"))
}

/// The last sequence that a cursor of ours has behind it.
pub(super) fn sequence(cursor: &Cursor) -> Option<u64> {
    cursor.as_str().trim_end_matches('~').parse().ok()
}

/// After everything before the sequence, and before it.
pub(super) fn just_before(sequence: u64) -> Cursor {
    Cursor::new(&format!("{:020}~", sequence.saturating_sub(1)))
}
