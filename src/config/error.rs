//! What is wrong with a configuration file: all of it, each problem with its place and, where one is
//! near, the right word.

use std::fmt;
use std::ops::Range;

/// At most so many problems are kept; the rest is counted.
const KEPT: usize = 100;
/// A source line longer than this is shown in part (characters).
const SHOWN: usize = 140;

/// Everything that is wrong with one configuration file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    origin: String,
    errors: Vec<ConfigError>,
    left_off: usize,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key's path, such as `routes[2].upstream`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, without any secret.
    pub problem: String,
    /// What would be right.
    pub help: Option<String>,
    /// Where, in bytes of the file; `None` for the file as a whole.
    pub span: Option<Range<usize>>,
    place: Option<Place>,
}

/// A place in the file as an editor counts it, and its line with secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
    /// The line to show, and what of it is underlined, in characters. `None` where it may hold a secret.
    excerpt: Option<(String, Range<usize>)>,
}

/// Which part of a shown line is hidden.
#[derive(Clone, Debug)]
pub(super) enum Hidden {
    /// These bytes of the file.
    Ranges(Vec<Range<usize>>),
    /// The whole line.
    Line,
}

// === impl ConfigErrors ===

impl ConfigErrors {
    pub(super) fn new(origin: String, mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| error.span.as_ref().map_or(0, |span| span.start));
        errors.dedup();
        let left_off = errors.len().saturating_sub(KEPT);
        errors.truncate(KEPT);
        Self { origin, errors, left_off }
    }

    /// Finds line and column of each, and cuts out the line without what is hidden.
    pub(super) fn located(mut self, text: &str, hidden: impl Fn(&ConfigError) -> Hidden) -> Self {
        for error in &mut self.errors {
            let hidden = hidden(error);
            error.place = error.span.as_ref().map(|span| Place::new(text, span, &hidden));
        }
        self
    }

    /// A problem with the file as a whole.
    pub(super) fn of_file(origin: String, problem: String) -> Self {
        Self::new(origin, vec![ConfigError::new(String::new(), problem, None, None)])
    }

    /// The problems, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.errors.iter()
    }

    /// How many problems there are, those left off included.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(&self) -> usize {
        self.errors.len() + self.left_off
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.origin)?;
            error.fmt(f)?;
        }
        if self.left_off > 0 {
            write!(f, "\n{}: and {} more problems", self.origin, self.left_off)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

// === impl ConfigError ===

impl ConfigError {
    pub(super) const fn new(
        key: String,
        problem: String,
        help: Option<String>,
        span: Option<Range<usize>>,
    ) -> Self {
        Self { key, problem, help, span, place: None }
    }

    /// Line and column, both from 1; `None` for the file as a whole.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| (place.line, place.column))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column, .. }) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.problem)?;
        if let Some(Place { line, excerpt: Some((text, underlined)), .. }) = &self.place {
            let width = line.to_string().len();
            let (before, carets) = (underlined.start, underlined.len());
            write!(f, "\n {:width$} |\n {line} | {text}", "")?;
            write!(f, "\n {:width$} | {:before$}{:^<carets$}", "", "", "")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n   help: {help}")?;
        }
        Ok(())
    }
}

// === impl Place ===

impl Place {
    fn new(text: &str, span: &Range<usize>, hidden: &Hidden) -> Self {
        let start = floor_char(text, span.start);
        let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let to = text[from..].find('\n').map_or(text.len(), |at| from + at);
        let to = if text[from..to].ends_with('\r') { to - 1 } else { to };
        let end = floor_char(text, span.end).clamp(start.min(to), to);
        let line = text.as_bytes()[..from].iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = text[from..start].chars().count() + 1;
        let excerpt = match hidden {
            Hidden::Line => None,
            Hidden::Ranges(ranges) => Some(excerpt(text, from..to, start.min(to)..end, ranges)),
        };
        Self { line, column, excerpt }
    }
}

