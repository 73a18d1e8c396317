//! What is said of a credential's place; the whole is compared with the library itself in `tests/it/parity`.

use super::*;

fn rule(token_from: Vec<TokenSource>) -> AccessRule {
    AccessRule {
        issuers: None,
        token_types: TokenTypes::ACCESS,
        token_from,
        reading: Reading::Flask,
        exempt_options: false,
        fresh: None,
        check_revocation: TokenTypes::BOTH,
        scopes: Vec::new(),
        claims: Vec::new(),
        callback: None,
    }
}

fn words(error: BearerError, places: Vec<TokenSource>, field: Option<&str>) -> (u16, String) {
    let mut head = http::Request::new(()).into_parts().0;
    if let Some(value) = field {
        head.headers.insert("authorization", value.parse().unwrap());
    }
    let (rule, verifier) = (rule(places), Verifier::new(Vec::new()));
    let asked =
        Asked { head: &head, rule: &rule, verifier: &verifier, claims: None, now: UnixTime::MAX };
    let said = Said::of(&error.into(), &asked).expect("the library has words for it");
    (said.status.as_u16(), said.message.into_owned())
}

#[test]
fn each_place_says_what_it_lacks() {
    let header = TokenSource::authorization_bearer;
    let cookie = || TokenSource::Cookie { name: "c".into(), csrf: None };
    let query = || TokenSource::Query { name: "jwt".into(), prefix: "".into() };
    let missing = BearerError::Missing;
    let scheme = "Missing 'Bearer' type in 'Authorization' header. \
                  Expected 'Authorization: Bearer <JWT>'";
    let all = "Missing JWT in headers, cookies or query_string (Missing Authorization Header; \
               Missing cookie \"c\"; Missing 'jwt' query paramater)";
    for (places, field, want) in [
        (vec![header()], None, "Missing Authorization Header"),
        (vec![header()], Some(" , "), "Missing Authorization Header"),
        (vec![header()], Some("Basic x"), scheme),
        (vec![cookie()], None, "Missing cookie \"c\""),
        (vec![header(), cookie(), query()], None, all),
    ] {
        assert_eq!(words(missing, places, field), (401, want.to_owned()), "{field:?}");
    }
    let bad = "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'";
    let malformed = words(BearerError::Malformed, vec![header()], Some("Bearer"));
    assert_eq!(malformed, (422, bad.to_owned()));
}
