//! Readers of one value: its type and its range.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::de::DeValue;

use super::{Node, nearest, quoted};
use crate::config::units::{format_duration, format_size, parse_duration, parse_size};

// === impl Node ===

impl<'d> Node<'d> {
    /// Text that is not empty and holds no control character.
    pub(in crate::config) fn text(&self) -> Option<&'d str> {
        let DeValue::String(text) = self.value else { return self.mistyped("text, \"…\"") };
        if text.trim().is_empty() {
            return self.wrong("must not be empty");
        }
        if text.contains(char::is_control) {
            return self.wrong("must not hold control characters");
        }
        Some(text)
    }

    /// The text as it stands, also empty; `None` without a word when it is something else.
    pub(in crate::config) fn plain_text(&self) -> Option<&'d str> {
        self.value.as_str()
    }

    /// `true` or `false`.
    pub(in crate::config) fn flag(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.mistyped("true or false"),
        }
    }

    /// A whole number in the range.
    pub(in crate::config) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(number) = self.value else { return self.mistyped("a whole number") };
        let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
        self.within(number, &range, |number| number.to_string())
    }

    /// A duration in the range.
    pub(in crate::config) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        if let DeValue::Integer(number) = self.value {
            let help = format!("say which unit: \"{number}s\" or \"{number}ms\"");
            return self.wrong_but("a number alone does not say what it counts", help);
        }
        let duration = self.measured(parse_duration, "a duration, \"10s\"")?;
        self.within(Some(duration), &range, |duration| format_duration(*duration))
    }

    /// A size in the range; a plain number counts bytes.
    pub(in crate::config) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let size = match self.value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => Some(self.measured(parse_size, "a size, \"32KiB\"")?),
        };
        self.within(size, &range, |size| format_size(*size))
    }

    /// One of the words.
    pub(in crate::config) fn word<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(meaning.clone());
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let list = || format!("one of {}", known.join(", "));
        let help = nearest(text, &known).unwrap_or_else(list);
        self.wrong_but(format!("{} is not known here", quoted(text)), help)
    }

    /// What the text says, by its own parser.
    pub(in crate::config) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        match self.text()?.parse() {
            Ok(value) => Some(value),
            Err(problem) => self.wrong(problem.to_string()),
        }
    }

    /// A file, by its path from the configuration's folder.
    pub(in crate::config) fn file(&self) -> Option<PathBuf> {
        self.text().map(|path| self.resolved(path))
    }

    /// A name for logs, metrics and other keys to refer to.
    pub(in crate::config) fn label(&self) -> Option<&'d str> {
        let name = self.text()?;
        if !is_label(name) {
            return self.wrong(NOT_A_LABEL);
        }
        Some(name)
    }

    /// Blames the key when its name is none that others can refer to.
    pub(in crate::config) fn refuse_unless_label(&self, name: &str) {
        if name.is_empty() || !is_label(name) {
            let _: Option<()> = self.wrong(NOT_A_LABEL);
        }
    }

    /// Text, or a number or boolean as its JSON text.
    pub(in crate::config) fn json_text(&self) -> Option<Box<str>> {
        match self.value {
            DeValue::String(_) => self.text().map(Box::from),
            DeValue::Boolean(flag) => Some(flag.to_string().into()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Some(number.to_string().into()),
                    Err(_) => self.wrong("the number is too large"),
                }
            }
            _ => self.mistyped("text, a whole number, true or false"),
        }
    }

    /// A list of at least one value, none twice.
    pub(in crate::config) fn distinct<T: PartialEq>(
        &self,
        reader: impl Fn(&Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let values = self.distinct_or_none(reader)?;
        if values.is_empty() {
            return self.wrong("must not be empty");
        }
        Some(values)
    }

    /// A list in which no value is twice. Wrong elements are blamed and make the whole wrong.
    pub(in crate::config) fn distinct_or_none<T: PartialEq>(
        &self,
        reader: impl Fn(&Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let elements = self.list()?;
        if elements.len() > LONGEST_LIST {
            return self.wrong(format!("has more than {LONGEST_LIST} values"));
        }
        let mut values = Vec::with_capacity(elements.len());
        let mut sound = true;
        for element in &elements {
            match reader(element) {
                Some(value) if values.contains(&value) => {
                    sound = false;
                    let _: Option<()> = element.wrong("is in the list twice");
                }
                Some(value) => values.push(value),
                None => sound = false,
            }
        }
        sound.then_some(values)
    }

    /// A list of texts.
    pub(in crate::config) fn texts(&self) -> Option<Vec<Box<str>>> {
        if let Some(text) = self.plain_text() {
            let help = format!("[{}]", quoted(text));
            return self.wrong_but("expected a list of texts, found text", help);
        }
        self.distinct(|element| element.text().map(Box::from))
    }

    fn measured<T>(&self, parse: fn(&str) -> Result<T, &'static str>, wanted: &str) -> Option<T> {
        let DeValue::String(text) = self.value else { return self.mistyped(wanted) };
        match parse(text) {
            Ok(value) => Some(value),
            Err(form) => self.wrong(form),
        }
    }

    fn within<T: PartialOrd>(
        &self,
        value: Option<T>,
        range: &RangeInclusive<T>,
        format: impl Fn(&T) -> String,
    ) -> Option<T> {
        if let Some(value) = value
            && range.contains(&value)
        {
            return Some(value);
        }
        let (least, most) = (format(range.start()), format(range.end()));
        self.wrong(format!("must be between {least} and {most}"))
    }
}

/// Keeps the search for doubles short.
const LONGEST_LIST: usize = 1000;

const NOT_A_LABEL: &str = "a name is 1 to 64 letters, digits, \"-\", \"_\" and \".\"";

fn is_label(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
