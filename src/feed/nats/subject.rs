//! Which subject says what, and how a name becomes one.

use aws_lc_rs::digest::{SHA256, digest};
use smallvec::SmallVec;
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
const HEX: &[u8; 16] = b"0123456789abcdef";

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
    digits_of(name).iter().copied().map(char::from).collect()
}

/// Whether that is the name's digest.
pub(super) fn is_digest(digits: &str, name: &Name) -> bool {
    digits.as_bytes() == digits_of(name)
}

fn digits_of(name: &Name) -> [u8; DIGITS] {
    // Many are read at a start: nothing is allocated for one, and nothing formatted.
    let mut text = SmallVec::<[u8; 256]>::new();
    for (part, end) in [(&name.issuer, &b"\0"[..]), (&name.claim, b"\0"), (&name.value, b"")] {
        text.extend_from_slice(part.as_bytes());
        text.extend_from_slice(end);
    }
    let hash = digest(&SHA256, &text);
    let mut digits = [0; DIGITS];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(hash.as_ref()) {
        *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
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
    Cursor::of_number(sequence)
}

/// The last sequence that a cursor of ours has behind it.
pub(super) fn sequence(cursor: &Cursor) -> Option<u64> {
    cursor.as_str().trim_end_matches('~').parse().ok()
}

/// After everything before the sequence, and before it.
pub(super) fn just_before(sequence: u64) -> Cursor {
    Cursor::new(&format!("{:020}~", sequence.saturating_sub(1)))
}
