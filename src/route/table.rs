//! The table of routes: built once, conflicts refused, found in a few look-ups whatever its size.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::Method;
use thiserror::Error;

use super::{HostPattern, MethodSet, PathPattern, RoutePattern};

/// Routes by what they match; generic over what a route carries.
#[derive(Debug)]
pub struct RouteTable<T> {
    exact_hosts: HashMap<Box<str>, Paths<T>, RandomState>,
    hosts_below: HashMap<Box<str>, Paths<T>, RandomState>,
    any_host: Paths<T>,
}

/// Why no route takes a request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// No route for the host and path.
    #[error("no route for the host and path")]
    NotFound,
    /// A route for the path, but not for the method; holds the `Allow` field.
    #[error("the route does not take the method")]
    MethodNotAllowed(Arc<str>),
}

/// Two routes that would take the same request; their places in the list given to `build`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("two routes take the same requests")]
pub struct RouteConflict {
    /// The earlier row.
    pub first: usize,
    /// The row that repeats it.
    pub second: usize,
}

/// The paths of one host.
#[derive(Debug)]
struct Paths<T> {
    exact: HashMap<Box<str>, Rows<T>, RandomState>,
    prefix: HashMap<Box<str>, Rows<T>, RandomState>,
    /// Bytes of the longest prefix: whatever a client sends, no longer one is looked for.
    longest: usize,
}

/// The routes of one path, told apart by method.
#[derive(Debug)]
struct Rows<T> {
    rows: Vec<Row<T>>,
    allow: Arc<str>,
}

#[derive(Debug)]
struct Row<T> {
    place: usize,
    methods: Option<MethodSet>,
    carries: T,
}

// === impl RouteTable ===

impl<T: Clone> RouteTable<T> {
    /// Builds the table, or names the first two rows that would take the same request.
    pub fn build(
        routes: impl IntoIterator<Item = (RoutePattern, T)>,
    ) -> Result<Self, RouteConflict> {
        let mut table = Self {
            exact_hosts: HashMap::default(),
            hosts_below: HashMap::default(),
            any_host: Paths::default(),
        };
        for (place, (pattern, carries)) in routes.into_iter().enumerate() {
            let row = |carries| Row { place, methods: pattern.methods.clone(), carries };
            for host in &pattern.hosts {
                let paths = match host {
                    HostPattern::Exact(name) => table.exact_hosts.entry(name.clone()).or_default(),
                    HostPattern::Below(name) => table.hosts_below.entry(name.clone()).or_default(),
                };
                paths.add(&pattern.path, row(carries.clone()))?;
            }
            if pattern.hosts.is_empty() {
                table.any_host.add(&pattern.path, row(carries))?;
            }
        }
        Ok(table)
    }

    /// Whether any route asks for the host; if none does, [`find`](Self::find) takes any text for it.
    pub fn asks_for_host(&self) -> bool {
        !self.exact_hosts.is_empty() || !self.hosts_below.is_empty()
    }

    /// The route for a host without port, a path as [`judge`](super::judge)d, and a method.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Result<&T, RouteError> {
        let host = lowercase(host.strip_suffix('.').unwrap_or(host));
        let rows = self.rows(&host, path).ok_or(RouteError::NotFound)?;
        rows.find(method).ok_or_else(|| RouteError::MethodNotAllowed(rows.allow.clone()))
    }

    fn rows(&self, host: &str, path: &str) -> Option<&Rows<T>> {
        let exact = self.exact_hosts.get(host).and_then(|paths| paths.find(path));
        exact.or_else(|| self.rows_below(host, path)).or_else(|| self.any_host.find(path))
    }

    fn rows_below(&self, mut host: &str, path: &str) -> Option<&Rows<T>> {
        if self.hosts_below.is_empty() {
            return None;
        }
        while let Some((_, rest)) = host.split_once('.') {
            let found = self.hosts_below.get(rest).and_then(|paths| paths.find(path));
            if found.is_some() {
                return found;
            }
            host = rest;
        }
        None
    }
}

// === impl Paths ===

impl<T> Paths<T> {
    fn add(&mut self, pattern: &PathPattern, row: Row<T>) -> Result<(), RouteConflict> {
        let (paths, path) = match pattern {
            PathPattern::Exact(path) => (&mut self.exact, path),
            PathPattern::Prefix(path) => {
                self.longest = self.longest.max(path.len());
                (&mut self.prefix, path)
            }
        };
        paths.entry(path.clone()).or_default().add(row)
    }

    fn find(&self, path: &str) -> Option<&Rows<T>> {
        if let Some(rows) = self.exact.get(path) {
            return Some(rows);
        }
        let mut prefix = path.strip_suffix('/').unwrap_or(path);
        loop {
            if prefix.len() > self.longest {
                // The slash after a prefix that is not too long stands here at the furthest.
                let slash = last_slash(&prefix.as_bytes()[..=self.longest])?;
                prefix = &prefix[..slash];
            }
            if let Some(rows) = self.prefix.get(prefix) {
                return Some(rows);
            }
            prefix = &prefix[..last_slash(prefix.as_bytes())?];
        }
    }
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { exact: HashMap::default(), prefix: HashMap::default(), longest: 0 }
    }
}

// === impl Rows ===

impl<T> Rows<T> {
    fn add(&mut self, row: Row<T>) -> Result<(), RouteConflict> {
        if let Some(other) = self.rows.iter().find(|other| other.conflicts(&row)) {
            return Err(RouteConflict { first: other.place, second: row.place });
        }
        self.rows.push(row);
        // A row that names its methods is more telling than one that takes any.
        self.rows.sort_by_key(|row| row.methods.is_none());
        let mut allow: Vec<&str> = self
            .rows
            .iter()
            .filter_map(|row| row.methods.as_ref())
            .flat_map(MethodSet::iter)
            .map(Method::as_str)
            .collect();
        allow.sort_unstable();
        allow.dedup();
        self.allow = allow.join(", ").into();
        Ok(())
    }

    fn find(&self, method: &Method) -> Option<&T> {
        let takes = |row: &&Row<T>| row.methods.as_ref().is_none_or(|set| set.contains(method));
        self.rows.iter().find(takes).map(|row| &row.carries)
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), allow: "".into() }
    }
}

// === impl Row ===

impl<T> Row<T> {
    fn conflicts(&self, other: &Self) -> bool {
        match (&self.methods, &other.methods) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => ours.overlaps(theirs),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

fn last_slash(path: &[u8]) -> Option<usize> {
    path.iter().rposition(|byte| *byte == b'/')
}

fn lowercase(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

#[cfg(test)]
mod tests;
