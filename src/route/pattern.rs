//! Which requests a route takes: host, path by whole segments or exact, methods.
use std::str::FromStr;

/// A host name, `*.example.com` for any name below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern(Box<str>);

/// A path prefix of whole segments, or (`=/exact`) one path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern(Box<str>);

/// Methods a route takes; `None` in a [`RoutePattern`] means any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodSet(Vec<http::Method>);

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

/// Why a pattern's text is none. The text says what is wrong, for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub &'static str);

impl FromStr for HostPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        Ok(Self(text.into()))
    }
}
impl FromStr for PathPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        Ok(Self(text.into()))
    }
}
impl FromIterator<http::Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = http::Method>>(methods: I) -> Self {
        Self(methods.into_iter().collect())
    }
}
