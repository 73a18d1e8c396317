//! From a bearer token to a [`Verified`] one.

use std::sync::Arc;

use crate::clock::UnixTime;

use super::{Claims, TokenType};

/// A token whose signature and claims were checked. Only the verifier makes one.
#[derive(Debug)]
pub struct Verified {
    claims: Claims,
    issuer: Arc<str>,
    scope: Arc<str>,
    key_id: Option<Box<str>>,
    token_type: TokenType,
    digest: [u8; 32],
    valid_until: UnixTime,
}

// === impl Verified ===

impl Verified {
    /// The claims set.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The configured name of the issuer.
    pub const fn issuer(&self) -> &Arc<str> {
        &self.issuer
    }

    /// What revocations of this issuer's tokens are scoped to: its `iss`, or its name when tokens have none.
    pub const fn scope(&self) -> &Arc<str> {
        &self.scope
    }

    /// The header's `kid`, as the issuer's key set knows it.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// What the token is for.
    pub const fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// SHA-256 of the JWS signing input: names the token without its malleable signature.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// `exp` and leeway: from this second on the token is refused.
    pub const fn valid_until(&self) -> UnixTime {
        self.valid_until
    }

    /// A token as the verifier would have made it, for other rooms' unit tests.
    #[cfg(test)]
    pub(crate) fn for_test(scope: &str, token_type: TokenType, claims: serde_json::Value) -> Self {
        let claims = Claims::parse(claims.to_string().as_bytes()).expect("a claims set");
        let valid_until = claims.expires_at().unwrap_or(UnixTime::MAX);
        let (issuer, scope) = ("main".into(), scope.into());
        Self {
            claims,
            issuer,
            scope,
            key_id: Some("k1".into()),
            token_type,
            digest: [7; 32],
            valid_until,
        }
    }
}
