//! A request's entry in the log and the metrics: begun with the request, told once when it is over,
//! whatever way it ends. A client that leaves drops the entry, and that tells it too.

use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::access::Leave;
use crate::clock::UnixTime;
use crate::config::{ErrorForm, ErrorProfile};
use crate::forward::{BodyError, RequestId, ResponseBody, client_address};
use crate::instant::recent;
use crate::observe::access_log::{AccessLog, AccessRecord, cut};
use crate::peer::Peer;
use crate::reject::{self, Rejection, Said};
use crate::revocation::Named;
use crate::snapshot::{Route, RouteCounters, Snapshot};

use super::serve::Served;
use super::vigil::{self, Judge, Vigil};
use super::{Admitted, Refused};

/// An answer's body that tells its request's entry when it ends, and ends with its token.
#[derive(Debug)]
pub struct RecordedBody {
    body: ResponseBody,
    entry: Box<Entry>,
    vigil: Option<Vigil>,
}

/// What will be told of one request. Nothing is formatted before the end.
#[derive(Debug)]
pub(super) struct Entry {
    log: AccessLog,
    unrouted: Arc<RouteCounters>,
    /// The form of refusals without a route.
    form: Option<Arc<ErrorForm>>,
    route: Option<Arc<Route>>,
    token: Option<Arc<Named>>,
    peer: Rc<Peer>,
    client: IpAddr,
    trusted: bool,
    request_id: RequestId,
    method: Method,
    host: Option<HeaderValue>,
    target: Uri,
    time: UnixTime,
    started: Instant,
    status: u16,
    outcome: &'static str,
    reason: &'static str,
    shadowed: Option<&'static str>,
    bytes: u64,
}

// === impl Entry ===

impl Entry {
    pub(super) fn begin(
        log: AccessLog,
        snapshot: &Snapshot,
        request: &Request<Incoming>,
        peer: Rc<Peer>,
        now: UnixTime,
    ) -> Box<Self> {
        let proxies = &snapshot.trusted_proxies;
        let nearest = peer.client.ip().to_canonical();
        let trusted = proxies.contains(nearest);
        let client =
            if trusted { client_address(request.headers(), nearest, proxies) } else { nearest };
        // Boxed: it is moved a dozen times, with the answer's body last.
        Box::new(Self {
            log,
            unrouted: Arc::clone(&snapshot.unrouted),
            form: snapshot.error_form.clone(),
            route: None,
            token: None,
            peer,
            client,
            trusted,
            request_id: RequestId::from_request(request.headers(), trusted),
            method: request.method().clone(),
            host: request.headers().get(HOST).cloned(),
            target: request.uri().clone(),
            time: now,
            started: recent(),
            // Said by no server: the client left before an answer.
            status: 499,
            outcome: "client_gone",
            reason: "client_gone",
            shadowed: None,
            bytes: 0,
        })
    }

