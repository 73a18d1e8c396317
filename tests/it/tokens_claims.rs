//! Rightly signed tokens that say something wrong (security.md A13, A14, A23–A31).

use serde_json::{Value, json};

use crate::support::forge::Court;
use crate::support::issuer::{AUDIENCE, ISSUER, good_claims, now};

const HEADER: &str = r#"{"alg":"RS256"}"#;

/// The good claims as text, with this member's text in its place (or gone, when empty).
fn claims_with(name: &str, text: &str) -> String {
    let mut claims = good_claims();
    claims.as_object_mut().expect("an object").remove(name);
    let claims = claims.to_string();
    if text.is_empty() {
        return claims;
    }
    format!("{},\"{name}\":{text}}}", &claims[..claims.len() - 1])
}

/// Each text as that claim must make the token invalid.
#[track_caller]
fn refused_as(court: &Court, name: &str, texts: &[&str]) {
    for text in texts {
        let what = format!("{name} {text:.60}");
        court.refuses(&what, &court.signed(HEADER, &claims_with(name, text)));
    }
}

#[test]
fn a_payload_is_one_strict_json_object() {
    let court = Court::new();
    let good = good_claims().to_string();
    let inside = &good[1..good.len() - 1];
    for payload in [
        "",
        "null",
        "[]",
        "\"\"",
        "1",
        "true",
        "{}",
        "{",
        "NaN",
        " ",
        &format!("\u{feff}{good}"),
        &format!("{good}x"),
        &format!("{good}{good}"),
        &format!("{good}\0"),
        &format!("{{{inside},}}"),
        &format!("{{{inside},\"x\":NaN}}"),
        &format!("{{{inside},\"x\":Infinity}}"),
        &format!("{{/* comment */{inside}}}"),
        &format!("{{{inside},\"x\":01}}"),
        &format!("[{good}]"),
        &good.replace('"', "'"),
        &format!("{{{inside},\"x\":\"\\ud800\"}}"),
        &format!("{{{inside},\"x\":\"\u{1}\"}}"),
    ] {
        court.refuses(payload, &court.signed(HEADER, payload));
    }
    let not_utf8 = [&good.as_bytes()[..good.len() - 1], b",\"x\":\"\xff\"}"].concat();
    let key = &court.gateway.issuer.key;
    court.refuses("not UTF-8", &key.sign_bytes(HEADER.as_bytes(), &not_utf8));
    for header in ["", "null", "[]", "\"RS256\"", "{\"alg\":\"RS256\"}x", "{\"alg\":\"RS256\",}"] {
        court.refuses(header, &court.signed(header, &good));
    }
    court.refuses("BOM", &court.signed(&format!("\u{feff}{HEADER}"), &good));
    court
        .accepts("white space", &court.signed(" {\"alg\" : \"RS256\"}\n", &format!(" {good}\r\n")));
    court.adjourn();
}

#[test]
fn bombs_are_refused_in_time() {
    let court = Court::new();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let twins = |count: usize| vec!["\"x\":1"; count].join(",");
    let many: Vec<String> = (0..400).map(|n| format!("\"m{n}\":1")).collect();
    for (what, text) in [
        ("nested 100 deep", nested(100)),
        ("nested 2500 deep", nested(2500)),
        ("900 equal members", format!("{{{}}}", twins(900))),
        ("400 members", format!("{{{}}}", many.join(","))),
        ("a number of 5000 digits", "9".repeat(5000)),
        ("a large exponent", "1e999999".to_owned()),
    ] {
        court.refuses(what, &court.signed(HEADER, &claims_with("x", &text)));
        let header = format!("{{\"alg\":\"RS256\",\"x\":{text}}}");
        court.refuses(what, &court.signed(&header, &good_claims().to_string()));
    }
    court.adjourn();
}

