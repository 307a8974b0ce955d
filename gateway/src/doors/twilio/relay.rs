//! `/ws/twilio/relay`: the texts of one call that Twilio hears and speaks; and what becomes of the call behind it.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_media::Time;
use tandem_signaling::stream::twilio::relay::{RelayCore, RelayOut, RelaySetup};
use tandem_signaling::stream::{Closing, Mode, Started, StreamEffect, StreamInput};
use tracing::{info, warn};

use super::signature::is_signed;
use super::tickets::Ticket;
use super::voice::{refuse, signed_form, twiml};
use super::{ACTION_PATH, RELAY_PATH, admitted, authority, escaped};
use crate::answer::{self, Request};
use crate::doors::socket::{Counts, Protocol, accept, close, close_of, ping};
use crate::doors::stream_session::{Opened, Refused, StreamSession};
use crate::state::AppState;

pub(super) async fn upgrade(State(state): State<AppState>, headers: HeaderMap, socket: WebSocketUpgrade) -> Response {
    let settings = &state.settings.twilio;
    let url = format!("wss://{}{RELAY_PATH}", authority(settings, &headers));
    let signed = is_signed(settings.auth_token.value().as_ref(), &headers, &url, &[]);
    accept(state, &headers, socket, move |now| Relay { core: RelayCore::new(now), signed })
}

struct Relay {
    core: RelayCore,
    /// Twilio itself asked for the connection.
    signed: bool,
}

impl Protocol for Relay {
    type Start = RelaySetup;

