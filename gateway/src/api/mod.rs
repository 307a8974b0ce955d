//! The REST API: `/api/v1`. Every operation wants a key; every error is a problem document (RFC 9457).

pub mod calls;
pub mod problem;

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;

use crate::public_errors::PublicError;
use crate::state::AppState;

use self::problem::Problem;

/// Names a request in answers and logs; taken from the client if it sends one.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A call record is a file of some kilobytes: what takes this long will not come.
const TIMEOUT: Duration = Duration::from_secs(10);

/// All of `/api/v1`.
pub fn router(state: AppState) -> Router {
    let v1 = Router::new()
        .route("/calls", get(calls::list))
        .route("/calls/{session}", get(calls::read))
        .fallback(|| async { Problem::new(PublicError::NotFound, "there is no such resource") })
        .method_not_allowed_fallback(|| async {
            Problem::new(PublicError::MethodNotAllowed, "this resource has no such method")
        })
        .layer(from_fn_with_state(state.clone(), authorize));
    Router::new()
        .nest("/api/v1", v1)
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .layer(from_fn(problem::render))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .with_state(state)
}

/// `Authorization: Bearer KEY` (RFC 6750 section 2.1).
async fn authorize(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let presented = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key =
        presented.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if key.is_some_and(|(_, key)| state.access.keys.opens(key.trim())) {
        return next.run(request).await;
    }
    let problem = Problem::new(PublicError::Unauthorized, "this wants `Authorization: Bearer KEY` with a valid key");
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}
