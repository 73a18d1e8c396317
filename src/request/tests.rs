//! Tables for the request's rules, and properties.

use http::Request;
use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits =
    HeadLimits { target_bytes: 64, headers: 8, header_bytes: 512, body_bytes: 1000 };

fn head(method: &str, uri: &str, version: Version, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri).version(version);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn judge(uri: &str, fields: &[(&str, &str)]) -> Result<(), RequestError> {
    check(&head("POST", uri, Version::HTTP_11, fields), &LIMITS).map(drop)
}

#[test]
fn one_well_formed_authority_is_asked_for() {
    for host in ["a.example", "a.example:8080", "127.0.0.1:80", "[::1]", "[::1]:443", "A_b~c"] {
        assert_eq!(judge("/", &[("host", host)]), Ok(()), "{host}");
    }
    for host in [
        "", " ", "a b", "u@a", "a/b", "a:", "a:x", "a:99999", "a:+1", "a,b", "a\\b", "[::1", "::1",
        "[x]", "a?b", "a#b", "a%00", ":80", "a:80:80", "é",
    ] {
        let parts = head("GET", "/", Version::HTTP_11, &[]);
        let mut parts = parts;
        parts.headers.insert(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        assert_eq!(check(&parts, &LIMITS), Err(RequestError::BadAuthority), "{host:?}");
    }
    assert_eq!(judge("/", &[]), Err(RequestError::BadAuthority));
    let twice = [("host", "a"), ("host", "a")];
    assert_eq!(judge("/", &twice), Err(RequestError::BadAuthority));
}

#[test]
fn target_and_host_must_name_one_place() {
    for (uri, host, want) in [
        ("http://a/", "a", true),
        ("http://A/", "a", true),
        ("http://a:80/", "a", true),
        ("http://a/", "a:80", true),
        ("https://a:443/", "a", true),
        ("http://a:443/", "a", false),
        ("http://a/", "b", false),
        ("http://u@a/", "a", false),
        ("http://a:81/", "a", false),
    ] {
        let want = if want { Ok(()) } else { Err(RequestError::BadAuthority) };
        assert_eq!(judge(uri, &[("host", host)]), want, "{uri} {host}");
    }
    assert_eq!(judge("ftp://a/", &[("host", "a")]), Err(RequestError::BadTarget));
    assert_eq!(judge("http://a/", &[]), Err(RequestError::BadAuthority));
}

#[test]
fn http2_names_its_authority_in_the_target() {
    let parts = head("GET", "https://a.example/x", Version::HTTP_2, &[]);
    assert_eq!(authority(&parts), Ok("a.example"));
    let parts = head("GET", "https://a.example/x", Version::HTTP_2, &[("host", "b")]);
    assert_eq!(authority(&parts), Err(RequestError::BadAuthority));
    let parts = head("GET", "/x", Version::HTTP_2, &[]);
    assert_eq!(authority(&parts), Err(RequestError::BadAuthority));
}

#[test]
fn a_length_has_one_spelling() {
    for (value, want) in [
        ("5", Ok(())),
        ("0", Ok(())),
        ("1000", Ok(())),
        ("1001", Err(RequestError::BodyTooLarge)),
        ("05", Err(RequestError::BadFraming)),
        ("+5", Err(RequestError::BadFraming)),
        ("-0", Err(RequestError::BadFraming)),
        ("5, 5", Err(RequestError::BadFraming)),
        ("0x5", Err(RequestError::BadFraming)),
        ("", Err(RequestError::BadFraming)),
        ("5.0", Err(RequestError::BadFraming)),
        ("18446744073709551621", Err(RequestError::BadFraming)),
    ] {
        assert_eq!(judge("/", &[("host", "a"), ("content-length", value)]), want, "{value:?}");
    }
    let equal = [("host", "a"), ("content-length", "5"), ("content-length", "5")];
    assert_eq!(judge("/", &equal), Ok(()));
    let differing = [("host", "a"), ("content-length", "5"), ("content-length", "6")];
    assert_eq!(judge("/", &differing), Err(RequestError::BadFraming));
}

#[test]
fn a_transfer_coding_is_chunked_once_and_alone() {
    for (value, want) in [
        ("chunked", true),
        ("Chunked", true),
        ("gzip, chunked", false),
        ("chunked, chunked", false),
        ("identity", false),
        (",chunked", false),
        ("chunked;q=1", false),
        ("", false),
    ] {
        let want = if want { Ok(()) } else { Err(RequestError::BadFraming) };
        let got = judge("/", &[("host", "a"), ("transfer-encoding", value)]);
        assert_eq!(got, want, "{value:?}");
    }
    let twice = [("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
    assert_eq!(judge("/", &twice), Err(RequestError::BadFraming));
    let both = [("host", "a"), ("transfer-encoding", "chunked"), ("content-length", "5")];
    assert_eq!(judge("/", &both), Err(RequestError::BadFraming));
    let old = [("host", "a"), ("transfer-encoding", "chunked")];
    let old = head("POST", "/", Version::HTTP_10, &old);
    assert_eq!(check(&old, &LIMITS), Err(RequestError::BadFraming));
}

#[test]
fn methods_that_tunnel_or_reflect_are_refused() {
    for method in ["CONNECT", "TRACE", "TRACK", "get", "A$", "ABCDEFGHIJKLMNOPQ"] {
        let parts = head(method, "/", Version::HTTP_11, &[("host", "a")]);
        assert_eq!(check(&parts, &LIMITS), Err(RequestError::MethodNotAllowed), "{method}");
    }
    for method in ["GET", "PROPFIND", "VERSION-CONTROL"] {
        let parts = head(method, "/", Version::HTTP_11, &[("host", "a")]);
        assert_eq!(check(&parts, &LIMITS), Ok(false), "{method}");
    }
}

#[test]
fn targets_and_heads_have_bounds() {
    let long = format!("/{}", "a".repeat(64));
    assert_eq!(judge(&long, &[("host", "a")]), Err(RequestError::TargetTooLong));
    let parts = head("OPTIONS", "*", Version::HTTP_11, &[("host", "a")]);
    assert_eq!(check(&parts, &LIMITS), Err(RequestError::BadTarget));
    let many = [("host", "a"); 1].into_iter().chain([("x", "1"); 8]).collect::<Vec<_>>();
    assert_eq!(judge("/", &many), Err(RequestError::HeadersTooLarge));
    let big = "x".repeat(600);
    assert_eq!(judge("/", &[("host", "a"), ("x", &big)]), Err(RequestError::HeadersTooLarge));
}

#[test]
fn connection_cannot_take_away_what_gives_a_request_its_meaning() {
    for value in ["Authorization", "close, host", "x, Content-Length", "X-Forwarded-For", "cookie"]
    {
        let got = judge("/", &[("host", "a"), ("connection", value)]);
        assert_eq!(got, Err(RequestError::BadHeader), "{value}");
    }
    for value in ["close", "keep-alive, x-auth-subject", "transfer-encoding", ",", "te"] {
        assert_eq!(judge("/", &[("host", "a"), ("connection", value)]), Ok(()), "{value}");
    }
}

#[test]
fn only_100_continue_may_be_expected() {
    assert_eq!(judge("/", &[("host", "a"), ("expect", "100-Continue")]), Ok(()));
    let odd = [("host", "a"), ("expect", "100-continue, x")];
    assert_eq!(judge("/", &odd), Err(RequestError::ExpectationFailed));
}

#[test]
fn look_alikes_of_reserved_names_are_refused_and_other_odd_names_dropped() {
    let subject = HeaderName::from_static("x-auth-subject");
    let identity = IdentityNames::new([&subject]);
    for name in [
        "x_auth_subject",
        "x-auth.subject",
        "x~auth-subject",
        "content_length",
        "content.length",
        "transfer_encoding",
        "x_forwarded_for",
        "x-forwarded_anything",
        "x_real_ip",
        "proxy_authorization",
    ] {
        let mut parts = head("GET", "/", Version::HTTP_11, &[(name, "1")]);
        parts.headers.insert(header::HOST, HeaderValue::from_static("a"));
        let got = clean(&mut parts, &LIMITS, &identity);
        assert_eq!(got, Err(RequestError::BadHeader), "{name}");
    }
    let fields = [
        ("host", "a"),
        ("my_field", "1"),
        ("my_field", "2"),
        ("a.b", "3"),
        ("x-auth-subject", "4"),
    ];
    let mut parts = head("GET", "/", Version::HTTP_11, &fields);
    assert_eq!(clean(&mut parts, &LIMITS, &identity), Ok(2));
    assert_eq!(parts.headers.len(), 2);
    assert_eq!(clean(&mut parts, &LIMITS, &identity), Ok(0));
}

proptest! {
    #[test]
    fn what_is_left_has_plain_names(names in proptest::collection::vec("[a-z_.~-]{1,12}", 0..8)) {
        let mut headers = HeaderMap::new();
        for name in &names {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("v"));
        }
        if drop_odd_names(&mut headers, &IdentityNames::default()).is_ok() {
            prop_assert!(headers.keys().all(is_plain));
            prop_assert_eq!(drop_odd_names(&mut headers, &IdentityNames::default()), Ok(0));
        }
    }

    #[test]
    fn any_host_is_judged_without_panic(host in "[ -~]{0,24}") {
        let mut parts = head("GET", "/", Version::HTTP_11, &[]);
        parts.headers.insert(header::HOST, HeaderValue::from_str(&host).unwrap());
        if let Ok(named) = authority(&parts) {
            prop_assert!(!named.contains(['@', '/', ' ', '\\', ',']));
        }
    }
}