    fn handle(&mut self, now: Time, input: StreamInput, out: &mut Vec<StreamEffect<RelaySetup>>) {
        let before = self.core.complaints();
        self.core.handle(now, input, out);
        if self.core.complaints() > before {
            // Its text may repeat what was said.
            warn!("Twilio did not take a message of its relay");
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Vec<StreamEffect<RelaySetup>>) {
        self.core.handle_timeout(now, out);
    }

    fn timeout(&self) -> Option<Time> {
        self.core.timeout()
    }

    fn wants_to_send(&self) -> bool {
        self.core.wants_to_send()
    }

    fn poll_message(&mut self, _: Time) -> Option<Message> {
        Some(match self.core.poll_send()? {
            RelayOut::Text { text } => Message::Text(text.into_inner().into()),
            RelayOut::Ping => ping(),
            RelayOut::Close { closing } => {
                // Twilio shows nobody why.
                if let Closing::Problem { error } = &closing {
                    info!(%error, "a relay of Twilio is closed");
                }
                Message::Close(Some(close(&closing)))
            }
        })
    }

    fn is_over(&self) -> bool {
        self.core.is_over()
    }

    fn counts(&self) -> Counts {
        Counts::default()
    }

    async fn open(&self, state: &AppState, setup: RelaySetup) -> Result<Opened, Refused> {
        let Ticket { bot, mut caller } = admitted(state, self.signed, &setup.custom_parameters)
            .inspect_err(|refusal| answer::count_refusal(Door::Twilio, refusal))?;
        // Whoever has a ticket has told who calls when it was made.
        if let Some(from) = setup.from.filter(|_| self.signed && caller.reveal().is_empty()) {
            caller = from;
        }
        let request = Request { door: Door::Twilio, modality: Modality::Voice, bot: bot.to_string(), caller };
        let admitted = answer::admit(state, request)?.with_people(true);
        let (session, version) = (admitted.session(), admitted.accept().version);
        let started = Started { session, bot, version, mode: Mode::Text, rate: 0 };
        let session = StreamSession::begin(state, admitted, None).await?.unwatched();
        Ok(Opened { session, started, resumed: None })
    }

    fn refusal(&self, Refused { error, .. }: Refused) -> Vec<Message> {
        vec![Message::Close(Some(close_of(error)))]
    }
}

/// What the relay says when it ends with a transfer.
#[derive(Deserialize)]
struct Handoff {
    target: String,
}

/// `POST /twilio/relay/action`: the relay is over, and Twilio asks what becomes of the call.
pub(super) async fn after(State(state): State<AppState>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let form = match signed_form(&state.settings.twilio, &uri, &headers, &body) {
        Ok(form) => form,
        Err(why) => return refuse(StatusCode::FORBIDDEN, why),
    };
    let said = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let handoff = said("HandoffData").and_then(|data| serde_json::from_str::<Handoff>(data).ok());
    twiml(handoff.map_or_else(|| "<Hangup/>".to_owned(), |handoff| dial(&handoff.target)))
}

/// <https://www.twilio.com/docs/voice/twiml/dial>
fn dial(target: &str) -> String {
    let is_sip = target.split_once(':').is_some_and(|(scheme, _)| scheme.to_ascii_lowercase().starts_with("sip"));
    let noun = if is_sip { "Sip" } else { "Number" };
    format!("<Dial><{noun}>{}</{noun}></Dial>", escaped(target))
}

/// <https://www.twilio.com/docs/voice/twiml/connect/conversationrelay>
///
/// What the ledger relies on is asked for by name, whatever Twilio's defaults become: to be told which words were played, and
/// to hear of nothing that the caller says while the agent speaks but an interruption.
pub(super) fn connect(authority: &str, parameters: &str, config: &BotConfig) -> String {
    format!(
        "<Connect action=\"https://{authority}{ACTION_PATH}\"><ConversationRelay url=\"wss://{authority}{RELAY_PATH}\" \
         interruptible=\"any\" reportInputDuringAgentSpeech=\"none\" dtmfDetection=\"true\" \
         events=\"speaker-events tokens-played\"{}>{parameters}</ConversationRelay></Connect>",
        speech(config)
    )
}

/// The language and the voice of the bot, where it names what Twilio has.
fn speech(config: &BotConfig) -> String {
    let named = config.livekit_config.as_ref();
    // "multi" is a word of Deepgram's for callers of several languages.
    let language = named.and_then(|named| named.stt_language.as_deref()).filter(|language| *language != "multi");
    let mut attributes = language.map_or_else(String::new, |language| format!(" language=\"{}\"", escaped(language)));
    let elevenlabs = named.filter(|named| {
        named.tts_provider.as_deref().is_some_and(|provider| provider.eq_ignore_ascii_case("elevenlabs"))
    });
    if let Some(voice) = elevenlabs.and_then(|named| named.tts_voice_id.as_deref()) {
        attributes.push_str(&format!(" ttsProvider=\"ElevenLabs\" voice=\"{}\"", escaped(voice)));
    }
    attributes
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod calls;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_is_asked_for_what_the_ledger_needs() {
        let livekit =
            r#"{"livekit_config":{"stt_language":"de-DE","tts_provider":"ElevenLabs","tts_voice_id":"a\"b"}}"#;
        let config: BotConfig = serde_json::from_str(livekit).unwrap();
        let twiml = connect("voice.example", "<Parameter/>", &config);
        for part in [
            r#"<Connect action="https://voice.example/twilio/relay/action">"#,
            r#"<ConversationRelay url="wss://voice.example/ws/twilio/relay" interruptible="any""#,
            r#" dtmfDetection="true" events="speaker-events tokens-played" language="de-DE""#,
            r#" ttsProvider="ElevenLabs" voice="a&quot;b"><Parameter/></ConversationRelay>"#,
        ] {
            assert!(twiml.contains(part), "{twiml}");
        }
        assert!(connect("v", "<Parameter/>", &BotConfig::default()).contains("tokens-played\"><Parameter"));
    }

    #[test]
    fn a_transfer_dials() {
        assert_eq!(dial("+15550100"), "<Dial><Number>+15550100</Number></Dial>");
        assert_eq!(dial("SIP:a@b?x=1&y"), "<Dial><Sip>SIP:a@b?x=1&amp;y</Sip></Dial>");
    }
}
