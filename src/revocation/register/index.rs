//! The register's tokens in memory, in the order of listings.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Judge, Registered, TokenFilter, TokenKey};
use crate::clock::UnixTime;
use crate::revocation::fingerprint::Fingerprint;
use crate::revocation::{Name, TokenDetails};

#[derive(Debug, Default)]
pub(super) struct Index {
    /// The most tokens that are kept; zero: the register is off.
    pub(super) most: usize,
    pub(super) tokens: BTreeMap<TokenKey, Row>,
    /// Where a `jti` is: one place an issuer.
    pub(super) places: HashMap<Arc<str>, SmallVec<[TokenKey; 1]>>,
    issuers: BTreeSet<Arc<str>>,
    /// Words that rows repeat.
    types: HashSet<Arc<str>>,
    /// Tokens that came when it was full.
    pub(super) unlisted: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    token_type: Option<Arc<str>>,
    issued_at: Option<UnixTime>,
    expires_at: Option<UnixTime>,
    first_seen: Option<UnixTime>,
    pub(super) last_seen: Option<UnixTime>,
    kept_until: UnixTime,
    /// What entries of the set that revoke it would be called.
    pub(super) fingerprints: Box<[Fingerprint]>,
}

/// Kinds of token by name that are kept once; more would be no kinds.
const TYPES: usize = 64;
/// Names by which one token can be seen to be revoked.
pub(super) const NAMES: usize = 64;

// === impl Index ===

impl Index {
    pub(super) fn row(&self, issuer: &str, token_id: &str) -> Option<(&TokenKey, &Row)> {
        let mut places = self.places.get(token_id)?.iter();
        let key = places.find(|key| *key.issuer == *issuer)?;
        Some((key, self.tokens.get(key)?))
    }

    pub(super) fn note(
        &mut self,
        name: &Name,
        kept_until: UnixTime,
        details: &TokenDetails,
        fingerprints: impl FnOnce(&TokenDetails) -> Box<[Fingerprint]>,
    ) {
        let known = self.row(&name.issuer, &name.value).map(|(key, row)| (key.clone(), row));
        let known = known.map(|(key, row)| (row.details(&key), row.clone(), key));
        let subject = details.subject.clone();
        let Some((before, row, key)) = known else {
            if self.tokens.len() >= self.most {
                self.unlisted += 1;
                return;
            }
            let row = self.row_of(details, kept_until, fingerprints(details));
            return self.insert(name, subject.unwrap_or_default(), row);
        };
        let merged = before.followed_by(details);
        let mut names = row.fingerprints.into_vec();
        for name in fingerprints(details) {
            // A token says one thing; a publisher that says many must not fill the memory.
            if names.len() < NAMES && !names.contains(&name) {
                names.push(name);
            }
        }
        let row = self.row_of(&merged, kept_until.max(row.kept_until), names.into());
        self.remove(&key);
        self.insert(name, merged.subject.unwrap_or_default(), row);
    }

    fn row_of(
        &mut self,
        details: &TokenDetails,
        kept_until: UnixTime,
        fingerprints: Box<[Fingerprint]>,
    ) -> Row {
        Row {
            token_type: details.token_type.as_ref().map(|word| self.word(word)),
            issued_at: details.issued_at,
            expires_at: details.expires_at,
            first_seen: details.first_seen,
            last_seen: details.last_seen,
            kept_until,
            fingerprints,
        }
    }

    fn word(&mut self, word: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.types.get(word) {
            return Arc::clone(known);
        }
        if self.types.len() < TYPES {
            self.types.insert(Arc::clone(word));
        }
        Arc::clone(word)
    }

    fn insert(&mut self, name: &Name, subject: Arc<str>, row: Row) {
        let issuer = match self.issuers.get(&name.issuer) {
            Some(known) => Arc::clone(known),
            None => {
                self.issuers.insert(Arc::clone(&name.issuer));
                Arc::clone(&name.issuer)
            }
        };
        let key = TokenKey { issuer, subject, token_id: Arc::clone(&name.value) };
        self.places.entry(Arc::clone(&key.token_id)).or_default().push(key.clone());
        self.tokens.insert(key, row);
    }

    fn remove(&mut self, key: &TokenKey) {
        self.tokens.remove(key);
        if let Some(places) = self.places.get_mut(&key.token_id) {
            places.retain(|place| place != key);
            if places.is_empty() {
                self.places.remove(&key.token_id);
            }
        }
    }

    pub(super) fn prune(&mut self, now: UnixTime) {
        let dead = self.tokens.iter().filter(|(_, row)| row.kept_until < now);
        let dead: Vec<TokenKey> = dead.map(|(key, _)| key.clone()).collect();
        dead.iter().for_each(|key| self.remove(key));
    }

    pub(super) fn list(
        &self,
        filter: &TokenFilter,
        after: Option<&TokenKey>,
        limit: usize,
        judge: Judge<'_>,
    ) -> Vec<Registered> {
        let mut items = Vec::new();
        let issuers = self.issuers.iter();
        for issuer in issuers.filter(|it| filter.issuer.as_ref().is_none_or(|only| only == *it)) {
            let first = TokenKey {
                issuer: Arc::clone(issuer),
                subject: filter.subject.clone().unwrap_or_default(),
                token_id: "".into(),
            };
            let start = match after {
                Some(after) if *after >= first => Bound::Excluded(after),
                _ => Bound::Included(&first),
            };
            let rows = self.tokens.range::<TokenKey, _>((start, Bound::Unbounded));
            let rows = rows.take_while(|(key, _)| {
                let subject = filter.subject.as_ref();
                key.issuer == *issuer && subject.is_none_or(|only| *only == key.subject)
            });
            let live = rows.filter(|(_, row)| row.is_live(judge.now)).take(limit - items.len());
            items.extend(live.map(|(key, row)| row.shown(key, judge)));
            if items.len() >= limit {
                break;
            }
        }
        items
    }
}

// === impl Row ===

impl Row {
    pub(super) fn is_live(&self, now: UnixTime) -> bool {
        self.expires_at.unwrap_or(self.kept_until) >= now
    }

    /// What was told, but for the claims, of which the fingerprints are left.
    fn details(&self, key: &TokenKey) -> TokenDetails {
        TokenDetails {
            subject: Some(Arc::clone(&key.subject)).filter(|subject| !subject.is_empty()),
            token_type: self.token_type.clone(),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            claims: Vec::new(),
        }
    }

    pub(super) fn shown(&self, key: &TokenKey, judge: Judge<'_>) -> Registered {
        let TokenDetails {
            subject, token_type, issued_at, expires_at, first_seen, last_seen, ..
        } = self.details(key);
        Registered {
            issuer: Arc::clone(&key.issuer),
            token_id: Arc::clone(&key.token_id),
            subject,
            token_type,
            issued_at,
            expires_at,
            first_seen,
            last_seen,
            revoked: judge.catches(&self.fingerprints, issued_at),
            kept_until: self.kept_until,
        }
    }
}
