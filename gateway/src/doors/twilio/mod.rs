//! Twilio's doors: `POST /twilio/voice` answers a call with TwiML, and `/ws/twilio/media` carries its audio.
//!
//! A call is let in by Twilio's signature, by the one-use token that the TwiML carried, or by a key; the demo bots are open.

mod media;
mod signature;
mod tickets;
mod voice;

pub(crate) use signature::is_signed;
pub use tickets::Tickets;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};

use crate::settings::TwilioSettings;
use crate::state::AppState;

/// What Twilio is told to connect to.
const MEDIA_PATH: &str = "/ws/twilio/media";

pub fn router(state: AppState) -> Router {
    Router::new().route(MEDIA_PATH, get(media::upgrade)).route("/twilio/voice", post(voice::answer)).with_state(state)
}

/// Scheme-less address under which Twilio reaches this node: the setting's, else what the request says.
pub(crate) fn authority(settings: &TwilioSettings, headers: &HeaderMap) -> String {
    let set = settings.public_url.trim_end_matches('/');
    let set = set.split_once("://").map_or(set, |(_, authority)| authority);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if set.is_empty() { host.to_owned() } else { set.to_owned() }
}
