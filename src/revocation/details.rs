//! What a `register` record says of its token beside its name.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;

/// A registered token, as far as anyone has said. Members that are not known are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDetails {
    /// Its `sub`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Arc<str>>,
    /// What it is for: `access`, `refresh`, or the issuer's own word.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub token_type: Option<Arc<str>>,
    /// Its `iat`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub issued_at: Option<UnixTime>,
    /// Its `exp`. The record's own `expires_at` is later, by leeway and a margin.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<UnixTime>,
    /// When a gateway first let it through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_seen: Option<UnixTime>,
    /// When a gateway last let it through, as far as was recorded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_seen: Option<UnixTime>,
    /// What else it can be revoked by: pairs of a claim and its value (`sid`, `client_id`, …).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub claims: Vec<(Arc<str>, Arc<str>)>,
}

// === impl TokenDetails ===

impl TokenDetails {
    /// What both know: the later record's word, the earliest and the latest time it was seen.
    pub(super) fn followed_by(&self, later: &Self) -> Self {
        let earliest = |one: Option<UnixTime>, other: Option<UnixTime>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let claims = if later.claims.is_empty() { &self.claims } else { &later.claims };
        Self {
            subject: later.subject.as_ref().or(self.subject.as_ref()).cloned(),
            token_type: later.token_type.as_ref().or(self.token_type.as_ref()).cloned(),
            issued_at: later.issued_at.or(self.issued_at),
            expires_at: later.expires_at.or(self.expires_at),
            first_seen: earliest(self.first_seen, later.first_seen),
            last_seen: self.last_seen.max(later.last_seen),
            claims: claims.clone(),
        }
    }

    /// Every text, with the bound that the wire format has for it.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Arc<str>> {
        let pairs = self.claims.iter().flat_map(|(claim, value)| [claim, value]);
        self.subject.iter().chain(&self.token_type).chain(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(first: Option<u64>, last: Option<u64>) -> TokenDetails {
        let time = |seconds: Option<u64>| seconds.map(UnixTime::from_secs);
        TokenDetails { first_seen: time(first), last_seen: time(last), ..TokenDetails::default() }
    }

    #[test]
    fn seen_times_merge_to_the_earliest_and_the_latest_in_any_order() {
        let table = [
            ((None, None), (None, None), (None, None)),
            ((Some(5), Some(9)), (None, None), (Some(5), Some(9))),
            ((Some(5), Some(9)), (Some(3), Some(7)), (Some(3), Some(9))),
            ((Some(1), Some(2)), (Some(3), Some(7)), (Some(1), Some(7))),
        ];
        for (one, other, want) in table {
            let (one, other) = (seen(one.0, one.1), seen(other.0, other.1));
            assert_eq!(one.followed_by(&other), seen(want.0, want.1));
            assert_eq!(other.followed_by(&one), seen(want.0, want.1));
        }
    }

    #[test]
    fn what_one_record_does_not_say_the_other_does() {
        let one = TokenDetails {
            subject: Some("u".into()),
            claims: vec![("sid".into(), "s".into())],
            ..seen(None, None)
        };
        let other = TokenDetails { token_type: Some("access".into()), ..seen(Some(1), Some(1)) };
        for merged in [one.followed_by(&other), other.followed_by(&one)] {
            assert_eq!(merged.subject.as_deref(), Some("u"));
            assert_eq!(merged.token_type.as_deref(), Some("access"));
            assert_eq!(merged.claims, one.claims);
        }
    }
}
