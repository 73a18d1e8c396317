//! A record as key and body: keys compare as names do.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::revocation::{Name, Op, Revocation};

use super::block::Unsound;
use super::codec;

/// Reads records; shares the texts that follow each other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The last key up to its value, and what it says.
    prefix: Vec<u8>,
    issuer: Option<Arc<str>>,
    claim: Option<Arc<str>>,
    actor: Option<Arc<str>>,
}

/// Between a key's parts. No name holds a NUL (`wire::check`), and none sorts before it.
const BETWEEN: u8 = 0;
/// A body's first byte: the rest is an entry, or what took one away.
const ENTRY: u8 = 0;
const REINSTATES: u8 = 1;

/// A name's key.
pub(super) fn key(issuer: &str, claim: &str, value: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(issuer.len() + claim.len() + value.len() + 2);
    write_key(&mut key, issuer, claim, value);
    key
}

/// The record's key, into a buffer that is used again.
pub(super) fn write_key(key: &mut Vec<u8>, issuer: &str, claim: &str, value: &str) {
    key.clear();
    key.extend_from_slice(issuer.as_bytes());
    key.push(BETWEEN);
    key.extend_from_slice(claim.as_bytes());
    key.push(BETWEEN);
    key.extend_from_slice(value.as_bytes());
}

/// What is kept under the key, into a buffer that is used again.
pub(super) fn write_body(body: &mut Vec<u8>, record: &Revocation) {
    body.clear();
    body.push(if record.op == Op::Reinstate { REINSTATES } else { ENTRY });
    codec::write(body, record);
}

/// The same of an entry as the first format kept it.
pub(super) fn write_old_body(body: &mut Vec<u8>, entry: &[u8]) {
    body.clear();
    body.push(ENTRY);
    body.extend_from_slice(entry);
}

/// Whether the body takes its name's entry away.
pub(super) fn reinstates(body: &[u8]) -> bool {
    body.first() == Some(&REINSTATES)
}

/// When an entry expires, without reading the rest.
pub(super) fn expires_at(body: &[u8]) -> Result<UnixTime, Unsound> {
    codec::expires_at(body.get(1..).unwrap_or_default()).ok_or(Unsound)
}

/// What becomes of an entry when a record of the same name follows it.
pub(super) fn followed_by(key: &[u8], entry: &[u8], later: &[u8]) -> Result<Vec<u8>, Unsound> {
    let mut texts = Texts::default();
    let merged = texts.read(key, entry)?.followed_by(texts.read(key, later)?);
    let mut body = Vec::new();
    write_body(&mut body, &merged);
    Ok(body)
}

// === impl Texts ===

impl Texts {
    pub(super) fn read(&mut self, key: &[u8], body: &[u8]) -> Result<Revocation, Unsound> {
        let name = self.name(key).ok_or(Unsound)?;
        let (kind, entry) = body.split_first().ok_or(Unsound)?;
        let record = codec::read(name, entry, &mut self.actor).ok_or(Unsound)?;
        match *kind {
            ENTRY => Ok(record),
            REINSTATES => Ok(Revocation { op: Op::Reinstate, ..record }),
            _ => Err(Unsound),
        }
    }

    fn name(&mut self, key: &[u8]) -> Option<Name> {
        let (issuer, claim, value) =
            match (key.strip_prefix(&*self.prefix), &self.issuer, &self.claim) {
                (Some(value), Some(issuer), Some(claim)) => {
                    (Arc::clone(issuer), Arc::clone(claim), std::str::from_utf8(value).ok()?)
                }
                _ => {
                    let mut parts = std::str::from_utf8(key).ok()?.splitn(3, char::from(BETWEEN));
                    let (issuer, claim, value) = (parts.next()?, parts.next()?, parts.next()?);
                    let issuer = codec::same_or_new(&mut self.issuer, issuer);
                    let claim = codec::same_or_new(&mut self.claim, claim);
                    self.prefix.clear();
                    self.prefix.extend_from_slice(&key[..key.len() - value.len()]);
                    (issuer, claim, value)
                }
            };
        // A name has three parts.
        let sound = !value.as_bytes().contains(&BETWEEN);
        sound.then(|| Name { issuer, claim, value: value.into() })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn record(op: Op, name: [&str; 3]) -> Revocation {
        let [issuer, claim, value] = name.map(Into::into);
        Revocation {
            token: None,
            id: Uuid::now_v7(),
            op,
            name: Name { issuer, claim, value },
            issued_before: None,
            expires_at: UnixTime::from_secs(77),
            at: UnixTime::from_secs(7),
            actor: Some("ops".into()),
            reason: None,
        }
    }

    #[test]
    fn a_record_comes_back_with_what_it_does() {
        for op in [Op::Revoke, Op::Reinstate] {
            let record = record(op, ["https://issuer/", "jti", ""]);
            let name = &record.name;
            let key = key(&name.issuer, &name.claim, &name.value);
            let mut body = b"what was there before".to_vec();
            write_body(&mut body, &record);
            assert_eq!(reinstates(&body), op == Op::Reinstate);
            assert_eq!(expires_at(&body), Ok(record.expires_at));
            assert_eq!(Texts::default().read(&key, &body), Ok(record));
        }
    }

    #[test]
    fn keys_compare_as_names_do() {
        let names = [
            ["a", "b", ""],
            ["a", "b", "\u{1}"],
            ["a", "b", "c"],
            ["a", "b\u{1}", ""],
            ["a", "bb", "a"],
            ["a\u{1}", "a", "a"],
            ["aa", "a", "a"],
            ["b", "a", "\u{10ffff}"],
        ];
        for pair in names.windows(2) {
            let [one, other] = [pair[0], pair[1]].map(|[i, c, v]| key(i, c, v));
            assert!(pair[0] < pair[1] && one < other, "{pair:?}");
        }
    }

    #[test]
    fn what_is_no_entry_is_not_read() {
        let record = record(Op::Revoke, ["i", "jti", "x"]);
        let mut body = Vec::new();
        write_body(&mut body, &record);
        let mut texts = Texts::default();
        for key in [&b""[..], b"i\0jti", b"i\0jti\0x\0y", b"i\0jti\0\xff"] {
            assert_eq!(texts.read(key, &body), Err(Unsound), "{key:?}");
        }
        for end in 0..body.len() {
            assert_eq!(texts.read(b"i\0jti\0x", &body[..end]), Err(Unsound), "cut at {end}");
        }
        body[0] = 9;
        assert_eq!(texts.read(b"i\0jti\0x", &body), Err(Unsound));
    }
}
