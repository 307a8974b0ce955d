//! `POST /twilio/voice`: Twilio asks what to do with a call, and is told to connect its audio, or its texts, to us; or what the
//! caller is to hear where nobody answers.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tandem_contract::call::{Door, Modality, Refusal};
use tandem_contract::{BotName, Private};
use tandem_signaling::stream::twilio::RATE;
use tracing::{info, warn};

use super::signature::is_signed;
use super::tickets::Ticket;
use super::{BOT, MEDIA_PATH, TOKEN, authority, relay};
use crate::answer::{self, Dialled, Request};
use crate::settings::TwilioSettings;
use crate::state::AppState;

const TWIML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");

/// The busy tone; the call is not answered and costs nothing. <https://www.twilio.com/docs/voice/twiml/reject>
const BUSY: &str = "<Reject reason=\"busy\"/>";
/// For whoever tries a number that they have just set up.
const NOBODY: &str =
    "<Say>This number is not set up yet. There is no agent of the name that it asks for.</Say><Hangup/>";

#[derive(Deserialize)]
pub(super) struct Parameters {
    /// None: the bot of the settings.
    bot: Option<String>,
    #[serde(default)]
    mode: Mode,
}

/// Who hears and speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// We do: Twilio streams the call's audio.
    #[default]
    Media,
    /// Twilio does: its ConversationRelay streams texts.
    Relay,
}

pub(super) async fn answer(
    State(state): State<AppState>,
    uri: Uri,
    Query(Parameters { bot, mode }): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let settings = &state.settings.twilio;
    let form = match signed_form(settings, &uri, &headers, &body) {
        Ok(form) => form,
        Err(why) => return refuse(StatusCode::FORBIDDEN, why),
    };
    let from = form.iter().find(|(name, _)| name == "From").map(|(_, value)| value.clone()).unwrap_or_default();
    let caller = Private::new(from);
    let bot = bot.unwrap_or_else(|| settings.bot.clone());
    let request = Request { door: Door::Twilio, modality: Modality::Voice, bot, caller: caller.clone() };
    // The call takes its place when its stream comes; here it is only asked whether there is one.
    let accept = match answer::would_admit(&state, request) {
        Ok(accept) => accept,
        Err(refusal) => return refused(&refusal),
    };
    let ticket = Ticket { bot: accept.bot.clone(), caller };
    let Some(token) = state.access.tickets.issue(state.clock.now(), ticket) else {
        warn!("too many calls of Twilio are about to begin; another one hears that the line is busy");
        return twiml(BUSY.to_owned());
    };
    let authority = authority(settings, &headers);
    // Twilio takes a while to connect.
    match mode {
        Mode::Media => {
            let dialled = Dialled::for_bot(&state, &accept.config, Some(RATE));
            state.access.tickets.keep_dialled(token.clone(), dialled);
        }
        Mode::Relay => state.models.warm(&accept.config),
    }
    let authority: String = authority.chars().filter(|c| !matches!(c, '"' | '<' | '>' | '&')).collect();
    let parameters = parameters(&accept.bot, &token);
    twiml(match mode {
        Mode::Media => stream(&authority, &parameters),
        Mode::Relay => relay::connect(&authority, &parameters, &accept.config),
    })
}

/// What a caller hears whom nobody answers.
fn refused(refusal: &Refusal) -> Response {
    if let Refusal::UnknownBot(name) = refusal {
        let mend = "mend `?bot=` of the number's webhook at Twilio (or twilio.bot), or put the bot's file into the folder of bots";
        let code = answer::count_silently(Door::Twilio, refusal);
        warn!(bot = name, code, mend, "Twilio asks for a bot that is not there");
    } else {
        answer::count_refusal(Door::Twilio, refusal);
    }
    twiml(match refusal {
        Refusal::UnknownBot(_) | Refusal::Forbidden(_) => NOBODY.to_owned(),
        Refusal::BotBusy { .. } | Refusal::NodeFull { .. } | Refusal::NoAudioPort => BUSY.to_owned(),
        Refusal::Draining | Refusal::NoCommonCodec { .. } => BUSY.to_owned(),
    })
}

/// The parameters of a webhook that Twilio signed.
///
/// # Errors
/// What whoever sets it up has to mend.
pub(super) fn signed_form(
    settings: &TwilioSettings,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Vec<(String, String)>, &'static str> {
    let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let authority = authority(settings, headers);
    let token = settings.auth_token.value();
    if token.is_none() {
        return Err("set twilio.auth_token, so that Twilio's signature can be checked");
    }
    if !is_signed(token.as_ref(), headers, &format!("https://{authority}{uri}"), &form) {
        info!(url = %format!("https://{authority}{}", uri.path()), "a request with a wrong signature");
        return Err("the signature is not Twilio's; is twilio.public_url what Twilio calls?");
    }
    Ok(form)
}

pub(super) fn refuse(status: StatusCode, why: &'static str) -> Response {
    (status, why).into_response()
}

pub(super) fn twiml(verbs: String) -> Response {
    let document = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{verbs}</Response>\n");
    ([(header::CONTENT_TYPE, TWIML)], document).into_response()
}

/// What the stream brings back: the one-use token, and the bot's name for a node that does not know the token.
fn parameters(bot: &BotName, token: &str) -> String {
    let parameter = |name: &str, value: &str| format!("<Parameter name=\"{name}\" value=\"{value}\"/>");
    parameter(TOKEN, token) + &parameter(BOT, bot.as_str())
}

/// <https://www.twilio.com/docs/voice/twiml/stream>
fn stream(authority: &str, parameters: &str) -> String {
    format!("<Connect><Stream url=\"wss://{authority}{MEDIA_PATH}\">{parameters}</Stream></Connect>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twiml_connects_the_audio_both_ways() {
        let twiml = stream("voice.example", &parameters(&BotName::new("clinic").unwrap(), "ab12"));
        assert!(twiml.starts_with(r#"<Connect><Stream url="wss://voice.example/ws/twilio/media">"#), "{twiml}");
        let carried = r#"<Parameter name="token" value="ab12"/><Parameter name="bot" value="clinic"/></Stream>"#;
        assert!(twiml.contains(carried), "{twiml}");
    }
}
