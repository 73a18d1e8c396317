//! The TOML's shape: a walk over spanned values that names every unknown key and every wrong type,
//! and goes on. What the values mean is `parse`'s business.
//!
//! Readers answer `None` for "not there" and for "wrong, and said so": a caller takes the default
//! either way, since one problem is enough to refuse the whole file in the end.

mod hidden;
mod values;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::ConfigError;
use super::reference;
use hidden::{hide, hide_secrets};

/// What is said of what a later version has.
pub(super) const NOT_YET: &str = "not supported in this version";

/// Unknown keys of one table beyond these are not looked into.
const MOST_UNKNOWN: usize = 100;

/// One file being read, and what was found wrong with it so far.
pub(super) struct Source<'d> {
    folder: &'d Path,
    environment: &'d dyn Fn(&str) -> Option<OsString>,
    found: RefCell<Found>,
    nothing: DeTable<'d>,
}

#[derive(Default)]
struct Found {
    problems: Vec<ConfigError>,
    hidden: Vec<Range<usize>>,
}

/// A value of any type at its place.
#[derive(Clone)]
pub(super) struct Node<'d> {
    source: &'d Source<'d>,
    /// Where it is, as the operator would say it: `routes[2].upstream`.
    key: String,
    /// The same without names and numbers, as [`mod@super::reference`] says it: `routes[].upstream`.
    shape: String,
    span: Range<usize>,
    value: &'d DeValue<'d>,
}

/// A table whose keys are all known.
#[derive(Clone)]
pub(super) struct Table<'d> {
    source: &'d Source<'d>,
    key: String,
    shape: String,
    span: Option<Range<usize>>,
    entries: &'d DeTable<'d>,
}

// === impl Source ===

impl<'d> Source<'d> {
    pub(super) fn new(folder: &'d Path, environment: &'d dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { folder, environment, found: RefCell::default(), nothing: DeTable::new() }
    }

    /// The table at the top.
    pub(super) fn root(&'d self, document: &'d DeTable<'d>) -> Table<'d> {
        let (key, shape) = (String::new(), String::new());
        let root = Table { source: self, key, shape, span: None, entries: document };
        hide_secrets(document, &mut self.found.borrow_mut().hidden);
        root.judge_keys();
        root
    }

    /// The variable's value; `None`: it isn't set.
    pub(super) fn environment(&self, name: &str) -> Option<OsString> {
        (self.environment)(name)
    }

    /// Every problem found, and what must not be shown.
    pub(super) fn into_problems(self) -> (Vec<ConfigError>, Vec<Range<usize>>) {
        let found = self.found.into_inner();
        (found.problems, found.hidden)
    }

    fn blame(&self, key: &str, span: Option<Range<usize>>, problem: String, help: Option<String>) {
        self.found.borrow_mut().problems.push(ConfigError::new(
            key.to_owned(),
            problem,
            help,
            span,
        ));
    }

    fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

// === impl Node ===

impl<'d> Node<'d> {
    pub(super) const fn source(&self) -> &'d Source<'d> {
        self.source
    }

    /// Says that the value is wrong.
    pub(super) fn wrong<T>(&self, problem: impl Into<String>) -> Option<T> {
        self.source.blame(&self.key, Some(self.span.clone()), problem.into(), None);
        None
    }

    /// Says that the value is wrong and what would be right.
    pub(super) fn wrong_but<T>(
        &self,
        problem: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        let span = Some(self.span.clone());
        self.source.blame(&self.key, span, problem.into(), Some(help.into()));
        None
    }

    /// Whether it is a table; without a word when it is not.
    pub(super) const fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// Text below a key of a table; without a word when there is none.
    pub(super) fn peek(&self, key: &str) -> Option<&'d str> {
        self.value.as_table()?.get(key)?.get_ref().as_str()
    }

    /// The elements of a list below a key of a table; without a word when there is none.
    pub(super) fn peek_list(&self, key: &'static str) -> Option<Vec<Self>> {
        let (key, list) = self.value.as_table()?.get_key_value(key)?;
        list.get_ref().as_array()?;
        let key = key.get_ref();
        let (path, shape) = (path(&self.key, key), path(&self.shape, key));
        let list =
            Self { key: path, shape, span: list.span(), value: list.get_ref(), ..self.clone() };
        list.list()
    }

    /// A path from the configuration's folder.
    pub(super) fn resolved(&self, path: &str) -> PathBuf {
        self.source.resolve(path)
    }

    /// Keeps the value's text out of every shown line.
    pub(super) fn hide(&self) {
        hide(&self.span, self.value, &mut self.source.found.borrow_mut().hidden);
    }

    /// The table it must be; its unknown keys are blamed here.
    pub(super) fn table(&self) -> Option<Table<'d>> {
        let DeValue::Table(entries) = self.value else { return self.mistyped("a table, { … }") };
        let (key, shape) = (self.key.clone(), self.shape.clone());
        let span = Some(self.span.clone());
        let table = Table { source: self.source, key, shape, span, entries };
        table.judge_keys();
        Some(table)
    }