/// The line with hidden bytes as `***`, and where the underlined part came to lie.
fn excerpt(
    text: &str,
    line: Range<usize>,
    underlined: Range<usize>,
    hidden: &[Range<usize>],
) -> (String, Range<usize>) {
    let hidden: Vec<_> =
        hidden.iter().filter(|h| h.start < line.end && h.end > line.start).collect();
    let far = text[line.start..underlined.start].char_indices().rev().nth(SHOWN / 2);
    let from = far.map_or(line.start, |(at, _)| line.start + at);
    let mut shown = String::from(if from > line.start { "…" } else { "" });
    let (mut length, mut began, mut ended) = (shown.chars().count(), None, None);
    let mut masking: Option<&Range<usize>> = None;
    for (at, char) in text[from..line.end].char_indices().map(|(at, c)| (from + at, c)) {
        if at >= underlined.start {
            began = began.or(Some(length));
        }
        if at >= underlined.end {
            ended = ended.or(Some(length));
        }
        if length >= SHOWN {
            shown.push('…');
            break;
        }
        if masking.is_some_and(|mask| mask.contains(&at)) {
            continue;
        }
        masking = hidden.iter().copied().find(|mask| mask.contains(&at));
        let piece = masking.map_or_else(|| printable(char), |_| "***".to_owned());
        length += piece.chars().count();
        shown.push_str(&piece);
    }
    let began = began.unwrap_or(length);
    (shown, began..ended.unwrap_or(length).max(began + 1))
}

/// The last place at or before `at` where the text can be cut.
pub(super) fn floor_char(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Nothing that moves a terminal's cursor or turns its text around.
fn printable(char: char) -> String {
    let turns =
        matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = match char {
        '\t' => ' ',
        _ if char.is_control() || turns => char::REPLACEMENT_CHARACTER,
        _ => char,
    };
    shown.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str, word: &str, hidden: &[&str]) -> String {
        let place = |word: &str| text.find(word).map(|at| at..at + word.len());
        let hidden: Vec<_> = hidden.iter().filter_map(|word| place(word)).collect();
        let error = ConfigError::new("key".into(), "is wrong".into(), None, place(word));
        let errors = ConfigErrors::new("file".into(), vec![error]);
        errors.located(text, |_| Hidden::Ranges(hidden.clone())).to_string()
    }

    #[test]
    fn the_word_is_underlined_where_an_editor_has_it() {
        for (text, word, hidden, wanted) in [
            ("a = 1", "1", [].as_slice(), "file:1:5: key: is wrong\n   |\n 1 | a = 1\n   |     ^"),
            (
                "\r\na = 12\r\n",
                "12",
                &[],
                "file:2:5: key: is wrong\n   |\n 2 | a = 12\n   |     ^^",
            ),
            (
                "ä = 'ö' # ü",
                "ö",
                &[],
                "file:1:6: key: is wrong\n   |\n 1 | ä = 'ö' # ü\n   |      ^",
            ),
            (
                "a = [1,\n2]",
                "[1,\n2]",
                &[],
                "file:1:5: key: is wrong\n   |\n 1 | a = [1,\n   |     ^^^",
            ),
            (
                "a\t= \u{1b}1",
                "1",
                &[],
                "file:1:6: key: is wrong\n   |\n 1 | a = \u{fffd}1\n   |      ^",
            ),
            (
                "b = xyz, a = 1",
                "1",
                &["xyz"],
                "file:1:14: key: is wrong\n   |\n 1 | b = ***, a = 1\n   |              ^",
            ),
            (
                "a = xyz",
                "xyz",
                &["xyz"],
                "file:1:5: key: is wrong\n   |\n 1 | a = ***\n   |     ^^^",
            ),
        ] {
            assert_eq!(shown(text, word, hidden), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_place_in_any_text_can_be_shown(text in "(.|\n){0,300}", from: u16, length in 0..400_usize) {
            let from = usize::from(from) % 400;
            let span = Some(from..from + length);
            let error = ConfigError::new(String::new(), String::new(), None, span);
            let errors = ConfigErrors::new(String::new(), vec![error]);
            let said = errors.located(&text, |_| Hidden::Ranges(Vec::new())).to_string();
            prop_assert!(said.lines().last().is_some_and(|carets| carets.ends_with('^')));
        }
    }
}
