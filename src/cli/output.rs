//! What a person reads: plain tables, times as dates, nothing that moves the cursor.

use std::fmt::Write as _;
use std::io;

use serde_json::Value;

use super::Failure;

/// Standard output for data, which passes byte for byte.
pub(super) fn raw() -> io::StdoutLock<'static> {
    io::stdout().lock()
}

/// Standard output for people; colour codes go when it is no terminal.
pub(super) fn out() -> anstream::AutoStream<io::StdoutLock<'static>> {
    anstream::stdout().lock()
}

/// A reader that left is no failure of ours.
pub(super) fn wrote(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
        other => Ok(other?),
    }
}

/// Columns as wide as their widest cell, two blanks between.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heads: Vec<String> = heads.iter().map(|head| head.to_uppercase()).collect();
    let mut text = String::new();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A page of the control port as a table, and how to have the next one.
pub(super) fn page(page: &Value, heads: &[&str], row: impl Fn(&Value) -> Vec<String>) -> String {
    let rows: Vec<Vec<String>> = items(&page["items"]).iter().map(row).collect();
    let mut text = table(heads, &rows);
    if let Some(next) = page["next"].as_str() {
        text += &format!("more: --after {next}\n");
    }
    text
}

/// What is in a list; nothing in what is none.
pub(super) fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Names and values, a level further in for each object.
pub(super) fn outline(value: &Value) -> String {
    let mut text = String::new();
    outline_into(&mut text, value, 0);
    text
}

fn outline_into(text: &mut String, value: &Value, depth: usize) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, one)| (plain(name), one)).collect(),
        Value::Array(items) => items.iter().map(|one| ("-".to_owned(), one)).collect(),
        _ => return,
    };
    for (name, value) in members {
        let nested = matches!(value, Value::Object(one) if !one.is_empty())
            || matches!(value, Value::Array(one) if !one.is_empty());
        let shown = if nested { String::new() } else { scalar(value) };
        let line = format!("{:indent$}{name}  {shown}", "", indent = depth * 2);
        text.push_str(line.trim_end());
        text.push('\n');
        outline_into(text, value, depth + 1);
    }
}

/// One value as a cell.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// Text of unknown origin, with everything escaped that a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let obeyed = c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if obeyed {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A UNIX second as `2026-01-31T12:00:00Z`.
pub(super) fn date(value: &Value) -> String {
    let Some(secs) = value.as_u64() else { return String::new() };
    let (days, time) = (secs / 86_400, secs % 86_400);
    // Days to civil, by eras of 400 years that begin in March.
    let days = days.saturating_add(719_468);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    if year > 9999 {
        return "never".to_owned();
    }
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn seconds_are_shown_as_dates() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (u64::MAX, "never"),
        ];
        for (secs, text) in table {
            assert_eq!(date(&json!(secs)), text);
        }
    }

    #[test]
    fn columns_line_up_and_nothing_moves_the_cursor() {
        let rows =
            vec![vec!["jti".into(), plain("a\u{1b}[2Jb\n")], vec!["client_id".into(), "x".into()]];
        let expected = "CLAIM      VALUE\njti        a\\u{1b}[2Jb\\u{a}\nclient_id  x\n";
        assert_eq!(table(&["claim", "value"], &rows), expected);
    }

    #[test]
    fn an_outline_goes_in_with_the_objects() {
        let value =
            json!({ "feed": { "connected": true, "lag": [] }, "routes": ["a", "b"], "none": null });
        assert_eq!(
            outline(&value),
            "feed\n  connected  true\n  lag  []\nnone\nroutes\n  -  a\n  -  b\n"
        );
    }
}
