//! Registering by watching: the answer of a service that issues tokens is looked into, and the tokens in
//! it are registered before the client has them, so that it can use them at once.
//!
//! Whatever can't be looked into passes as it is, counted and logged.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, SET_COOKIE};
use http::response::Parts;
use http::{HeaderValue, Response};
use http_body::Body;
use http_body_util::Full;
use serde_json::Value;

use crate::forward::ResponseBody;
use crate::revocation::Revocation;
use crate::self_service::CallError;
use crate::snapshot::{Route, Snapshot};
use crate::token::BearerToken;

use super::{Gateway, Refused};

/// What became of a token, or of an answer in which none was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Registered,
    Compressed,
    NoToken,
    NoTokenId,
    NotJson,
    NotRecorded,
    TooLarge,
    Unverifiable,
}

/// The longest answer that is looked into, in bytes.
const LONGEST: usize = 64 * 1024;
/// The time the store has.
const STORE_TIME: Duration = Duration::from_secs(10);

// === impl Gateway ===

impl Gateway {
    /// The answer, once what it hands out is registered. In allow-list mode one that could not be is
    /// not delivered: its tokens would be refused.
    pub(super) async fn watch(
        &self,
        snapshot: &Snapshot,
        route: &Route,
        response: Response<ResponseBody>,
    ) -> Result<Response<ResponseBody>, Refused> {
        if !response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let mut tokens = set_cookies(&head, &route.register_from.cookies);
        let (body, outcome) = look(&head, body, &route.register_from.keys, &mut tokens).await;
        match outcome {
            Err(outcome) => self.tell(route, outcome),
            Ok(()) if tokens.is_empty() => self.tell(route, Outcome::NoToken),
            Ok(()) => {}
        }
        let records = tokens.iter().filter_map(|token| self.registration(snapshot, route, token));
        let records: Vec<Revocation> = records.collect();
        if !records.is_empty() {
            self.register(route, records).await?;
        }
        Ok(Response::from_parts(head, body))
    }

    fn registration(&self, snapshot: &Snapshot, route: &Route, token: &str) -> Option<Revocation> {
        // The token may be younger than the request.
        let now = self.clock.now();
        match snapshot.verifier.verify(BearerToken::new(token), now) {
            Ok(verified) => {
                let actor = format!("register_from:{}", route.name).into();
                let record = self.revocations.registration(&verified, Some(actor), now);
                if record.is_none() {
                    self.tell(route, Outcome::NoTokenId);
                }
                record
            }
            Err(error) => {
                tracing::warn!(route = &*route.name, %error, "a token that was issued is none of ours");
                self.tell(route, Outcome::Unverifiable);
                None
            }
        }
    }

    async fn register(&self, route: &Route, records: Vec<Revocation>) -> Result<(), Refused> {
        let count = records.len();
        let registered = async {
            let desk = self.desk.get().ok_or(CallError::NotRecorded)?;
            let pending = tokio::time::timeout(STORE_TIME, desk.register(records));
            pending.await.unwrap_or(Err(CallError::NotConfirmed))
        };
        match registered.await {
            Ok(()) => {
                (0..count).for_each(|_| self.tell(route, Outcome::Registered));
                Ok(())
            }
            Err(error) => {
                (0..count).for_each(|_| self.tell(route, Outcome::NotRecorded));
                if self.revocations.is_allow_list() {
                    return Err(Refused::of(error.into()));
                }
                Ok(())
            }
        }
    }

    fn tell(&self, route: &Route, outcome: Outcome) {
        let word = outcome.word();
        let labels = vec![("route", route.name.to_string()), ("outcome", word.to_owned())];
        self.metrics.registrations.get_or_create(&labels).inc();
        if outcome != Outcome::Registered {
            tracing::warn!(
                route = &*route.name,
                outcome = word,
                "an answer's tokens are not registered"
            );
        }
    }
}

// === impl Outcome ===

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Compressed => "compressed",
            Self::NoToken => "no_token",
            Self::NoTokenId => "no_token_id",
            Self::NotJson => "not_json",
            Self::NotRecorded => "not_recorded",
            Self::TooLarge => "too_large",
            Self::Unverifiable => "unverifiable",
        }
    }
}

