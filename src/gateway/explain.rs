//! Why a token would be refused: a request that nobody has sent, judged by the stages that judge all others.
//! Nothing is forwarded, nobody is asked, and no token is kept or noted as seen.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, COOKIE, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Uri};
use serde::Serialize;
use serde_json::json;

use crate::access::{AccessError, Leave, Permit};
use crate::body::ReadBody;
use crate::reject::Rejection;
use crate::revocation::{Name, Named};
use crate::secret::Secret;
use crate::snapshot::{Destination, Route, Snapshot};
use crate::token::{
    BearerError, BearerToken, Credential, Found, TokenError, TokenSource, TokenTypes,
};

use super::entry::context;
use super::{Access, Admitted, Gateway, Moment, Refused, ask, conclude};

mod told;

pub use told::{AnswerTold, Check, TokenTold};

/// A request that is only asked about.
#[derive(Debug)]
pub struct Inquiry {
    /// Its method.
    pub method: Method,
    /// The host that it is for.
    pub host: HeaderValue,
    /// Its path, and its query if it has one.
    pub target: Uri,
    /// The token that it shows, as the route wants it shown; `None`: it shows none.
    pub token: Option<Secret>,
}

/// What would become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// `forwarded`, `served` by the gateway itself, `asked` (the callback decides), `shadowed`, `rejected`.
    pub outcome: &'static str,
    /// The route that takes it.
    pub route: Option<Arc<str>>,
    /// Where it goes from there.
    pub upstream: Option<Arc<str>>,
    /// What is asked of it, in order, up to the first refusal.
    pub checks: Vec<Check>,
    /// What the token says; `None` when it is none of ours.
    pub token: Option<TokenTold>,
    /// The entries by which the token is revoked, whether the route asks for them or not.
    pub entries: Vec<Name>,
    /// What the client gets instead of the upstream's answer.
    pub answer: Option<AnswerTold>,
}

/// What the route's own checks came to.
struct Judged {
    named: Option<Arc<Named>>,
    leave: Result<Leave, Rejection>,
    /// Why no token is looked at.
    unasked: Option<&'static str>,
}

/// The checks in their order.
const CHECKS: [&str; 8] =
    ["request", "route", "credential", "token", "rule", "revocation", "access", CALLBACK];
/// The check that not every route has.
const CALLBACK: &str = "callback";
/// What stands where a request's id would.
const REQUEST_ID: &str = "explained";

// === impl Gateway ===

impl Gateway {
    /// Judges a request that nobody has sent.
    pub fn explain(&self, inquiry: &Inquiry) -> Explained {
        let (snapshot, now) = (self.snapshot(), self.clock.now());
        let mut head = inquiry.head();
        let route = match self.route(&snapshot, &mut head) {
            Ok(route) => route,
            Err(rejection) => return Refused::of(rejection).explained(&snapshot, None),
        };
        let shown = inquiry.token().zip(route.access.rule().and_then(|it| it.token_from.first()));
        if let Some((token, source)) = shown {
            show(token, source, &mut head);
            // With it the head may be too large.
            if let Err(rejection) = self.route(&snapshot, &mut head) {
                return Refused::of(rejection).explained(&snapshot, None);
            }
        }
        let moment = Moment { head: &head, now };
        let Judged { named, leave, unasked } = self.judged(&snapshot, &route, inquiry, moment);
        let checks = match &leave {
            Ok(leave) => passed(&route, leave, named.as_deref(), unasked),
            Err(rejection) => up_to(rejection),
        };
        let token = named.as_ref().map(|named| TokenTold::of(named.verified()));
        let entries = named.as_ref().map(|named| self.revocations.matching(named, now));
        let entries = entries.unwrap_or_default();
        let explained = match conclude(&snapshot, Arc::clone(&route), named, leave, moment) {
            Ok(admitted) => admitted.explained(),
            Err(refused) => refused.explained(&snapshot, Some(&route)),
        };
        Explained { checks, token, entries, ..explained }
    }

    /// As `permit` does it, but for what that keeps, counts and notes.
    fn judged(
        &self,
        snapshot: &Snapshot,
        route: &Route,
        inquiry: &Inquiry,
        Moment { head, now }: Moment<'_>,
    ) -> Judged {
        let rule = match &route.access {
            Access::Public => return Judged::unasked("the route is public"),
            Access::Optional(rule) | Access::Required(rule) => rule,
        };
        if rule.exempts(&head.method) {
            return Judged::unasked("OPTIONS needs no token on this route");
        }
        let Some(token) = inquiry.token() else {
            if inquiry.token.is_some() {
                return Judged::refused(None, TokenError::Malformed);
            }
            if matches!(route.access, Access::Optional(_)) {
                return Judged::unasked("there is none, and the route is optional");
            }
            let lacking = Found::find(&rule.token_from, rule.reading, head).err();
            return Judged::refused(None, lacking.unwrap_or(BearerError::Missing));
        };
        let named = match snapshot.verifier.verify_all_but_expiry(token, now) {
            Ok(verified) => Arc::new(self.revocations.name(verified)),
            Err(error) => return Judged::refused(None, error),
        };
        if let Err(error) = named.verified().is_current(now) {
            return Judged::refused(Some(named), error);
        }
        let leave = self
            .principal(route, rule, &named, now)
            .and_then(|principal| Ok(rule.authorize(principal)?))
            .and_then(|leave| ask::known(snapshot, route, Credential::Read(token), leave));
        Judged { named: Some(named), leave, unasked: None }
    }
}

// === impl Inquiry ===

