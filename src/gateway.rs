//! The story of a request: judged by [`Gateway::admit`], which does no I/O, then forwarded; or refused,
//! and there is one way out for that. Either way it is told once, to the log and the metrics.

mod ask;
mod credential_body;
mod desk;
mod entry;
mod explain;
mod serve;
mod verdict;
mod vigil;
mod watch;

use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use http::header::ACCEPT_ENCODING;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::access::{Access, AccessRule, Leave, Permit};
use crate::clock::{Clock, UnixTime};
use crate::forward::{Exchange, Forwarder, ResponseBody};
use crate::observe::{AccessLog, Metrics};
use crate::peer::Peer;
use crate::reject::Rejection;
use crate::request;
use crate::revocation::{Named, Principal, Revocations};
use crate::route;
use crate::snapshot::{Destination, Route, Snapshot};
use crate::token::{BearerError, Credential, Found, TokenCache};

pub use desk::{Desk, Pending};
pub use entry::RecordedBody;
pub use explain::{AnswerTold, Check, Explained, Inquiry, TokenTold};
pub use verdict::{Admitted, Refused};

use credential_body::read_body;
use entry::Entry;
use serve::Served;
use verdict::{Moment, conclude};
use vigil::Judge;

/// What all workers share. Immutable but for the snapshot's swap and the one revocation set.
#[derive(Debug)]
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    revocations: Arc<Revocations>,
    tokens: TokenCache<Arc<Named>>,
    clock: Arc<dyn Clock>,
    judge: Arc<Judge>,
    metrics: Arc<Metrics>,
    log: AccessLog,
    desk: OnceLock<Arc<dyn Desk>>,
}

/// An answer, and whose it is.
enum Answer {
    Forwarded(Response<ResponseBody>),
    Served(Served),
}

// === impl Gateway ===

impl Gateway {
    /// Joins the parts; `snapshot` is the first configuration.
    pub fn new(
        snapshot: Arc<Snapshot>,
        revocations: Arc<Revocations>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        log: AccessLog,
    ) -> Self {
        let snapshot = ArcSwap::new(snapshot);
        let tokens = TokenCache::sparing(TOKENS, TOKEN_BYTES);
        let judge = Judge { revocations: Arc::clone(&revocations), clock: Arc::clone(&clock) };
        let judge = Arc::new(judge);
        let desk = OnceLock::new();
        Self { snapshot, revocations, tokens, clock, judge, metrics, log, desk }
    }

    /// Says who does what bearers ask for; until then nobody does. The first word counts.
    pub fn open_desk(&self, desk: Arc<dyn Desk>) {
        drop(self.desk.set(desk));
    }

    /// The running configuration.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The running configuration's number.
    pub fn generation(&self) -> u64 {
        self.snapshot.load().generation
    }

