//! Requests whose credential, or its CSRF proof, is in the body; and other names for claims and messages.

use serde_json::json;

use super::Case;
use super::tokens::{CSRF, Tokens, signed};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

pub fn all(tokens: &Tokens, cases: &mut Vec<Case>) {
    every_token(tokens, cases);
    json_bodies(tokens, cases);
    json_and_header(tokens, cases);
    forms(tokens, cases);
    other_names(tokens, cases);
}

fn every_token(tokens: &Tokens, cases: &mut Vec<Case>) {
    for (name, token) in &tokens.all {
        for (kind, key) in [("access", "access_token"), ("refresh", "refresh_token")] {
            let case = Case::get(&format!("/json/{kind}"), format!("{name} in the body"));
            cases.push(case.posted(JSON, &json!({ key: token }).to_string()));
        }
    }
}

fn json_bodies(tokens: &Tokens, cases: &mut Vec<Case>) {
    let whole = json!({ "access_token": tokens.get("good") }).to_string();
    for route in ["/json/access", "/json/optional", "/json/refresh", "/main/multi-json"] {
        cases.push(Case::get(route, "json: nothing"));
        for media in [
            "text/plain",
            "application/json; charset=utf-8",
            "APPLICATION/JSON",
            "application/vnd.api+json",
            "application/jsonx",
            FORM,
            "",
        ] {
            cases.push(Case::get(route, format!("json: media {media}")).posted(media, &whole));
        }
        for (what, body) in json_texts(tokens) {
            cases.push(Case::get(route, format!("json: {what}")).posted(JSON, &body));
        }
    }
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let case = Case::get("/json/access", "json: another method");
        cases.push(case.posted(JSON, &whole).method(method));
    }
}

fn json_texts(tokens: &Tokens) -> Vec<(&'static str, String)> {
    let (good, refresh) = (tokens.get("good"), tokens.get("refresh"));
    let member = |value: &str| format!("{{\"access_token\":{value}}}");
    vec![
        ("empty body", String::new()),
        ("broken", "{\"access_token\":".to_owned()),
        ("empty object", "{}".to_owned()),
        ("other key", format!("{{\"token\":\"{good}\"}}")),
        ("null member", member("null")),
        ("empty member", member("\"\"")),
        ("zero member", member("0")),
        ("false member", member("false")),
        ("empty list member", member("[]")),
        ("empty object member", member("{}")),
        ("number member", member("7")),
        ("true member", member("true")),
        ("list member", member("[\"x\"]")),
        ("object member", member("{\"a\":1}")),
        ("array", "[1]".to_owned()),
        ("empty array", "[]".to_owned()),
        ("null", "null".to_owned()),
        ("text", "\"access_token\"".to_owned()),
        ("number", "7".to_owned()),
        ("zero", "0".to_owned()),
        ("same twice", format!("{{\"access_token\":\"{good}\",\"access_token\":\"{good}\"}}")),
        (
            "two different",
            format!("{{\"access_token\":\"{refresh}\",\"access_token\":\"{good}\"}}"),
        ),
        ("key escaped", format!("{{\"access\\u005ftoken\":\"{good}\"}}")),
        ("token escaped", member(&format!("\"{}\"", good.replace('.', "\\u002e")))),
        ("among others", format!("{{\"a\":[1,{{}}],\"access_token\":\"{good}\",\"b\":null}}")),
        ("bad", member("\"abc\"")),
        ("access alone", member(&format!("\"{good}\""))),
        ("refresh alone", format!("{{\"refresh_token\":\"{refresh}\"}}")),
    ]
}

fn json_and_header(tokens: &Tokens, cases: &mut Vec<Case>) {
    let names = ["none", "good", "expired", "revoked", "refresh", "letters"];
    for header in names.into_iter().chain(["Basic", "scheme"]) {
        for body in names {
            for route in ["/main/multi-json", "/main/multi-json-optional"] {
                let case = Case::get(route, format!("json: header {header}, body {body}"));
                let case = match header {
                    "none" => case,
                    "Basic" => case.field("Authorization", "Basic x"),
                    "scheme" => case.field("Authorization", "Bearer"),
                    name => case.field("Authorization", format!("Bearer {}", tokens.get(name))),
                };
                cases.push(match body {
                    "none" => case.posted(JSON, "{}"),
                    name => {
                        case.posted(JSON, &json!({ "access_token": tokens.get(name) }).to_string())
                    }
                });
            }
        }
    }
}

