//! The one stage that waits for somebody else: a route's callback, asked when everything here holds. What
//! is kept of its verdicts is looked up by `admit`, which waits for nothing.

use std::sync::Arc;

use http::request::Parts;

use crate::access::{Leave, Permit};
use crate::callback::{CallbackError, Question};
use crate::reject::Rejection;
use crate::snapshot::{Route, Snapshot};
use crate::token::{Credential, Found};

use super::entry::Entry;
use super::{Gateway, Moment, Refused, conclude};

// === impl Gateway ===

impl Gateway {
    /// Asks, and judges the token once more: time has gone by.
    pub(super) async fn ask(
        &self,
        snapshot: &Snapshot,
        route: Arc<Route>,
        head: &Parts,
        entry: &mut Entry,
    ) -> Result<Permit, Refused> {
        let token = entry.token();
        let leave = self.answered(snapshot, &route, head, entry).await;
        let moment = Moment { head, now: self.clock.now() };
        let admitted = conclude(snapshot, route, token, leave, moment)?;
        let (_, leave) = entry.admitted(admitted);
        match leave {
            Leave::Given(permit) => Ok(permit),
            // Not reached: an answered permit no longer waits.
            Leave::Pending(_) => Err(Refused::of(CallbackError::Failed.into())),
        }
    }

    async fn answered(
        &self,
        snapshot: &Snapshot,
        route: &Route,
        head: &Parts,
        entry: &Entry,
    ) -> Result<Leave, Rejection> {
        // A pending permit has all three.
        let (Some(callback), Some(rule), Some(named)) =
            (&route.callback, route.access.rule(), &entry.token())
        else {
            return Err(CallbackError::Failed.into());
        };
        let found = Found::find(&rule.token_from, rule.reading, head)?;
        let generation = snapshot.verifier.generation();
        let (token, now) = (found.credential.token()?.as_str(), entry.began_at());
        let verdict = callback.ask(Question { token, generation, named, now }).await?;
        let now = self.clock.now();
        named.verified().is_current(now)?;
        given(self.authorize(route, rule, named, now)?, verdict)
    }
}

/// A pending permit for which a verdict is kept is decided at once.
pub(super) fn known(
    snapshot: &Snapshot,
    route: &Route,
    credential: Credential<'_>,
    leave: Leave,
) -> Result<Leave, Rejection> {
    let (Leave::Pending(_), Some(callback)) = (&leave, &route.callback) else { return Ok(leave) };
    let token = credential.token()?;
    match callback.known(token.as_str(), snapshot.verifier.generation()) {
        Some(verdict) => given(leave, verdict),
        None => Ok(leave),
    }
}

fn given(leave: Leave, verdict: crate::access::Verdict) -> Result<Leave, Rejection> {
    Ok(match leave {
        Leave::Pending(pending) => Leave::Given(pending.answered(verdict)?),
        given @ Leave::Given(_) => given,
    })
}
