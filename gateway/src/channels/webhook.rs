//! The webhooks of all channels: the signature is checked, the news are handed to their conversation, and the channel is
//! answered at once. `?bot=NAME` in the address names another bot than the settings do.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tandem_contract::BotName;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use super::desk::Busy;
use super::{Channel, News, Unreadable, Webhook};
use crate::api::REQUEST_ID;
use crate::api::problem::{Problem, render};
use crate::doors::twilio::authority;
use crate::public_errors::PublicError;
use crate::state::AppState;

/// Largest webhook, bytes: a message of WhatsApp with the whole conversation's attributes around it is some kilobytes.
const BODY_MAX: usize = 256 * 1024;
const TWIML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");
/// Twilio is told nothing to do: the answer comes by a request of ours.
const NO_ANSWER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response/>\n";

pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/api/webhook/chatwoot", post(chatwoot))
        .route("/twilio/messages", post(messages))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(render))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .with_state(state)
}

#[derive(Deserialize)]
struct Parameters {
    bot: Option<String>,
}

/// What Chatwoot is told.
#[derive(Serialize)]
struct Received {
    status: &'static str,
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    company_id: Option<String>,
}

async fn chatwoot(
    State(state): State<AppState>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let channel = state.chats.channels.chatwoot.clone();
    let channel = channel.ok_or_else(|| not_set("set chatwoot.base_url and chatwoot.api_token"))?;
    let bot = parameters.bot.unwrap_or_else(|| state.settings.chatwoot.bot.clone());
    let news = take(&state, channel, bot, &(uri, headers, body))?;
    let status = if news.queued { StatusCode::ACCEPTED } else { StatusCode::OK };
    let received = Received { status: "success", event: news.event, company_id: news.company };
    Ok((status, Json(received)).into_response())
}

async fn messages(
    State(state): State<AppState>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let channel = state.chats.channels.messages.clone();
    let channel = channel.ok_or_else(|| not_set("set twilio.account_sid and twilio.auth_token"))?;
    let bot = parameters.bot.unwrap_or_else(|| state.settings.twilio.bot.clone());
    take(&state, channel, bot, &(uri, headers, body))?;
    Ok(([(header::CONTENT_TYPE, TWIML)], NO_ANSWER).into_response())
}

/// What the channel is told of news that were taken.
struct Answered {
    queued: bool,
    event: String,
    company: Option<String>,
}

fn take(
    state: &AppState,
    channel: Arc<dyn Channel>,
    bot: String,
    (uri, headers, body): &(Uri, HeaderMap, Bytes),
) -> Result<Answered, Problem> {
    let bot = BotName::new(&bot)
        .map_err(|_| Problem::new(PublicError::BadRequest, "`bot` is no name of a bot: letters, digits, - and _"))?;
    let url = format!("https://{}{uri}", authority(&state.settings.twilio, headers));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let news = channel.read(&Webhook { headers, url: &url, body, now }).map_err(unreadable)?;
    let News { event, company, .. } = &news;
    let answered = Answered { queued: !news.inputs.is_empty(), event: event.clone(), company: company.clone() };
    state.chats.channels.deliver(state, channel, &bot.to_string(), news).map_err(busy)?;
    Ok(answered)
}

fn not_set(what: &str) -> Problem {
    Problem::new(PublicError::NotSetUp, format!("this channel is not set up: {what}"))
}

fn unreadable(error: Unreadable) -> Problem {
    let public = match error {
        Unreadable::NotSet(_) => PublicError::NotSetUp,
        Unreadable::Unsigned | Unreadable::Forged(_) => PublicError::Unauthorized,
        Unreadable::Malformed(_) => PublicError::BadRequest,
    };
    Problem::new(public, error.to_string())
}

fn busy(error: Busy) -> Problem {
    match error {
        Busy::Full => Problem::new(PublicError::NodeFull, "too much is being said; send it again"),
        Busy::Draining => Problem::new(PublicError::Draining, "this node ends; send it again"),
    }
}
