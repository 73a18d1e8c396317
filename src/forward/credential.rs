//! The credential taken out of a request that goes on without it, wherever the route looks for one.

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};

use crate::body::ReadBody;
use crate::token::TokenSource;
use crate::token::form::{cookies, parameters};
use crate::token::inside;

use super::ForwardError;

/// Removes `Authorization` and whatever stands in these places.
pub(super) fn remove(parts: &mut Parts, places: &[TokenSource]) -> Result<(), ForwardError> {
    parts.headers.remove(AUTHORIZATION);
    for place in places {
        match place {
            TokenSource::Header { name, .. } => drop(parts.headers.remove(name)),
            TokenSource::Cookie { name, .. } => remove_cookie(&mut parts.headers, name),
            TokenSource::Query { name, .. } => remove_parameter(&mut parts.uri, name)?,
            // The body is changed before its length is told: see `without_members`.
            TokenSource::Json { .. } => {}
        }
    }
    Ok(())
}

/// The body that was read, to be sent on without the members that may hold a credential. Digests of the
/// whole are then another body's, and go.
pub(super) fn without_members(
    parts: &mut Parts,
    body: ReadBody,
    places: &[TokenSource],
) -> ReadBody {
    let names = places.iter().filter_map(|place| match place {
        TokenSource::Json { name, .. } => Some(&**name),
        _ => None,
    });
    let Some(rest) = inside::without(body.bytes(), names) else { return body };
    for name in ["content-digest", "repr-digest", "digest", "content-md5"] {
        parts.headers.remove(name);
    }
    ReadBody::new(Bytes::from(rest))
}

/// The fields are one by now; the other cookies stay as they were sent.
fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let Some(field) = headers.get(COOKIE).map(HeaderValue::as_bytes) else { return };
    if !cookies(field).any(|pair| pair.value_of(name).is_some()) {
        return;
    }
    let mut rest = Vec::with_capacity(field.len());
    for pair in cookies(field).filter(|pair| pair.value_of(name).is_none()) {
        if !rest.is_empty() {
            rest.extend_from_slice(b"; ");
        }
        rest.extend_from_slice(pair.whole);
    }
    match HeaderValue::from_bytes(&rest) {
        Ok(rest) if !rest.is_empty() => drop(headers.insert(COOKIE, rest)),
        _ => drop(headers.remove(COOKIE)),
    }
}

/// The path and the other parameters stay byte for byte.
fn remove_parameter(uri: &mut Uri, name: &str) -> Result<(), ForwardError> {
    let Some(query) = uri.query() else { return Ok(()) };
    if !parameters(query).any(|(it, _)| it.is(name)) {
        return Ok(());
    }
    let ours = |pair: &&str| !parameters(pair).any(|(it, _)| it.is(name));
    let rest: Vec<&str> = query.split('&').filter(ours).collect();
    let mut target = uri.path().to_owned();
    if !rest.is_empty() {
        target.push('?');
        target.push_str(&rest.join("&"));
    }
    // A part of what was a target before is one.
    let target = PathAndQuery::try_from(target).map_err(|_cause| ForwardError::Protocol)?;
    *uri = Uri::from(target);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(target: &str, cookie: &[&str]) -> (String, Option<String>) {
        let mut request = http::Request::get(target);
        for cookie in cookie {
            request = request.header(COOKIE, *cookie);
        }
        let mut parts = request.body(()).expect("a request").into_parts().0;
        let places = [
            TokenSource::Cookie { name: "token".into(), csrf: None },
            TokenSource::Query { name: "jwt".into(), prefix: "".into() },
        ];
        remove(&mut parts, &places).expect("a target");
        let cookie = parts.headers.get(COOKIE).map(|it| it.to_str().expect("ASCII").to_owned());
        (parts.uri.to_string(), cookie)
    }

    #[test]
    fn the_token_goes_and_everything_else_stays_as_it_was() {
        for (target, want) in [
            ("/a?jwt=x", "/a"),
            ("/a?b=1&jwt=x&c=%20", "/a?b=1&c=%20"),
            ("/a?%6awt=x&jwt=y", "/a"),
            ("/a?jwtx=1", "/a?jwtx=1"),
            ("/a?b&&c", "/a?b&&c"),
            ("/a", "/a"),
        ] {
            assert_eq!(without(target, &[]).0, want, "{target}");
        }
        for (field, want) in [
            ("token=x", None),
            ("a=1; token=x; b=2", Some("a=1; b=2")),
            ("a=1; token=x; token=y", Some("a=1")),
            ("tokens=1;b=2", Some("tokens=1;b=2")),
        ] {
            assert_eq!(without("/", &[field]).1.as_deref(), want, "{field}");
        }
    }
}
