//! Vendors: keys, and where their servers are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_models::openai::OpenAiConfig;
use tandem_speech::elevenlabs::ElevenLabsConfig;

use super::Secret;

/// The language model: OpenAI, or any server that speaks its `/v1/chat/completions` (vLLM, Ollama, llama.cpp). Bots with a
/// `system_prompt` or an `llm_config` and without a `flow` are answered by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAiSettings {
    /// Also read from `OPENAI_API_KEY`. A server of one's own may need none.
    pub api_key: Secret,
    /// Up to and with `/v1`; also read from `OPENAI_BASE_URL`.
    pub base_url: String,
    /// The model of bots that name none of this vendor in `llm_config`.
    pub model: String,
}

impl Default for OpenAiSettings {
    fn default() -> Self {
        let base_url = OpenAiConfig::BASE_URL.to_owned();
        Self { api_key: Secret::default(), base_url, model: "gpt-4.1-mini".to_owned() }
    }
}

impl OpenAiSettings {
    /// Whether there is a model to ask: with a key, or on a server that may need none.
    pub fn is_set(&self) -> bool {
        self.api_key.value().is_some() || self.base_url.trim_end_matches('/') != OpenAiConfig::BASE_URL
    }
}

/// The recognizer of bots whose `livekit_config.stt_provider` is `deepgram`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeepgramSettings {
    /// Also read from `DEEPGRAM_API_KEY`.
    pub api_key: Secret,
    /// `wss://` or `https://`, without a path; also read from `DEEPGRAM_BASE_URL`.
    pub base_url: String,
    /// The model of bots that name none in `livekit_config.stt_model`.
    pub model: String,
}

impl DeepgramSettings {
    const BASE_URL: &str = "wss://api.deepgram.com";

    /// Whether there is a recognizer to ask: with a key, or on a server of one's own.
    pub fn is_set(&self) -> bool {
        self.api_key.value().is_some() || self.base_url != Self::BASE_URL
    }
}

impl Default for DeepgramSettings {
    fn default() -> Self {
        Self { api_key: Secret::default(), base_url: Self::BASE_URL.to_owned(), model: "nova-3".to_owned() }
    }
}

/// The voice of bots whose `livekit_config.tts_provider` is `elevenlabs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ElevenLabsSettings {
    /// Also read from `ELEVENLABS_API_KEY`.
    pub api_key: Secret,
    /// `wss://` or `https://`, without a path; also read from `ELEVENLABS_BASE_URL`.
    pub base_url: String,
    /// The model of bots that name none in `livekit_config.tts_model`.
    pub model: String,
    /// The voice of bots that name none in `livekit_config.tts_voice_id`.
    pub voice: String,
}

impl ElevenLabsSettings {
    /// Whether there is a voice to ask for: with a key, or on a server of one's own.
    pub fn is_set(&self) -> bool {
        self.api_key.value().is_some() || self.base_url != ElevenLabsConfig::BASE_URL
    }
}

impl Default for ElevenLabsSettings {
    fn default() -> Self {
        Self {
            api_key: Secret::default(),
            base_url: ElevenLabsConfig::BASE_URL.to_owned(),
            model: ElevenLabsConfig::MODEL.to_owned(),
            voice: ElevenLabsConfig::VOICE.to_owned(),
        }
    }
}

/// Calls that Twilio connects: `POST /twilio/voice` answers them, `/ws/twilio/media` carries their audio. SMS and WhatsApp:
/// `POST /twilio/messages` takes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TwilioSettings {
    /// Of the account; Twilio signs its requests with it. Also read from `TWILIO_AUTH_TOKEN`. Without it `/twilio/voice`
    /// answers nobody, and media streams want a key.
    pub auth_token: Secret,
    /// How Twilio reaches this node, such as `https://voice.example.com`. Empty: as its requests say (`Host`).
    pub public_url: String,
    /// The bot that answers where the address names none (`/twilio/voice?bot=NAME`).
    pub bot: String,
    /// Of the account that sends the answers to messages; also read from `TWILIO_ACCOUNT_SID`. Without it `/twilio/messages`
    /// answers nobody.
    pub account_sid: String,
    /// Of the API that sends messages.
    pub api_url: String,
}

impl Default for TwilioSettings {
    fn default() -> Self {
        Self {
            auth_token: Secret::default(),
            public_url: String::new(),
            bot: "demo".to_owned(),
            account_sid: String::new(),
            api_url: "https://api.twilio.com".to_owned(),
        }
    }
}

impl TwilioSettings {
    pub fn sends_messages(&self) -> bool {
        self.auth_token.value().is_some() && !self.account_sid.is_empty()
    }
}
