//! Token introspection (RFC 7662): the token goes to its issuer in a POST body, and what comes back must be
//! about the token that was verified here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use percent::encode;
use serde_json::{Map, Value};

use crate::access::Verdict;
use crate::clock::UnixTime;
use crate::config::CallbackEndpoint;
use crate::secret::Secret;
use crate::token::strict_json::parse_object;
use crate::token::{Claims, TokenType};

use super::client::HttpClient;
use super::{Answered, CallbackError, CallbackSetupError, Caller};

mod percent;

/// One introspection endpoint.
#[derive(Debug)]
pub(super) struct Introspection(HttpClient);

// === impl Introspection ===

impl Introspection {
    pub(super) fn new(
        endpoint: &CallbackEndpoint,
        client_id: &str,
        client_secret: &Secret,
    ) -> Result<Self, CallbackSetupError> {
        let authorization = Some(basic(client_id, client_secret)?);
        HttpClient::new(endpoint, "application/x-www-form-urlencoded", authorization).map(Self)
    }

    pub(super) async fn ask(
        &self,
        token: &str,
        caller: &Caller,
        now: UnixTime,
    ) -> Result<Answered, CallbackError> {
        let hint = match caller.token_type() {
            TokenType::Access => "access_token",
            TokenType::Refresh => "refresh_token",
        };
        let form = format!("token={}&token_type_hint={hint}", encode(token.as_bytes()));
        let answer = self.0.post(Bytes::from(form)).await?;
        judge(&answer, caller.claims(), now)
    }
}

/// RFC 6749 §2.3.1: both parts form-encoded, then HTTP Basic.
fn basic(client_id: &str, secret: &Secret) -> Result<HeaderValue, CallbackSetupError> {
    let pair = format!("{}:{}", encode(client_id.as_bytes()), encode(secret.expose()));
    let value = format!("Basic {}", STANDARD.encode(pair));
    HeaderValue::try_from(value).map_err(|_cause| CallbackSetupError::Credential)
}

/// RFC 7662 §2.2. `active` must be `true` itself; whatever else is said of the token must be true of ours.
fn judge(answer: &[u8], claims: &Claims, now: UnixTime) -> Result<Answered, CallbackError> {
    let said = parse_object(answer).map_err(|_cause| CallbackError::Answer)?;
    match said.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(Verdict::Inactive.into()),
        _ => return Err(CallbackError::Answer),
    }
    let client = ["client_id", "azp"].into_iter().find_map(|name| claims.look(name)?.as_str());
    for (name, ours) in [("iss", claims.issuer()), ("sub", claims.subject()), ("client_id", client)]
    {
        let theirs = text(&said, name)?;
        if theirs.zip(ours).is_some_and(|(theirs, ours)| theirs != ours) {
            return Err(CallbackError::Contradiction);
        }
    }
    agree_on_audience(&said, claims)?;
    let expires_at = date(&said, "exp")?;
    if expires_at.is_some_and(|end| end <= now) {
        return Ok(Verdict::Inactive.into());
    }
    Ok(Answered { verdict: Verdict::Allow, expires_at })
}

fn text<'s>(said: &'s Map<String, Value>, name: &str) -> Result<Option<&'s str>, CallbackError> {
    match said.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(CallbackError::Answer),
    }
}

/// One audience of theirs must be one of the token's; a token without any has nothing to contradict.
fn agree_on_audience(said: &Map<String, Value>, claims: &Claims) -> Result<(), CallbackError> {
    let theirs: Vec<&str> = match said.get("aud") {
        None => return Ok(()),
        Some(Value::String(audience)) => vec![audience],
        Some(Value::Array(audiences)) => {
            let texts: Option<_> = audiences.iter().map(Value::as_str).collect();
            texts.ok_or(CallbackError::Answer)?
        }
        Some(_) => return Err(CallbackError::Answer),
    };
    let mut ours = claims.audiences().peekable();
    let silent = ours.peek().is_none();
    if silent || ours.any(|audience| theirs.contains(&audience)) {
        return Ok(());
    }
    Err(CallbackError::Contradiction)
}

/// Rounded down: a fraction never lengthens a life.
fn date(said: &Map<String, Value>, name: &str) -> Result<Option<UnixTime>, CallbackError> {
    let Some(value) = said.get(name) else { return Ok(None) };
    let fraction = || value.as_f64().filter(|it| (0.0..9.0e15).contains(it)).map(|it| it as u64);
    let seconds = value.as_u64().or_else(fraction).ok_or(CallbackError::Answer)?;
    Ok(Some(UnixTime::from_secs(seconds)))
}

#[cfg(test)]
mod tests;
