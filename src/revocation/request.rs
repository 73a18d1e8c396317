//! What is asked for, completed to a record: the defaults of the control port, the command line and
//! the import in one place.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::clock::UnixTime;

use super::names::{BUILT_IN, REGISTERED, canonical};
use super::wire::WireError;
use super::{Making, Name, Op, Revocation};

/// What someone asks to be revoked; what is absent gets the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The `iss`; may be left out when only one issuer is configured.
    pub issuer: Option<Arc<str>>,
    /// The claim.
    pub claim: Arc<str>,
    /// Its value, as text.
    pub value: Arc<str>,
    /// Only tokens issued at or before this second. Default: now for `sub`, `client_id` and `iss`,
    /// so that a new login works; none for the others.
    pub issued_before: Option<UnixTime>,
    /// For `jti` and `token`: the token's `exp`. For the others: how long to keep the entry. Raised
    /// to the last second at which a token that it names can still be accepted.
    pub expires_at: Option<UnixTime>,
    /// Why.
    pub reason: Option<Arc<str>>,
}

/// One configured issuer, as far as revocations depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerScope {
    /// What its revocations are scoped to: its `iss`, or its name when its tokens carry none.
    pub scope: Arc<str>,
    /// The longest life that one of its tokens may have.
    pub longest: Duration,
    /// Tolerance for `exp` and `iat`.
    pub leeway: Duration,
    /// Where its access tokens can be named by their refresh token: how long one of them lives.
    pub family: Option<Duration>,
}

/// What can be asked for: the configured issuers, and the claims beside the built-in ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforceable {
    /// Every configured issuer.
    pub issuers: Vec<IssuerScope>,
    /// `revocation.claims`.
    pub claims: Vec<Arc<str>>,
}

/// Why a draft can't become a record.
#[derive(Debug, Error)]
pub enum DraftError {
    /// There is more than one issuer, or none, and the draft names none.
    #[error("`issuer` is required: there is not exactly one configured issuer")]
    IssuerMissing,
    /// No configured issuer is called that; nothing would be revoked.
    #[error("`issuer` is not a configured issuer")]
    IssuerUnknown,
    /// Tokens are not checked for this claim; nothing would be revoked.
    #[error("`claim` can't be revoked by: it is neither built in nor listed in revocation.claims")]
    ClaimUnknown,
    /// A token's `iss` is what its revocations are scoped to; another value matches nothing.
    #[error("`value` of an `iss` entry must be the issuer itself")]
    IssuerMismatch,
    /// A member is too long, empty or holds a forbidden character.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// The longest leeway that an issuer can be configured with.
pub(super) const MAX_LEEWAY: Duration = Duration::from_secs(300);
/// Beyond leeway, for the difference between our clock and the issuer's (security.md C12).
pub(super) const CLOCK_MARGIN: Duration = Duration::from_secs(60);

// === impl Draft ===

impl Draft {
    /// The `revoke` record that does what was asked.
    pub fn complete(
        self,
        enforceable: &Enforceable,
        making: &mut Making,
    ) -> Result<Revocation, DraftError> {
        let now = making.at();
        let claim = enforceable.claim(&self.claim)?;
        // Whoever takes an issuer back has named it.
        let named = (&*claim == "iss").then_some(&self.value);
        let issuer = enforceable.issuer(self.issuer.as_ref().or(named))?;
        if named.is_some_and(|named| *named != issuer.scope) {
            return Err(DraftError::IssuerMismatch);
        }
        let issued_before = self.issued_before.or_else(|| default_cutoff(&claim, now));
        let expires_at = end(issuer, &claim, self.expires_at, issued_before, now);
        let record = Revocation {
            id: making.id(),
            op: Op::Revoke,
            name: Name { issuer: Arc::clone(&issuer.scope), claim, value: self.value },
            issued_before,
            expires_at,
            at: now,
            actor: making.actor(),
            reason: self.reason,
            token: None,
        };
        making.check(&record)?;
        Ok(record)
    }
}

// === impl Enforceable ===

impl Enforceable {
    /// Whether tokens can be revoked by this claim.
    pub fn has_claim(&self, claim: &str) -> bool {
        BUILT_IN.contains(&canonical(claim)) || self.claims.iter().any(|own| **own == *claim)
    }

    pub(super) fn issuer(&self, asked: Option<&Arc<str>>) -> Result<&IssuerScope, DraftError> {
        match (asked, self.issuers.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(DraftError::IssuerMissing),
            (Some(asked), all) => {
                all.iter().find(|issuer| issuer.scope == *asked).ok_or(DraftError::IssuerUnknown)
            }
        }
    }

    fn claim(&self, asked: &Arc<str>) -> Result<Arc<str>, DraftError> {
        let claim = canonical(asked);
        let known = BUILT_IN.contains(&claim) || self.claims.contains(asked);
        match known && claim != REGISTERED {
            true if *claim == **asked => Ok(Arc::clone(asked)),
            true => Ok(claim.into()),
            false => Err(DraftError::ClaimUnknown),
        }
    }
}

// === impl DraftError ===

impl DraftError {
    /// The member at fault; `None`: the record as a whole.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::IssuerMissing | Self::IssuerUnknown => Some("issuer"),
            Self::ClaimUnknown => Some("claim"),
            Self::IssuerMismatch => Some("value"),
            Self::Wire(
                WireError::MemberTooLong(member)
                | WireError::Empty(member)
                | WireError::Character(member)
                | WireError::Reserved(member),
            ) => Some(member),
            Self::Wire(WireError::Malformed(_) | WireError::Version(_) | WireError::TooLong) => {
                None
            }
        }
    }
}

fn default_cutoff(claim: &str, now: UnixTime) -> Option<UnixTime> {
    matches!(claim, "sub" | "client_id" | "iss").then_some(now)
}

/// When the entry may be forgotten: not before the last token that it can name has expired.
pub(super) fn end(
    issuer: &IssuerScope,
    claim: &str,
    asked: Option<UnixTime>,
    cutoff: Option<UnixTime>,
    now: UnixTime,
) -> UnixTime {
    let margin = issuer.leeway.saturating_add(CLOCK_MARGIN);
    // The last token that counts may say that it was issued a leeway from now.
    let longest = issuer.longest.saturating_add(issuer.leeway).saturating_add(margin);
    // A refresh token's last access token is issued when it expires, and lives on.
    let family = issuer.family.filter(|_| claim == "jti");
    let later = family.map_or(Duration::ZERO, |life| life.saturating_add(issuer.leeway));
    let asked = asked.map(|exp| exp.saturating_add(margin).saturating_add(later));
    // One token is named, and the draft says when it expires. In the past: the clocks may differ.
    if matches!(claim, "jti" | "token" | REGISTERED)
        && let Some(end) = asked
        && end > now.saturating_add(margin)
    {
        return end;
    }
    let last_issued = cutoff.map_or(now, |cutoff| cutoff.max(now));
    last_issued.saturating_add(longest).max(asked.unwrap_or_default())
}

#[cfg(test)]
mod tests;
