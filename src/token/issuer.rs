//! A trusted issuer: what its tokens must look like, and the keys that may have signed them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use tokio::sync::Notify;

use crate::secret::Secret;

use super::{ClaimPath, KeySet, KeysError, TokenType};

/// The last generation given out in this process, so that no two states of keys share a number.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// One `[[issuers]]` entry, every rule already checked.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerConfig {
    /// The name routes use; it scopes revocations when tokens carry no `iss`.
    pub name: Arc<str>,
    /// The exact `iss`; `None` for tokens without one.
    pub issuer: Option<Arc<str>>,
    /// Whom tokens must be for.
    pub audiences: Audiences,
    /// The algorithms tokens may be signed with: a key with its own must have one of these, a key
    /// without may be used with those of its kind.
    pub algorithms: Vec<Algorithm>,
    /// Where the verifying keys come from.
    pub keys: KeysConfig,
    /// Tolerance for `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// The longest `exp - iat` accepted.
    pub max_lifetime: MaxLifetime,
    /// Claims that must be there, beyond the issuer and audience rules.
    pub require: Vec<Box<str>>,
    /// Whether `exp`, `nbf` and `iat` may be text that holds a whole number.
    pub text_dates: bool,
    /// Accepted `typ` header values.
    pub typ: TypeHeaders,
    /// How the token's kind is told.
    pub token_type: TokenTypeRule,
    /// Claims of its own; `None`, as with most issuers: nothing is asked for them.
    pub own_claims: Option<Arc<OwnClaims>>,
}

/// What an issuer says in claims of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnClaims {
    /// The claim that says whose token it is; `None`: `sub`.
    pub identity: Option<Box<str>>,
    /// The claim of an access token that holds its refresh token's `jti`, or what both share.
    pub family: Option<ClaimPath>,
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
    /// What a token with another word, or with something else than text, is; `None` refuses it.
    pub other: Option<TokenType>,
}

/// Where the word that tells a token's kind is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenTypeFrom {
    /// A claim.
    Claim(ClaimPath),
    /// A member of the JOSE header.
    Header(Box<str>),
}

/// An issuer at work: its rules, and its keys as they are now.
#[derive(Debug)]
pub struct TrustedIssuer {
    config: IssuerConfig,
    scope: Arc<str>,
    keys: ArcSwapOption<KeySet>,
    generation: AtomicU64,
    /// Verifiers' own numbers, which go up with this one: they look at one, however many issuers there are.
    verifiers: Mutex<Vec<Weak<AtomicU64>>>,
    refresh_wanted: Notify,
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

// === impl TrustedIssuer ===

impl TrustedIssuer {
    /// The issuer, without keys yet: see [`TrustedIssuer::load_local`] and `KeyRefresher`.
    pub fn new(config: IssuerConfig) -> Self {
        let scope = Arc::clone(config.issuer.as_ref().unwrap_or(&config.name));
        Self {
            config,
            scope,
            keys: ArcSwapOption::empty(),
            generation: AtomicU64::new(next_generation()),
            verifiers: Mutex::default(),
            refresh_wanted: Notify::new(),
        }
    }

    /// Loads keys that are at hand: a secret, a file. Keys behind a URL stay unloaded.
    pub fn load_local(&self) -> Result<(), KeysError> {
        if let Some(keys) = self.read_local()? {
            self.set_keys(keys);
        }
        Ok(())
    }

    /// Reads keys that are at hand without putting them in place; `None` for keys behind a URL.
    pub fn read_local(&self) -> Result<Option<KeySet>, KeysError> {
        let allowed = &self.config.algorithms;
        match &self.config.keys {
            KeysConfig::Secret(secret) => KeySet::from_secret(secret.expose(), allowed).map(Some),
            KeysConfig::JwksFile(path) => KeySet::parse_jwks(&read(path)?, allowed).map(Some),
            KeysConfig::PemFile(path) => KeySet::parse_pem(&read(path)?, allowed).map(Some),
            KeysConfig::JwksUrl(_) | KeysConfig::Discovery => Ok(None),
        }
    }

    /// Its rules.
    pub const fn config(&self) -> &IssuerConfig {
        &self.config
    }

    /// What revocations of its tokens are scoped to: its `iss`, or its name when tokens have none.
    pub const fn scope(&self) -> &Arc<str> {
        &self.scope
    }

    /// The keys as they are now; `None` before the first were had and after they were given up.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.load_full()
    }

    /// Lends the keys to the closure, without counting a reference.
    pub(super) fn with_keys<T>(&self, read: impl FnOnce(Option<&KeySet>) -> T) -> T {
        read(self.keys.load().as_deref())
    }

    /// Puts other keys in place; tokens verified with the old ones must be verified again.
    pub fn set_keys(&self, keys: KeySet) {
        self.keys.store(Some(Arc::new(keys)));
        self.keys_changed();
    }

    /// Goes on with an earlier issuer's keys while it has none of its own, if they are from the same
    /// place: a rule that a reload changes is no reason to be without keys until the next fetch.
    pub fn inherit_keys(&self, before: &Self) {
        let (wanted, had) = (&self.config, &before.config);
        let same = wanted.issuer == had.issuer
            && wanted.keys == had.keys
            && wanted.algorithms == had.algorithms;
        if same && self.keys.load().is_none() {
            self.keys.store(before.keys());
            self.keys_changed();
        }
    }

    /// Takes the keys away: they were not confirmed for too long.
    pub fn clear_keys(&self) {
        self.keys.store(None);
        self.keys_changed();
    }

    /// The number is drawn after the keys are in place: whoever reads it finds these keys or later ones.
    fn keys_changed(&self) {
        let number = next_generation();
        self.generation.fetch_max(number, Ordering::AcqRel);
        let mut verifiers = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner);
        verifiers.retain(|verifier| verifier.strong_count() > 0);
        for verifier in verifiers.iter().filter_map(Weak::upgrade) {
            verifier.fetch_max(number, Ordering::AcqRel);
        }
    }

    /// From now on the verifier's number goes up with every change of the keys; it is no lower than
    /// after those that there were.
    pub(super) fn tell(&self, verifier: &Arc<AtomicU64>) {
        let mut verifiers = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner);
        verifiers.retain(|verifier| verifier.strong_count() > 0);
        verifiers.push(Arc::downgrade(verifier));
        verifier.fetch_max(self.generation(), Ordering::AcqRel);
    }

    /// Goes up with every change of the keys; no two issuers share a number.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Asks for a refresh: a token named a key that is not known. Asking twice is asking once.
    pub fn want_refresh(&self) {
        self.refresh_wanted.notify_one();
    }

    /// Waits until a refresh is wanted. Cancel-safe; for one waiter.
    pub async fn refresh_wanted(&self) {
        self.refresh_wanted.notified().await;
    }
}

/// A number higher than every one given out before.
pub(super) fn next_generation() -> u64 {
    GENERATION.fetch_add(1, Ordering::AcqRel) + 1
}

fn read(path: &Path) -> Result<Vec<u8>, KeysError> {
    std::fs::read(path).map_err(|source| KeysError::Read { path: path.into(), source })
}
