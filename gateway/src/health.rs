//! What load balancers and people ask: `/health/live`, `/health/ready`, `/version`, `/metrics`.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::public_errors::PublicError;
use crate::state::AppState;

/// The text format of Prometheus, version 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/health/live", get(|| async { Json(json!({ "status": "live" })) }))
        .route("/health/ready", get(ready))
        .route("/version", get(version))
        .route("/metrics", get(metrics))
        .with_state(state)
}

/// 200 while new sessions are taken, 503 while the node drains: then a load balancer sends callers elsewhere.
async fn ready(State(state): State<AppState>) -> impl IntoResponse {
    let sessions = state.registry.active();
    if state.registry.is_draining() {
        let code = PublicError::Draining.answer().code;
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": code, "sessions": sessions })));
    }
    (StatusCode::OK, Json(json!({ "status": "ready", "sessions": sessions })))
}

async fn version() -> impl IntoResponse {
    Json(json!({ "name": "tandem", "version": env!("CARGO_PKG_VERSION") }))
}

async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], state.about.metrics.render())
}
