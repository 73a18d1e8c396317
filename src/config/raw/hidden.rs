//! What must not be shown when a line is: secrets that were written where only their place belongs.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// All text and numbers in the value, however deep: a list of what is left, since dotted keys in
/// nested tables can be thousands deep.
pub(super) fn hide(span: &Range<usize>, value: &DeValue<'_>, hidden: &mut Vec<Range<usize>>) {
    let mut left = vec![(span.clone(), value)];
    while let Some((span, value)) = left.pop() {
        match value {
            DeValue::Table(entries) => {
                left.extend(entries.values().map(|entry| (entry.span(), entry.get_ref())));
            }
            DeValue::Array(elements) => {
                left.extend(elements.iter().map(|element| (element.span(), element.get_ref())));
            }
            _ => hidden.push(span),
        }
    }
}

/// Values of keys that are named like a secret, wherever they stand: what is wrong around one may
/// keep its own reader from ever seeing it.
pub(super) fn hide_secrets(document: &DeTable<'_>, hidden: &mut Vec<Range<usize>>) {
    let place = |name: &str| matches!(name, "env" | "file");
    let mut left: Vec<(bool, &DeTable<'_>)> = vec![(false, document)];
    while let Some((inside, entries)) = left.pop() {
        for (key, value) in entries {
            let name = key.get_ref().to_ascii_lowercase();
            let telling = is_telling(&name);
            match value.get_ref() {
                DeValue::Table(below) => left.push((telling || inside, below)),
                DeValue::Array(elements) => {
                    let tables = elements.iter().filter_map(|e| e.get_ref().as_table());
                    left.extend(tables.map(|table| (inside, table)));
                }
                _ if telling || (inside && !place(&name)) => hidden.push(value.span()),
                DeValue::String(url) if url.contains("://") && url.contains('@') => {
                    hidden.push(value.span());
                }
                // A lost quote makes one text of several keys, a secret's among them.
                DeValue::String(text) if text.contains('=') && is_telling(text) => {
                    hidden.push(value.span());
                }
                _ => {}
            }
        }
    }
}

fn is_telling(text: &str) -> bool {
    ["secret", "passw", "credential"].iter().any(|word| text.contains(word))
}
