//! Identity fields: the client's copies removed on every route, ours set from verified claims.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::access::Permit;
use crate::request::IdentityNames;
use crate::token::{Claim, ClaimPath};

use super::head::OwnFields;

/// Removes whatever the client sent under these names, or names that read like them.
pub(super) fn strip(headers: &mut HeaderMap, names: &IdentityNames) {
    let sent: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| names.matches(name)).cloned().collect();
    for name in &sent {
        headers.remove(name);
    }
}

/// Sets the route's fields from the permit's claims. A claim that is absent, null or empty sets none.
pub(super) fn set(own: &mut OwnFields, permit: &Permit, fields: &[(ClaimPath, HeaderName)]) {
    let Some(principal) = permit.principal() else { return };
    for (claim, name) in fields {
        if let Some(value) = principal.claims().look_at(claim).and_then(field_value) {
            own.push((name.clone(), value));
        }
    }
}

/// A claim as a field's value; two different texts never give the same one.
///
/// Text is itself, numbers and booleans their JSON text, a list of texts is joined with commas when
/// none of them holds one, everything else is JSON. What a field cannot carry, `%`, and spaces at the
/// ends are percent-encoded (UTF-8), so that no claim can forge a line or another value.
fn field_value(claim: Claim<'_>) -> Option<HeaderValue> {
    let mut bytes = Vec::new();
    if let Some(text) = claim.as_str() {
        encode(text, &mut bytes);
    } else if let Some(texts) = plain_list(claim) {
        join(&texts, &mut bytes);
    } else if !claim.is_null() {
        encode(&claim.to_value().to_string(), &mut bytes);
    }
    if bytes.is_empty() {
        None
    } else {
        HeaderValue::from_maybe_shared(bytes::Bytes::from(bytes)).ok()
    }
}

fn plain_list(claim: Claim<'_>) -> Option<SmallVec<[&str; 8]>> {
    if !claim.is_list() {
        return None;
    }
    let texts = claim.items().map(Claim::as_str);
    texts.map(|text| text.filter(|text| !text.contains(',') && !text.is_empty())).collect()
}

fn join(texts: &[&str], bytes: &mut Vec<u8>) {
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        encode(text, bytes);
    }
}

fn encode(text: &str, bytes: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    bytes.reserve(text.len());
    let last = text.len().saturating_sub(1);
    for (index, byte) in text.bytes().enumerate() {
        let inner_space = byte == b' ' && index != 0 && index != last;
        if (byte.is_ascii_graphic() && byte != b'%') || inner_space {
            bytes.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            bytes.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::token::Claims;

    #[test]
    fn a_claim_becomes_one_line_that_cannot_be_forged() {
        for (claim, want) in [
            (json!("alice"), Some("alice")),
            (json!("a b"), Some("a b")),
            (json!(" admin "), Some("%20admin%20")),
            (json!("a\r\nX-Admin: 1"), Some("a%0D%0AX-Admin: 1")),
            (json!("a%0D"), Some("a%250D")),
            (json!("Čapek"), Some("%C4%8Capek")),
            (json!("\u{10a}x"), Some("%C4%8Ax")),
            (json!(42), Some("42")),
            (json!(true), Some("true")),
            (json!(["a", "b c"]), Some("a,b c")),
            (json!(["a,b"]), Some("[\"a,b\"]")),
            (json!([1, "a"]), Some("[1,\"a\"]")),
            (json!({"a": 1}), Some("{\"a\":1}")),
            (json!(null), None),
            (json!(""), None),
            (json!([]), None),
        ] {
            let got = of(&claim);
            assert_eq!(got.as_ref().map(|v| v.to_str().unwrap()), want, "{claim}");
        }
    }

    #[test]
    fn the_client_s_copies_go_in_every_spelling() {
        let subject = HeaderName::from_static("x-auth-subject");
        let names = IdentityNames::new([&subject]);
        let mut headers = HeaderMap::new();
        for name in ["x-auth-subject", "x_auth_subject", "x.auth-subject", "x-auth-subjects"] {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("evil"));
        }
        headers.append(subject, HeaderValue::from_static("twice"));
        strip(&mut headers, &names);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("x-auth-subjects"));
    }

    /// The value that a claim gives.
    fn of(claim: &serde_json::Value) -> Option<HeaderValue> {
        let claims = Claims::parse(json!({ "it": claim }).to_string().as_bytes()).unwrap();
        claims.look("it").and_then(field_value)
    }

    proptest! {
        #[test]
        fn different_texts_give_different_values(a in ".{1,12}", b in ".{1,12}") {
            let values = [&a, &b].map(|text| of(&json!(text)).unwrap());
            prop_assert_eq!(a == b, values[0] == values[1]);
        }
    }
}