    /// The request's one reading of the clock.
    pub(super) const fn began_at(&self) -> UnixTime {
        self.time
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether the peer is a trusted proxy.
    pub(super) const fn is_trusted(&self) -> bool {
        self.trusted
    }

    pub(super) const fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The token, once it is verified.
    pub(super) fn token(&self) -> Option<Arc<Named>> {
        self.token.clone()
    }

    /// Takes the token over; what goes on is the leave.
    pub(super) fn admitted(&mut self, admitted: Admitted) -> (Arc<Route>, Leave) {
        let Admitted { route, token, leave, shadowed } = admitted;
        self.route = Some(Arc::clone(&route));
        self.token = token;
        self.shadowed = shadowed.as_ref().map(Rejection::reason);
        (route, leave)
    }

    /// The upstream's answer, to be told when its body has ended.
    pub(super) fn forwarded(
        mut self: Box<Self>,
        response: Response<ResponseBody>,
        judge: &Arc<Judge>,
    ) -> Response<RecordedBody> {
        self.outcome = if self.shadowed.is_some() { "shadowed" } else { "forwarded" };
        self.reason = self.shadowed.unwrap_or_default();
        let ends = response.body().is_end_stream();
        let watched = self.token.is_some() && self.shadowed.is_none() && !ends;
        let rule = self.route.as_ref().and_then(|route| route.access.rule());
        let vigil = rule
            .filter(|_| watched)
            .map(|rule| Vigil::new(Arc::clone(judge), rule.check_revocation));
        self.answer(response, vigil)
    }

    /// An answer to a bearer's call.
    pub(super) fn served(mut self: Box<Self>, served: Served) -> Response<RecordedBody> {
        self.outcome = "served";
        self.reason = served.word;
        self.answer(served.response, None)
    }

    /// Our own answer.
    pub(super) fn rejected(mut self: Box<Self>, refused: Refused) -> Response<RecordedBody> {
        self.outcome = "rejected";
        self.reason = refused.rejection.reason();
        self.route = refused.route.or(self.route.take());
        self.token = refused.token.or(self.token.take());
        let route = self.route.as_deref();
        let (form, said) = (self.form.as_deref(), refused.said.as_ref());
        let context = context(route, form, said, self.request_id.as_str());
        let response = refused.rejection.into_response(context).map(ResponseBody::from);
        self.answer(response, None)
    }

    fn answer(
        mut self: Box<Self>,
        response: Response<ResponseBody>,
        vigil: Option<Vigil>,
    ) -> Response<RecordedBody> {
        self.status = response.status().as_u16();
        response.map(|body| RecordedBody { body, entry: self, vigil })
    }

    fn tell(&self) {
        let counters = self.route.as_ref().map_or(&*self.unrouted, |route| &route.counters);
        let elapsed = recent().duration_since(self.started);
        counters.count(self.outcome, self.reason, elapsed);
        if self.log.is_on() {
            self.log.write(&self.record(counters.name(), elapsed.as_micros()));
        }
    }

    fn record<'a>(&'a self, route: &'a str, micros: u128) -> AccessRecord<'a> {
        let verified = self.token.as_ref().map(|named| named.verified());
        let host = self.host.as_ref().and_then(|host| host.to_str().ok());
        AccessRecord {
            time: self.time.as_secs(),
            request_id: self.request_id.as_str(),
            route,
            client: self.client,
            method: cut(self.method.as_str()),
            host: cut(host.or_else(|| self.target.host()).unwrap_or_default()),
            path: cut(self.target.path()),
            status: self.status,
            outcome: self.outcome,
            reason: self.reason,
            issuer: verified.map(|token| &**token.issuer()),
            subject: verified.and_then(|token| token.subject()).map(cut),
            token_id: verified.and_then(|token| token.claims().token_id()).map(cut),
            bytes: self.bytes,
            duration_us: u64::try_from(micros).unwrap_or(u64::MAX),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.tell();
    }
}

// === impl RecordedBody ===

impl RecordedBody {
    fn objection(&mut self, waiting: bool, cx: &mut Context<'_>) -> Option<&'static str> {
        self.vigil.as_mut()?.objection(self.entry.token.as_ref()?, waiting, cx)
    }
}

impl Body for RecordedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if !matches!(polled, Poll::Ready(None | Some(Err(_))))
            && let Some(reason) = self.objection(polled.is_pending(), cx)
        {
            self.entry.reason = reason;
            return Poll::Ready(Some(Err(BodyError::Withdrawn)));
        }
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.entry.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(Some(Err(_))) => self.entry.reason = "upstream_body",
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RecordedBody {
    fn drop(&mut self) {
        let head_only = self.entry.method == Method::HEAD;
        let told = ["upstream_body", vigil::EXPIRED, vigil::REVOKED].contains(&self.entry.reason);
        if !self.body.is_end_stream() && !head_only && !told {
            self.entry.outcome = "client_gone";
            self.entry.reason = "client_gone";
        }
    }
}

/// What a refusal's answer needs to know; `form` is for one without a route.
pub(super) fn context<'a>(
    route: Option<&'a Route>,
    form: Option<&'a ErrorForm>,
    said: Option<&'a Said>,
    request_id: &'a str,
) -> reject::Context<'a> {
    reject::Context {
        realm: route.map_or("portcullis", |route| &*route.name),
        scopes: route.map_or(&[], |route| route.access.scopes()),
        fresh: route.and_then(|route| route.access.rule()?.fresh),
        profile: route.map_or(ErrorProfile::Rfc6750, |route| route.errors),
        form: route.map_or(form, |route| route.error_form.as_deref()),
        said,
        request_id,
    }
}
