//! What a route asks of whom it lets in, and the [`Permit`] without which nothing is forwarded.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use thiserror::Error;

use crate::clock::UnixTime;
use crate::revocation::Principal;
use crate::token::{Claim, ClaimPath, Claims, Reading, TokenSource, TokenTypes, Verified};

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
    /// How it is read there.
    pub reading: Reading,
    /// Whether `OPTIONS`, which browsers send without credentials before they ask, needs no token.
    pub exempt_options: bool,
    /// How recently the token's subject must have shown who he is.
    pub fresh: Option<Fresh>,
    /// Kinds that are checked for revocation.
    pub check_revocation: TokenTypes,
    /// Scopes the token must all have.
    pub scopes: Vec<Box<str>>,
    /// Claims that must hold.
    pub claims: Vec<ClaimRule>,
    /// Configured name of whoever else is asked, when all of this holds.
    pub callback: Option<Arc<str>>,
}

/// How recently someone must have logged in (RFC 9470).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// The claim `fresh` is true, or a time that has not come yet.
    Marked,
    /// `auth_time`, or `iat` of a token that is marked, is no longer ago than this.
    MaxAge(Duration),
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

/// What the rule has to say of a principal.
#[derive(Clone, Debug)]
pub enum Leave {
    /// It may pass.
    Given(Permit),
    /// It may pass if whoever else is asked lets it.
    Pending(Pending),
}

/// A permit that waits for somebody else's verdict. Only this room makes one.
#[derive(Clone, Debug)]
pub struct Pending(Principal);

/// What somebody else says of a token that was verified and checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be used.
    Allow,
    /// Whoever bears it may not do this; another token would not help (403).
    Deny,
    /// It no longer holds: revoked or ended where it was issued (401).
    Inactive,
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
    /// The log-in was too long ago (RFC 9470 §3).
    #[error("the token is not fresh")]
    NotFresh,
    /// A scope is lacking (RFC 6750 §3.1).
    #[error("the token lacks a scope")]
    InsufficientScope,
    /// A claim rule does not hold.
    #[error("a claim of the token does not hold here")]
    Denied,
    /// The route's callback says no.
    #[error("the callback denies it")]
    CallbackDenied,
    /// The route's callback says that the token no longer holds (RFC 7662 §2.2).
    #[error("the callback says that the token is not active")]
    CallbackInactive,
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
    /// Whether a request of this method needs no token.
    pub fn exempts(&self, method: &Method) -> bool {
        self.exempt_options && method == Method::OPTIONS
    }

    /// Whether a credential may stand in the body.
    pub fn may_read_body(&self) -> bool {
        self.token_from.iter().any(|source| source.body_limit().is_some())
    }

    /// Whether a token of this issuer, kind and freshness is for this route at all; asked before revocation, so
    /// that a refresh token on an access route is told so whether it was revoked or not.
    pub fn suits(&self, token: &Verified, now: UnixTime) -> Result<(), AccessError> {
        if let Some(issuers) = &self.issuers
            && !issuers.contains(token.issuer())
        {
            return Err(AccessError::Issuer);
        }
        if !self.token_types.contains(token.token_type()) {
            return Err(AccessError::TokenType);
        }
        match self.fresh {
            Some(fresh) if !fresh.holds(token.claims(), now) => Err(AccessError::NotFresh),
            _ => Ok(()),
        }
    }

    /// Gives the permit, or one that waits for the callback's verdict, or says what is lacking.
    pub fn authorize(&self, principal: Principal) -> Result<Leave, AccessError> {
        let claims = principal.claims();
        if !self.scopes.iter().all(|wanted| claims.scopes().any(|scope| scope == &**wanted)) {
            return Err(AccessError::InsufficientScope);
        }
        if !self.claims.iter().all(|rule| rule.holds(claims)) {
            return Err(AccessError::Denied);
        }
        Ok(match self.callback {
            Some(_) => Leave::Pending(Pending(principal)),
            None => Leave::Given(Permit { principal: Some(principal) }),
        })
    }
}

// === impl Fresh ===

impl Fresh {
    fn holds(self, claims: &Claims, now: UnixTime) -> bool {
        match self {
            Self::Marked => is_marked_fresh(claims, now),
            Self::MaxAge(age) => {
                let marked = || claims.issued_at().filter(|_| is_marked_fresh(claims, now));
                let auth_time = claims.look("auth_time").map(|it| it.scalar()?.as_u64());
                let known = auth_time.map_or_else(marked, |it| it.map(UnixTime::from_secs));
                known.is_some_and(|then| now.since(then) <= age)
            }
        }
    }

    /// What a client may ask its authorization server for, in seconds (RFC 9470 §3).
    pub const fn max_age(self) -> u64 {
        match self {
            Self::Marked => 0,
            Self::MaxAge(age) => age.as_secs(),
        }
    }
}

// === impl ClaimRule ===

impl ClaimRule {
    fn holds(&self, claims: &Claims) -> bool {
        // A list that holds a list matches nothing by it.
        claims
            .look_at(&self.claim)
            .is_some_and(|claim| claim.items().chain([claim]).any(|value| self.matches(value)))
    }

    fn matches(&self, value: Claim<'_>) -> bool {
        let is = |text: &str| self.any_of.iter().any(|wanted| **wanted == *text);
        match (value.as_str(), value.scalar()) {
            (Some(text), _) => is(text),
            (None, Some(scalar)) => is(&scalar.to_string()),
            (None, None) => false,
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

// === impl Pending ===

impl Pending {
    /// The permit, if the verdict is in its favour.
    pub(crate) fn answered(self, verdict: Verdict) -> Result<Permit, AccessError> {
        match verdict {
            Verdict::Allow => Ok(Permit { principal: Some(self.0) }),
            Verdict::Deny => Err(AccessError::CallbackDenied),
            Verdict::Inactive => Err(AccessError::CallbackInactive),
        }
    }
}

/// As flask-jwt-extended marks tokens: true, or the time until which the token counts as fresh.
fn is_marked_fresh(claims: &Claims, now: UnixTime) -> bool {
    match claims.look("fresh").and_then(Claim::scalar) {
        Some(Value::Bool(fresh)) => fresh,
        Some(Value::Number(until)) => until.as_f64().is_some_and(|it| it >= now.as_secs() as f64),
        _ => false,
    }
}
