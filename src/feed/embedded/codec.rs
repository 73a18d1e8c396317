//! A live entry's bytes. Binary, because ten million of them are read at every start.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::UnixTime;
use crate::revocation::{Name, Revocation};

const VERSION: u8 = 1;

/// Reads bytes from the front; `None` when there are too few.
struct Reader<'a>(&'a [u8]);

/// The value under which an entry is kept; its name is the key.
pub(in crate::feed) fn encode(entry: &Revocation) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48);
    write(&mut bytes, entry);
    bytes
}

/// The same, at a buffer's end.
pub(in crate::feed) fn write(bytes: &mut Vec<u8>, entry: &Revocation) {
    bytes.push(VERSION);
    bytes.extend_from_slice(entry.id.as_bytes());
    bytes.extend_from_slice(&entry.expires_at.as_secs().to_le_bytes());
    bytes.extend_from_slice(&entry.at.as_secs().to_le_bytes());
    let flags = u8::from(entry.issued_before.is_some())
        | u8::from(entry.actor.is_some()) << 1
        | u8::from(entry.reason.is_some()) << 2
        | u8::from(entry.token.is_some()) << 3;
    bytes.push(flags);
    if let Some(cutoff) = entry.issued_before {
        bytes.extend_from_slice(&cutoff.as_secs().to_le_bytes());
    }
    for text in [&entry.actor, &entry.reason].into_iter().flatten() {
        put(bytes, text.as_bytes());
    }
    if let Some(token) = &entry.token {
        let json = serde_json::to_vec(token);
        put(bytes, &json.expect("a struct of texts and numbers always has a JSON form"));
    }
}

/// Reads an entry; `None` when the bytes are not one.
pub(in crate::feed) fn decode(name: Name, bytes: &[u8]) -> Option<Revocation> {
    read(name, bytes, &mut None)
}

/// The same of many: an actor that is the last one again is shared.
pub(super) fn read(
    name: Name,
    bytes: &[u8],
    last_actor: &mut Option<Arc<str>>,
) -> Option<Revocation> {
    let mut reader = Reader(bytes);
    if reader.take::<1>()? != [VERSION] {
        return None;
    }
    let id = Uuid::from_bytes(reader.take()?);
    let expires_at = reader.time()?;
    let at = reader.time()?;
    let [flags] = reader.take()?;
    let issued_before = if flags & 1 == 0 { None } else { Some(reader.time()?) };
    let actor = if flags & 2 == 0 { None } else { Some(reader.text()?) };
    let actor = actor.map(|actor| same_or_new(last_actor, actor));
    let reason = if flags & 4 == 0 { None } else { Some(reader.text()?.into()) };
    let token = if flags & 8 == 0 { None } else { Some(reader.bytes()?) };
    let token = token.map(serde_json::from_slice).transpose().ok()?;
    let (op, sound) = (name.op(), flags < 16 && reader.0.is_empty());
    sound.then_some(Revocation {
        id,
        op,
        name,
        issued_before,
        expires_at,
        at,
        actor,
        reason,
        token,
    })
}

/// The wire format bounds every text far below what a length can say.
fn put(bytes: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&text[..usize::from(length)]);
}

/// When the entry expires, without reading the rest.
pub(in crate::feed) fn expires_at(bytes: &[u8]) -> Option<UnixTime> {
    let mut reader = Reader(bytes);
    let _: [u8; 17] = reader.take()?;
    reader.time()
}

/// The text, shared with the last one when it is the same.
pub(super) fn same_or_new(last: &mut Option<Arc<str>>, text: &str) -> Arc<str> {
    match last {
        Some(last) if **last == *text => Arc::clone(last),
        _ => Arc::clone(last.insert(text.into())),
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    fn time(&mut self) -> Option<UnixTime> {
        Some(UnixTime::from_secs(u64::from_le_bytes(self.take()?)))
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(u16::from_le_bytes(self.take()?));
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(front)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::{Op, TokenDetails};

    fn entry(cutoff: Option<u64>, actor: Option<&str>, reason: Option<&str>) -> Revocation {
        Revocation {
            id: Uuid::now_v7(),
            op: Op::Revoke,
            name: Name { issuer: "i".into(), claim: "jti".into(), value: "x".into() },
            issued_before: cutoff.map(UnixTime::from_secs),
            expires_at: UnixTime::from_secs(77),
            at: UnixTime::from_secs(7),
            actor: actor.map(Into::into),
            reason: reason.map(Into::into),
            token: None,
        }
    }

    #[test]
    fn every_shape_of_entry_comes_back() {
        for cutoff in [None, Some(0), Some(u64::MAX)] {
            for actor in [None, Some(""), Some("ops")] {
                for reason in [None, Some("stolen"), Some("ü")] {
                    let entry = entry(cutoff, actor, reason);
                    let bytes = encode(&entry);
                    assert_eq!(expires_at(&bytes), Some(entry.expires_at));
                    assert_eq!(decode(entry.name.clone(), &bytes), Some(entry));
                }
            }
        }
    }

    fn registered() -> Revocation {
        let details = TokenDetails {
            subject: Some("u".into()),
            last_seen: Some(UnixTime::from_secs(9)),
            claims: vec![("sid".into(), "s".into())],
            ..TokenDetails::default()
        };
        Revocation {
            op: Op::Register,
            name: Name::registered("i".into(), "x".into()),
            token: Some(Arc::new(details)),
            ..entry(None, Some("ops"), None)
        }
    }

    #[test]
    fn a_registered_token_comes_back_with_its_details() {
        let entry = registered();
        let mut bytes = encode(&entry);
        assert_eq!(decode(entry.name.clone(), &bytes), Some(entry.clone()));
        for end in 0..bytes.len() {
            assert_eq!(decode(entry.name.clone(), &bytes[..end]), None, "cut at {end}");
        }
        bytes.push(0);
        assert_eq!(decode(entry.name, &bytes), None);
    }

    #[test]
    fn bytes_that_are_cut_or_too_long_are_no_entry() {
        let entry = entry(Some(5), Some("ops"), Some("stolen"));
        let mut bytes = encode(&entry);
        for end in 0..bytes.len() {
            assert_eq!(decode(entry.name.clone(), &bytes[..end]), None, "cut at {end}");
        }
        bytes.push(0);
        assert_eq!(decode(entry.name, &bytes), None);
    }
}
