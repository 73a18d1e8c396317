//! From a bearer token to a [`Verified`] one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::UnixTime;

use super::header::Header;
use super::issuer::next_generation;
use super::jws::Jws;
use super::keys::VerifyingKey;
use super::{BearerToken, Claim, Claims, OwnClaims, TokenError, TokenType, TrustedIssuer, rules};

/// Checks tokens of every trusted issuer. Pure: the same token, keys and time give the same answer.
#[derive(Debug)]
pub struct Verifier {
    issuers: Vec<Arc<TrustedIssuer>>,
    by_iss: HashMap<Arc<str>, Arc<TrustedIssuer>, foldhash::fast::RandomState>,
    without_iss: Vec<Arc<TrustedIssuer>>,
    /// Told by the issuers.
    generation: Arc<AtomicU64>,
}

/// A token that one of our issuers signed; nothing is said of whether it is good for anything.
#[derive(Debug)]
pub struct Authentic {
    claims: Claims,
    scope: Arc<str>,
    token_type: Option<TokenType>,
    own_claims: Option<Arc<OwnClaims>>,
    digest: [u8; 32],
}

/// A token whose signature and claims were checked. Only the verifier makes one.
#[derive(Debug)]
pub struct Verified {
    claims: Claims,
    issuer: Arc<str>,
    scope: Arc<str>,
    key_id: Option<Arc<str>>,
    token_type: TokenType,
    own_claims: Option<Arc<OwnClaims>>,
    digest: [u8; 32],
    valid_until: UnixTime,
}

// === impl Verifier ===

impl Verifier {
    /// A verifier for these issuers. Of two with the same `iss`, which the configuration refuses,
    /// the first counts.
    pub fn new(issuers: Vec<Arc<TrustedIssuer>>) -> Self {
        let mut by_iss = HashMap::default();
        let mut without_iss = Vec::new();
        for issuer in &issuers {
            match &issuer.config().issuer {
                Some(iss) => {
                    by_iss.entry(Arc::clone(iss)).or_insert_with(|| Arc::clone(issuer));
                }
                None => without_iss.push(Arc::clone(issuer)),
            }
        }
        let generation = Arc::new(AtomicU64::new(next_generation()));
        issuers.iter().for_each(|issuer| issuer.tell(&generation));
        Self { issuers, by_iss, without_iss, generation }
    }

    /// The issuers, in the configuration's order.
    pub fn issuers(&self) -> &[Arc<TrustedIssuer>] {
        &self.issuers
    }

    /// Goes up with every change of any issuer's keys, and is higher for every verifier made later:
    /// what was verified under a lower one must be verified again. Read it before verifying what is
    /// to be cached.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Verifies a token at the time `now`. The signature comes before every rule about claims, so
    /// that no answer but "trusted issuer without keys" tells of what was not signed.
    pub fn verify(&self, token: BearerToken<'_>, now: UnixTime) -> Result<Verified, TokenError> {
        let verified = self.verify_all_but_expiry(token, now)?;
        verified.is_current(now)?;
        Ok(verified)
    }

    /// The same for whoever keeps the outcome and asks [`Verified::is_current`] on every use: an expired
    /// token is one whose signature was right and which no time makes good again.
    pub fn verify_all_but_expiry(
        &self,
        token: BearerToken<'_>,
        now: UnixTime,
    ) -> Result<Verified, TokenError> {
        let jws = Jws::split(token)?;
        let header = jws.header()?;
        let header = Header::parse(&header)?;
        let (claims, issuer, key_id) = self.signed(&jws, &header)?;
        let (token_type, valid_until) = rules::check(issuer.config(), &header, &claims, now)?;
        Ok(Verified {
            claims,
            issuer: Arc::clone(&issuer.config().name),
            scope: Arc::clone(issuer.scope()),
            key_id,
            token_type,
            own_claims: issuer.config().own_claims.clone(),
            digest: signing_input_digest(&jws),
            valid_until,
        })
    }

    /// Whether one of our issuers signed the token, whatever it says: for whoever wants it revoked, an
    /// expired one included.
    pub fn authenticate(&self, token: BearerToken<'_>) -> Result<Authentic, TokenError> {
        let jws = Jws::split(token)?;
        let header = jws.header()?;
        let header = Header::parse(&header)?;
        let (claims, issuer, _) = self.signed(&jws, &header)?;
        let config = issuer.config();
        Ok(Authentic {
            token_type: rules::kind_of(&config.token_type, &header, &claims).ok(),
            own_claims: config.own_claims.clone(),
            claims,
            scope: Arc::clone(issuer.scope()),
            digest: signing_input_digest(&jws),
        })
    }

