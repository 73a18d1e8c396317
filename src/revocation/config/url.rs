//! A store's URL, which may hold a password.

use std::fmt;

use crate::secret::Secret;

/// A URL that shows its scheme, host and path alone.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    whole: Secret,
    shown: Box<str>,
}

// === impl StoreUrl ===

impl StoreUrl {
    /// Takes the text over. A list has commas in between; what is shown of it is the last.
    pub fn new(text: &str) -> Self {
        Self { whole: Secret::new(text.as_bytes().to_vec()), shown: shown(text).into() }
    }

    /// The whole text, for the call that connects.
    pub fn expose(&self) -> &str {
        // It was made of text.
        std::str::from_utf8(self.whole.expose()).unwrap_or_default()
    }

    /// The URL without user, password and options.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({})", self.shown)
    }
}

fn shown(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return "***".to_owned() };
    // A password may hold any sign, unescaped by mistake: only what follows the last `@` is none.
    let options = rest.find('?').unwrap_or(rest.len());
    match rest.rfind('@') {
        Some(at) if at > options => format!("{scheme}://***"),
        Some(at) => format!("{scheme}://{}", &rest[at + 1..options]),
        None => format!("{scheme}://{}", &rest[..options]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_holds_no_password() {
        for (text, want) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("redis://u:hunter2@h:1/0", "redis://h:1/0"),
            ("redis://:hunter2@h", "redis://h"),
            ("redis://:hun@ter2@h", "redis://h"),
            ("redis://:hun?ter2@h", "redis://***"),
            ("postgres://u@h/db?password=hunter2", "postgres://h/db"),
            ("postgres:///db?host=/run&password=hunt@er2", "postgres://***"),
            ("nats://u:hunter2@a:1,nats://u:hunter2@b:2", "nats://b:2"),
            ("hunter2", "***"),
        ] {
            let url = StoreUrl::new(text);
            assert_eq!(url.shown(), want, "{text}");
            assert!(!format!("{url:?}").contains("hunter2"));
            assert_eq!(url.expose(), text);
        }
    }
}
