//! A trusted issuer: what its tokens must look like, and the keys that may have signed them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use crate::secret::Secret;

use super::{ClaimPath, TokenType};

/// One `[[issuers]]` entry, every rule already checked.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerConfig {
    /// The name routes use; it scopes revocations when tokens carry no `iss`.
    pub name: Arc<str>,
    /// The exact `iss`; `None` for tokens without one.
    pub issuer: Option<Arc<str>>,
    /// Whom tokens must be for.
    pub audiences: Audiences,
    /// The algorithms a key without its own may be used with.
    pub algorithms: Vec<Algorithm>,
    /// Where the verifying keys come from.
    pub keys: KeysConfig,
    /// Tolerance for `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// The longest `exp - iat` accepted.
    pub max_lifetime: MaxLifetime,
    /// Claims that must be there, beyond the issuer and audience rules.
    pub require: Vec<Box<str>>,
    /// Accepted `typ` header values.
    pub typ: TypeHeaders,
    /// How the token's kind is told.
    pub token_type: TokenTypeRule,
}

/// Whom an issuer's tokens must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audiences {
    /// `any_audience = true` was said in so many words.
    Any,
    /// One of these, compared exactly.
    OneOf(Vec<Box<str>>),
}

/// Where an issuer's verifying keys come from.
#[derive(Clone, Debug, PartialEq)]
pub enum KeysConfig {
    /// A JWK set fetched in the background (https, or http on loopback).
    JwksUrl(http::Uri),
    /// OpenID Connect Discovery below the issuer's URL names the JWK set's URL.
    Discovery,
    /// A JWK set in a file, read again on reload and when it changes.
    JwksFile(PathBuf),
    /// One public key or certificate in PEM.
    PemFile(PathBuf),
    /// An HMAC secret.
    Secret(Secret),
}

/// The longest life a token may have, by its kind. It says how long a revocation by subject is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxLifetime {
    /// For access tokens.
    pub access: Duration,
    /// For refresh tokens.
    pub refresh: Duration,
}

/// Accepted values of the JOSE header's `typ`; an absent one is accepted too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeHeaders {
    /// `["*"]`.
    Any,
    /// One of these, compared without case and without an `application/` prefix (RFC 7515 §4.1.9).
    OneOf(Vec<Box<str>>),
}

/// How the kind of a token is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTypeRule {
    /// Where the word is.
    pub from: TokenTypeFrom,
    /// Words that mean an access token.
    pub access: Vec<Box<str>>,
    /// Words that mean a refresh token.
    pub refresh: Vec<Box<str>>,
    /// What a token without the word is; `None` refuses it.
    pub missing: Option<TokenType>,
}

/// Where the word that tells a token's kind is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenTypeFrom {
    /// A claim.
    Claim(ClaimPath),
    /// A member of the JOSE header.
    Header(Box<str>),
}

// === impl MaxLifetime ===

impl MaxLifetime {
    /// The longest life of that kind.
    pub const fn of(self, kind: TokenType) -> Duration {
        match kind {
            TokenType::Access => self.access,
            TokenType::Refresh => self.refresh,
        }
    }

    /// The longer of the two.
    pub fn longest(self) -> Duration {
        self.access.max(self.refresh)
    }
}
