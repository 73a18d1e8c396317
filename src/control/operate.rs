//! Status, nodes, configuration, reload, health, metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::guard::Shared;
use super::{Caller, ControlError, Gatehouse, ReloadReport};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /v1/status`.
pub(super) async fn status<G: Gatehouse>(State(shared): State<Arc<Shared<G>>>) -> Json<Value> {
    Json(shared.house.status())
}

/// `GET /v1/nodes`.
pub(super) async fn nodes<G: Gatehouse>(
    State(shared): State<Arc<Shared<G>>>,
) -> Result<Json<Value>, ControlError> {
    let nodes = shared.house.nodes().await?;
    Ok(Json(json!({ "items": nodes })))
}

/// `GET /v1/config`.
pub(super) async fn config<G: Gatehouse>(State(shared): State<Arc<Shared<G>>>) -> Json<Value> {
    Json(shared.house.config())
}

/// `POST /v1/reload`.
pub(super) async fn reload<G: Gatehouse>(
    State(shared): State<Arc<Shared<G>>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ReloadReport>, ControlError> {
    let reloaded = shared.house.reload().await;
    let outcome = if reloaded.is_ok() { "applied" } else { "refused" };
    tracing::info!(actor = %caller.name, outcome, "reload asked for");
    reloaded.map(Json).map_err(ControlError::ConfigRefused)
}

/// `GET /livez`.
pub(super) async fn livez() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// `GET /readyz`.
pub(super) async fn readyz<G: Gatehouse>(
    State(shared): State<Arc<Shared<G>>>,
) -> Result<Json<Value>, ControlError> {
    shared.house.readiness().map_err(ControlError::NotReady)?;
    Ok(Json(match shared.house.warning() {
        Some(detail) => json!({ "status": "ready", "detail": detail }),
        None => json!({ "status": "ready" }),
    }))
}

/// `GET /metrics`.
pub(super) async fn metrics<G: Gatehouse>(State(shared): State<Arc<Shared<G>>>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], shared.house.metrics_text()).into_response()
}
