//! `POST /v1/explain`: why a token would be refused.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, Uri};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::gateway::Inquiry;
use crate::revocation::{Filter, Name};
use crate::secret::Secret;

use super::entry::{filled, read};
use super::guard::Shared;
use super::query::Params;
use super::revocations::whole;
use super::{ControlError, Gatehouse};

/// Entries that are looked up in the store; a token with more has been told enough.
const LOOKED_UP: usize = 8;

/// A request that is only asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    token: Option<String>,
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
}

// === impl Asked ===

impl Asked {
    fn inquiry(self) -> Result<Inquiry, ControlError> {
        let path = filled("path", self.path)?;
        let target: Option<Uri> = path.parse().ok().filter(|_| path.starts_with('/'));
        let target = target.ok_or_else(|| {
            ControlError::field("path", "must begin with `/` and have nothing that a path can't")
        })?;
        let method = self.method.as_deref().unwrap_or("GET").as_bytes();
        let method = Method::from_bytes(method)
            .map_err(|_invalid| ControlError::field("method", "is no method"))?;
        let host = self.host.as_deref().unwrap_or("localhost");
        let host = HeaderValue::from_str(host)
            .map_err(|_invalid| ControlError::field("host", "is no host"))?;
        let token = self.token.map(|token| filled("token", Some(token))).transpose()?;
        let token = token.map(|token| Secret::new(token.into_bytes()));
        Ok(Inquiry { method, host, target, token })
    }
}

/// `POST /v1/explain`.
pub(super) async fn explain<G: Gatehouse>(
    shared: &Shared<G>,
    uri: &Uri,
    body: Incoming,
) -> Result<Response, ControlError> {
    Params::parse(uri, &[])?;
    let inquiry = read::<Asked>(&whole(body).await?)?.inquiry()?;
    let explained = shared.house.explain(&inquiry);
    let mut entries = Vec::with_capacity(explained.entries.len());
    for (index, name) in explained.entries.iter().enumerate() {
        let record = if index < LOOKED_UP { entry(&*shared.house, name).await } else { None };
        entries.push(record.unwrap_or_else(|| json!(name)));
    }
    let mut body = json!(explained);
    body["entries"] = entries.into();
    Ok(Json(body).into_response())
}

/// Who took it back, when and why; a store that is away does not keep anyone from the rest.
async fn entry<G: Gatehouse>(house: &G, name: &Name) -> Option<Value> {
    let Name { issuer, claim, value } = name.clone();
    let filter = Filter { issuer: Some(issuer), claim: Some(claim), value: Some(value) };
    let page = house.list(filter, None, 1).await.ok()?;
    page.items.first().map(|record| json!(record))
}
