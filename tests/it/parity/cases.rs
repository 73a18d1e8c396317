//! The requests: every token on every kind of route and in every place, and every form of a place.

use serde_json::json;

use super::Case;
use super::tokens::{CSRF, Tokens, signed};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Everything that is asked of both.
pub fn all(tokens: &Tokens) -> Vec<Case> {
    let mut cases = Vec::new();
    every_token(tokens, &mut cases);
    headers(tokens, &mut cases);
    cookies(tokens, &mut cases);
    csrf(tokens, &mut cases);
    queries(tokens, &mut cases);
    several_places(tokens, &mut cases);
    issuer_and_audience(&mut cases);
    leeway(&mut cases);
    options(tokens, &mut cases);
    super::bodies::all(tokens, &mut cases);
    cases
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn every_token(tokens: &Tokens, cases: &mut Vec<Case>) {
    const HEADER: [&str; 9] = [
        "access",
        "refresh",
        "any",
        "fresh",
        "fresh-any",
        "optional",
        "optional-fresh",
        "skip",
        "ruled",
    ];
    for (name, token) in &tokens.all {
        for route in HEADER {
            let case = Case::get(&format!("/main/{route}"), name);
            cases.push(case.field("Authorization", bearer(token)));
        }
        let what = format!("{name} in the cookie");
        let cookie = format!("access_token_cookie={token}");
        cases.push(Case::get("/main/cookie", &what).field("Cookie", &cookie));
        let proven = Case::get("/main/cookie", &what).method("POST").field("Cookie", &cookie);
        cases.push(proven.field("X-CSRF-TOKEN", CSRF));
        let refresh = format!("refresh_token_cookie={token}");
        cases.push(Case::get("/main/cookie-refresh", &what).field("Cookie", refresh));
        let what = format!("{name} in the query");
        cases.push(Case::get(&format!("/main/query?jwt={token}"), &what));
        let both = Case::get("/main/multi", format!("{name} before a good cookie"));
        let good = format!("access_token_cookie={}", tokens.get("good"));
        cases.push(both.field("Authorization", bearer(token)).field("Cookie", good));
    }
}

fn headers(tokens: &Tokens, cases: &mut Vec<Case>) {
    let good = tokens.get("good");
    for (what, value) in [
        ("blank", String::new()),
        ("commas", ", ,".to_owned()),
        ("Basic", "Basic dXNlcjpwdw==".to_owned()),
        ("Digest", "Digest username=\"a\", realm=\"b\"".to_owned()),
        ("lower case", format!("bearer {good}")),
        ("upper case", format!("BEARER {good}")),
        ("scheme alone", "Bearer".to_owned()),
        ("scheme and space", "Bearer ".to_owned()),
        ("scheme goes on", format!("BearerX {good}")),
        ("scheme and colon", format!("Bearer: {good}")),
        ("three words", format!("Bearer {good} x")),
        ("two spaces", format!("Bearer  {good}")),
        ("a tab", format!("Bearer\t{good}")),
        ("token alone", good.to_owned()),
        ("after Basic", format!("Basic x, Bearer {good}")),
        ("after Basic without space", format!("Basic x,Bearer {good}")),
        ("before Basic", format!("Bearer {good}, Basic x")),
        ("twice", format!("Bearer {good}, Bearer {good}")),
        ("two", format!("Bearer {good}, Bearer {}", tokens.get("refresh"))),
        ("a comma at the end", format!("Bearer {good},")),
        ("a comma at the start", format!(",Bearer {good}")),
        ("an empty element", format!("Basic x,,Bearer {good}")),
        ("JWT", format!("JWT {good}")),
        ("quotes", format!("Bearer \"{good}\"")),
        ("percent", format!("Bearer {good}%20")),
    ] {
        for route in
            ["/main/access", "/main/optional", "/main/multi", "/raw/access", "/raw/optional"]
        {
            cases.push(Case::get(route, format!("header: {what}")).field("Authorization", &value));
        }
        for route in ["/named/access", "/named/optional"] {
            cases.push(Case::get(route, format!("header: {what}")).field("X-JWT", &value));
        }
    }
    for mount in ["main", "raw", "named", "strict"] {
        for route in ["access", "refresh", "optional"] {
            cases.push(Case::get(&format!("/{mount}/{route}"), "nothing"));
        }
    }
    let lines = Case::get("/main/access", "header: two lines");
    cases.push(lines.field("Authorization", "Basic x").field("Authorization", bearer(good)));
}

fn cookies(tokens: &Tokens, cases: &mut Vec<Case>) {
    let (good, refresh) = (tokens.get("good"), tokens.get("refresh"));
    for route in [
        "/main/cookie",
        "/main/cookie-optional",
        "/main/cookie-refresh",
        "/plain/access",
        "/plain/refresh",
    ] {
        cases.push(Case::get(route, "nothing"));
        cases.push(Case::get(route, "header: instead").field("Authorization", bearer(good)));
        for (what, value) in [
            ("access", format!("access_token_cookie={good}")),
            ("refresh", format!("refresh_token_cookie={refresh}")),
            ("both", format!("access_token_cookie={good}; refresh_token_cookie={refresh}")),
            ("among others", format!("a=1; access_token_cookie={good}; b=2")),
            ("without space", format!("a=1;access_token_cookie={good};b=2")),
            ("quoted", format!("access_token_cookie=\"{good}\"")),
            ("empty", "access_token_cookie=".to_owned()),
            ("without value", "access_token_cookie".to_owned()),
            ("other case", format!("Access_Token_Cookie={good}")),
            ("longer name", format!("xaccess_token_cookie={good}")),
            ("same twice", format!("access_token_cookie={good}; access_token_cookie={good}")),
            ("two different", format!("access_token_cookie={good}; access_token_cookie={refresh}")),
            ("bad", "access_token_cookie=abc".to_owned()),
        ] {
            cases.push(Case::get(route, format!("cookie: {what}")).field("Cookie", value));
        }
    }
}

fn csrf(tokens: &Tokens, cases: &mut Vec<Case>) {
    for (kind, route, cookie, field) in [
        ("good", "/main/cookie", "access_token_cookie", "X-CSRF-TOKEN"),
        ("good", "/main/cookie-optional", "access_token_cookie", "X-CSRF-TOKEN"),
        ("refresh", "/main/cookie-refresh", "refresh_token_cookie", "X-CSRF-TOKEN"),
        ("good", "/plain/access", "access_token_cookie", "X-CSRF-TOKEN"),
        ("good", "/csrf/access", "session", "X-Proof"),
        ("csrf no", "/main/cookie", "access_token_cookie", "X-CSRF-TOKEN"),
        ("expired", "/main/cookie", "access_token_cookie", "X-CSRF-TOKEN"),
        ("revoked", "/main/cookie", "access_token_cookie", "X-CSRF-TOKEN"),
        ("refresh", "/main/cookie", "access_token_cookie", "X-CSRF-TOKEN"),
        ("letters", "/main/cookie", "access_token_cookie", "X-CSRF-TOKEN"),
    ] {
        let value = format!("{cookie}={}", tokens.get(kind));
        for method in METHODS {
            for (what, proof) in [
                ("none", None),
                ("empty", Some("")),
                ("right", Some(CSRF)),
                ("other", Some("other")),
            ] {
                let what = format!("csrf: {what} with {kind}");
                let case = Case::get(route, what).method(method).field("Cookie", &value);
                cases.push(match proof {
                    Some(proof) => case.field(field, proof),
                    None => case,
                });
            }
        }
        let bare = Case::get(route, "csrf: no cookie").method("POST");
        cases.push(bare.field(field, CSRF));
    }
}

fn queries(tokens: &Tokens, cases: &mut Vec<Case>) {
    let (good, refresh) = (tokens.get("good"), tokens.get("refresh"));
    let escaped = good.replace('.', "%2E");
    for route in ["/main/query", "/main/query-optional", "/prefix/access", "/prefix/optional"] {
        for (what, query) in [
            ("nothing", String::new()),
            ("plain", format!("?jwt={good}")),
            ("among others", format!("?a=1&jwt={good}&b=2")),
            ("name escaped", format!("?%6awt={good}")),
            ("empty", "?jwt=".to_owned()),
            ("without value", "?jwt".to_owned()),
            ("other case", format!("?JWT={good}")),
            ("prefix", format!("?jwt=Bearer%20{good}")),
            ("prefix with plus", format!("?jwt=Bearer+{good}")),
            ("prefix in lower case", format!("?jwt=bearer%20{good}")),
            ("prefix alone", "?jwt=Bearer%20".to_owned()),
            ("prefix without space", format!("?jwt=Bearer{good}")),
            ("same twice", format!("?jwt={good}&jwt={good}")),
            ("two different", format!("?jwt={good}&jwt={refresh}")),
            ("token escaped", format!("?jwt={escaped}")),
            ("bad", "?jwt=abc".to_owned()),
            ("refresh", format!("?jwt={refresh}")),
        ] {
            cases.push(Case::get(&format!("{route}{query}"), format!("query: {what}")));
        }
    }
}

fn several_places(tokens: &Tokens, cases: &mut Vec<Case>) {
    let names = ["good", "expired", "revoked", "refresh", "letters"];
    let header = |case: Case, name: &str| match name {
        "none" => case,
        "Basic" => case.field("Authorization", "Basic x"),
        "scheme" => case.field("Authorization", "Bearer"),
        name => case.field("Authorization", bearer(tokens.get(name))),
    };
    for first in ["none", "Basic", "scheme"].into_iter().chain(names) {
        for second in ["none"].into_iter().chain(names) {
            let what = format!("places: {first} then {second}");
            let cookie = |case: Case| match second {
                "none" => case,
                name => case.field("Cookie", format!("access_token_cookie={}", tokens.get(name))),
            };
            for route in ["/main/multi", "/main/multi-optional", "/main/multi3"] {
                cases.push(cookie(header(Case::get(route, &what), first)));
            }
            let posted = Case::get("/main/multi", format!("{what}, posted")).method("POST");
            cases.push(cookie(header(posted, first)));
            let query = match first {
                "none" | "Basic" | "scheme" => "/main/multi3".to_owned(),
                name => format!("/main/multi3?jwt={}", tokens.get(name)),
            };
            cases.push(cookie(Case::get(&query, format!("{what}, query first"))));
        }
    }
}

fn issuer_and_audience(cases: &mut Vec<Case>) {
    const ISSUER: &str = "https://login.example.com/";
    for (what, changes) in [
        ("both right", json!({ "iss": ISSUER, "aud": "orders" })),
        ("audience in a list", json!({ "iss": ISSUER, "aud": ["a", "orders"] })),
        ("audience missing", json!({ "iss": ISSUER })),
        ("audience other", json!({ "iss": ISSUER, "aud": "other" })),
        ("audience other list", json!({ "iss": ISSUER, "aud": ["a", "b"] })),
        ("audience empty", json!({ "iss": ISSUER, "aud": "" })),
        ("audience empty list", json!({ "iss": ISSUER, "aud": [] })),
        ("audience number", json!({ "iss": ISSUER, "aud": 7 })),
        ("audience list of numbers", json!({ "iss": ISSUER, "aud": [7] })),
        ("issuer missing", json!({ "aud": "orders" })),
        ("issuer other", json!({ "iss": "https://evil.example.com/", "aud": "orders" })),
        ("issuer number", json!({ "iss": 7, "aud": "orders" })),
        ("issuer with another slash", json!({ "iss": format!("{ISSUER}/"), "aud": "orders" })),
        ("both missing", json!({})),
        ("expired and issuer missing", json!({ "exp": 1, "iat": 1, "nbf": 1 })),
        ("refresh", json!({ "iss": ISSUER, "aud": "orders", "type": "refresh" })),
    ] {
        for route in ["/strict/access", "/strict/optional", "/strict/refresh"] {
            let case = Case::get(route, format!("claims: {what}"));
            cases.push(case.field("Authorization", bearer(&signed(&changes))));
        }
    }
}

fn leeway(cases: &mut Vec<Case>) {
    let now = crate::support::issuer::now();
    for (what, changes) in [
        ("expired within", json!({ "exp": now - 20 })),
        ("expired at its end", json!({ "exp": now - 60 })),
        ("expired beyond", json!({ "exp": now - 70 })),
        ("nbf within", json!({ "nbf": now + 40 })),
        ("nbf beyond", json!({ "nbf": now + 600 })),
        ("iat within", json!({ "iat": now + 40 })),
        ("iat beyond", json!({ "iat": now + 600 })),
    ] {
        let case = Case::get("/leeway/access", format!("leeway: {what}"));
        cases.push(case.field("Authorization", bearer(&signed(&changes))));
    }
}

fn options(tokens: &Tokens, cases: &mut Vec<Case>) {
    for route in ["access", "refresh", "fresh", "optional", "cookie", "query", "multi"] {
        let path = format!("/main/{route}");
        cases.push(Case::get(&path, "options: nothing").method("OPTIONS"));
        for name in ["expired", "revoked", "letters"] {
            let case = Case::get(&path, format!("options: {name}")).method("OPTIONS");
            cases.push(case.field("Authorization", bearer(tokens.get(name))));
        }
    }
}
