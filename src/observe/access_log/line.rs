//! One line: the JSON that serde would write of an [`AccessRecord`], without its cost on plain text.

use std::net::IpAddr;

use super::AccessRecord;

/// The high bit of each byte of a word.
const HIGH: u64 = each(0x80);

/// Appends the record as one JSON object.
pub(super) fn append(line: &mut Vec<u8>, record: &AccessRecord<'_>) -> serde_json::Result<()> {
    line.reserve(512);
    number(named(line, b"{\"time\":"), record.time)?;
    text(named(line, b",\"request_id\":"), record.request_id)?;
    text(named(line, b",\"route\":"), record.route)?;
    address(named(line, b",\"client\":"), record.client)?;
    text(named(line, b",\"method\":"), record.method)?;
    text(named(line, b",\"host\":"), record.host)?;
    text(named(line, b",\"path\":"), record.path)?;
    number(named(line, b",\"status\":"), record.status.into())?;
    text(named(line, b",\"outcome\":"), record.outcome)?;
    text(named(line, b",\"reason\":"), record.reason)?;
    if let Some(issuer) = record.issuer {
        text(named(line, b",\"issuer\":"), issuer)?;
    }
    if let Some(subject) = record.subject {
        text(named(line, b",\"subject\":"), subject)?;
    }
    if let Some(token_id) = record.token_id {
        text(named(line, b",\"token_id\":"), token_id)?;
    }
    number(named(line, b",\"bytes\":"), record.bytes)?;
    number(named(line, b",\"duration_us\":"), record.duration_us)?;
    line.push(b'}');
    Ok(())
}

/// Begins a member. The length of its name is known when compiling: no call copies it.
fn named<'l, const N: usize>(line: &'l mut Vec<u8>, name: &[u8; N]) -> &'l mut Vec<u8> {
    line.extend_from_slice(name);
    line
}

fn text(line: &mut Vec<u8>, value: &str) -> serde_json::Result<()> {
    if !is_plain(value.as_bytes()) {
        return serde_json::to_writer(line, value);
    }
    line.push(b'"');
    line.extend_from_slice(value.as_bytes());
    line.push(b'"');
    Ok(())
}

fn number(line: &mut Vec<u8>, value: u64) -> serde_json::Result<()> {
    serde_json::to_writer(line, &value)
}

fn address(line: &mut Vec<u8>, value: IpAddr) -> serde_json::Result<()> {
    let IpAddr::V4(value) = value else { return serde_json::to_writer(line, &value) };
    let mut before = b'"';
    for octet in value.octets() {
        line.push(before);
        serde_json::to_writer(&mut *line, &octet)?;
        before = b'.';
    }
    line.push(b'"');
    Ok(())
}

/// Whether nothing needs an escape; eight bytes at a time, the last eight once more where they are in part new.
fn is_plain(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks::<8>();
    let mut last = [b' '; 8];
    match value.last_chunk() {
        Some(chunk) => last = *chunk,
        None => last[..rest.len()].copy_from_slice(rest),
    }
    let odd = words.iter().fold(odd(last), |all, word| all | odd(*word));
    odd & HIGH == 0
}

/// Some high bit is set when some byte is not between space and tilde, or is `"` or a backslash: what a
/// difference borrows from the next byte it borrows only after such a byte.
fn odd(word: [u8; 8]) -> u64 {
    let word = u64::from_ne_bytes(word);
    let is_zero = |word: u64| word.wrapping_sub(each(1)) & !word;
    let below_space = word.wrapping_sub(each(b' ')) & !word;
    let above_tilde = word | word.wrapping_add(each(1));
    below_space | above_tilde | is_zero(word ^ each(b'"')) | is_zero(word ^ each(b'\\'))
}

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_byte_that_needs_an_escape_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let plain = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
            for length in 1..20 {
                for at in 0..length {
                    let mut value = vec![b'x'; length];
                    value[at] = byte;
                    assert_eq!(is_plain(&value), plain, "{byte} at {at} of {length}");
                }
            }
        }
        assert!(is_plain(b""));
    }

    proptest! {
        #[test]
        fn a_line_is_what_serde_writes(
            texts in proptest::collection::vec(".{0,70}", 7),
            numbers: (u64, u16, u64, u64),
            client: IpAddr,
            token: bool,
        ) {
            let record = AccessRecord {
                time: numbers.0,
                request_id: &texts[0],
                route: &texts[1],
                client,
                method: "GET",
                host: &texts[2],
                path: &texts[3],
                status: numbers.1,
                outcome: "forwarded",
                reason: "",
                issuer: token.then_some(&texts[4]),
                subject: token.then_some(&texts[5]),
                token_id: token.then_some(&texts[6]),
                bytes: numbers.2,
                duration_us: numbers.3,
            };
            let mut line = Vec::new();
            append(&mut line, &record).unwrap();
            prop_assert_eq!(String::from_utf8(line).unwrap(), serde_json::to_string(&record).unwrap());
        }
    }
}
