//! The register as it is asked and filled.

use std::sync::Arc;

use super::{Named, Revocations, naming};
use crate::clock::UnixTime;
use crate::revocation::fingerprint::Fingerprint;
use crate::revocation::names::canonical;
use crate::revocation::register::Judge;
use crate::revocation::{
    Applied, Name, Registered, Revocation, TokenDetails, TokenFilter, TokenKey, TokenPage,
};

// === impl Revocations ===

impl Revocations {
    /// One page of the live registered tokens, each with whether it is revoked now.
    pub fn tokens(
        &self,
        filter: &TokenFilter,
        after: Option<&TokenKey>,
        limit: usize,
        now: UnixTime,
    ) -> TokenPage {
        self.register.page(filter, after, limit, Judge { set: &self.set, now })
    }

    /// The live registered tokens of that `jti`: at most one an issuer.
    pub fn find_tokens(
        &self,
        issuer: Option<&str>,
        token_id: &str,
        now: UnixTime,
    ) -> Vec<Registered> {
        self.register.find(issuer, token_id, Judge { set: &self.set, now })
    }

    /// Whether there is a register to ask.
    pub fn has_register(&self) -> bool {
        self.register.is_on()
    }

    /// Registered tokens that can be listed, and how many came when the register was full.
    pub fn register_counts(&self) -> (usize, u64) {
        self.register.counts()
    }

    /// How often a token that was seen found the queue full.
    pub fn seen_missed(&self) -> u64 {
        self.seen.missed()
    }

    /// Forgets registered tokens that expired before `now`.
    pub fn prune_register(&self, now: UnixTime) -> usize {
        self.register.prune(now)
    }

    /// The live entries that revoke the token, most specific first.
    pub fn matching(&self, named: &Named, now: UnixTime) -> Vec<Name> {
        let (verified, mut found) = (&named.verified, Vec::new());
        let issued_at = verified.claims().issued_at();
        naming::visit(verified, &self.custom.load(), &mut |_slot, claim, value| {
            let issuer = Arc::clone(verified.scope());
            let name = Name { issuer, claim: claim.into(), value: value.into() };
            if !found.contains(&name) && self.set.holds(&name, issued_at, now) {
                found.push(name);
            }
        });
        found
    }

    /// Does what the record says, to the set and to the register.
    pub fn apply(&self, record: &Revocation) -> Applied {
        let applied = self.set.apply(record);
        self.note(record);
        applied
    }

    /// Makes the entry exactly what a checkpoint says it is, and answers with its name in the set.
    pub(in crate::revocation) fn put(&self, record: &Revocation) -> Fingerprint {
        let fingerprint = self.set.put(record);
        self.note(record);
        fingerprint
    }

    /// The same of many at once.
    pub(in crate::revocation) fn put_all(&self, records: &[Revocation]) {
        self.set.put_all(records);
        for record in records {
            self.note(record);
        }
    }

    fn note(&self, record: &Revocation) {
        self.register.note(record, |details| self.names_of(&record.name, details));
    }

    /// What entries that revoke the token would be called, as far as anyone told.
    fn names_of(&self, name: &Name, details: &TokenDetails) -> Box<[Fingerprint]> {
        let issuer = &name.issuer;
        let of = |claim: &str, value: &str| {
            let claim = canonical(claim);
            self.set.fingerprint_of(self.set.slot(claim), issuer, claim, value)
        };
        let told = details.claims.iter().map(|(claim, value)| of(claim, value));
        let subject = details.subject.iter().map(|subject| of("sub", subject));
        let own = [of("jti", &name.value), of("iss", issuer)];
        own.into_iter().chain(subject).chain(told).collect()
    }
}
