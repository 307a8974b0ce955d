//! `POST /twilio/voice`: Twilio asks what to do with a call, and is told to connect its audio, or its texts, to us.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{CallOffer, Door, Modality};
use tandem_contract::{BotName, Private, SessionId};
use tandem_signaling::stream::twilio::RATE;
use tracing::info;

use super::signature::is_signed;
use super::tickets::Ticket;
use super::{MEDIA_PATH, authority, relay};
use crate::answer::Dialled;
use crate::settings::TwilioSettings;
use crate::state::AppState;

const TWIML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");

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
    let Ok(bot) = BotName::new(bot.as_deref().unwrap_or(&settings.bot)) else {
        return refuse(StatusCode::BAD_REQUEST, "`bot` is no name of a bot: letters, digits, - and _");
    };
    let from = form.iter().find(|(name, _)| name == "From").map(|(_, value)| value.clone()).unwrap_or_default();
    let ticket = Ticket { bot: bot.clone(), caller: Private::new(from) };
    let Some(token) = state.access.tickets.issue(state.clock.now(), ticket) else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many calls are about to begin");
    };
    let authority = authority(settings, &headers);
    let expected = expected(&state, bot);
    if let Some(Expected { config, has_place: true }) = &expected {
        // Twilio takes a while to connect.
        match mode {
            Mode::Media => {
                let dialled = Dialled::for_bot(&state, config, Some(RATE));
                state.access.tickets.keep_dialled(token.clone(), dialled);
            }
            Mode::Relay => state.models.warm(config),
        }
    }
    let authority: String = authority.chars().filter(|c| !matches!(c, '"' | '<' | '>' | '&')).collect();
    twiml(match mode {
        Mode::Media => stream(&authority, &token),
        Mode::Relay => relay::connect(&authority, &token, expected.as_ref().map(|expected| expected.config.as_ref())),
    })
}

/// A call that Twilio has announced.
struct Expected {
    config: Arc<BotConfig>,
    /// It would be admitted at the moment.
    has_place: bool,
}

/// None: nobody has such a bot, as the stream will find too.
fn expected(state: &AppState, bot: BotName) -> Option<Expected> {
    let session = SessionId::new(state.node());
    let caller = Private::new(String::new());
    let offer = CallOffer { session, door: Door::Twilio, modality: Modality::Voice, bot, caller };
    let accept = state.router.route(&offer).ok()?;
    // The call takes its place when its stream comes.
    let has_place = state.registry.admit(&offer, &accept).is_ok();
    Some(Expected { config: accept.config, has_place })
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

/// <https://www.twilio.com/docs/voice/twiml/stream>
fn stream(authority: &str, token: &str) -> String {
    format!(
        "<Connect><Stream url=\"wss://{authority}{MEDIA_PATH}\"><Parameter name=\"token\" value=\"{token}\"/></Stream>\
         </Connect>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twiml_connects_the_audio_both_ways() {
        let twiml = stream("voice.example", "ab12");
        assert!(twiml.starts_with(r#"<Connect><Stream url="wss://voice.example/ws/twilio/media">"#), "{twiml}");
        assert!(twiml.contains(r#"<Parameter name="token" value="ab12"/>"#), "{twiml}");
    }
}
