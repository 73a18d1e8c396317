//! From a file or text to a [`Config`], or to everything that is wrong with it.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

use toml::de::DeTable;

use super::error::Hidden;
use super::raw::Source;
use super::{Config, ConfigError, ConfigErrors, parse, reference};

/// A longer file is no configuration (bytes).
const LONGEST: u64 = 1 << 20;

// === impl Config ===

impl Config {
    /// Reads a file. Relative paths in it begin at its own folder.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read(path).map_err(|problem| ConfigErrors::of_file(shown(path), problem))?;
        Self::parse(&text, path)
    }

    /// Reads text as the file `origin` would be read.
    pub fn parse(text: &str, origin: &Path) -> Result<Self, ConfigErrors> {
        Self::parse_in(text, origin, &|name| std::env::var_os(name))
    }

    pub(super) fn parse_in(
        text: &str,
        origin: &Path,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigErrors> {
        if text.len() as u64 > LONGEST {
            return Err(ConfigErrors::of_file(shown(origin), TOO_LONG.to_owned()));
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(syntax_errors(text, origin, &errors));
        }
        let folder = origin.parent().unwrap_or(Path::new(""));
        let source = Source::new(text, folder, environment);
        let config = parse::config(&source.root(document.get_ref()));
        let problems = source.into_problems();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ if problems.is_empty() => {
                // A reader that gave up in silence; the file is refused all the same.
                Err(ConfigErrors::of_file(shown(origin), "can't be used".to_owned()))
            }
            _ => Err(ConfigErrors::new(shown(origin), problems)),
        }
    }
}

const TOO_LONG: &str = "is longer than 1 MiB, which no configuration is";

fn shown(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "\u{fffd}")
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("can't be read: {error}");
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err("is a folder; name the file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(TOO_LONG.to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..sound].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("is not UTF-8: line {line} holds a byte that is no text")
    })
}

/// What the TOML parser stopped at. Nothing else is judged: half a document blames the wrong things.
fn syntax_errors(text: &str, origin: &Path, errors: &[toml::de::Error]) -> ConfigErrors {
    let problem = |error: &toml::de::Error| {
        let problem = format!("not TOML: {}", error.message());
        let mut problem = ConfigError::new(String::new(), problem, None, error.span());
        match problem.span.clone() {
            Some(span) => locate(&mut problem, text, span.start),
            None => problem.locate(text, Hidden::Line),
        }
        problem
    };
    ConfigErrors::new(shown(origin), errors.iter().take(100).map(problem).collect())
}

/// Shows the line, but for what may be a secret: which values are is not known yet.
fn locate(problem: &mut ConfigError, text: &str, at: usize) {
    let at = text.floor_char_boundary(at);
    let before = &text[..at];
    let from = before.rfind('\n').map_or(0, |newline| newline + 1);
    let to = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let line = &text[from..to];
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    let harmless = reference::holds_no_secret(key.trim()) && !value.contains("secret");
    if before.contains("\"\"\"") || before.contains("'''") {
        problem.locate(text, Hidden::Line);
    } else if harmless || key.trim_start().starts_with('[') {
        problem.locate(text, Hidden::Ranges(&[]));
    } else if line.contains('=') {
        problem.locate(text, Hidden::Ranges(&[from + key.len() + 2..to]));
    } else {
        problem.locate(text, Hidden::Line);
    }
}
