//! A verified token together with the fingerprints by which it can be revoked, and the proof that it was not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use smallvec::SmallVec;

use crate::clock::UnixTime;
use crate::token::{ClaimPath, Claims, TokenTypes, Verified};

use super::arrivals::Absence;
use super::fingerprint::Fingerprint;
use super::names::{BUILT_IN, REGISTERED, Slot, canonical};
use super::register::Register;
use super::seen::{SeenTimes, SeenTokens};
use super::watch::{Told, Watchers, Watching};
use super::{Cursor, Freshness, Revocation, RevocationError, RevocationSet, WhenStale};

mod listing;
mod naming;
mod registering;

pub use registering::RegisterDraft;

use naming::Custom;

/// What has been taken back, and whether we can know.
#[derive(Debug)]
pub struct Revocations {
    set: RevocationSet,
    freshness: Freshness,
    max_staleness_millis: AtomicU64,
    /// Configured claims beyond the built-in ones.
    custom: ArcSwap<Vec<Custom>>,
    /// Whether unknown tokens are refused.
    allow_list: AtomicBool,
    register: Register,
    seen: SeenTokens,
    watchers: Watchers,
}

/// A verified token and what an entry of the set would be called that revokes it.
#[derive(Debug)]
pub struct Named {
    verified: Verified,
    /// Most specific first.
    fingerprints: SmallVec<[Fingerprint; 8]>,
    /// What is known of the set having none of them.
    absent: Absence,
    /// What an entry would be called that says that it was registered; `None` without a `jti`.
    registered: Option<Fingerprint>,
    seen: SeenTimes,
}

/// Verified and not revoked. Only this room makes one.
#[derive(Clone, Debug)]
pub struct Principal(Arc<Named>);

// === impl Revocations ===

impl Revocations {
    /// Nothing loaded, nothing revoked. `claims` are those that can be revoked by beside the built-in ones.
    pub fn new(claims: &[Arc<str>], max_staleness: Duration) -> Self {
        let it = Self {
            set: RevocationSet::new(),
            freshness: Freshness::new(),
            max_staleness_millis: AtomicU64::new(0),
            custom: ArcSwap::default(),
            allow_list: AtomicBool::new(false),
            register: Register::default(),
            seen: SeenTokens::new(),
            watchers: Watchers::new(),
        };
        it.reconfigure(claims, max_staleness);
        it
    }

    /// Takes over a reloaded configuration. Tokens named before must be named again: whoever keeps
    /// [`Named`] tokens ties them to the configuration's generation.
    pub fn reconfigure(&self, claims: &[Arc<str>], max_staleness: Duration) {
        let millis = u64::try_from(max_staleness.as_millis()).unwrap_or(u64::MAX);
        self.max_staleness_millis.store(millis, Ordering::Release);
        let custom = claims.iter().filter(|name| !BUILT_IN.contains(&canonical(name)));
        let custom = custom.map(|name| Custom {
            name: Arc::clone(name),
            path: ClaimPath::from(&**name),
            slot: self.set.slot(name),
        });
        self.custom.store(Arc::new(custom.collect()));
    }

    /// The set, for the follower and for whoever counts.
    pub const fn set(&self) -> &RevocationSet {
        &self.set
    }

    /// How well the set can be relied on.
    pub const fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// What is applied from now on, for whoever wants to know.
    pub fn watch(&self) -> Watching {
        self.watchers.watch()
    }

    /// Tells those who watch of a record that is in the set.
    pub(crate) fn tell_applied(&self, record: &Revocation, at: &Cursor) {
        self.watchers.tell(|| Told::Record { record: Arc::new(record.clone()), at: at.clone() });
    }

    /// Tells those who watch that a checkpoint is in the set.
    pub(crate) fn tell_loaded(&self, at: &Cursor) {
        self.watchers.tell(|| Told::Loaded { entries: self.set.len(), at: at.clone() });
    }

