//! Which requests a route takes: hosts, a path by whole segments or exact, methods.

use std::fmt;
use std::str::FromStr;

use http::Method;
use thiserror::Error;

/// A host, without port, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name or address.
    Exact(Box<str>),
    /// `*.example.com`: every name below it, at any depth; holds `example.com`.
    Below(Box<str>),
}

/// A path, compared after percent-decoding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// `=/exact`: this one path.
    Exact(Box<str>),
    /// `/orders` or `/orders/`: the path itself and everything below, by whole segments. Held
    /// without its last slash, so that `/` is empty.
    Prefix(Box<str>),
}

/// Methods a route takes; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodSet(Vec<Method>);

/// Which requests a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePattern {
    /// Hosts; empty: any.
    pub hosts: Vec<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// Methods; `None`: any.
    pub methods: Option<MethodSet>,
}

/// Why a pattern's text is none; the text is for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// The host is empty, has a port, a scheme, or a character no host has.
    #[error("a host is a name or an address without scheme and port, such as \"api.example.com\"")]
    Host,
    /// `*` anywhere but as the whole first label.
    #[error("a wildcard stands for whole labels at the front only, such as \"*.example.com\"")]
    Wildcard,
    /// The path does not begin with a slash.
    #[error("a path begins with \"/\", an exact one with \"=/\"")]
    NoSlash,
    /// The path is written in a form that no request can match.
    #[error(
        "a path is written decoded, without \"//\", \".\" or \"..\" segments, \"?\", \"#\", \"\\\", \";\" and \"%\""
    )]
    Ambiguous,
}

// === impl HostPattern ===

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.to_ascii_lowercase();
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, &*text),
        };
        if name.contains('*') {
            return Err(PatternError::Wildcard);
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        let address = name.starts_with('[') && name.ends_with(']');
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let labels = name.split('.').all(|label| !label.is_empty());
        if (!address || below) && !(plain && labels) {
            return Err(PatternError::Host);
        }
        Ok(if below { Self::Below(name.into()) } else { Self::Exact(name.into()) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

// === impl PathPattern ===

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (exact, path) = match text.strip_prefix('=') {
            Some(path) => (true, path),
            None => (false, text),
        };
        let Some(rest) = path.strip_prefix('/') else { return Err(PatternError::NoSlash) };
        let ambiguous = |c: char| c.is_control() || "?#\\;%".contains(c);
        let dots = path.split('/').any(|segment| segment == "." || segment == "..");
        if path.contains("//") || dots || rest.contains(ambiguous) {
            return Err(PatternError::Ambiguous);
        }
        Ok(if exact {
            Self::Exact(path.into())
        } else {
            Self::Prefix(path.strip_suffix('/').unwrap_or(path).into())
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => write!(f, "={path}"),
            Self::Prefix(path) => write!(f, "{path}/"),
        }
    }
}

// === impl MethodSet ===

impl MethodSet {
    /// Whether the method is in the set. `HEAD` is where `GET` is (RFC 9110 §9.3.2).
    pub fn contains(&self, method: &Method) -> bool {
        self.0.contains(method) || (*method == Method::HEAD && self.0.contains(&Method::GET))
    }

    /// The methods, for `Allow`.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.0.iter()
    }

    /// Whether some method is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|method| other.contains(method))
            || other.0.iter().any(|method| self.contains(method))
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        Self(methods.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_without_case_and_final_dot() {
        let exact = |name: &str| Ok(HostPattern::Exact(name.into()));
        let below = |name: &str| Ok(HostPattern::Below(name.into()));
        for (text, want) in [
            ("api.example.com", exact("api.example.com")),
            ("API.Example.COM.", exact("api.example.com")),
            ("10.0.0.1", exact("10.0.0.1")),
            ("[::1]", exact("[::1]")),
            ("*.example.com", below("example.com")),
            ("*", Err(PatternError::Wildcard)),
            ("a.*.com", Err(PatternError::Wildcard)),
            ("*.*.com", Err(PatternError::Wildcard)),
            ("", Err(PatternError::Host)),
            ("a..b", Err(PatternError::Host)),
            ("https://a", Err(PatternError::Host)),
            ("a:80", Err(PatternError::Host)),
        ] {
            assert_eq!(text.parse::<HostPattern>(), want, "{text}");
        }
    }

    #[test]
    fn a_prefix_is_the_same_with_and_without_its_last_slash() {
        assert_eq!("/a/b".parse::<PathPattern>(), "/a/b/".parse());
        assert_ne!("=/a".parse::<PathPattern>(), "=/a/".parse());
    }

    #[test]
    fn paths_that_no_request_can_match_are_refused() {
        for text in ["/a//b", "/a/../b", "/./a", "/a?b", "/a#b", "/a\\b", "/a;b", "/%61", "/a\0"] {
            assert_eq!(text.parse::<PathPattern>(), Err(PatternError::Ambiguous), "{text}");
        }
        for text in ["", "a", "=a", "*"] {
            assert_eq!(text.parse::<PathPattern>(), Err(PatternError::NoSlash), "{text}");
        }
    }
}
