//! The register: who was given which tokens, for listings. Never asked on the request path.
//!
//! Bounded: beyond [`Register::resize`]'s figure no further token is listed until others have expired.
//! The allow-list does not depend on it; that is an entry of the set.

use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::UnixTime;

use super::arrivals::Absence;
use super::fingerprint::Fingerprint;
use super::request::{CLOCK_MARGIN, MAX_LEEWAY};
use super::{Name, Op, Revocation, RevocationSet, TokenDetails};

mod index;

use index::Index;

/// One registered token, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// What its revocations are scoped to.
    pub issuer: Arc<str>,
    /// Its `jti`.
    #[serde(rename = "jti")]
    pub token_id: Arc<str>,
    /// Its `sub`, where it is known.
    pub subject: Option<Arc<str>>,
    /// `access`, `refresh`, or another word of whoever registered it.
    #[serde(rename = "type")]
    pub token_type: Option<Arc<str>>,
    /// Its `iat`.
    pub issued_at: Option<UnixTime>,
    /// Its `exp`.
    pub expires_at: Option<UnixTime>,
    /// When a gateway first let it through.
    pub first_seen: Option<UnixTime>,
    /// When a gateway last let it through, as far as was recorded.
    pub last_seen: Option<UnixTime>,
    /// Whether the set holds anything now that revokes it, at whatever level.
    pub revoked: bool,
    /// When the registration may be forgotten, and so may a revocation of the token.
    #[serde(skip)]
    pub kept_until: UnixTime,
}

/// A token's place in the order of listings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenKey {
    /// Its issuer.
    pub issuer: Arc<str>,
    /// Its subject; empty where it is not known.
    pub subject: Arc<str>,
    /// Its `jti`.
    pub token_id: Arc<str>,
}

/// Which tokens a listing wants; absent parts match all.
#[derive(Clone, Debug, Default)]
pub struct TokenFilter {
    /// Only this issuer's.
    pub issuer: Option<Arc<str>>,
    /// Only this subject's.
    pub subject: Option<Arc<str>>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct TokenPage {
    /// Live tokens in the order of their keys.
    pub items: Vec<Registered>,
    /// Give this as `after` for the next page; `None` at the end.
    pub next: Option<TokenKey>,
}

/// Who can tell whether a token is revoked, and when.
#[derive(Clone, Copy)]
pub(super) struct Judge<'s> {
    pub(super) set: &'s RevocationSet,
    pub(super) now: UnixTime,
}

/// The index of registered tokens.
#[derive(Debug, Default)]
pub(super) struct Register(RwLock<Index>);

// === impl Judge ===

impl Judge<'_> {
    /// Whether an entry revokes a token of these names.
    fn catches(&self, names: &[Fingerprint], issued_at: Option<UnixTime>) -> bool {
        self.set.revokes(names, &Absence::default(), issued_at, self.now).is_some()
    }
}

// === impl Registered ===

impl Registered {
    /// Its place in listings.
    pub fn key(&self) -> TokenKey {
        TokenKey {
            issuer: Arc::clone(&self.issuer),
            subject: self.subject.clone().unwrap_or_default(),
            token_id: Arc::clone(&self.token_id),
        }
    }

    /// The record that revokes it by its `jti`.
    pub fn revocation(
        &self,
        actor: Option<Arc<str>>,
        reason: Option<Arc<str>>,
        now: UnixTime,
    ) -> Revocation {
        let (issuer, value) = (Arc::clone(&self.issuer), Arc::clone(&self.token_id));
        Revocation {
            id: Uuid::now_v7(),
            op: Op::Revoke,
            name: Name { issuer, claim: "jti".into(), value },
            issued_before: None,
            expires_at: self.kept_until.max(self.longest_use()),
            at: now,
            actor,
            reason,
            token: None,
        }
    }

    /// No issuer's leeway lets it be used for longer, whatever whoever registered it reckoned with.
    fn longest_use(&self) -> UnixTime {
        let end = self.expires_at.unwrap_or_default();
        end.saturating_add(MAX_LEEWAY).saturating_add(CLOCK_MARGIN)
    }

    /// The record that takes a revocation by its `jti` away again.
    pub fn reinstatement(
        &self,
        actor: Option<Arc<str>>,
        reason: Option<Arc<str>>,
        now: UnixTime,
    ) -> Revocation {
        Revocation { op: Op::Reinstate, ..self.revocation(actor, reason, now) }
    }
}

// === impl Register ===

impl Register {
    /// From now on so many tokens at the most; zero forgets all.
    pub(super) fn resize(&self, most: usize) {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if most == 0 {
            *index = Index::default();
        }
        index.most = most;
    }

    /// Whether there is one.
    pub(super) fn is_on(&self) -> bool {
        self.read(|index| index.most > 0)
    }

    /// Takes a `register` record in; `name` gives the fingerprints of what is known of its token.
    pub(super) fn note(
        &self,
        record: &Revocation,
        fingerprints: impl FnOnce(&TokenDetails) -> Box<[Fingerprint]>,
    ) {
        if record.op != Op::Register || !self.is_on() {
            return;
        }
        let details = record.token.as_deref().cloned().unwrap_or_default();
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        index.note(&record.name, record.expires_at, &details, fingerprints);
    }

    /// When the token was last seen, as far as was recorded: `None` when it is not in the register.
    pub(super) fn last_seen(&self, issuer: &str, token_id: &str) -> Option<Option<UnixTime>> {
        self.read(|index| Some(index.row(issuer, token_id)?.1.last_seen))
    }

    /// Whether a further token would be listed; one that would not is counted.
    pub(super) fn has_room(&self) -> bool {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let room = index.tokens.len() < index.most;
        index.unlisted += u64::from(!room);
        room
    }

    /// Tokens in the register, and those that found it full.
    pub(super) fn counts(&self) -> (usize, u64) {
        self.read(|index| (index.tokens.len(), index.unlisted))
    }

    /// Forgets what may be forgotten before `now`; how many went.
    pub(super) fn prune(&self, now: UnixTime) -> usize {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = index.tokens.len();
        index.prune(now);
        before - index.tokens.len()
    }

    /// One page of the live tokens.
    pub(super) fn page(
        &self,
        filter: &TokenFilter,
        after: Option<&TokenKey>,
        limit: usize,
        judge: Judge<'_>,
    ) -> TokenPage {
        let limit = limit.max(1);
        // One more than asked for tells whether there is another page.
        let mut items = self.read(|index| index.list(filter, after, limit + 1, judge));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(Registered::key);
        TokenPage { items, next }
    }

    /// The live tokens of that `jti`: one an issuer at the most.
    pub(super) fn find(
        &self,
        issuer: Option<&str>,
        token_id: &str,
        judge: Judge<'_>,
    ) -> Vec<Registered> {
        self.read(|index| {
            let places = index.places.get(token_id).into_iter().flatten();
            let places = places.filter(|key| issuer.is_none_or(|issuer| *issuer == *key.issuer));
            let rows = places.filter_map(|key| Some((key, index.tokens.get(key)?)));
            let live = rows.filter(|(_, row)| row.is_live(judge.now));
            live.map(|(key, row)| row.shown(key, judge)).collect()
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