    /// How old the known state may be before `when_stale` decides.
    pub fn max_staleness(&self) -> Duration {
        Duration::from_millis(self.max_staleness_millis.load(Ordering::Acquire))
    }

    /// Whether the state is older than that; so is one that was never loaded.
    pub fn is_stale(&self) -> bool {
        let most = self.max_staleness_millis.load(Ordering::Acquire);
        self.freshness.staleness_millis().is_none_or(|age| age > most)
    }

    /// Entries by claim: built-in and configured claims by their name, all the rest as `other`, so
    /// that whoever publishes records does not make names here.
    pub fn counts(&self) -> Vec<(Arc<str>, usize)> {
        let custom = self.custom.load();
        let mut rest = 0;
        let mut counts = self.set.counts();
        counts.retain(|(name, count)| {
            let named = BUILT_IN.contains(&&**name) || custom.iter().any(|own| own.name == *name);
            rest += if named { 0 } else { *count };
            named
        });
        counts.push(("other".into(), rest));
        counts
    }

    /// Works out, once for a token, what entries that revoke it would be called.
    pub fn name(&self, verified: Verified) -> Named {
        let key = self.set.key_for(verified.scope());
        let mut fingerprints = SmallVec::new();
        naming::visit(&verified, &self.custom.load(), &mut |slot, claim, value| {
            fingerprints.push(key.of(slot, claim, value));
        });
        let id = verified.claims().token_id().filter(|id| !id.is_empty());
        let registered = id.map(|id| key.of(Slot::REGISTERED, REGISTERED, id));
        let (absent, seen) = (Absence::default(), SeenTimes::default());
        Named { verified, fingerprints, absent, registered, seen }
    }

    /// Lets the token through when its kind is not checked, or when it is and nothing revokes it.
    /// Whatever can't be known is refused: not loaded, or stale where the route rejects then.
    pub fn admit(
        &self,
        named: &Arc<Named>,
        check: TokenTypes,
        when_stale: WhenStale,
        now: UnixTime,
    ) -> Result<Principal, RevocationError> {
        if !check.contains(named.verified.token_type()) {
            return Ok(Principal(Arc::clone(named)));
        }
        if !self.freshness.is_loaded() {
            return Err(RevocationError::NotLoaded);
        }
        // First: a 401 from an old state could be wrong, and clients throw refresh tokens away on it.
        if when_stale == WhenStale::Reject && self.is_stale() {
            return Err(RevocationError::Stale);
        }
        let issued_at = named.verified.claims().issued_at();
        let revoked = self.set.revokes(&named.fingerprints, &named.absent, issued_at, now);
        if let Some(slot) = revoked {
            return Err(slot.refusal());
        }
        if self.allow_list.load(Ordering::Acquire) {
            self.is_registered(named)?;
        }
        Ok(Principal(Arc::clone(named)))
    }

    /// Whether the token was registered. It is asked for by presence alone: until when the token is
    /// good says the token.
    fn is_registered(&self, named: &Named) -> Result<(), RevocationError> {
        match &named.registered {
            None => Err(RevocationError::NoTokenId),
            Some(name) if self.set.contains(name) => Ok(()),
            Some(_) => Err(RevocationError::NotRegistered),
        }
    }
}

// === impl Named ===

impl Named {
    /// The token.
    pub const fn verified(&self) -> &Verified {
        &self.verified
    }

    /// What it occupies in memory, in bytes, counts of references included.
    pub fn bytes(&self) -> usize {
        let spilled = if self.fingerprints.spilled() { self.fingerprints.capacity() } else { 0 };
        let own = size_of::<Self>() + 2 * size_of::<usize>();
        own + spilled * size_of::<Fingerprint>() + self.verified.claims().bytes()
    }
}

// === impl Principal ===

impl Principal {
    /// The token's claims.
    pub fn claims(&self) -> &Claims {
        self.0.verified.claims()
    }

    /// The token.
    pub fn verified(&self) -> &Verified {
        &self.0.verified
    }
}

#[cfg(test)]
mod register_tests;
#[cfg(test)]
mod tests;
