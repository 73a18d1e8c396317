//! A38 to A40: where a credential is, and that there is one.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::token::{Found, Reading, TokenSource};

const TOKEN: &str = "abc.DEF-_~+/.123";

fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &[u8])| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
    };
    fields.iter().map(field).collect()
}

/// A request with nothing but these fields, read strictly.
fn find(sources: &[TokenSource], headers: &HeaderMap) -> Result<String, BearerError> {
    let mut head: Parts = http::Request::new(()).into_parts().0;
    head.headers = headers.clone();
    Found::find(sources, Reading::Strict, &head)
        .and_then(|found| Ok(found.credential.token()?.as_str().to_owned()))
}

fn bearer(value: &str) -> Result<String, BearerError> {
    let headers = headers(&[("authorization", value.as_bytes())]);
    find(&[TokenSource::authorization_bearer()], &headers)
}

#[test]
fn a38_the_scheme_is_compared_without_case_and_the_rest_exactly() {
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        assert_eq!(bearer(&format!("{scheme} {TOKEN}")).unwrap(), TOKEN);
    }
    assert_eq!(bearer("Bearer a==").unwrap(), "a==");
    for (value, want) in [
        ("", BearerError::Missing),
        ("Basic dXNlcjpwdw==", BearerError::Missing),
        ("Token abc", BearerError::Missing),
        ("BearerX abc", BearerError::Missing),
        ("Bearer: abc", BearerError::Missing),
        ("Bearer-abc", BearerError::Missing),
        ("Beare abc", BearerError::Missing),
        ("abc.def.ghi", BearerError::Missing),
        ("Digest username=\"a\", realm=\"b\"", BearerError::Missing),
        ("none", BearerError::Missing),
        ("Bearer", BearerError::Malformed),
        ("Bearer ", BearerError::Malformed),
        ("Bearer  abc", BearerError::Malformed),
        ("Bearer\tabc", BearerError::Malformed),
        ("Bearer abc def", BearerError::Malformed),
        ("Bearer abc ", BearerError::Malformed),
        ("Bearer =", BearerError::Malformed),
        ("Bearer a=b", BearerError::Malformed),
        ("Bearer \"abc\"", BearerError::Malformed),
        ("Bearer abc;x", BearerError::Malformed),
        ("Bearer abc%2e", BearerError::Malformed),
        ("Bearer a\u{e9}", BearerError::Malformed),
        ("Bearer=abc", BearerError::Malformed),
    ] {
        assert_eq!(bearer(value).unwrap_err(), want, "{value:?}");
    }
}

#[test]
fn a39_two_credentials_are_never_one() {
    for value in [
        "Bearer abc,Bearer def",
        "Bearer abc, Bearer abc",
        "Bearer abc,",
        "Bearer ,abc",
        "Bearer, Basic x",
        "Bearer abc, Basic x",
        "Basic x, Bearer abc",
        "Basic x,bearer abc",
        "Digest a=\"b\", Bearer",
    ] {
        assert_eq!(bearer(value).unwrap_err(), BearerError::Repeated, "{value:?}");
    }
    let sources = [TokenSource::authorization_bearer()];
    for pair in [
        ["Bearer abc", "Bearer abc"],
        ["Bearer abc", "Bearer def"],
        ["Bearer abc", "Basic x"],
        ["Basic x", "Bearer abc"],
        ["Basic x", "Basic x"],
        ["", "Bearer abc"],
        ["Bearer abc", ""],
    ] {
        let headers = headers(&pair.map(|value| ("authorization", value.as_bytes())));
        assert_eq!(find(&sources, &headers), Err(BearerError::Repeated), "{pair:?}");
    }
}

#[test]
fn a40_a_token_elsewhere_is_none() {
    let sources = [TokenSource::authorization_bearer()];
    let value = format!("Bearer {TOKEN}");
    for name in [
        "proxy-authorization",
        "x-forwarded-authorization",
        "x-authorization",
        "cookie",
        "authorization_",
        "http_authorization",
        "x-original-authorization",
    ] {
        let headers = headers(&[(name, value.as_bytes())]);
        assert_eq!(find(&sources, &headers), Err(BearerError::Missing), "{name}");
    }
    assert_eq!(find(&sources, &HeaderMap::new()), Err(BearerError::Missing));
    assert_eq!(find(&[], &headers(&[])), Err(BearerError::Missing));
}

#[test]
fn places_are_searched_in_order_and_only_one_may_have_a_credential() {
    let plain = TokenSource::Header {
        name: HeaderName::from_static("x-token"),
        shown: "X-Token".into(),
        scheme: None,
    };
    let sources = [TokenSource::authorization_bearer(), plain];
    for (authorization, other, want) in [
        (None, Some("abc"), Ok("abc")),
        (Some("Basic x"), Some("abc"), Ok("abc")),
        (Some("Bearer def"), None, Ok("def")),
        (Some("Bearer def"), Some(""), Ok("def")),
        (Some("Bearer def"), Some("abc"), Err(BearerError::Repeated)),
        (Some("Bearer def"), Some("def"), Err(BearerError::Repeated)),
        (Some("Bearer def"), Some("a b"), Err(BearerError::Repeated)),
        (Some("Bearer"), Some("abc"), Err(BearerError::Malformed)),
        (Some("Bearer a b"), Some("abc"), Err(BearerError::Malformed)),
        (Some("Bearer a b"), Some("a b"), Err(BearerError::Malformed)),
        (None, Some("a b"), Err(BearerError::Malformed)),
        (None, Some("a,b"), Err(BearerError::Repeated)),
        (None, None, Err(BearerError::Missing)),
    ] {
        let mut fields = Vec::new();
        fields.extend(authorization.map(|it| ("authorization", it.as_bytes())));
        fields.extend(other.map(|it| ("x-token", it.as_bytes())));
        let headers = headers(&fields);
        let found = find(&sources, &headers);
        assert_eq!(found, want.map(str::to_owned), "{fields:?}");
    }
}

#[test]
fn a_token_is_not_shown_when_printed() {
    assert_eq!(format!("{:?}", BearerToken::new("secret")), "BearerToken(..)");
}
