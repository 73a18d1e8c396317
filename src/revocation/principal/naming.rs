//! Every name by which a token can be revoked.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::revocation::names::Slot;
use crate::token::{Claim, ClaimPath, Verified};

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
    claim(Slot::JTI, "jti", claims.look("jti"), say);
    // Whatever revokes the refresh token is then an entry of its access tokens too, on every node.
    claim(Slot::JTI, "jti", verified.family(), say);
    say(Slot::TOKEN, "token", &URL_SAFE_NO_PAD.encode(verified.digest()));
    claim(Slot::SID, "sid", claims.look("sid"), say);
    claim(Slot::SUB, "sub", claims.look("sub"), say);
    claim(Slot::SUB, "sub", verified.identity(), say);
    for custom in custom {
        claim(custom.slot, &custom.name, claims.look_at(&custom.path), say);
    }
    claim(Slot::CLIENT, "client_id", claims.look("client_id"), say);
    claim(Slot::CLIENT, "client_id", claims.look("azp"), say);
    if let Some(kid) = verified.key_id() {
        say(Slot::KID, "kid", kid);
    }
    say(Slot::ISS, "iss", verified.scope());
}

/// A list is named value by value; objects and null name nothing.
fn claim(slot: Slot, name: &str, value: Option<Claim<'_>>, say: Say<'_>) {
    let Some(value) = value else { return };
    for value in value.items().chain([value]) {
        match (value.as_str(), value.scalar()) {
            (Some(text), _) => say(slot, name, text),
            (None, Some(scalar)) => say(slot, name, &scalar.to_string()),
            (None, None) => {}
        }
    }
}
