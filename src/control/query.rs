//! Query strings: known parameters, each at most once; and the part of a path that is one.

use std::time::Duration;

use axum::extract::Query;
use http::Uri;

use crate::revocation::Filter;

use super::{ControlError, Wait};

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

/// The longest `timeout`.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// The greatest number of nodes that can be waited for.
const MAX_NODES: u32 = 10_000;

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
                parse_duration(text).filter(|timeout| *timeout <= MAX_TIMEOUT).ok_or_else(|| {
                    ControlError::field("timeout", "must be like `2s`, at most `60s`")
                })?
            }
        };
        Ok((wait, timeout))
    }
}

/// A duration in the configuration's spelling: `500ms`, `10s`, `5m`, `24h`, `90d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// The last part of the path, its escapes resolved (RFC 3986 §2.1); `None` when that is no text.
pub(super) fn last_part(uri: &Uri) -> Option<String> {
    let (_, part) = uri.path().rsplit_once('/')?;
    let mut text = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.split_first_chunk().filter(|_| *byte == b'%');
        let byte = match escaped.and_then(|(digits, after)| Some((hex(*digits)?, after))) {
            Some((byte, after)) => {
                rest = after;
                byte
            }
            // What only looks like an escape is what it says.
            None => {
                rest = after;
                *byte
            }
        };
        text.push(byte);
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
    fn durations_are_spelt_as_in_the_configuration() {
        let table = [
            ("500ms", Some(Duration::from_millis(500))),
            ("2s", Some(Duration::from_secs(2))),
            ("5m", Some(Duration::from_secs(300))),
            ("24h", Some(Duration::from_secs(86_400))),
            ("90d", Some(Duration::from_secs(7_776_000))),
            ("2", None),
            ("s", None),
            ("", None),
            ("-2s", None),
            ("2 s", None),
            ("2.5s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ];
        for (text, duration) in table {
            assert_eq!(parse_duration(text), duration, "{text}");
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
