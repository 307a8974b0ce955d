//! The webhooks of all channels: the signature is checked, the news are kept and handed to their conversation, and the channel is
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
use tracing::error;

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
        .route("/api/webhook/test", post(test))
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
    let channel = of_chatwoot(&state)?;
    let bot = parameters.bot.unwrap_or_else(|| state.settings.chatwoot.bot.clone());
    let news = take(&state, channel, bot, &(uri, headers, body)).await?;
    let status = if news.queued { StatusCode::ACCEPTED } else { StatusCode::OK };
    let received = Received { status: "success", event: news.event, company_id: news.company };
    Ok((status, Json(received)).into_response())
}

/// Checks and reads a webhook of Chatwoot, and does nothing else: for who sets one up.
async fn test(
    State(state): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Received>, Problem> {
    let news = read(&state, &*of_chatwoot(&state)?, &(uri, headers, body))?;
    Ok(Json(Received { status: "success", event: news.event, company_id: news.company }))
}

fn of_chatwoot(state: &AppState) -> Result<Arc<dyn Channel>, Problem> {
    let channel = state.chats.channels.chatwoot.clone();
    channel.map_or_else(|| Err(not_set("set chatwoot.base_url and chatwoot.api_token")), |channel| Ok(channel as _))
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
    take(&state, channel, bot, &(uri, headers, body)).await?;
    Ok(([(header::CONTENT_TYPE, TWIML)], NO_ANSWER).into_response())
}

/// What the channel is told of news that were taken.
struct Answered {
    queued: bool,
    event: String,
    company: Option<String>,
}

async fn take(
    state: &AppState,
    channel: Arc<dyn Channel>,
    bot: String,
    request: &(Uri, HeaderMap, Bytes),
) -> Result<Answered, Problem> {
    let bot = BotName::new(&bot)
        .map_err(|_| Problem::new(PublicError::BadRequest, "`bot` is no name of a bot: letters, digits, - and _"))?;
    let news = read(state, &*channel, request)?;
    let News { event, company, .. } = &news;
    let answered = Answered { queued: !news.inputs.is_empty(), event: event.clone(), company: company.clone() };
    let node = state.clone();
    // A channel that hangs up meanwhile does not leave it half done.
    let taking = async move { node.chats.channels.take(&node, channel, &bot.to_string(), news).await };
    match state.tasks.spawn(taking).await {
        Ok(taken) => taken.map_err(busy)?,
        Err(error) => {
            error!(%error, "a webhook was not taken");
            return Err(busy(Busy::Disk));
        }
    }
    Ok(answered)
}

fn read(
    state: &AppState,
    channel: &dyn Channel,
    (uri, headers, body): &(Uri, HeaderMap, Bytes),
) -> Result<News, Problem> {
    let url = format!("https://{}{uri}", authority(&state.settings.twilio, headers));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    channel.read(&Webhook { headers, url: &url, body, now }).map_err(unreadable)
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

/// Statuses that Chatwoot repeats for its agent bots: 429 and 500 (`AgentBots::WebhookJob`).
fn busy(error: Busy) -> Problem {
    match error {
        Busy::Full => Problem::new(PublicError::TooFast, "too much is being said; send it again"),
        Busy::Disk => Problem::new(PublicError::Internal, "it cannot be kept, the log says why; send it again"),
    }
}
