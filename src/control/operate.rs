//! Status, nodes, configuration, reload, health, metrics.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::guard::Shared;
use super::{Caller, ControlError, Gatehouse};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /v1/status`.
pub(super) fn status<G: Gatehouse>(shared: &Shared<G>) -> Response {
    Json(shared.house.status()).into_response()
}

/// `GET /v1/nodes`.
pub(super) async fn nodes<G: Gatehouse>(shared: &Shared<G>) -> Result<Response, ControlError> {
    let nodes = shared.house.nodes().await?;
    Ok(Json(json!({ "items": nodes })).into_response())
}

/// `GET /v1/config`.
pub(super) fn config<G: Gatehouse>(shared: &Shared<G>) -> Response {
    Json(shared.house.config()).into_response()
}

/// `POST /v1/reload`.
pub(super) async fn reload<G: Gatehouse>(
    shared: &Shared<G>,
    caller: Caller,
) -> Result<Response, ControlError> {
    let reloaded = shared.house.reload().await;
    let outcome = if reloaded.is_ok() { "applied" } else { "refused" };
    tracing::info!(actor = %caller.name, outcome, "reload asked for");
    let report = reloaded.map_err(ControlError::ConfigRefused)?;
    Ok(Json(report).into_response())
}

/// `GET /livez`.
pub(super) fn livez() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

/// `GET /readyz`.
pub(super) fn readyz<G: Gatehouse>(shared: &Shared<G>) -> Result<Response, ControlError> {
    shared.house.readiness().map_err(ControlError::NotReady)?;
    let body = match shared.house.warning() {
        Some(detail) => json!({ "status": "ready", "detail": detail }),
        None => json!({ "status": "ready" }),
    };
    Ok(Json(body).into_response())
}

/// `GET /metrics`.
pub(super) fn metrics<G: Gatehouse>(shared: &Shared<G>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], shared.house.metrics_text()).into_response()
}
