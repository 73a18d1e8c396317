//! What a listing's filter means where entries are in the order of their names.

use std::sync::Arc;

use crate::revocation::{Filter, Name};

/// The filter for names as they are kept.
pub(super) fn canonical(filter: &Filter) -> Filter {
    let azp = filter.claim.as_deref() == Some("azp");
    let claim = if azp { Some("client_id".into()) } else { filter.claim.clone() };
    Filter { claim, ..filter.clone() }
}

/// The smallest name that can match.
pub(super) fn first(filter: &Filter) -> (&str, &str, &str) {
    match (&filter.issuer, &filter.claim, &filter.value) {
        (None, _, _) => ("", "", ""),
        (Some(issuer), None, _) => (issuer, "", ""),
        (Some(issuer), Some(claim), None) => (issuer, claim, ""),
        (Some(issuer), Some(claim), Some(value)) => (issuer, claim, value),
    }
}

/// Whether nothing from here on can match.
pub(super) fn is_beyond(filter: &Filter, name: &Name) -> bool {
    let Some(issuer) = &filter.issuer else { return false };
    if name.issuer != *issuer {
        return name.issuer > *issuer;
    }
    let Some(claim) = &filter.claim else { return false };
    if name.claim != *claim {
        return name.claim > *claim;
    }
    filter.value.as_ref().is_some_and(|value| name.value > *value)
}

/// Whether the listing wants it. Registered tokens are no revocations: they are listed when asked for.
pub(super) fn matches(filter: &Filter, name: &Name) -> bool {
    if name.is_registered() && filter.claim.is_none() {
        return false;
    }
    let is = |wanted: &Option<Arc<str>>, has: &Arc<str>| wanted.as_ref().is_none_or(|it| it == has);
    is(&filter.issuer, &name.issuer)
        && is(&filter.claim, &name.claim)
        && is(&filter.value, &name.value)
}
