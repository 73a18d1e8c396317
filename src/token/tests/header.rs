//! Reading a header: what is kept of it, and that it borrows.

use super::*;

#[test]
fn the_members_that_are_text_are_kept() {
    let json = br#"{"alg":"ES256","kid":"k\u0031","typ":"JWT","use":"a","n":1,"o":{"a":[1]}}"#;
    let header = Header::parse(json).unwrap();
    assert_eq!(header.algorithm, Algorithm::ES256);
    assert_eq!(header.key_id(), Some("k1"));
    assert_eq!(header.typ(), Some("JWT"));
    assert_eq!((header.text("use"), header.text("n"), header.text("o")), (Some("a"), None, None));
    assert!(header.has("n") && header.has("o") && !header.has("x"));
}

#[test]
fn text_without_escapes_is_borrowed() {
    let header = Header::parse(br#"{"alg":"ES256","kid":"k1"}"#).unwrap();
    let borrowed = |(_, member): &(_, Member<'_>)| matches!(member, Member::Text(Cow::Borrowed(_)));
    assert!(header.members.iter().all(borrowed));
}

#[test]
fn more_than_32_members_and_doubles_inside_members_are_refused() {
    let many = |count: usize| {
        let rest: String = (1..count).map(|i| format!(",\"m{i}\":1")).collect();
        format!("{{\"alg\":\"ES256\"{rest}}}")
    };
    assert!(Header::parse(many(32).as_bytes()).is_ok());
    assert_eq!(Header::parse(many(33).as_bytes()).err(), Some(TokenError::Malformed));
    let doubled = br#"{"alg":"ES256","jwk":{"kty":"RSA","kty":"oct"}}"#;
    assert_eq!(Header::parse(doubled).err(), Some(TokenError::Malformed));
}

#[test]
fn names_are_the_names_that_jsonwebtoken_uses() {
    for algorithm in crate::token::tests::EVERY_ALGORITHM {
        assert_eq!(algorithm_named(&format!("{algorithm:?}")), Some(algorithm));
    }
}
