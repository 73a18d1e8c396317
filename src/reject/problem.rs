//! The body of a refusal: `application/problem+json` (RFC 9457).

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::Code;

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'a str,
}

/// The body; `instance` is the request's id, which the operator's log has too.
pub(super) fn body(code: Code, detail: &str, status: StatusCode, instance: &str) -> Bytes {
    let problem = Problem {
        r#type: &format!("urn:portcullis:problem:{}", code.as_str()),
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
        instance,
        code: code.as_str(),
    };
    let mut body = Vec::with_capacity(512);
    serde_json::to_writer(&mut body, &problem).expect("strings and a number are always JSON");
    body.into()
}