    /// Runs another configuration from the next request on; those in flight end with theirs.
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
    }

    /// The clock that decides.
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The counters.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The access log.
    pub const fn log(&self) -> &AccessLog {
        &self.log
    }

    /// What has been taken back.
    pub const fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Answers one request; never fails.
    pub async fn handle(
        &self,
        forwarder: &Forwarder,
        request: Request<Incoming>,
        peer: Rc<Peer>,
    ) -> Response<RecordedBody> {
        let snapshot = self.snapshot.load_full();
        let now = self.clock.now();
        let mut entry = Entry::begin(self.log.clone(), &snapshot, &request, peer, now);
        match self.try_handle(&snapshot, forwarder, request, &mut entry).await {
            Ok(Answer::Forwarded(response)) => entry.forwarded(response, &self.judge),
            Ok(Answer::Served(served)) => entry.served(served),
            Err(refused) => entry.rejected(refused),
        }
    }

    async fn try_handle(
        &self,
        snapshot: &Snapshot,
        forwarder: &Forwarder,
        request: Request<Incoming>,
        entry: &mut Entry,
    ) -> Result<Answer, Refused> {
        let (mut head, body) = request.into_parts();
        let route = self.route(snapshot, &mut head).map_err(Refused::of)?;
        let (mut body, mut now) = (Some(body), entry.began_at());
        if route.reads_body {
            let patience = snapshot.config.listener.limits.idle_timeout;
            // Boxed: the requests of all other routes carry no room for it.
            let read = Box::pin(read_body(&route, &mut head, &mut body, patience)).await;
            read.map_err(|error| Refused::on(&route, error.into()))?;
            now = self.clock.now();
        }
        let admitted = self.decide(snapshot, route, &head, now)?;
        let (route, leave) = entry.admitted(admitted);
        let permit = match leave {
            Leave::Given(permit) => permit,
            // In a box: the routes that ask nobody don't carry the question's size.
            Leave::Pending(_) => Box::pin(self.ask(snapshot, route.clone(), &head, entry)).await?,
        };
        let upstream = match &route.destination {
            Destination::Upstream(upstream) => upstream,
            Destination::SelfService(path) => {
                let patience = snapshot.config.listener.limits.header_timeout;
                let serving = self.serve((&route, path), &permit, (&head, body), patience);
                // Boxed, as is `watch`: what is rare and long makes no other request's future larger.
                return Box::pin(serving).await.map(Answer::Served);
            }
        };
        if !route.register_from.keys.is_empty() {
            // What we are to look into must not come compressed.
            head.headers.remove(ACCEPT_ENCODING);
        }
        let exchange = Exchange {
            permit,
            upstream,
            forward: &route.forward,
            token_from: route.access.rule().map_or(&[], |rule| &rule.token_from),
            request: Request::from_parts(head, body),
            peer: entry.peer(),
            trusted: entry.is_trusted(),
            request_id: entry.request_id(),
            identity: &snapshot.identity,
            limits: &snapshot.config.listener.limits,
        };
        let answer = forwarder.forward(exchange).await;
        let answer = answer.map_err(|error| Refused::of(error.into()))?;
        if route.register_from.is_empty() {
            return Ok(Answer::Forwarded(answer));
        }
        Box::pin(self.watch(snapshot, &route, answer)).await.map(Answer::Forwarded)
    }

    /// Decides, without I/O: what the request is, which route takes it, and whether its token is good
    /// for that route now.
    pub fn admit(
        &self,
        snapshot: &Snapshot,
        head: &mut Parts,
        now: UnixTime,
    ) -> Result<Admitted, Refused> {
        let route = self.route(snapshot, head).map_err(Refused::of)?;
        self.decide(snapshot, route, head, now)
    }

    /// The same, once the route is known. A body in which a credential may stand was read by then.
    fn decide(
        &self,
        snapshot: &Snapshot,
        route: Arc<Route>,
        head: &Parts,
        now: UnixTime,
    ) -> Result<Admitted, Refused> {
        let (token, leave) = self.permit(snapshot, &route, head, now);
        conclude(snapshot, route, token, leave, Moment { head, now })
    }

    fn route(&self, snapshot: &Snapshot, head: &mut Parts) -> Result<Arc<Route>, Rejection> {
        let dropped = request::clean(head, &snapshot.limits, &snapshot.identity)?;
        if dropped > 0 {
            self.metrics.headers_dropped.inc_by(dropped as u64);
        }
        let asked = snapshot.routes.asks_for_host().then(|| request::checked_authority(head));
        let host = request::host(asked.unwrap_or_default());
        let path = route::judge(head.uri.path())?;
        Ok(Arc::clone(snapshot.routes.find(host, &path, &head.method)?))
    }

    /// The token comes along as soon as it is verified, so that a refusal can be told with its owner.
    fn permit(
        &self,
        snapshot: &Snapshot,
        route: &Route,
        head: &Parts,
        now: UnixTime,
    ) -> (Option<Arc<Named>>, Result<Leave, Rejection>) {
        let anyone = || Leave::Given(Permit::anonymous());
        let rule = match &route.access {
            Access::Public => return (None, Ok(anyone())),
            Access::Optional(rule) | Access::Required(rule) => rule,
        };
        if rule.exempts(&head.method) {
            return (None, Ok(anyone()));
        }
        let found = match Found::find(&rule.token_from, rule.reading, head) {
            Ok(found) => found,
            Err(BearerError::Missing) if matches!(route.access, Access::Optional(_)) => {
                return (None, Ok(anyone()));
            }
            Err(error) => return (None, Err(error.into())),
        };
        match self.verify(snapshot, found.credential, now) {
            Ok(named) => {
                let leave = match found.matches(named.verified().claims()) {
                    Ok(()) => self.authorize(route, rule, &named, now),
                    Err(error) => Err(error.into()),
                };
                let leave =
                    leave.and_then(|leave| ask::known(snapshot, route, found.credential, leave));
                (Some(named), leave)
            }
            Err(rejection) => (None, Err(rejection)),
        }
    }

    fn authorize(
        &self,
        route: &Route,
        rule: &AccessRule,
        named: &Arc<Named>,
        now: UnixTime,
    ) -> Result<Leave, Rejection> {
        let principal = self.principal(route, rule, named, now)?;
        self.revocations.note_seen(named, now);
        Ok(rule.authorize(principal)?)
    }

    fn principal(
        &self,
        route: &Route,
        rule: &AccessRule,
        named: &Arc<Named>,
        now: UnixTime,
    ) -> Result<Principal, Rejection> {
        rule.suits(named.verified(), now)?;
        Ok(self.revocations.admit(named, rule.check_revocation, route.when_stale, now)?)
    }

    /// The cache answers only for what does not change with time: signature, claims, fingerprints. It
    /// holds expired tokens too, so that whoever repeats one costs no signature.
    fn verify(
        &self,
        snapshot: &Snapshot,
        credential: Credential<'_>,
        now: UnixTime,
    ) -> Result<Arc<Named>, Rejection> {
        let generation = snapshot.verifier.generation();
        let named = match self.tokens.find(credential.as_bytes(), generation) {
            Some(named) => {
                self.metrics.token_cache_hits.inc();
                named
            }
            None => {
                let token = credential.token()?;
                self.metrics.token_cache_misses.inc();
                let verified = snapshot.verifier.verify_all_but_expiry(token, now)?;
                let named = Arc::new(self.revocations.name(verified));
                let bytes = named.bytes();
                self.tokens.insert(token.as_str(), generation, Arc::clone(&named), bytes);
                named
            }
        };
        named.verified().is_current(now)?;
        Ok(named)
    }
}

/// Tokens the cache keeps at the most.
const TOKENS: usize = 100_000;
/// Bytes the cache takes for them at the most.
const TOKEN_BYTES: u64 = 128 * 1024 * 1024;

#[cfg(test)]
mod cache_tests;
