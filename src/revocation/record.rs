//! One record of the log: what is taken back, or given back, and who said so (revocation.md's table).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::UnixTime;

use super::TokenDetails;
use super::names::{REGISTERED, canonical};

/// What a record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Takes back every token it names.
    Revoke,
    /// Removes the entry of exactly this (issuer, claim, value).
    Reinstate,
    /// Says that a token was issued: the allow-list, and the list of a subject's tokens.
    Register,
}

/// One claim value of one issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// The `iss` the entry is scoped to, or the issuer's configured name when tokens carry none.
    pub issuer: Arc<str>,
    /// The claim: `jti`, `sub`, `sid`, `client_id`, `iss`, `kid`, `token`, or a configured one.
    pub claim: Arc<str>,
    /// The claim's value, compared exactly, as text.
    pub value: Arc<str>,
}

/// One record: what an application publishes, a store keeps and every node applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// UUIDv7 of the record.
    pub id: Uuid,
    /// Revoke or reinstate.
    pub op: Op,
    /// What it names.
    #[serde(flatten)]
    pub name: Name,
    /// Only tokens issued at or before this second; `None`: every token that carries the value.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub issued_before: Option<UnixTime>,
    /// When the entry may be forgotten: never before the last token it can name has expired.
    pub expires_at: UnixTime,
    /// When it was said.
    pub at: UnixTime,
    /// The control credential, or publisher, that said it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub actor: Option<Arc<str>>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Arc<str>>,
    /// What is known of a registered token; `None` for every other record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<Arc<TokenDetails>>,
}

// === impl Op ===

impl Op {
    /// Every one, in the order of their declaration.
    pub(crate) const ALL: [Self; 3] = [Self::Revoke, Self::Reinstate, Self::Register];

    /// Its word, as records, tables, metrics and events have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Reinstate => "reinstate",
            Self::Register => "register",
        }
    }
}

// === impl Name ===

impl Name {
    /// The name under which an entry is kept: `azp` and `client_id` are one claim.
    pub fn canonical(mut self) -> Self {
        self.make_canonical();
        self
    }

    /// Makes it that name.
    pub fn make_canonical(&mut self) {
        let canonical = canonical(&self.claim);
        if *canonical != *self.claim {
            self.claim = canonical.into();
        }
    }
}

impl Name {
    /// The name under which a registered token is kept, apart from a revocation of its `jti`.
    pub fn registered(issuer: Arc<str>, token_id: Arc<str>) -> Self {
        Self { issuer, claim: REGISTERED.into(), value: token_id }
    }

    /// Whether it is the name of a registered token.
    pub fn is_registered(&self) -> bool {
        *self.claim == *REGISTERED
    }

    /// What an entry of this name does: its name alone tells a registered token from a revocation.
    pub fn op(&self) -> Op {
        if self.is_registered() { Op::Register } else { Op::Revoke }
    }
}

// === impl Revocation ===

impl Revocation {
    /// What one entry says after this one and then a later record of the same name: the later
    /// expiry; no cut-off beats a cut-off, else the later one. What was dead by then does not count.
    /// Of a registered token, what either of them knows.
    pub fn followed_by(&self, later: Self) -> Self {
        if self.expires_at < later.at {
            return later;
        }
        let issued_before = match (self.issued_before, later.issued_before) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        };
        let token = match (&self.token, &later.token) {
            (Some(one), Some(other)) => Some(Arc::new(one.followed_by(other))),
            (one, other) => other.as_ref().or(one.as_ref()).cloned(),
        };
        Self { issued_before, expires_at: self.expires_at.max(later.expires_at), token, ..later }
    }
}
