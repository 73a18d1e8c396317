//! Entries of the stream, and members of the sorted set of live ones.

use redis::Value;

use crate::revocation::{Cursor, FeedError, Name, Revocation, wire};

/// An entry's id: milliseconds and a number within them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    milliseconds: u64,
    number: u64,
}

/// One entry of the stream.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) says: Says,
}

/// What an entry says.
#[derive(Debug)]
pub(super) enum Says {
    /// A record.
    Record(Revocation),
    /// Nothing that can be read.
    Undecodable,
    /// The store began this epoch here.
    Epoch(String),
}

/// The field that holds a record's JSON.
const RECORD: &[u8] = b"r";
/// The field that holds an epoch.
const EPOCH: &[u8] = b"e";

// === impl Id ===

impl Id {
    /// Reads `milliseconds-number`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (milliseconds, number) = text.split_once('-')?;
        Some(Self { milliseconds: milliseconds.parse().ok()?, number: number.parse().ok()? })
    }

    /// As Redis writes it.
    pub(super) fn text(self) -> String {
        format!("{}-{}", self.milliseconds, self.number)
    }

    /// As a cursor: all digits, so that text compares as ids do.
    pub(super) fn cursor(self) -> Cursor {
        Cursor::new(&format!("{:020}-{:020}", self.milliseconds, self.number))
    }
}

/// The entries of an `XRANGE`.
pub(super) fn entries(reply: &Value) -> Result<Vec<Entry>, FeedError> {
    let Value::Array(rows) = reply else {
        return if *reply == Value::Nil { Ok(Vec::new()) } else { Err(foreign()) };
    };
    rows.iter().map(|row| entry(row).ok_or_else(foreign)).collect()
}

/// The entries of an `XREAD` of one stream.
pub(super) fn read_entries(reply: &Value) -> Result<Vec<Entry>, FeedError> {
    let Value::Array(streams) = reply else { return entries(reply) };
    match streams.first() {
        Some(Value::Array(pair)) if pair.len() == 2 => entries(&pair[1]),
        _ => Err(foreign()),
    }
}

fn entry(row: &Value) -> Option<Entry> {
    let Value::Array(pair) = row else { return None };
    let [id, Value::Array(fields)] = &pair[..] else { return None };
    let id = Id::parse(std::str::from_utf8(bytes(id)?).ok()?)?;
    let field = |name: &[u8]| {
        let pair = fields.chunks_exact(2).find(|pair| bytes(&pair[0]) == Some(name))?;
        bytes(&pair[1])
    };
    let says = match (field(RECORD), field(EPOCH)) {
        (Some(record), _) => match wire::decode(record) {
            Ok(record) => Says::Record(record),
            Err(_) => Says::Undecodable,
        },
        (None, Some(epoch)) => Says::Epoch(String::from_utf8_lossy(epoch).into_owned()),
        (None, None) => Says::Undecodable,
    };
    Some(Entry { id, says })
}

/// The bytes of a text reply.
pub(super) fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// The name as members begin with it: names hold no NUL, so that bytes compare as names do.
pub(super) fn key((issuer, claim, value): (&str, &str, &str)) -> Vec<u8> {
    [issuer, "\0", claim, "\0", value].concat().into_bytes()
}

/// The name's key.
pub(super) fn name_key(name: &Name) -> Vec<u8> {
    key((&name.issuer, &name.claim, &name.value))
}

/// The member that keeps an entry.
pub(super) fn member(entry: &Revocation) -> Vec<u8> {
    let mut member = name_key(&entry.name);
    member.push(0);
    member.extend_from_slice(&wire::encode(entry));
    member
}

/// The entry that a member keeps; `None` for the empty member that says that the set is there.
pub(super) fn live(member: &[u8]) -> Result<Option<Revocation>, FeedError> {
    if member.is_empty() {
        return Ok(None);
    }
    let json = member.splitn(4, |byte| *byte == 0).nth(3).ok_or_else(foreign)?;
    wire::decode(json).map(Some).map_err(|_| foreign())
}

fn foreign() -> FeedError {
    FeedError::Corrupt("Redis answered with something that is none of ours".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cursors_compare_as_ids_do_and_ids_read_back() {
        let ids =
            ["0-0", "0-1", "9-9", "9-10", "10-0", "1767225600000-0", "18446744073709551615-7"];
        let ids = ids.map(|text| Id::parse(text).expect("an id"));
        assert!(
            ids.windows(2).all(|pair| pair[0] < pair[1] && pair[0].cursor() < pair[1].cursor())
        );
        assert!(ids.iter().all(|id| Id::parse(&id.text()) == Some(*id)));
        for text in ["", "1", "-", "1-", "-1", "a-1", "1-1-1", "18446744073709551616-0"] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_entry_of_any_shape_is_read_or_undecodable() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let row = |fields: Vec<Value>| {
            Value::Array(vec![Value::Array(vec![text("1-2"), Value::Array(fields)])])
        };
        let says = |fields| entries(&row(fields)).expect("entries").remove(0).says;
        assert!(matches!(says(vec![]), Says::Undecodable));
        assert!(matches!(says(vec![text("r"), text("{}")]), Says::Undecodable));
        assert!(matches!(says(vec![text("x"), text("1")]), Says::Undecodable));
        let binary = Value::BulkString(vec![0xff, 0]);
        assert!(matches!(says(vec![binary.clone(), binary]), Says::Undecodable));
        assert!(matches!(says(vec![text("e"), text("x")]), Says::Epoch(epoch) if epoch == "x"));
        assert!(entries(&Value::Nil).expect("none").is_empty());
        assert!(entries(&Value::Int(1)).is_err());
    }

    proptest! {
        #[test]
        fn members_are_in_the_order_of_their_names(one in "[a-c]{0,2}", two in "[a-c]{0,2}", three in "[a-c]{0,2}", four in "[a-c]{0,2}") {
            let names = [("i", &*one, &*two), ("i", &*three, &*four)];
            prop_assert_eq!(key(names[0]).cmp(&key(names[1])), names[0].cmp(&names[1]));
        }
    }
}
