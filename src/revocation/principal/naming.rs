//! Every name by which a token can be revoked.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::revocation::names::Slot;
use crate::token::{ClaimPath, Verified};

/// A configured claim beyond the built-in ones.
#[derive(Debug)]
pub(super) struct Custom {
    pub(super) name: Arc<str>,
    pub(super) path: ClaimPath,
    pub(super) slot: Slot,
}

/// Is told a claim and its value.
type Say<'s> = &'s mut dyn FnMut(Slot, &str, &str);

/// Says every name of the token, most specific first.
pub(super) fn visit(verified: &Verified, custom: &[Custom], say: Say<'_>) {
    let claims = verified.claims();
    claim(Slot::JTI, "jti", claims.member("jti"), say);
    // Whatever revokes the refresh token is then an entry of its access tokens too, on every node.
    claim(Slot::JTI, "jti", verified.family(), say);
    say(Slot::TOKEN, "token", &URL_SAFE_NO_PAD.encode(verified.digest()));
    claim(Slot::SID, "sid", claims.member("sid"), say);
    claim(Slot::SUB, "sub", claims.member("sub"), say);
    claim(Slot::SUB, "sub", verified.identity(), say);
    for custom in custom {
        claim(custom.slot, &custom.name, claims.at(&custom.path), say);
    }
    claim(Slot::CLIENT, "client_id", claims.member("client_id"), say);
    claim(Slot::CLIENT, "client_id", claims.member("azp"), say);
    if let Some(kid) = verified.key_id() {
        say(Slot::KID, "kid", kid);
    }
    say(Slot::ISS, "iss", verified.scope());
}

/// A list is named value by value; objects and null name nothing.
fn claim(slot: Slot, name: &str, value: Option<&Value>, say: Say<'_>) {
    match value {
        Some(Value::Array(values)) => {
            for value in values.iter().filter(|value| !value.is_array()) {
                claim(slot, name, Some(value), say);
            }
        }
        Some(Value::String(text)) => say(slot, name, text),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => say(slot, name, &value.to_string()),
        Some(Value::Null | Value::Object(_)) | None => {}
    }
}