/// Looks for tokens in a body and gives it back as it was.
async fn look(
    head: &Parts,
    body: ResponseBody,
    keys: &[Box<str>],
    tokens: &mut Vec<Box<str>>,
) -> (ResponseBody, Result<(), Outcome>) {
    if keys.is_empty() {
        return (body, Ok(()));
    }
    if let Err(outcome) = is_readable(head, &body) {
        return (body, Err(outcome));
    }
    let bytes = match body.read_whole(LONGEST).await {
        Ok(bytes) => bytes,
        Err(body) if body.is_end_stream() => return (body, Err(Outcome::NotJson)),
        Err(body) => return (body, Err(Outcome::TooLarge)),
    };
    let outcome = match serde_json::from_slice::<Value>(&bytes) {
        Ok(json) => {
            tokens.extend(keys.iter().filter_map(|key| member(&json, key)).map(Box::from));
            Ok(())
        }
        Err(_cause) => Err(Outcome::NotJson),
    };
    (ResponseBody::from(Full::new(bytes)), outcome)
}

fn is_readable(head: &Parts, body: &ResponseBody) -> Result<(), Outcome> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or("?").trim().to_ascii_lowercase();
    let coded = head.headers.get_all(CONTENT_ENCODING).iter().map(text);
    if coded.into_iter().any(|coding| !coding.is_empty() && coding != "identity") {
        return Err(Outcome::Compressed);
    }
    let media_type = head.headers.get(CONTENT_TYPE).map(text).unwrap_or_default();
    if media_type.split(';').next().is_none_or(|it| it.trim_end() != "application/json") {
        return Err(Outcome::NotJson);
    }
    if body.size_hint().lower() > LONGEST as u64 {
        return Err(Outcome::TooLarge);
    }
    Ok(())
}

/// The text at `key`: a member of that name, else what its dots lead to.
fn member<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    let object = value.as_object()?;
    if let Some(text) = object.get(key).and_then(Value::as_str) {
        return Some(text).filter(|text| !text.is_empty());
    }
    let (first, rest) = key.split_once('.')?;
    member(object.get(first)?, rest)
}

/// Values that these cookies are set to (RFC 6265 §5.2); one that is taken away has none.
fn set_cookies(head: &Parts, names: &[Box<str>]) -> Vec<Box<str>> {
    let value = |field: &HeaderValue| {
        let (name, value) = field.to_str().ok()?.split(';').next()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        let wanted = names.iter().any(|wanted| **wanted == *name.trim());
        (wanted && !value.is_empty()).then(|| Box::from(value))
    };
    head.headers.get_all(SET_COOKIE).iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_is_found_by_its_name_or_by_the_way_to_it() {
        let answer = json!({
            "access_token": "a", "data": { "token": "b", "deep": { "token": "c" } },
            "dotted.name": "d", "number": 1, "list": ["e"], "empty": "",
        });
        for (key, want) in [
            ("access_token", Some("a")),
            ("data.token", Some("b")),
            ("data.deep.token", Some("c")),
            ("dotted.name", Some("d")),
            ("number", None),
            ("list", None),
            ("list.0", None),
            ("empty", None),
            ("data", None),
            ("data.", None),
            ("access_token.x", None),
        ] {
            assert_eq!(member(&answer, key), want, "{key}");
        }
        assert_eq!(member(&json!(["access_token"]), "access_token"), None);
    }

    #[test]
    fn a_cookie_is_found_among_those_that_are_set() {
        let mut response = Response::new(());
        for field in
            ["a=1; Path=/", "token=x.y.z; HttpOnly; Path=/", "other=token=2", "token=; Max-Age=0"]
        {
            response.headers_mut().append(SET_COOKIE, HeaderValue::from_static(field));
        }
        let head = response.into_parts().0;
        assert_eq!(set_cookies(&head, &["token".into()]), [Box::<str>::from("x.y.z")]);
        assert!(set_cookies(&head, &["b".into()]).is_empty());
    }
}
