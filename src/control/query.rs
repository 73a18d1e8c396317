//! Query strings: known parameters, each at most once; and the part of a path that is one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Query;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use serde_json::json;

use crate::config::parse_duration;
use crate::revocation::Filter;

use super::{ControlError, Wait};

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

/// The longest `timeout`.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// The greatest number of nodes that can be waited for.
const MAX_NODES: u32 = 10_000;
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

// === impl Params ===

impl Params {
    /// Reads the query, refusing names outside `known` and repeated ones.
    pub(super) fn parse(uri: &Uri, known: &[&str]) -> Result<Self, ControlError> {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Err(ControlError::field("query", "is not a query string"));
        };
        for (index, (name, value)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let name: String = name.chars().take(64).collect();
                return Err(ControlError::field(&name, "is not a parameter of this call"));
            }
            if pairs.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(ControlError::field(name, "is given twice"));
            }
            // Escapes that are no UTF-8 were replaced; nobody means U+FFFD.
            if value.contains('\u{fffd}') {
                return Err(ControlError::field(name, "is not UTF-8 text"));
            }
        }
        Ok(Self(pairs))
    }

    /// The parameter, if it is there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The parameter, which must be there and not be empty.
    pub(super) fn required(&self, name: &str) -> Result<&str, ControlError> {
        match self.text(name) {
            None => Err(ControlError::field(name, "is missing")),
            Some("") => Err(ControlError::field(name, "is empty")),
            Some(value) => Ok(value),
        }
    }

    /// `claim`, `value` and `issuer`.
    pub(super) fn filter(&self) -> Filter {
        let part = |name| self.text(name).map(Into::into);
        // Entries of `azp` are kept as `client_id`, which says the same (RFC 9068 §2.2).
        let claim =
            self.text("claim").map(|claim| if claim == "azp" { "client_id" } else { claim });
        Filter { issuer: part("issuer"), claim: claim.map(Into::into), value: part("value") }
    }

    /// `limit`: the most that a page is to have.
    pub(super) fn limit(&self) -> Result<usize, ControlError> {
        let Some(text) = self.text("limit") else { return Ok(DEFAULT_LIMIT) };
        let number = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        number.ok_or_else(|| ControlError::field("limit", "must be a number from 1 to 1000"))
    }

    /// `after`: what the `next` of an earlier page was made of.
    pub(super) fn after(&self) -> Result<Option<[Arc<str>; 3]>, ControlError> {
        let read = |text| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let wrong = || ControlError::field("after", "must be the `next` of an earlier page");
        self.text("after").map(|text| read(text).ok_or_else(wrong)).transpose()
    }

    /// `wait` and `timeout`.
    pub(super) fn wait(&self) -> Result<(Wait, Duration), ControlError> {
        let wait = match self.text("wait") {
            None | Some("none") => Wait::Own,
            Some("all") => Wait::All,
            Some(text) => match text.parse().ok().filter(|count| (1..=MAX_NODES).contains(count)) {
                Some(count) => Wait::Nodes(count),
                None => {
                    let problem = "must be `none`, `all` or a number of nodes from 1 to 10000";
                    return Err(ControlError::field("wait", problem));
                }
            },
        };
        let timeout = match self.text("timeout") {
            None => Duration::from_secs(2),
            Some(text) => {
                let timeout = parse_duration(text).ok();
                timeout.filter(|timeout| *timeout <= MAX_TIMEOUT).ok_or_else(|| {
                    ControlError::field("timeout", "must be like `2s`, at most `60s`")
                })?
            }
        };
        Ok((wait, timeout))
    }
}

/// What a page's `next` says: where it ended, in three parts.
pub(super) fn next(parts: [&str; 3]) -> String {
    URL_SAFE_NO_PAD.encode(json!(parts).to_string())
}

/// The last part of the path, its escapes resolved (RFC 3986 §2.1); `None` when that is no text.
pub(super) fn last_part(uri: &Uri) -> Option<String> {
    let (_, part) = uri.path().rsplit_once('/')?;
    let mut text = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.split_first_chunk().filter(|_| *byte == b'%');
        let escaped = escaped.and_then(|(digits, after)| Some((hex(*digits)?, after)));
        // What only looks like an escape is what it says.
        let (byte, after) = escaped.unwrap_or((*byte, after));
        text.push(byte);
        rest = after;
    }
    String::from_utf8(text).ok()
}

fn hex(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? << 4 | low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_where_the_last_one_ended() {
        let params = |query: &str| {
            let uri: Uri = format!("/v1/revocations?{query}").parse().unwrap();
            Params::parse(&uri, &["limit", "after"]).unwrap()
        };
        let after = next(["https://i.test/", "sub", "a \"b\" \u{fc}"]);
        let parts = params(&format!("after={after}")).after().unwrap().unwrap();
        assert_eq!(
            parts.each_ref().map(|part| &**part),
            ["https://i.test/", "sub", "a \"b\" \u{fc}"]
        );
        assert_eq!(params("").after().unwrap(), None);
        assert!(params("after=x").after().is_err() && params("after=WyJhIl0").after().is_err());
        let limit = |query: &str| params(query).limit().ok();
        assert_eq!(
            [limit(""), limit("limit=1"), limit("limit=1000")],
            [Some(100), Some(1), Some(1000)]
        );
        assert_eq!([limit("limit=0"), limit("limit=1001"), limit("limit=x")], [None; 3]);
    }

    #[test]
    fn the_last_part_of_a_path_is_read_without_its_escapes() {
        let table = [
            ("/v1/tokens/a", Some("a")),
            ("/v1/tokens/a+b?issuer=x/y", Some("a+b")),
            ("/v1/tokens/a%20b%2F%c3%BC", Some("a b/ü")),
            ("/v1/tokens/%2", Some("%2")),
            ("/v1/tokens/%zz%41", Some("%zzA")),
            ("/v1/tokens/%25%34%31", Some("%41")),
            ("/v1/tokens/%FF", None),
        ];
        for (path, part) in table {
            let uri: Uri = path.parse().unwrap();
            assert_eq!(last_part(&uri).as_deref(), part, "{path}");
        }
    }

    #[test]
    fn parameters_are_known_and_said_once() {
        let parse = |query: &str| {
            let uri: Uri = format!("/v1/revocations?{query}").parse().unwrap();
            Params::parse(&uri, &["claim", "wait", "timeout"]).and_then(|params| params.wait())
        };
        assert_eq!(parse("").unwrap(), (Wait::Own, Duration::from_secs(2)));
        assert_eq!(parse("wait=all&timeout=5s").unwrap(), (Wait::All, Duration::from_secs(5)));
        assert_eq!(parse("wait=3").unwrap().0, Wait::Nodes(3));
        let refused = [
            "wait=some",
            "wait=",
            "wait=-1",
            "wait=0",
            "wait=10001",
            "wait=99999999999",
            "timeout=",
            "timeout=61s",
            "timeout=2",
            "timeout=2h",
            "wait=1&wait=1",
            "claims=x",
            "claim=%FF",
        ];
        for query in refused {
            let error = parse(query).unwrap_err();
            assert_eq!(error.kind().1, "invalid_field", "{query}: {error}");
        }
    }
}
