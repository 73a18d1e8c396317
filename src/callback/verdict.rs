//! A plain HTTP callback: the verified claims go in as JSON, a verdict comes out. `docs/callbacks.md` has
//! both schemas.

use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;

use crate::access::Verdict;
use crate::config::CallbackEndpoint;
use crate::secret::Secret;
use crate::token::Claim;
use crate::token::strict_json::parse_object;

use super::client::HttpClient;
use super::{Answered, CallbackError, CallbackSetupError, Caller};

/// One service that gives verdicts.
#[derive(Debug)]
pub(super) struct VerdictService {
    client: HttpClient,
    name: std::sync::Arc<str>,
}

/// What is sent.
#[derive(serde::Serialize)]
struct Question<'a> {
    version: u8,
    callback: &'a str,
    issuer: &'a str,
    token_type: &'a str,
    claims: Claim<'a>,
}

/// A reason's letters that are logged.
const LOGGED: usize = 200;

// === impl VerdictService ===

impl VerdictService {
    pub(super) fn new(
        name: std::sync::Arc<str>,
        endpoint: &CallbackEndpoint,
        bearer: Option<&Secret>,
    ) -> Result<Self, CallbackSetupError> {
        let field = |secret: &Secret| {
            HeaderValue::from_bytes(&[b"Bearer ", secret.expose()].concat())
                .map_err(|_cause| CallbackSetupError::Credential)
        };
        let client = HttpClient::new(endpoint, "application/json", bearer.map(field).transpose()?)?;
        Ok(Self { client, name })
    }

    pub(super) async fn ask(&self, caller: &Caller) -> Result<Answered, CallbackError> {
        let question = Question {
            version: 1,
            callback: &self.name,
            issuer: caller.issuer(),
            token_type: caller.token_type().as_str(),
            claims: caller.claims().object(),
        };
        // A map with text keys is always JSON.
        let body = serde_json::to_vec(&question).map_err(|_cause| CallbackError::Failed)?;
        let answer = self.client.post(Bytes::from(body)).await?;
        let (verdict, reason) = judge(&answer)?;
        if let Some(reason) = reason.filter(|_| verdict != Verdict::Allow) {
            let reason: String = reason.chars().take(LOGGED).collect();
            tracing::debug!(callback = %self.name, ?reason, "the callback denies");
        }
        Ok(verdict.into())
    }
}

/// Exactly `{"allow": true|false, "reason"?: text}`.
fn judge(answer: &[u8]) -> Result<(Verdict, Option<String>), CallbackError> {
    let mut said = parse_object(answer).map_err(|_cause| CallbackError::Answer)?;
    let verdict = match said.remove("allow") {
        Some(Value::Bool(true)) => Verdict::Allow,
        Some(Value::Bool(false)) => Verdict::Deny,
        _ => return Err(CallbackError::Answer),
    };
    let reason = match said.remove("reason") {
        None => None,
        Some(Value::String(reason)) => Some(reason),
        Some(_) => return Err(CallbackError::Answer),
    };
    if said.is_empty() { Ok((verdict, reason)) } else { Err(CallbackError::Answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_exactly_what_the_schema_says() {
        for (answer, verdict) in [
            (r#"{"allow":true}"#, Verdict::Allow),
            (r#" { "reason" : "on leave" , "allow" : false } "#, Verdict::Deny),
            (r#"{"allow":true,"reason":""}"#, Verdict::Allow),
        ] {
            assert_eq!(judge(answer.as_bytes()).map(|(it, _)| it), Ok(verdict), "{answer}");
        }
        for answer in [
            "",
            "true",
            "[]",
            "{}",
            "null",
            r#"{"allow":"true"}"#,
            r#"{"allow":1}"#,
            r#"{"allow":null}"#,
            r#"{"allow":true,"allow":false}"#,
            r#"{"allow":false,"\u0061llow":true}"#,
            r#"{"Allow":true}"#,
            r#"{"allow":true,"deny":true}"#,
            r#"{"allow":true,"reason":5}"#,
            r#"{"allow":true} {}"#,
            r#"{"allow":true"#,
            r#"{"result":{"allow":true}}"#,
        ] {
            assert_eq!(judge(answer.as_bytes()), Err(CallbackError::Answer), "{answer}");
        }
    }
}
