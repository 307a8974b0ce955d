//! `POST /twilio/voice`: Twilio asks what to do with a call, and is told to connect its audio to us.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tandem_contract::{BotName, Private};
use tracing::info;

use super::signature::is_signed;
use super::tickets::Ticket;
use super::{MEDIA_PATH, authority};
use crate::state::AppState;

const TWIML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");

#[derive(Deserialize)]
pub(super) struct Parameters {
    /// None: the bot of the settings.
    bot: Option<String>,
}

pub(super) async fn answer(
    State(state): State<AppState>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let settings = &state.settings.twilio;
    let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let authority = authority(settings, &headers);
    let token = settings.auth_token.value();
    if token.is_none() {
        return refuse(StatusCode::FORBIDDEN, "set twilio.auth_token, so that Twilio's signature can be checked");
    }
    if !is_signed(token.as_ref(), &headers, &format!("https://{authority}{uri}"), &form) {
        info!(url = %format!("https://{authority}{}", uri.path()), "a request with a wrong signature");
        return refuse(StatusCode::FORBIDDEN, "the signature is not Twilio's; is twilio.public_url what Twilio calls?");
    }
    let Ok(bot) = BotName::new(parameters.bot.as_deref().unwrap_or(&settings.bot)) else {
        return refuse(StatusCode::BAD_REQUEST, "`bot` is no name of a bot: letters, digits, - and _");
    };
    let from = form.iter().find(|(name, _)| name == "From").map(|(_, value)| value.clone()).unwrap_or_default();
    let ticket = Ticket { bot, caller: Private::new(from) };
    match state.access.tickets.issue(state.clock.now(), ticket) {
        Some(token) => ([(header::CONTENT_TYPE, TWIML)], connect(&authority, &token)).into_response(),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "too many calls are about to begin"),
    }
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    (status, why).into_response()
}

/// <https://www.twilio.com/docs/voice/twiml/stream>
fn connect(authority: &str, token: &str) -> String {
    let authority: String = authority.chars().filter(|c| !matches!(c, '"' | '<' | '>' | '&')).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Connect><Stream url=\"wss://{authority}{MEDIA_PATH}\">\
         <Parameter name=\"token\" value=\"{token}\"/></Stream></Connect></Response>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twiml_connects_the_audio_both_ways() {
        let twiml = connect("voice.example", "ab12");
        assert!(twiml.contains(r#"<Connect><Stream url="wss://voice.example/ws/twilio/media">"#), "{twiml}");
        assert!(twiml.contains(r#"<Parameter name="token" value="ab12"/>"#), "{twiml}");
        assert!(!connect("a\"<&>b", "t").contains("a\"<"));
    }
}