fn forms(tokens: &Tokens, cases: &mut Vec<Case>) {
    for (kind, route, cookie) in [
        ("good", "/form/access", "access_token_cookie"),
        ("good", "/form/optional", "access_token_cookie"),
        ("refresh", "/form/refresh", "refresh_token_cookie"),
        ("csrf no", "/form/access", "access_token_cookie"),
        ("revoked", "/form/access", "access_token_cookie"),
        ("letters", "/form/access", "access_token_cookie"),
    ] {
        let value = format!("{cookie}={}", tokens.get(kind));
        let case = |what: &str| Case::get(route, format!("form: {what} with {kind}"));
        let escaped = format!("csrf_token=%{:02x}{}", CSRF.as_bytes()[0], &CSRF[1..]);
        for (what, media, body) in [
            ("right", FORM, format!("a=1&csrf_token={CSRF}&b=2")),
            (
                "right with a charset",
                "Application/X-WWW-Form-Urlencoded; charset=utf-8",
                format!("csrf_token={CSRF}"),
            ),
            ("other", FORM, "csrf_token=other".to_owned()),
            ("empty", FORM, "csrf_token=".to_owned()),
            ("none", FORM, "a=1".to_owned()),
            ("no body", FORM, String::new()),
            ("other case", FORM, format!("CSRF_TOKEN={CSRF}")),
            ("escaped", FORM, escaped),
            ("same twice", FORM, format!("csrf_token={CSRF}&csrf_token={CSRF}")),
            ("two different", FORM, format!("csrf_token={CSRF}&csrf_token=other")),
            ("json", JSON, format!("{{\"csrf_token\":\"{CSRF}\"}}")),
            ("text", "text/plain", format!("csrf_token={CSRF}")),
            (
                "multipart",
                "multipart/form-data; boundary=b",
                format!(
                    "--b\r\nContent-Disposition: form-data; name=\"csrf_token\"\r\n\r\n{CSRF}\r\n--b--\r\n"
                ),
            ),
        ] {
            cases.push(case(what).field("Cookie", &value).posted(media, &body));
            let both = case(&format!("{what}, and the header")).field("Cookie", &value);
            cases.push(both.field("X-CSRF-TOKEN", CSRF).posted(media, &body));
            let empty = case(&format!("{what}, and an empty header")).field("Cookie", &value);
            cases.push(empty.field("X-CSRF-TOKEN", "").posted(media, &body));
        }
        let bare = case("no cookie");
        cases.push(bare.posted(FORM, &format!("csrf_token={CSRF}")));
    }
}

fn other_names(tokens: &Tokens, cases: &mut Vec<Case>) {
    for kind in ["access", "refresh", "optional"] {
        let route = format!("/keyed/{kind}");
        cases.push(Case::get(&route, "keyed: nothing"));
        for name in ["good", "expired", "revoked", "refresh", "letters", "alg none", "sub no"] {
            let case = Case::get(&route, format!("keyed: {name}"));
            cases.push(case.field("Authorization", format!("Bearer {}", tokens.get(name))));
        }
        for (what, changes) in [
            ("alone", json!({ "identity": "alice", "sub": null })),
            ("and a subject", json!({ "identity": "alice", "sub": "bob" })),
            ("and a subject that is none", json!({ "identity": "alice", "sub": 7 })),
            ("missing", json!({})),
            ("both missing", json!({ "sub": null })),
            ("missing and expired", json!({ "exp": 1, "iat": 1, "nbf": 1 })),
            ("of a refresh token", json!({ "identity": "alice", "type": "refresh" })),
            ("expired", json!({ "identity": "alice", "exp": 1, "iat": 1, "nbf": 1 })),
        ] {
            let case = Case::get(&format!("/identity/{kind}"), format!("identity: {what}"));
            cases.push(case.field("Authorization", format!("Bearer {}", signed(&changes))));
        }
    }
}
