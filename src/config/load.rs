//! From a file or text to a [`Config`], or to everything that is wrong with it.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

use toml::de::DeTable;

use super::error::{Hidden, floor_char};
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
        environment: &(dyn Fn(&str) -> Option<OsString> + Sync),
    ) -> Result<Self, ConfigErrors> {
        if text.len() as u64 > LONGEST {
            return Err(ConfigErrors::of_file(shown(origin), TOO_LONG.to_owned()));
        }
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().stack_size(STACK);
            let thread = reader.spawn_scoped(scope, || Self::parse_deep(text, origin, environment));
            let failed = |why: &str| ConfigErrors::of_file(shown(origin), why.to_owned());
            let thread = thread.map_err(|error| failed(&format!("can't be read: {error}")))?;
            thread.join().map_err(|_panic| failed("can't be read: the reader broke"))?
        })
    }

    fn parse_deep(
        text: &str,
        origin: &Path,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigErrors> {
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(syntax_errors(text, origin, &errors));
        }
        let folder = origin.parent().unwrap_or_else(|| Path::new(""));
        let source = Source::new(folder, environment);
        let config = parse::config(&source.root(document.get_ref()));
        let (problems, hidden) = source.into_problems();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ if problems.is_empty() => {
                // A reader that gave up in silence; the file is refused all the same.
                Err(ConfigErrors::of_file(shown(origin), "can't be used".to_owned()))
            }
            _ => {
                let hide = |_: &ConfigError| Hidden::Ranges(hidden.clone());
                Err(ConfigErrors::new(shown(origin), problems).located(text, hide))
            }
        }
    }
}

/// The TOML parser allows 80 nested tables and 80 dots in each key, so that some 6500 tables can be in
/// one another; taking those down again needs more than a thread's usual stack (bytes, reserved only).
const STACK: usize = 64 << 20;

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
        ConfigError::new(String::new(), problem, None, error.span())
    };
    let problems = errors.iter().map(problem).collect();
    ConfigErrors::new(shown(origin), problems).located(text, |problem| hidden(problem, text))
}

/// What of the line may be a secret, when it is not known yet what its values are.
fn hidden(problem: &ConfigError, text: &str) -> Hidden {
    let at = problem.span.as_ref().map_or(0, |span| floor_char(text, span.start));
    let before = &text[..at];
    let from = before.rfind('\n').map_or(0, |newline| newline + 1);
    let to = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let line = &text[from..to];
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    let one_value = !value.contains('=') && value.matches(['"', '\'']).count() <= 2;
    let harmless = reference::holds_no_secret(key.trim()) && one_value;
    let header = line.trim_start().starts_with('[') && !line.contains(['"', '\'', '=']);
    if before.contains("\"\"\"") || before.contains("'''") {
        Hidden::Line
    } else if harmless || header {
        Hidden::Ranges(Vec::new())
    } else if line.contains('=') && !key.contains(['"', '\'']) {
        let value = from + key.len() + 2..to;
        Hidden::Ranges(vec![value])
    } else {
        Hidden::Line
    }
}
