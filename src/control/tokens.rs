//! Registered tokens: register one, list a subject's, revoke or reinstate one.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{Clock, SystemClock, UnixTime};
use crate::revocation::{
    Name, RegisterDraft, Registered, Revocation, TokenDetails, TokenFilter, TokenKey,
};
use crate::secret::Secret;

use super::entry::{check_reason, filled, read, refuse};
use super::guard::Shared;
use super::query::{Params, last_part, next};
use super::revocations::{append, whole};
use super::{Caller, ControlError, Gatehouse, RegisterAsk};

/// The longest word for a token's kind, in bytes.
const MAX_TYPE: usize = 128;

/// What is posted of an issued token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issued {
    token: Option<String>,
    issuer: Option<String>,
    jti: Option<String>,
    sub: Option<String>,
    #[serde(rename = "type")]
    token_type: Option<String>,
    issued_at: Option<UnixTime>,
    expires_at: Option<UnixTime>,
}

/// What is to become of a registered token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    revoke: Option<bool>,
    reason: Option<String>,
}

// === impl Issued ===

impl Issued {
    fn ask(self) -> Result<RegisterAsk, ControlError> {
        if let Some(token) = self.token {
            let others = [
                ("issuer", self.issuer.is_some()),
                ("jti", self.jti.is_some()),
                ("sub", self.sub.is_some()),
                ("type", self.token_type.is_some()),
                ("issued_at", self.issued_at.is_some()),
                ("expires_at", self.expires_at.is_some()),
            ];
            refuse(&others, "does not go with `token`, which says it")?;
            let token = filled("token", Some(token))?;
            return Ok(RegisterAsk::Token(Secret::new(token.into_bytes())));
        }
        let token_id = filled("jti", self.jti)?;
        if self.token_type.as_ref().is_some_and(|word| word.len() > MAX_TYPE) {
            return Err(ControlError::field("type", "is longer than 128 bytes"));
        }
        Ok(RegisterAsk::Named(RegisterDraft {
            issuer: self.issuer.map(Into::into),
            token_id: token_id.into(),
            expires_at: self.expires_at,
            details: TokenDetails {
                subject: self.sub.filter(|subject| !subject.is_empty()).map(Into::into),
                token_type: self.token_type.map(Into::into),
                issued_at: self.issued_at,
                ..TokenDetails::default()
            },
        }))
    }
}

/// `POST /v1/tokens`.
pub(super) async fn register<G: Gatehouse>(
    shared: &Shared<G>,
    caller: Caller,
    uri: &Uri,
    body: Incoming,
) -> Result<Response, ControlError> {
    Params::parse(uri, &[])?;
    let revocations = shared.house.revocations();
    if !revocations.is_allow_list() && !revocations.has_register() {
        return Err(ControlError::RegisterOff);
    }
    let body = whole(body).await?;
    let ask = read::<Issued>(&body)?.ask()?;
    let record = shared.house.register(ask, &caller.name)?;
    let cursor = append(&shared.house, vec![record.clone()]).await?;
    tracing::info!(id = %record.id, actor = %caller.name, "token registered");
    let mut body = told(&record);
    body["cursor"] = json!(cursor);
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// `GET /v1/tokens`.
pub(super) fn list<G: Gatehouse>(shared: &Shared<G>, uri: &Uri) -> Result<Response, ControlError> {
    let params = Params::parse(uri, &["subject", "issuer", "limit", "after"])?;
    let part = |name| params.text(name).map(Into::into);
    let filter = TokenFilter { issuer: part("issuer"), subject: part("subject") };
    let key = |[issuer, subject, token_id]: [_; 3]| TokenKey { issuer, subject, token_id };
    let after = params.after()?.map(key);
    let limit = params.limit()?;
    let revocations = shared.house.revocations();
    if !revocations.has_register() {
        return Err(ControlError::RegisterOff);
    }
    let page = revocations.tokens(&filter, after.as_ref(), limit, SystemClock.now());
    let next = page.next.as_ref().map(|it| next([&it.issuer, &it.subject, &it.token_id]));
    Ok(Json(json!({ "items": page.items, "next": next })).into_response())
}

/// `PUT /v1/tokens/{jti}`.
pub(super) async fn change<G: Gatehouse>(
    shared: &Shared<G>,
    caller: Caller,
    uri: &Uri,
    body: Incoming,
) -> Result<Response, ControlError> {
    let wrong = || ControlError::field("jti", "is not UTF-8 text in percent-encoding");
    let id = last_part(uri).ok_or_else(wrong)?;
    let params = Params::parse(uri, &["issuer"])?;
    let issuer = params.text("issuer").map(str::to_owned);
    let change: Change = read(&whole(body).await?)?;
    let revoke = change.revoke.ok_or_else(|| ControlError::field("revoke", "is missing"))?;
    check_reason(change.reason.as_deref())?;
    let token = only_token(&*shared.house, issuer.as_deref(), &id)?;
    let (actor, reason) = (Some(caller.name), change.reason.map(Into::into));
    let now = SystemClock.now();
    let record = match revoke {
        true => token.revocation(actor, reason, now),
        false => token.reinstatement(actor, reason, now),
    };
    // Giving back what nobody took back needs no record, and is no mistake either.
    let idle = !revoke && !is_revoked_by_id(&*shared.house, &record.name, now);
    let cursor = if idle { None } else { Some(append(&shared.house, vec![record]).await?) };
    tracing::info!(revoke, cursor = ?cursor, "registered token changed");
    let mut body = json!(only_token(&*shared.house, Some(&*token.issuer), &id)?);
    body["cursor"] = json!(cursor);
    Ok(Json(body).into_response())
}

fn is_revoked_by_id<G: Gatehouse>(house: &G, name: &Name, now: UnixTime) -> bool {
    house.revocations().set().holds(name, None, now)
}

/// The one live token of that `jti`; an absent issuer may only mean one.
fn only_token<G: Gatehouse>(
    house: &G,
    issuer: Option<&str>,
    id: &str,
) -> Result<Registered, ControlError> {
    let revocations = house.revocations();
    if !revocations.has_register() {
        return Err(ControlError::RegisterOff);
    }
    let mut found = revocations.find_tokens(issuer, id, SystemClock.now());
    let token = found.pop().ok_or(ControlError::NoSuchToken)?;
    if !found.is_empty() {
        return Err(ControlError::field("issuer", "is needed: several issuers have such a token"));
    }
    Ok(token)
}

/// What was registered; nothing of it is looked up, so that a full register does not show.
fn told(record: &Revocation) -> Value {
    let details = record.token.as_deref().cloned().unwrap_or_default();
    json!({
        "id": record.id,
        "issuer": record.name.issuer,
        "jti": record.name.value,
        "subject": details.subject,
        "type": details.token_type,
        "issued_at": details.issued_at,
        "expires_at": details.expires_at,
        "kept_until": record.expires_at,
    })
}
