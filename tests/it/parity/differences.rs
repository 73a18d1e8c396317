//! Every difference that is meant, with its reason.

use super::Case;

/// A reason, and the cases it is for: those whose `what` begins so.
const DIFFERENCES: &[(&str, &[&str])] = &[
    ("a member twice has two readings (RFC 8725 §2.4)", &["member twice", "header twice"]),
    (
        "two credentials in one place are refused, whichever the application would take",
        &[
            "header: two",
            "header: twice",
            "cookie: two different",
            "query: two different",
            "json: two different",
            "form: two different",
        ],
    ),
    ("one token has one text: no padding (RFC 7515 §2)", &["signature equals sign"]),
    (
        "one token has one text: nothing in it is escaped",
        &["query: token escaped", "json: token escaped"],
    ),
    ("a form that may hold files is not read", &["form: multipart"]),
    ("empty text names nobody", &["sub empty"]),
    ("a registered claim is of its own type, looked at or not", &["aud number"]),
    ("a token that names an issuer is checked by that issuer's entry", &["iss other"]),
    (
        "a token without any date has no end that a revocation could be kept until",
        &["exp and iat no"],
    ),
    ("a date before 1970 is none", &["nbf negative", "iat negative"]),
    ("header members have their types (RFC 7515 §4.1.9)", &["typ number"]),
    ("no extension is understood (RFC 7797)", &["b64 true"]),
    ("the place in broken JSON is Python's own text", &["header broken", "payload broken"]),
];

const CRASH: &str = "the library crashes (500); the gateway refuses (422)";

/// Why this case may be answered differently; `None`: it may not.
pub fn reason(case: &Case, theirs: u16, ours: u16) -> Option<&'static str> {
    if theirs == 500 && ours == 422 {
        return Some(CRASH);
    }
    let of_case =
        |(_, whats): &&(&str, &[&str])| whats.iter().any(|what| case.what.starts_with(what));
    DIFFERENCES.iter().find(of_case).map(|(reason, _)| *reason)
}

/// Reasons that no case had.
pub fn unused<'k>(used: impl Iterator<Item = &'k str>) -> Vec<&'static str> {
    let used: Vec<&str> = used.collect();
    DIFFERENCES.iter().map(|(reason, _)| *reason).filter(|reason| !used.contains(reason)).collect()
}
