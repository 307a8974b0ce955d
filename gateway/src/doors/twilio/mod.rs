//! Twilio's doors: `POST /twilio/voice` answers a call with TwiML, and `/ws/twilio/media` carries its audio, or
//! `/ws/twilio/relay` its texts.
//!
//! A call is let in by Twilio's signature, by the one-use token that the TwiML carried, or by a key; the demo bots are open.

mod media;
mod relay;
mod signature;
mod tickets;
mod voice;

pub(crate) use signature::is_signed;
pub use tickets::Tickets;

use std::collections::BTreeMap;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use tandem_contract::call::Refusal;
use tandem_contract::{BotName, Private};
use tickets::Ticket;

use crate::settings::TwilioSettings;
use crate::state::AppState;

/// What Twilio is told to connect to.
const MEDIA_PATH: &str = "/ws/twilio/media";
const RELAY_PATH: &str = "/ws/twilio/relay";
/// Whom Twilio asks when a relay is over.
const ACTION_PATH: &str = "/twilio/relay/action";

/// `<Parameter>`s of the TwiML that we know.
const TOKEN: &str = "token";
const BOT: &str = "bot";

pub fn router(state: AppState) -> Router {
    Router::new()
        .route(MEDIA_PATH, get(media::upgrade))
        .route(RELAY_PATH, get(relay::upgrade))
        .route(ACTION_PATH, post(relay::after))
        .route("/twilio/voice", post(voice::answer))
        .with_state(state)
}

/// Whom a call is for: a one-use token says it; with Twilio's signature, a key, or for the demo bots the parameter `bot` does.
///
/// # Errors
/// `Forbidden`, also where a token opens nothing and nobody who is trusted names the bot: it would be another one.
fn admitted(state: &AppState, signed: bool, parameters: &BTreeMap<String, Private<String>>) -> Result<Ticket, Refusal> {
    let parameter = |name: &str| parameters.get(name).map(|value| value.reveal().as_str());
    let (token, bot) = (parameter(TOKEN), parameter(BOT));
    if let Some(token) = token {
        if let Some(ticket) = state.access.tickets.take(state.clock.now(), token) {
            return Ok(ticket);
        }
        // A ticket of another node, or one that is late, stands beside the name of its bot.
        let named = signed && bot.is_some();
        if !named && !state.access.keys.opens(token) {
            let why =
                "`token` is no key, and none that /twilio/voice of this node gave out within a minute; each opens once";
            return Err(Refusal::Forbidden(why.into()));
        }
    }
    let name = bot.unwrap_or(&state.settings.twilio.bot);
    let bot = BotName::new(name).map_err(|_| Refusal::UnknownBot(name.chars().take(64).collect()))?;
    if !signed {
        state.may_reach(&bot, token)?;
    }
    Ok(Ticket { bot, caller: Private::new(String::new()) })
}

/// A text within TwiML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Scheme-less address under which Twilio reaches this node: the setting's, else what the request says.
pub(crate) fn authority(settings: &TwilioSettings, headers: &HeaderMap) -> String {
    let set = settings.public_url.trim_end_matches('/');
    let set = set.split_once("://").map_or(set, |(_, authority)| authority);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if set.is_empty() { host.to_owned() } else { set.to_owned() }
}
