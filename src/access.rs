//! What a route asks of whom it lets in, and the [`Permit`] without which nothing is forwarded.

use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::revocation::Principal;
use crate::token::{ClaimPath, Claims, TokenSource, TokenTypes, Verified};

/// Who is let through a route. There is no default: a route must say.
#[derive(Clone, Debug)]
pub enum Access {
    /// Anyone; a token is not looked at.
    Public,
    /// Whoever shows no token at all, or one that passes the rule.
    Optional(AccessRule),
    /// Whoever shows a token that passes the rule.
    Required(AccessRule),
}

/// What a token must be and carry.
#[derive(Clone, Debug)]
pub struct AccessRule {
    /// Configured names of the issuers whose tokens count; `None`: all.
    pub issuers: Option<Vec<Arc<str>>>,
    /// Kinds that are accepted.
    pub token_types: TokenTypes,
    /// Where the token is looked for, in order.
    pub token_from: Vec<TokenSource>,
    /// Kinds that are checked for revocation.
    pub check_revocation: TokenTypes,
    /// Scopes the token must all have.
    pub scopes: Vec<Box<str>>,
    /// Claims that must hold.
    pub claims: Vec<ClaimRule>,
}

/// A claim that must have one of some values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    /// Which claim.
    pub claim: ClaimPath,
    /// Its value, or a value of its list, is one of these (numbers and booleans in their JSON text).
    pub any_of: Vec<Box<str>>,
}

/// Leave to forward one request. Only this room makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    principal: Option<Principal>,
}

/// Why a principal may not use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AccessError {
    /// The token's kind is not accepted here.
    #[error("the token is of a kind that this route does not take")]
    TokenType,
    /// The token's issuer is not accepted here.
    #[error("the token's issuer is not trusted on this route")]
    Issuer,
    /// A scope is lacking (RFC 6750 §3.1).
    #[error("the token lacks a scope")]
    InsufficientScope,
    /// A claim rule does not hold.
    #[error("a claim of the token does not hold here")]
    Denied,
}

// === impl Access ===

impl Access {
    /// The rule, where there is one.
    pub const fn rule(&self) -> Option<&AccessRule> {
        match self {
            Self::Public => None,
            Self::Optional(rule) | Self::Required(rule) => Some(rule),
        }
    }

    /// The scopes that are asked for.
    pub fn scopes(&self) -> &[Box<str>] {
        self.rule().map_or(&[], |rule| &rule.scopes)
    }
}

// === impl AccessRule ===

impl AccessRule {
    /// Whether a token of this issuer and kind is for this route at all; asked before revocation, so
    /// that a refresh token on an access route is told so whether it was revoked or not.
    pub fn suits(&self, token: &Verified) -> Result<(), AccessError> {
        if let Some(issuers) = &self.issuers
            && !issuers.contains(token.issuer())
        {
            return Err(AccessError::Issuer);
        }
        if !self.token_types.contains(token.token_type()) {
            return Err(AccessError::TokenType);
        }
        Ok(())
    }

    /// Gives the permit, or says what is lacking.
    pub fn authorize(&self, principal: Principal) -> Result<Permit, AccessError> {
        let claims = principal.claims();
        if !self.scopes.iter().all(|wanted| claims.scopes().any(|scope| scope == &**wanted)) {
            return Err(AccessError::InsufficientScope);
        }
        if !self.claims.iter().all(|rule| rule.holds(claims)) {
            return Err(AccessError::Denied);
        }
        Ok(Permit { principal: Some(principal) })
    }
}

// === impl ClaimRule ===

impl ClaimRule {
    fn holds(&self, claims: &Claims) -> bool {
        match claims.at(&self.claim) {
            Some(Value::Array(values)) => values.iter().any(|value| self.matches(value)),
            Some(value) => self.matches(value),
            None => false,
        }
    }

    fn matches(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.any_of.iter().any(|wanted| **wanted == **text),
            Value::Number(_) | Value::Bool(_) => {
                let text = value.to_string();
                self.any_of.iter().any(|wanted| **wanted == *text)
            }
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        }
    }
}

// === impl Permit ===

impl Permit {
    /// The permit of a route that is public, or optional and used without a token.
    pub(crate) const fn anonymous() -> Self {
        Self { principal: None }
    }

    /// Who it was given to; `None` on public and optional routes used without a token.
    pub const fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }
}
