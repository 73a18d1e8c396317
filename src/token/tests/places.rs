//! Cookies and parameters as places of a token, and the double submit that protects a cookie.

use http::{HeaderValue, Request};

use super::*;

fn head(method: &str, target: &str, fields: &[(&'static str, &str)]) -> Parts {
    let mut head = Request::builder().method(method).uri(target).body(()).unwrap().into_parts().0;
    for (name, value) in fields {
        head.headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    head
}

fn cookie(csrf: bool) -> TokenSource {
    TokenSource::Cookie { name: "token".into(), csrf: csrf.then(Csrf::usual) }
}

fn query(prefix: &str) -> TokenSource {
    TokenSource::Query { name: "jwt".into(), prefix: prefix.into() }
}

fn read(places: &[TokenSource], head: &Parts) -> Result<String, BearerError> {
    Found::find(places, Reading::Strict, head)
        .and_then(|found| Ok(found.credential.token()?.as_str().to_owned()))
}

#[test]
fn a_cookie_is_one_credential_or_refused() {
    for (fields, want) in [
        (&["token=abc"][..], Ok("abc")),
        (&["a=1; token=abc; b=2"], Ok("abc")),
        (&["a=1", "token=abc"], Ok("abc")),
        (&["token=\"abc\""], Ok("abc")),
        (&["token=abc; token=abc"], Ok("abc")),
        (&["token=abc; token=def"], Err(BearerError::Repeated)),
        (&["token=abc", "token=def"], Err(BearerError::Repeated)),
        (&["token="], Err(BearerError::Missing)),
        (&["Token=abc"], Err(BearerError::Missing)),
        (&["tokens=abc"], Err(BearerError::Missing)),
        (&["token=a b"], Err(BearerError::Malformed)),
        (&["token=a%20b"], Err(BearerError::Malformed)),
        (&[], Err(BearerError::Missing)),
    ] {
        let fields: Vec<_> = fields.iter().map(|value| ("cookie", *value)).collect();
        let got = read(&[cookie(false)], &head("GET", "/", &fields));
        assert_eq!(got, want.map(str::to_owned), "{fields:?}");
    }
}

#[test]
fn a_parameter_is_one_credential_or_refused() {
    for (target, prefix, want) in [
        ("/?jwt=abc", "", Ok("abc")),
        ("/?a=1&jwt=abc&b=2", "", Ok("abc")),
        ("/?%6Awt=abc", "", Ok("abc")),
        ("/?jwt=abc&jwt=abc", "", Ok("abc")),
        ("/?jwt=abc&jwt=def", "", Err(BearerError::Repeated)),
        ("/?jwt=abc&%6awt=def", "", Err(BearerError::Repeated)),
        ("/?jwt=&jwt=abc", "", Ok("abc")),
        ("/?jwt=", "", Err(BearerError::Missing)),
        ("/?JWT=abc", "", Err(BearerError::Missing)),
        ("/", "", Err(BearerError::Missing)),
        ("/?jwt=a%2eb", "", Err(BearerError::Malformed)),
        ("/?jwt=Bearer%20abc", "Bearer ", Ok("abc")),
        ("/?jwt=Bearer+abc", "Bearer ", Ok("abc")),
        ("/?jwt=bearer+abc", "Bearer ", Err(BearerError::Prefix)),
        ("/?jwt=abc", "Bearer ", Err(BearerError::Prefix)),
    ] {
        let got = read(&[query(prefix)], &head("GET", target, &[]));
        assert_eq!(got, want.map(str::to_owned), "{target}");
    }
}

#[test]
fn strictly_read_two_places_never_both_have_one_and_flask_takes_the_first() {
    let places = [TokenSource::authorization_bearer(), cookie(false), query("")];
    let all = [("authorization", "Bearer a"), ("cookie", "token=b")];
    let both = head("GET", "/?jwt=c", &all);
    assert_eq!(read(&places, &both), Err(BearerError::Repeated));
    let first = |head: &Parts| {
        Found::find(&places, Reading::Flask, head)
            .and_then(|it| Ok(it.credential.token()?.as_str().to_owned()))
    };
    assert_eq!(first(&both), Ok("a".to_owned()));
    let basic = head("GET", "/?jwt=c", &[("authorization", "Basic x"), ("cookie", "token=b")]);
    assert_eq!(first(&basic), Ok("b".to_owned()), "no token here goes on");
    let bad = head("GET", "/?jwt=c", &[("authorization", "Bearer"), ("cookie", "token=b")]);
    assert_eq!(first(&bad), Err(BearerError::Malformed), "a bad one stops");
    let twice = head("GET", "/", &[("cookie", "token=b; token=c")]);
    assert_eq!(first(&twice), Err(BearerError::Repeated), "two in one place are never one");
}

#[test]
fn a_cookie_alone_changes_nothing() {
    for (method, field, want) in [
        ("GET", None, Ok(None)),
        ("HEAD", None, Ok(None)),
        ("POST", None, Err(BearerError::CsrfMissing)),
        ("DELETE", None, Err(BearerError::CsrfMissing)),
        ("PUT", Some(""), Err(BearerError::CsrfMissing)),
        ("PATCH", Some("x"), Ok(Some(Proof::Field("x")))),
    ] {
        let mut fields = vec![("cookie", "token=abc")];
        fields.extend(field.map(|value| ("x-csrf-token", value)));
        let head = head(method, "/", &fields);
        let found = Found::find(&[cookie(true)], Reading::Strict, &head);
        assert_eq!(found.map(|found| found.csrf), want, "{method} {field:?}");
    }
}

#[test]
fn the_field_must_be_what_the_token_says() {
    let claims = |json: &str| Claims::parse(json.as_bytes()).unwrap();
    let sent = |csrf| Found { credential: Credential::Unread(b"abc"), csrf };
    assert_eq!(sent(None).matches(&claims("{}")), Ok(()));
    for proof in [Proof::Field("x"), Proof::Form("x"), Proof::Form("%78")] {
        let right = sent(Some(proof)).matches(&claims(r#"{"csrf":"x"}"#));
        assert_eq!(right, Ok(()));
        let wrong = sent(Some(proof)).matches(&claims(r#"{"csrf":"y"}"#));
        assert_eq!(wrong, Err(BearerError::CsrfMismatch));
    }
    assert_eq!(
        sent(Some(Proof::Field("%78"))).matches(&claims(r#"{"csrf":"x"}"#)),
        Err(BearerError::CsrfMismatch)
    );
    for without in ["{}", r#"{"csrf":1}"#, r#"{"csrf":null}"#] {
        assert_eq!(
            sent(Some(Proof::Field("x"))).matches(&claims(without)),
            Err(BearerError::CsrfClaim)
        );
    }
}

fn json() -> TokenSource {
    TokenSource::Json { name: "t".into(), limit: 9 }
}

fn cookie_with_form() -> TokenSource {
    let csrf = Csrf { form: Some(("proof".into(), 7)), ..Csrf::usual() };
    TokenSource::Cookie { name: "token".into(), csrf: Some(csrf) }
}

#[test]
fn a_body_is_read_only_where_a_credential_may_stand_in_it() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    const BEARER: (&str, &str) = ("authorization", "Bearer a");
    const COOKIE: (&str, &str) = ("cookie", "token=b");
    let header = TokenSource::authorization_bearer;
    for (places, fields, first, all) in [
        (vec![json()], &[JSON][..], Some(9), Some(9)),
        (vec![json()], &[FORM], None, None),
        (vec![json()], &[], None, None),
        (vec![header(), json()], &[JSON], Some(9), Some(9)),
        (vec![header(), json()], &[JSON, BEARER], None, Some(9)),
        (vec![json(), header()], &[JSON, BEARER], Some(9), Some(9)),
        (vec![header(), json()], &[JSON, ("authorization", "Bearer")], None, Some(9)),
        (vec![cookie_with_form()], &[FORM, COOKIE], Some(7), Some(7)),
        (vec![cookie_with_form()], &[FORM], None, None),
        (vec![cookie_with_form()], &[JSON, COOKIE], None, None),
        (vec![cookie_with_form()], &[FORM, COOKIE, ("x-csrf-token", "x")], None, None),
        (vec![cookie(true)], &[FORM, COOKIE], None, None),
        (vec![header(), cookie_with_form(), json()], &[FORM, COOKIE], Some(7), Some(7)),
    ] {
        let head = head("POST", "/", fields);
        for (everything, want) in [(false, first), (true, all)] {
            let got = TokenSource::wants_body(&places, Reading::Strict, &head, everything);
            assert_eq!(got, want, "{places:?} {fields:?} {everything}");
        }
    }
    let safe = head("GET", "/", &[FORM, COOKIE]);
    let places = [cookie_with_form()];
    assert_eq!(TokenSource::wants_body(&places, Reading::Strict, &safe, false), None);
}

#[test]
fn a_form_s_field_proves_as_the_header_does() {
    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
    for (media, body, want) in [
        (FORM, "a=1&proof=x", Ok(Some(Proof::Form("x")))),
        (FORM, "%70roof=x", Ok(Some(Proof::Form("x")))),
        (FORM, "proof=x&proof=x", Ok(Some(Proof::Form("x")))),
        (FORM, "proof=x&proof=y", Err(BearerError::Repeated)),
        (FORM, "proof=", Err(BearerError::CsrfMissing)),
        (FORM, "", Err(BearerError::CsrfMissing)),
        ("text/plain", "proof=x", Err(BearerError::CsrfMissing)),
    ] {
        let mut head = head("POST", "/", &[("cookie", "token=abc"), ("content-type", media)]);
        let body = bytes::Bytes::copy_from_slice(body.as_bytes());
        head.extensions.insert(ReadBody::new(body.clone()));
        let found = Found::find(&[cookie_with_form()], Reading::Strict, &head);
        assert_eq!(found.map(|found| found.csrf), want, "{media} {body:?}");
    }
}