    /// The elements of the list it must be.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        let DeValue::Array(elements) = self.value else { return self.mistyped("a list, [ … ]") };
        let element = |(index, element): (usize, &'d Spanned<DeValue<'d>>)| Self {
            source: self.source,
            key: format!("{}[{index}]", self.key),
            shape: format!("{}[]", self.shape),
            span: element.span(),
            value: element.get_ref(),
        };
        Some(elements.iter().enumerate().map(element).collect())
    }

    fn mistyped<T>(&self, wanted: &str) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        if matches!(self.value, DeValue::Array(_) | DeValue::Table(_)) {
            self.hide(); // nobody will look at what is in there
        }
        self.wrong(format!("expected {wanted}, found {found}"))
    }
}

// === impl Table ===

impl<'d> Table<'d> {
    /// Whether the key was given.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.entries.contains_key(key)
    }

    /// The value, if it was given.
    pub(super) fn node(&self, key: &'static str) -> Option<Node<'d>> {
        debug_assert!(
            reference::children(&self.shape).contains(&key),
            "`{key}` of `{}` is not in the reference",
            self.shape
        );
        self.entries.get(key).map(|value| self.child(key, key, value))
    }

    /// Reads the value, if it was given.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        reader: impl FnOnce(&Node<'d>) -> Option<T>,
    ) -> Option<T> {
        reader(&self.node(key)?)
    }

    /// Reads the value, which must be given.
    pub(super) fn require<T>(
        &self,
        key: &'static str,
        help: &str,
        reader: impl FnOnce(&Node<'d>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            return self.missing(key, help);
        }
        self.read(key, reader)
    }

    /// A path from the configuration's folder.
    pub(super) fn resolved(&self, path: &str) -> PathBuf {
        self.source.resolve(path)
    }

    /// Says that a key is missing.
    pub(super) fn missing<T>(&self, key: &str, help: &str) -> Option<T> {
        let path = path(&self.key, key);
        self.source.blame(&path, self.span.clone(), "is missing".into(), Some(help.to_owned()));
        None
    }

    /// Says that the table as a whole is wrong.
    pub(super) fn wrong_but<T>(&self, problem: &str, help: &str) -> Option<T> {
        let help = Some(help.to_owned());
        self.source.blame(&self.key, self.span.clone(), problem.to_owned(), help);
        None
    }

    /// The table below this one; one without entries when it was not given.
    pub(super) fn section(&self, key: &'static str) -> Self {
        self.read(key, Node::table).unwrap_or_else(|| Self {
            source: self.source,
            key: path(&self.key, key),
            shape: path(&self.shape, key),
            span: self.span.clone(),
            entries: &self.source.nothing,
        })
    }

    /// The elements of the list below this table; none when it was not given.
    pub(super) fn rows(&self, key: &'static str) -> Vec<Node<'d>> {
        self.read(key, Node::list).unwrap_or_default()
    }

    /// The values of a table whose keys are the operator's own names, in the file's order.
    pub(super) fn named(&self) -> Vec<(&'d str, Node<'d>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let node = |(key, value): (&'d Spanned<DeString<'d>>, _)| {
            (&**key.get_ref(), self.child(key.get_ref(), "*", value))
        };
        entries.into_iter().map(node).collect()
    }

    fn child(&self, key: &str, shape: &str, value: &'d Spanned<DeValue<'d>>) -> Node<'d> {
        Node {
            source: self.source,
            key: path(&self.key, key),
            shape: path(&self.shape, shape),
            span: value.span(),
            value: value.get_ref(),
        }
    }

    /// Blames every key that is unknown; only its values are then out of sight.
    fn judge_keys(&self) {
        let known = reference::children(&self.shape);
        if known.contains(&"*") {
            return;
        }
        let mut blamed = 0;
        for (key, value) in self.entries {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            hide(&value.span(), value.get_ref(), &mut self.source.found.borrow_mut().hidden);
            blamed += 1;
            if blamed <= MOST_UNKNOWN {
                self.blame_key(key, &known);
            }
        }
    }

    fn blame_key(&self, key: &Spanned<DeString<'_>>, known: &[&str]) {
        let name: &str = key.get_ref();
        let problem = format!("unknown key {}", quoted(name));
        let valid = || format!("valid keys here: {}", known.join(", "));
        let help = nearest(name, known).unwrap_or_else(valid);
        self.source.blame(&path(&self.key, name), Some(key.span()), problem, Some(help));
    }
}

/// `did you mean …?`, when one of the words is near.
pub(super) fn nearest(word: &str, words: &[&str]) -> Option<String> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    let distance = |known: &&str| strsim::damerau_levenshtein(&lower, &known.to_ascii_lowercase());
    let best = words.iter().copied().min_by_key(distance)?;
    (distance(&best) <= 1 + word.len().max(3) / 4).then(|| format!("did you mean {best:?}?"))
}

/// The word for a message: escaped, and not longer than a name would be.
pub(super) fn quoted(word: &str) -> String {
    match word.char_indices().nth(64) {
        Some((at, _)) => format!("{:?}…", &word[..at]),
        None => format!("{word:?}"),
    }
}

fn path(parent: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_*".contains(c);
    let mut path = parent.to_owned();
    if !parent.is_empty() {
        path.push('.');
    }
    if !key.is_empty() && key.chars().all(bare) && key.len() <= 64 {
        path.push_str(key);
    } else {
        let _ = write!(path, "{}", quoted(key));
    }
    path
}