#[test]
fn a_token_ends_at_its_exp() {
    let court = Court::new();
    for past in [json!(now() - 1), json!(now() - 3600), json!(1), json!(0), json!(1.5)] {
        let token = court.signed(HEADER, &claims_with("exp", &past.to_string()));
        court.refuses_as(&format!("exp {past}"), &token, 401, "token-expired");
    }
    let soon = now() + 600;
    let (twice, text) = (format!("{soon},\"exp\":{soon}"), format!("\"{soon}\""));
    let far = [
        "",
        "null",
        &text,
        "true",
        "[9999999999]",
        "{}",
        "-1",
        "-1e30",
        "1e300",
        "1e400",
        "9223372036854775808",
        "18446744073709551621",
        "-9223372036854775808",
        "\"2099-01-01T00:00:00Z\"",
        "\"\"",
        "99999999999",
        &twice,
    ];
    refused_as(&court, "exp", &far);
    let upper = claims_with("exp", "").replace("\"iat\"", &format!("\"EXP\":{soon},\"iat\""));
    court.refuses("EXP", &court.signed(HEADER, &upper));
    for good in [soon.to_string(), format!("{soon}.5"), format!("{}e3", soon / 1000 + 1)] {
        court.accepts(&good, &court.signed(HEADER, &claims_with("exp", &good)));
    }
    court.adjourn();
}

#[test]
fn a_token_begins_at_its_nbf_and_iat() {
    let court = Court::new();
    let future = (now() + 300).to_string();
    let past = (now() - 300).to_string();
    let twice = format!("{past},\"nbf\":{past}");
    refused_as(
        &court,
        "nbf",
        &[&future, &format!("{future}.5"), "1e300", "\"0\"", "{}", "true", "[0]", "-1", &twice],
    );
    let twice = format!("{past},\"iat\":{past}");
    let iat = [&*future, "\"0\"", "{}", "true", "[]", "-5", "1e300", "", "null", &twice];
    refused_as(&court, "iat", &iat);
    court.accepts("nbf past", &court.signed(HEADER, &claims_with("nbf", &past)));
    court.adjourn();
}

#[test]
fn the_issuer_is_compared_exactly() {
    let court = Court::new();
    let twice = |first: &str, second: &str| format!("\"{first}\",\"iss\":\"{second}\"");
    refused_as(
        &court,
        "iss",
        &[
            "",
            "null",
            "0",
            "{}",
            "true",
            "\"\"",
            "\"main\"",
            &format!("[\"{ISSUER}\"]"),
            "\"https://login.example.com\"",
            "\"https://login.example.com/x\"",
            "\"https://login.example.com//\"",
            "\"HTTPS://LOGIN.EXAMPLE.COM/\"",
            "\"http://login.example.com/\"",
            "\"https://login.example.com/ \"",
            "\"https://login.example.com/\\u0000\"",
            "\"https://login.example.com@evil.example/\"",
            "\"https://login.example.com:443/\"",
            "\"https://evil.example/\"",
            &twice(ISSUER, "https://evil.example/"),
            &twice("https://evil.example/", ISSUER),
            &twice(ISSUER, ISSUER),
        ],
    );
    court.accepts(
        "escaped, the same text",
        &court.signed(HEADER, &claims_with("iss", "\"https:\\/\\/login.example.com\\u002f\"")),
    );
    court.adjourn();
}

#[test]
fn the_audience_is_compared_exactly() {
    let court = Court::new();
    refused_as(
        &court,
        "aud",
        &[
            "",
            "null",
            "0",
            "{}",
            "[]",
            "true",
            "\"\"",
            "[[\"orders-api\"]]",
            "[1]",
            "[null]",
            "{\"orders-api\":true}",
            "\"other\"",
            "\"orders\"",
            "\"orders-api2\"",
            "\"ORDERS-API\"",
            "\"orders-api,other\"",
            "\"orders-api other\"",
            "\" orders-api\"",
            "[\"orders-api\",1]",
            "[\"other\",\"orders\"]",
            "\"other\",\"aud\":\"orders-api\"",
            "\"orders-api\",\"aud\":\"orders-api\"",
            "\"orders-api\\u0000\"",
            "\"*\"",
        ],
    );
    let list = format!("[\"other\",\"{AUDIENCE}\"]");
    court.accepts("one of a list", &court.signed(HEADER, &claims_with("aud", &list)));
    court.adjourn();
}

