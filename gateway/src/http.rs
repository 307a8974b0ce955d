//! The HTTP edge: which paths belong to whom.

use axum::Router;

use crate::doors::{landing, twilio, websocket};
use crate::state::AppState;
use crate::{api, channels, health};

/// All of the node's HTTP: landing page, WebSocket doors, webhooks, API, health. Limits in time belong to the parts: a WebSocket
/// outlives any of them.
pub fn router(state: &AppState) -> Router {
    Router::new()
        .merge(landing::router(state.clone()))
        .merge(websocket::router(state.clone()))
        .merge(twilio::router(state.clone()))
        .merge(channels::router(state.clone()))
        .merge(api::router(state.clone()))
        .merge(health::router(state.clone()))
}