impl Inquiry {
    fn head(&self) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = self.method.clone();
        head.uri = self.target.clone();
        head.headers.insert(HOST, self.host.clone());
        head
    }

    /// The token, if it is text at all.
    fn token(&self) -> Option<BearerToken<'_>> {
        let text = std::str::from_utf8(self.token.as_ref()?.expose()).ok()?;
        Some(BearerToken::new(text.trim()))
    }
}

// === impl Judged ===

impl Judged {
    fn unasked(why: &'static str) -> Self {
        let leave = Ok(Leave::Given(Permit::anonymous()));
        Self { named: None, leave, unasked: Some(why) }
    }

    fn refused(named: Option<Arc<Named>>, why: impl Into<Rejection>) -> Self {
        Self { named, leave: Err(why.into()), unasked: None }
    }
}

// === impl Admitted ===

impl Admitted {
    fn explained(&self) -> Explained {
        let (outcome, upstream) = match (&self.leave, &self.route.destination) {
            (Leave::Pending(_), _) => ("asked", None),
            (_, Destination::Upstream(upstream)) => match &self.shadowed {
                Some(_) => ("shadowed", Some(upstream)),
                None => ("forwarded", Some(upstream)),
            },
            (_, Destination::SelfService(_)) => ("served", None),
        };
        let route = Some(Arc::clone(&self.route.name));
        let upstream = upstream.map(|upstream| Arc::clone(upstream.name()));
        Explained { outcome, route, upstream, ..Explained::default() }
    }
}

// === impl Refused ===

impl Refused {
    fn explained(self, snapshot: &Snapshot, route: Option<&Route>) -> Explained {
        let (checks, code) = (up_to(&self.rejection), self.rejection.code().as_str());
        let form = snapshot.error_form.as_deref();
        let context = context(route, form, self.said.as_ref(), REQUEST_ID);
        let answer = AnswerTold::of(code, self.rejection.into_response(context));
        Explained {
            outcome: "rejected",
            route: route.map(|route| Arc::clone(&route.name)),
            checks,
            answer: Some(answer),
            ..Explained::default()
        }
    }
}

/// Puts the token where the route looks first: flask-jwt-extended's words depend on the place.
fn show(token: BearerToken<'_>, source: &TokenSource, head: &mut Parts) {
    let text = token.as_str();
    let (name, value) = match source {
        TokenSource::Header { name, scheme, .. } => {
            let scheme = scheme.as_deref().map(|scheme| format!("{scheme} "));
            (name, format!("{}{text}", scheme.unwrap_or_default()))
        }
        TokenSource::Cookie { name, .. } => (&COOKIE, format!("{name}={text}")),
        TokenSource::Query { name, prefix } => {
            let mark = if head.uri.query().is_some() { '&' } else { '?' };
            let prefix = prefix.replace(' ', "%20");
            let target = format!("{}{mark}{name}={prefix}{text}", head.uri);
            head.uri = target.parse().unwrap_or_else(|_invalid| head.uri.clone());
            return;
        }
        TokenSource::Json { name, .. } => {
            let body = json!({ &**name: text }).to_string();
            head.extensions.insert(ReadBody::new(body.into()));
            (&CONTENT_TYPE, "application/json".to_owned())
        }
    };
    if let Ok(value) = HeaderValue::try_from(value) {
        head.headers.insert(name, value);
    }
}

/// The check that a refusal belongs to.
const fn check_of(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::Request(_) => "request",
        Rejection::Target(_) | Rejection::Route(_) => "route",
        Rejection::Bearer(_) => "credential",
        Rejection::Token(_) => "token",
        Rejection::Access(AccessError::TokenType | AccessError::Issuer | AccessError::NotFresh) => {
            "rule"
        }
        Rejection::Revocation(_) => "revocation",
        Rejection::Access(AccessError::InsufficientScope | AccessError::Denied) => "access",
        Rejection::Access(AccessError::CallbackDenied | AccessError::CallbackInactive)
        | Rejection::Callback(_) => CALLBACK,
        // Not reached: nothing is forwarded, and no call made.
        Rejection::Forward(_) | Rejection::Call(_) => "upstream",
    }
}

/// Everything before the refusal has passed.
fn up_to(rejection: &Rejection) -> Vec<Check> {
    let at = check_of(rejection);
    let before = CHECKS.into_iter().take_while(|check| *check != at);
    let mut checks: Vec<Check> = before.map(|check| Check::new(check, "passed")).collect();
    let (reason, detail) = (Some(rejection.reason()), Some(rejection.to_string()));
    checks.push(Check { reason, detail, ..Check::new(at, "refused") });
    checks
}

/// Nothing was refused.
fn passed(
    route: &Route,
    leave: &Leave,
    named: Option<&Named>,
    unasked: Option<&'static str>,
) -> Vec<Check> {
    if let Some(why) = unasked {
        let mut checks: Vec<Check> =
            CHECKS.into_iter().take(2).map(|it| Check::new(it, "passed")).collect();
        checks.push(Check { detail: Some(why.to_owned()), ..Check::new("credential", "skipped") });
        return checks;
    }
    let asked = CHECKS.into_iter().filter(|it| *it != CALLBACK || route.callback.is_some());
    let kinds = route.access.rule().map_or(TokenTypes::BOTH, |rule| rule.check_revocation);
    let looked_up = named.is_some_and(|named| kinds.contains(named.verified().token_type()));
    let outcome = |check: &str| match leave {
        Leave::Pending(_) if check == CALLBACK => "pending",
        _ if check == "revocation" && !looked_up => "skipped",
        Leave::Pending(_) | Leave::Given(_) => "passed",
    };
    asked.map(|check| Check::new(check, outcome(check))).collect()
}
