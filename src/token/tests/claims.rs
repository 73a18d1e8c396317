//! Reading claims: rounding of dates, scopes, audiences, paths.

use super::*;

fn parse(text: &str) -> Claims {
    Claims::parse(text.as_bytes()).unwrap()
}

#[test]
fn dates_are_rounded_so_that_no_life_grows() {
    for (json, down, up) in [
        ("0", 0, 0),
        ("1800000000", 1_800_000_000, 1_800_000_000),
        ("1800000000.0", 1_800_000_000, 1_800_000_000),
        ("1800000000.001", 1_800_000_000, 1_800_000_001),
        ("1800000000.999", 1_800_000_000, 1_800_000_001),
        ("1.8e9", 1_800_000_000, 1_800_000_000),
        ("9223372036854775807", i64::MAX as u64, i64::MAX as u64),
    ] {
        let claims = parse(&format!(r#"{{"exp":{json},"nbf":{json},"iat":{json}}}"#));
        assert_eq!(claims.expires_at(), Some(UnixTime::from_secs(down)), "{json}");
        assert_eq!(claims.issued_at(), Some(UnixTime::from_secs(down)), "{json}");
        assert_eq!(claims.not_before(), Some(UnixTime::from_secs(up)), "{json}");
    }
    assert_eq!(parse("{}").expires_at(), None);
}

#[test]
fn scopes_come_from_scope_and_scp() {
    let claims = parse(r#"{"scope":"a  b","scp":["c","d e",1]}"#);
    assert_eq!(claims.scopes().collect::<Vec<_>>(), ["a", "b", "c", "d e"]);
    assert_eq!(parse(r#"{"scp":"a b"}"#).scopes().count(), 2);
    assert_eq!(parse(r#"{"scope":["a"]}"#).scopes().count(), 0);
}

#[test]
fn audiences_are_one_or_many() {
    assert_eq!(parse(r#"{"aud":"a"}"#).audiences().collect::<Vec<_>>(), ["a"]);
    assert_eq!(parse(r#"{"aud":["a","b"]}"#).audiences().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(parse("{}").audiences().count(), 0);
}

#[test]
fn a_path_leads_into_objects_and_a_name_with_dots_wins() {
    let claims = parse(r#"{"a":{"b":{"c":1}},"a.b":2}"#);
    let at = |path: &str| claims.look_at(&ClaimPath::from(path)).map(Claim::to_value);
    assert_eq!(at("a.b.c"), Some(1.into()));
    assert_eq!(at("a.b"), Some(2.into()));
    assert_eq!(at("a.x"), None);
    assert_eq!(at("a.b.c.d"), None);
}
