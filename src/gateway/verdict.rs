//! What a request's judgement comes to: it may go on, or it is refused, and what goes with either.

use std::sync::Arc;

use http::request::Parts;

use crate::access::{AccessRule, Leave, Permit};
use crate::clock::UnixTime;
use crate::config::ErrorProfile;
use crate::reject::{Asked, Rejection, Said};
use crate::revocation::Named;
use crate::snapshot::{Route, Snapshot};

/// A request that may go on, and where.
#[derive(Debug)]
pub struct Admitted {
    /// The route that took it.
    pub route: Arc<Route>,
    /// The verified token, when one was shown.
    pub token: Option<Arc<Named>>,
    /// The leave to forward it, or what it still waits for.
    pub leave: Leave,
    /// What a route in shadow would have refused it for.
    pub shadowed: Option<Rejection>,
}

/// A request's head and the time at which it is judged.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) head: &'a Parts,
    pub(super) now: UnixTime,
}

/// A refusal, and the route that was found before it.
#[derive(Debug)]
pub struct Refused {
    /// The route, when there was one.
    pub route: Option<Arc<Route>>,
    /// The token, when it was verified.
    pub token: Option<Arc<Named>>,
    /// Why.
    pub rejection: Rejection,
    /// In flask-jwt-extended's words, where the route answers in them.
    pub said: Option<Said>,
}

// === impl Refused ===

impl Refused {
    /// A refusal that is not about a token.
    pub(super) const fn of(rejection: Rejection) -> Self {
        Self { route: None, token: None, rejection, said: None }
    }

    /// The same, when the route is known.
    pub(super) fn on(route: &Arc<Route>, rejection: Rejection) -> Self {
        Self { route: Some(Arc::clone(route)), ..Self::of(rejection) }
    }
}

// === free functions ===

/// What has been decided, with the words for it.
pub(super) fn conclude(
    snapshot: &Snapshot,
    route: Arc<Route>,
    token: Option<Arc<Named>>,
    leave: Result<Leave, Rejection>,
    at: Moment<'_>,
) -> Result<Admitted, Refused> {
    match leave {
        Ok(leave) => Ok(Admitted { route, token, leave, shadowed: None }),
        Err(rejection) if route.shadow && rejection.is_about_the_token() => Ok(Admitted {
            route,
            token,
            leave: Leave::Given(Permit::anonymous()),
            shadowed: Some(rejection),
        }),
        Err(rejection) => {
            let claims = token.as_ref().map(|named| named.verified().claims());
            let (verifier, Moment { head, now }) = (&snapshot.verifier, at);
            let said = flask_rule(&route).and_then(|rule| {
                Said::of(&rejection, &Asked { head, rule, verifier, claims, now })
            });
            Err(Refused { route: Some(route), token, rejection, said })
        }
    }
}

/// The rule of a route that answers in flask-jwt-extended's words; nobody else asks for them.
fn flask_rule(route: &Route) -> Option<&AccessRule> {
    route.access.rule().filter(|_| route.errors == ErrorProfile::Flask)
}
