//! Problem documents (RFC 9457): `application/problem+json` with a stable `code` and the id of the request.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_http::request_id::RequestId;
use tracing::{Instrument as _, info, info_span};

use crate::public_errors::PublicError;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Characters of a request's id in the log: a UUID is 36.
const REQUEST_ID_SHOWN: usize = 64;

/// Why a request failed, in words for its sender.
#[derive(Clone, Debug)]
pub struct Problem {
    error: PublicError,
    detail: String,
}

/// RFC 9457 section 3.1; `type` is absent, which means `about:blank`: the status says it, `code` says it finer.
#[derive(Debug, Serialize)]
struct Document<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    request_id: Option<&'a str>,
}

impl Problem {
    pub fn new(error: PublicError, detail: impl Into<String>) -> Self {
        Self { error, detail: detail.into() }
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.error.answer().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    /// The body is written by [`render`], which knows the id of the request.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of a [`Problem`], and turns errors of layers above the handlers into problems too. All that is logged
/// of the request carries its id; each problem is counted and logged here.
pub async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok()).map(str::to_owned);
    // Clients may choose the id; a long one is theirs to keep.
    let shown: String = id.as_deref().unwrap_or_default().chars().take(REQUEST_ID_SHOWN).collect();
    let span = info_span!("request", id = shown, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span.clone()).await;
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| match response.status() {
        StatusCode::REQUEST_TIMEOUT => Some(Problem::new(PublicError::TimedOut, "the answer took too long")),
        _ => None,
    });
    let Some(problem) = problem else { return response };
    let (status, code) = (problem.status(), problem.error.answer().code);
    metrics::counter!("tandem_api_problems_total", "code" => code).increment(1);
    span.in_scope(|| info!(code, status = status.as_u16(), "refused a request"));
    let document = Document {
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        code,
        detail: &problem.detail,
        request_id: id.as_deref(),
    };
    let body = serde_json::to_vec(&document).unwrap_or_default();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
    *response.body_mut() = Body::from(body);
    response
}
