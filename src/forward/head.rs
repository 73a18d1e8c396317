//! The head that is sent upstream, and the one that goes back: removal first, then what is ours.

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http_body::Body as _;
use smallvec::SmallVec;

use crate::access::Permit;
use crate::config::ForwardConfig;
use crate::peer::Peer;
use crate::request::{self, IdentityNames};
use crate::token::TokenSource;

use super::download::Answered;
use super::error::ForwardError;
use super::request_id::{RequestId, X_REQUEST_ID, check_trace, is_trace};
use super::upload::Upload;
use super::{credential, forwarded, hop, identity};

/// What a request's head depends on.
#[derive(Debug)]
pub(super) struct Setting<'r> {
    pub(super) permit: &'r Permit,
    pub(super) forward: &'r ForwardConfig,
    pub(super) token_from: &'r [TokenSource],
    pub(super) peer: &'r Peer,
    pub(super) trusted: bool,
    pub(super) request_id: &'r RequestId,
    pub(super) identity: &'r IdentityNames,
}

/// Fields of ours, sent after what is left of the client's: no name is in both. A list, for nobody looks
/// one up.
pub(super) type OwnFields = SmallVec<[(HeaderName, HeaderValue); 10]>;

/// Fields that are removed or written anew, if they are there: one walk over a head, most of which have none,
/// costs less than a look-up of each.
#[derive(Default)]
struct There {
    host: bool,
    hop_by_hop: bool,
    length: bool,
    cookies: bool,
    trace: bool,
    request_id: bool,
    forwarded: bool,
    identity: bool,
}

// === impl There ===

impl There {
    fn of(headers: &HeaderMap, identity: &IdentityNames) -> Self {
        let mut there = Self::default();
        for name in headers.keys() {
            there.host |= name == header::HOST;
            there.hop_by_hop |= hop::is_hop_by_hop(name);
            there.length |= name == header::CONTENT_LENGTH;
            there.cookies |= name == header::COOKIE;
            there.trace |= is_trace(name);
            there.request_id |= name == X_REQUEST_ID;
            there.forwarded |= forwarded::is_forwarded(name);
            there.identity |= identity.matches(name);
        }
        there
    }
}

// === free functions ===

/// Makes of a client's head the one for the upstream: one HTTP/1.1 message with one meaning.
pub(super) fn prepare(
    parts: &mut Parts,
    upload: &Upload,
    setting: &Setting<'_>,
) -> Result<OwnFields, ForwardError> {
    let there = There::of(&parts.headers, setting.identity);
    let host = host(parts)?;
    if there.hop_by_hop {
        hop::strip_request(&mut parts.headers, setting.forward.trailers);
    }
    if there.identity {
        identity::strip(&mut parts.headers, setting.identity);
    }
    set_framing(parts, upload, there.length);
    if there.cookies {
        join_cookies(&mut parts.headers);
    }
    if !setting.forward.token {
        credential::remove(parts, setting.token_from)?;
    }
    let (headers, mut own) = (&mut parts.headers, OwnFields::new());
    if there.trace {
        check_trace(headers);
    }
    if there.forwarded && !setting.trusted {
        forwarded::strip(headers);
    }
    let believed = there.forwarded && setting.trusted;
    forwarded::set((headers, &mut own), setting.peer, &host, believed);
    if !there.host {
        own.push((header::HOST, host));
    }
    if there.request_id {
        headers.remove(X_REQUEST_ID);
    }
    own.push((X_REQUEST_ID, setting.request_id.as_header().clone()));
    identity::set(&mut own, setting.permit, &setting.forward.claims);
    Ok(own)
}

/// Makes of an upstream's head the one for the client.
pub(super) fn clean_answer(answered: &mut Answered, trailers: bool) {
    let Answered { head, body, there, .. } = answered;
    if there.hop_by_hop {
        hop::strip_response(&mut head.headers, trailers);
    }
    if there.lengths > 0 && body.size_hint().exact().is_none() {
        // The coding counts when both are there (RFC 9112 §6.3).
        head.headers.remove(header::CONTENT_LENGTH);
    } else if there.lengths > 1 {
        keep_first(&mut head.headers);
    }
}

/// The authority that was judged, as one field's value.
fn host(parts: &Parts) -> Result<HeaderValue, ForwardError> {
    if let Some(host) = parts.headers.get(header::HOST) {
        return Ok(host.clone());
    }
    // Checked before: only HTTP/2 comes without Host, and then with an authority.
    let authority = request::authority(parts).ok().ok_or(ForwardError::Protocol)?;
    HeaderValue::from_str(authority).ok().ok_or(ForwardError::Protocol)
}

/// One framing: a body of known length says it, an unknown one is chunked, whatever the method.
fn set_framing(parts: &mut Parts, upload: &Upload, declared: bool) {
    let headers = &mut parts.headers;
    if upload.is_end_stream() {
        // Whatever an HTTP/2 client declared: there is no body, and nothing may wait for one.
        let usual = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
        if usual || declared {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        return;
    }
    if let Some(length) = upload.size_hint().exact() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    } else {
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Equal lengths, repeated, become one.
fn keep_first(headers: &mut HeaderMap) {
    if let Some(first) = headers.get(header::CONTENT_LENGTH).cloned() {
        headers.insert(header::CONTENT_LENGTH, first);
    }
}

/// HTTP/2 may split cookies over fields (RFC 9113 §8.2.3); HTTP/1.1 may not.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut whole = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        headers.insert(header::COOKIE, whole);
    }
}
