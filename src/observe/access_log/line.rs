//! One line: the JSON that serde would write of an [`AccessRecord`], without its cost on plain text.

use std::net::IpAddr;

use super::AccessRecord;

/// Appends the record as one JSON object.
pub(super) fn append(line: &mut Vec<u8>, record: &AccessRecord<'_>) -> serde_json::Result<()> {
    line.reserve(512);
    number(line, "{\"time\":", record.time)?;
    text(line, ",\"request_id\":", record.request_id)?;
    text(line, ",\"route\":", record.route)?;
    address(line, ",\"client\":", record.client)?;
    text(line, ",\"method\":", record.method)?;
    text(line, ",\"host\":", record.host)?;
    text(line, ",\"path\":", record.path)?;
    number(line, ",\"status\":", record.status.into())?;
    text(line, ",\"outcome\":", record.outcome)?;
    text(line, ",\"reason\":", record.reason)?;
    let names = [",\"issuer\":", ",\"subject\":", ",\"token_id\":"];
    for (name, value) in names.into_iter().zip([record.issuer, record.subject, record.token_id]) {
        if let Some(value) = value {
            text(line, name, value)?;
        }
    }
    number(line, ",\"bytes\":", record.bytes)?;
    number(line, ",\"duration_us\":", record.duration_us)?;
    line.push(b'}');
    Ok(())
}

fn text(line: &mut Vec<u8>, name: &str, value: &str) -> serde_json::Result<()> {
    line.extend_from_slice(name.as_bytes());
    if !is_plain(value.as_bytes()) {
        return serde_json::to_writer(line, value);
    }
    line.push(b'"');
    line.extend_from_slice(value.as_bytes());
    line.push(b'"');
    Ok(())
}

fn number(line: &mut Vec<u8>, name: &str, value: u64) -> serde_json::Result<()> {
    line.extend_from_slice(name.as_bytes());
    serde_json::to_writer(line, &value)
}

fn address(line: &mut Vec<u8>, name: &str, value: IpAddr) -> serde_json::Result<()> {
    line.extend_from_slice(name.as_bytes());
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

/// Whether nothing needs an escape. No early end: many bytes are looked at at once.
fn is_plain(value: &[u8]) -> bool {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
    value.iter().fold(true, |all, byte| all & plain(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
