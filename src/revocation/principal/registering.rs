//! How a token comes into the register: by a record that someone asks for, or by being seen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Named, Revocations, naming};
use crate::clock::UnixTime;
use crate::revocation::request::{CLOCK_MARGIN, end};
use crate::revocation::wire;
use crate::revocation::{
    DraftError, Enforceable, Name, Op, RegisterConfig, Revocation, RevocationMode, TokenDetails,
};
use crate::token::Verified;

/// What someone says of a token without showing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterDraft {
    /// The `iss`; may be left out when only one issuer is configured.
    pub issuer: Option<Arc<str>>,
    /// The `jti`.
    pub token_id: Arc<str>,
    /// The `exp`; without one the registration is kept for the longest life of the issuer's tokens.
    pub expires_at: Option<UnixTime>,
    /// What else is known.
    pub details: TokenDetails,
}

// === impl Revocations ===

impl Revocations {
    /// Takes over the mode, and how much the register holds.
    pub fn configure_register(&self, mode: RevocationMode, register: Option<&RegisterConfig>) {
        self.allow_list.store(mode == RevocationMode::AllowList, Ordering::Release);
        self.register.resize(register.map_or(0, |register| register.max_tokens));
        self.seen.tell_every(register.map(|register| register.seen_every));
    }

    /// Whether unknown tokens are refused.
    pub fn is_allow_list(&self) -> bool {
        self.allow_list.load(Ordering::Acquire)
    }

    /// Notes that a request with the token was let through. For the request path: cheap, and nothing
    /// when the register is off.
    pub fn note_seen(&self, named: &Arc<Named>, now: UnixTime) {
        if named.registered.is_some() {
            self.seen.note(named, &named.seen, now);
        }
    }

    /// How often what was seen is to be recorded; `None` while the register is off.
    pub fn seen_every(&self) -> Option<Duration> {
        self.seen.every()
    }

    /// The tokens that were seen, for the one who records them; the second to ask gets nothing.
    pub fn take_seen(&self) -> Option<mpsc::Receiver<Arc<Named>>> {
        self.seen.take()
    }

    /// The record of a token that was seen, when it says anything new. In allow-list mode a token is
    /// never registered by being seen, and a full register takes no new ones.
    pub fn seen_record(&self, named: &Named, now: UnixTime) -> Option<Revocation> {
        let (first, last) = named.seen.taken();
        let verified = &named.verified;
        let id = verified.claims().token_id()?;
        let known = self.register.last_seen(verified.scope(), id);
        let news = match known {
            Some(recorded) => recorded.is_none_or(|recorded| recorded < last),
            None => self.register.has_room(),
        };
        let allowed = !self.is_allow_list() || self.is_registered(named).is_ok();
        if !news || !allowed || verified.valid_until() <= now {
            return None;
        }
        let mut details = self.details(verified);
        details.first_seen = Some(first);
        details.last_seen = Some(last);
        record(verified, id, details, None, now)
    }

    /// The record that registers a verified token; `None` when it has no `jti`, or one that is too long.
    pub fn registration(
        &self,
        verified: &Verified,
        actor: Option<Arc<str>>,
        now: UnixTime,
    ) -> Option<Revocation> {
        let id = verified.claims().token_id()?;
        record(verified, id, self.details(verified), actor, now)
    }

    fn details(&self, verified: &Verified) -> TokenDetails {
        let mut names = Vec::new();
        naming::visit(verified, &self.custom.load(), &mut |_, claim, value| {
            // The record says these in members of their own.
            if !matches!(claim, "jti" | "sub" | "iss") {
                names.push((claim.into(), value.into()));
            }
        });
        let claims = verified.claims();
        TokenDetails {
            subject: claims.subject().map(Into::into),
            token_type: Some(verified.token_type().as_str().into()),
            issued_at: claims.issued_at(),
            expires_at: claims.expires_at(),
            first_seen: None,
            last_seen: None,
            claims: names,
        }
    }
}

// === impl RegisterDraft ===

impl RegisterDraft {
    /// The record that registers the token.
    pub fn complete(
        self,
        enforceable: &Enforceable,
        actor: Option<Arc<str>>,
        now: UnixTime,
    ) -> Result<Revocation, DraftError> {
        let issuer = enforceable.issuer(self.issuer.as_ref())?;
        let name = Name::registered(Arc::clone(&issuer.scope), self.token_id);
        let details = TokenDetails { expires_at: self.expires_at, ..self.details };
        let record = Revocation {
            id: Uuid::now_v7(),
            op: Op::Register,
            expires_at: end(issuer, &name.claim, self.expires_at, None, now),
            name,
            issued_before: None,
            at: now,
            actor,
            reason: None,
            token: Some(Arc::new(details)),
        };
        wire::check(&record)?;
        Ok(record)
    }
}

/// A record that every store takes: a token with very many claims is registered without them.
fn record(
    verified: &Verified,
    id: &str,
    details: TokenDetails,
    actor: Option<Arc<str>>,
    now: UnixTime,
) -> Option<Revocation> {
    let record = Revocation {
        id: Uuid::now_v7(),
        op: Op::Register,
        name: Name::registered(Arc::clone(verified.scope()), id.into()),
        issued_before: None,
        expires_at: verified.valid_until().saturating_add(CLOCK_MARGIN),
        at: now,
        actor,
        reason: None,
        token: Some(Arc::new(details)),
    };
    if wire::check(&record).is_ok() {
        return Some(record);
    }
    let details = record.token.as_deref().cloned().unwrap_or_default();
    let bare = TokenDetails { claims: Vec::new(), ..details };
    let record = Revocation { token: Some(Arc::new(bare)), ..record };
    wire::check(&record).is_ok().then_some(record)
}