    fn signed(
        &self,
        jws: &Jws<'_>,
        header: &Header<'_>,
    ) -> Result<(Claims, &TrustedIssuer, Option<Arc<str>>), TokenError> {
        let claims = Claims::parse_with_text_dates(&jws.payload()?)?;
        let issuer = self.issuer_of(&claims, header)?;
        if claims.has_text_dates() && !issuer.config().text_dates {
            return Err(TokenError::Malformed);
        }
        let key_id = with_key(issuer, header, |key| {
            key.verify(jws)?;
            Ok(key.id().cloned())
        })?;
        Ok((claims, issuer, key_id))
    }

    /// By the exact `iss` (RFC 8725 §3.8), or the one without `iss` that has the header's key.
    fn issuer_of(
        &self,
        claims: &Claims,
        header: &Header<'_>,
    ) -> Result<&TrustedIssuer, TokenError> {
        if let Some(iss) = claims.issuer() {
            return self.by_iss.get(iss).map(|it| &**it).ok_or(TokenError::UnknownIssuer);
        }
        if let [only] = &*self.without_iss {
            return Ok(only);
        }
        let mut knowing = None;
        let mut otherwise = TokenError::UnknownIssuer;
        for issuer in &self.without_iss {
            match with_key(issuer, header, |_| Ok(())) {
                Ok(()) if knowing.is_some() => return Err(TokenError::UnknownIssuer),
                Ok(()) => knowing = Some(&**issuer),
                // It may be this one's token: our fault, so a later try may succeed.
                Err(TokenError::KeysUnavailable) => otherwise = TokenError::KeysUnavailable,
                Err(_) => {}
            }
        }
        knowing.ok_or(otherwise)
    }
}

// === impl Authentic ===

impl Authentic {
    /// The claims set.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What revocations of this issuer's tokens are scoped to.
    pub const fn scope(&self) -> &Arc<str> {
        &self.scope
    }

    /// What the token is for, where its issuer's words tell.
    pub const fn token_type(&self) -> Option<TokenType> {
        self.token_type
    }

    /// The family's claim and its value, where the issuer has families and the token the claim.
    pub fn family(&self) -> Option<(&str, &str)> {
        let path = self.own_claims.as_ref()?.family.as_ref()?;
        Some((path.as_str(), self.claims.look_at(path)?.as_str()?))
    }

    /// SHA-256 of the JWS signing input in base64url: the value of the claim `token`.
    pub fn digest_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.digest)
    }
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

    /// Whose token it is: `sub`, or what the issuer says in another claim.
    pub fn subject(&self) -> Option<&str> {
        self.identity().map_or_else(|| self.claims.subject(), Claim::as_str)
    }

    /// The claim that the issuer has instead of `sub`.
    pub(crate) fn identity(&self) -> Option<Claim<'_>> {
        self.claims.look(self.own_claims.as_ref()?.identity.as_ref()?)
    }

    /// What the token has in common with its refresh token: that one's `jti`, or a session.
    pub(crate) fn family(&self) -> Option<Claim<'_>> {
        self.claims.look_at(self.own_claims.as_ref()?.family.as_ref()?)
    }

    /// SHA-256 of the JWS signing input: names the token without its malleable signature.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// `exp` and leeway: from this second on the token is refused.
    pub const fn valid_until(&self) -> UnixTime {
        self.valid_until
    }

    /// Whether the token is still good at `now`; asked each time it is found in a cache.
    pub fn is_current(&self, now: UnixTime) -> Result<(), TokenError> {
        if now < self.valid_until { Ok(()) } else { Err(TokenError::Expired) }
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
            own_claims: None,
            digest: [7; 32],
            valid_until,
        }
    }

    /// The same token of an issuer with claims of its own.
    #[cfg(test)]
    pub(crate) fn with_own_claims(self, own_claims: OwnClaims) -> Self {
        Self { own_claims: Some(Arc::new(own_claims)), ..self }
    }
}

/// Finds the header's key; a `kid` that is not known makes the issuer look for newer keys.
pub(super) fn with_key<T>(
    issuer: &TrustedIssuer,
    header: &Header<'_>,
    then: impl FnOnce(&VerifyingKey) -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    issuer.with_keys(|keys| {
        let keys = keys.ok_or(TokenError::KeysUnavailable)?;
        let found = keys.find(header.key_id(), header.algorithm);
        if matches!(found, Err(TokenError::UnknownKey)) {
            issuer.want_refresh();
        }
        then(found?)
    })
}

fn signing_input_digest(jws: &Jws<'_>) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(jws.digest().as_ref());
    bytes
}