#[test]
fn a_subject_is_needed_and_is_text() {
    let court = Court::new();
    let texts = ["", "null", "0", "{}", "[\"alice\"]", "true", "\"\"", "\"a\",\"sub\":\"b\""];
    refused_as(&court, "sub", &texts);
    court.adjourn();
}

#[test]
fn a_token_without_id_cannot_be_revoked_and_is_refused() {
    let court = Court::new();
    let texts = ["", "null", "0", "{}", "[\"x\"]", "[]", "true", "\"\"", "\"a\",\"jti\":\"b\""];
    refused_as(&court, "jti", &texts);
    court.adjourn();
}

#[test]
fn a_token_made_for_something_else_is_no_access_token() {
    let court = Court::new();
    let kinds =
        ["\"id\"", "\"refresh\"", "\"ID\"", "\"Access\"", "\"\"", "null", "0", "[\"access\"]"];
    refused_as(&court, "type", &kinds);
    let events = "{\"http://schemas.openid.net/event/backchannel-logout\":{}}";
    refused_as(&court, "events", &[events, "null", "[]"]);
    court.adjourn();
}

#[test]
fn a_token_that_lives_too_long_is_refused() {
    let court = Court::new();
    let day = 24 * 3600;
    for (age, life) in [(0, day + 60), (day, day + 3600), (0, 10 * 365 * day)] {
        let claims = json!({ "iat": now() - age, "exp": now() - age + life });
        court.refuses(&claims.to_string(), &court.gateway.issuer.token(claims));
    }
    court.adjourn();
}

#[test]
fn an_identity_cannot_bring_a_field_along() {
    let court = Court::new();
    for (subject, wanted) in [
        ("a\r\nX-Admin: 1", "a%0D%0AX-Admin: 1"),
        ("a\nX-Admin: 1", "a%0AX-Admin: 1"),
        ("a\u{0}b", "a%00b"),
        ("a\u{10d}\u{10a}X-Admin: 1", "a%C4%8D%C4%8AX-Admin: 1"),
        ("zoë", "zo%C3%AB"),
        (" root ", "%20root%20"),
        ("root,admin", "root,admin"),
        ("a\u{7f}\t\u{1b}[2J", "a%7F%09%1B[2J"),
    ] {
        let token = court.gateway.issuer.of(subject);
        court.accepts(subject, &token);
        let seen = court.gateway.upstream.last();
        assert_eq!(seen.all("x-auth-subject"), [wanted], "{subject:?}");
        assert_eq!(seen.field("x-admin"), None, "{subject:?}");
    }
    let long = "é".repeat(2000);
    court.accepts("a long one", &court.gateway.issuer.of(&long));
    let lines = court.gateway.log_lines(9);
    assert_eq!(lines[0]["subject"], "a\r\nX-Admin: 1", "escaped, as it is");
    let kept = lines[8]["subject"].as_str().map(|text| text.chars().count());
    assert_eq!(kept, Some(64), "cut");
    court.adjourn();
}

#[test]
fn an_id_cannot_forge_a_log_line() {
    let court = Court::new();
    let forged = "x\"}\n{\"status\":200,\"subject\":\"root\"}\r\n\u{2028}\u{1b}]0;x\u{7}";
    court.accepts("jti", &court.gateway.issuer.token(json!({ "jti": forged, "sub": forged })));
    let lines: Vec<Value> = court.gateway.log_lines(1);
    assert_eq!(lines.len(), 1);
    let cut: String = forged.chars().take(64).collect();
    assert_eq!(lines[0]["token_id"], *cut);
    assert_eq!(lines[0]["subject"], *cut);
    court.adjourn();
}
