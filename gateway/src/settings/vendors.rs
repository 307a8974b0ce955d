//! Vendors: keys, and where their servers are.
//!
//! A vendor is set by its key, or by an address that is not its own: a server of one's own may need none. It is asked by all
//! bots that name it. Bots that name none get it too, as far as it is known to do what they need: a vendor at its own address
//! does all that it sells; another server that speaks like it does what the settings name a model or a voice for (most
//! servers that speak like OpenAI have language models alone).

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_models::anthropic::AnthropicConfig;
use tandem_models::gemini::GeminiConfig;
use tandem_models::openai::OpenAiConfig;
use tandem_speech::aura::AuraConfig;
use tandem_speech::cartesia::CartesiaConfig;
use tandem_speech::elevenlabs::ElevenLabsConfig;
use tandem_speech::openai_speech::OpenAiSpeechConfig;

use super::Secret;

/// Connections with a vendor of speech, where nothing else is set: what a full node has calls, by its own default.
const LINES_MAX: u32 = 1_000;

/// Whether an address is that of a vendor's own server, however it is written: by its origin (RFC 6454), in which a WebSocket is
/// no other scheme than what it begins as.
fn is_at(url: &str, own: &str) -> bool {
    let origin = |url: &str| {
        let (scheme, rest) = url.trim().split_once("://").unwrap_or(("https", url.trim()));
        let scheme = match scheme {
            "ws" => "http",
            "wss" => "https",
            other => other,
        };
        Url::parse(&format!("{scheme}://{rest}")).ok().map(|url| url.origin())
    };
    origin(url).is_some_and(|of_url| Some(of_url) == origin(own))
}
/// More than the calls of a busy node ask at once; far fewer than a runaway would.
const MAX_CONCURRENT: u32 = 256;

/// A language model, a voice and a recognizer: OpenAI, or any server that speaks its `/v1/chat/completions` (vLLM, Ollama,
/// llama.cpp). Bots with a `system_prompt` or an `llm_config` and without a `flow` are answered by the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAiSettings {
    /// Also read from `OPENAI_API_KEY`. A server of one's own may need none.
    pub api_key: Secret,
    /// Up to and with `/v1`; also read from `OPENAI_BASE_URL`.
    pub base_url: String,
    /// The model of bots that name none of this vendor in `llm_config`.
    pub model: String,
    /// Questions to its language models at once; with more, callers wait half a second for a place, and then the next model of their
    /// chain is asked.
    pub max_concurrent: u32,
    /// The model that speaks, for bots that name none in `livekit_config.tts_model`. Empty: `gpt-4o-mini-tts`; a server at another
    /// address then speaks only for bots whose `tts_provider` is `openai`.
    pub speech_model: String,
    /// The voice of bots that name none in `livekit_config.tts_voice_id`.
    pub voice: String,
    /// The model that hears, for bots that name none in `livekit_config.stt_model`. Empty: `gpt-4o-mini-transcribe`; a server at
    /// another address then hears only for bots whose `stt_provider` is `openai`.
    pub transcription_model: String,
}

impl Default for OpenAiSettings {
    fn default() -> Self {
        Self {
            api_key: Secret::default(),
            base_url: OpenAiConfig::BASE_URL.to_owned(),
            model: "gpt-4.1-mini".to_owned(),
            max_concurrent: MAX_CONCURRENT,
            speech_model: String::new(),
            voice: OpenAiSpeechConfig::VOICE.to_owned(),
            transcription_model: String::new(),
        }
    }
}

impl OpenAiSettings {
    /// Whether there is a model to ask: with a key, or on a server that may need none.
    pub fn is_set(&self) -> bool {
        self.api_key.value().is_some() || !self.is_openai()
    }

    /// Whether bots that name no voice get this one.
    pub fn speaks_unasked(&self) -> bool {
        self.is_set() && (self.is_openai() || !self.speech_model.is_empty())
    }

    /// Whether bots that name no recognizer get this one.
    pub fn hears_unasked(&self) -> bool {
        self.is_set() && (self.is_openai() || !self.transcription_model.is_empty())
    }

    fn is_openai(&self) -> bool {
        is_at(&self.base_url, OpenAiConfig::BASE_URL)
    }
}

/// The language model of bots whose `llm_config.provider` is `anthropic`; and of those that name none, where `[openai]` is not set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnthropicSettings {
    /// Also read from `ANTHROPIC_API_KEY`.
    pub api_key: Secret,
    /// Up to and without `/v1`; also read from `ANTHROPIC_BASE_URL`.
    pub base_url: String,
    /// The model of bots that name none of this vendor in `llm_config`.
    pub model: String,
    /// Questions to its language models at once; with more, callers wait half a second for a place, and then the next model of their
    /// chain is asked.
    pub max_concurrent: u32,
}

impl AnthropicSettings {
    /// Whether there is a model to ask: with a key, or at a proxy of one's own that adds it.
    pub fn is_set(&self) -> bool {
        self.api_key.value().is_some() || !is_at(&self.base_url, AnthropicConfig::BASE_URL)
    }
}

impl Default for AnthropicSettings {
    fn default() -> Self {
        let base_url = AnthropicConfig::BASE_URL.to_owned();
        let model = "claude-haiku-4-5".to_owned();
        Self { api_key: Secret::default(), base_url, model, max_concurrent: MAX_CONCURRENT }
    }
}

/// The language model of bots whose `llm_config.provider` is `gemini`; and of those that name none, where neither `[openai]` nor `[anthropic]` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GeminiSettings {
    /// Also read from `GEMINI_API_KEY`.
    pub api_key: Secret,
    /// Up to and without `/v1beta`; also read from `GEMINI_BASE_URL`.
    pub base_url: String,
    /// The model of bots that name none of this vendor in `llm_config`.
    pub model: String,
    /// Questions to its language models at once; with more, callers wait half a second for a place, and then the next model of their
    /// chain is asked.
    pub max_concurrent: u32,
}

impl GeminiSettings {
    /// Whether there is a model to ask: with a key, or at a proxy of one's own that adds it.
    pub fn is_set(&self) -> bool {
        self.api_key.value().is_some() || !is_at(&self.base_url, GeminiConfig::BASE_URL)
    }
}

impl Default for GeminiSettings {
    fn default() -> Self {
        let base_url = GeminiConfig::BASE_URL.to_owned();
        let model = "gemini-2.5-flash".to_owned();
        Self { api_key: Secret::default(), base_url, model, max_concurrent: MAX_CONCURRENT }
    }
}

/// The recognizer of bots whose `livekit_config.stt_provider` is `deepgram` or nothing, and the voice of those whose
/// `tts_provider` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeepgramSettings {
    /// Also read from `DEEPGRAM_API_KEY`.
    pub api_key: Secret,
    /// `wss://` or `https://`, without a path; also read from `DEEPGRAM_BASE_URL`.
    pub base_url: String,
    /// The model of bots that name none in `livekit_config.stt_model`; one whose name begins with `flux` judges the end of a
    /// turn too.
    pub model: String,
    /// The voice of bots that name none in `livekit_config.tts_voice_id`; its name ends with its language. Empty:
    /// `aura-2-thalia-en`; a server at another address then speaks only for bots whose `tts_provider` is `deepgram`.
    pub voice: String,
    /// From which confidence a `flux` model holds a turn for over: 0.5 to 0.9, or 1 to leave it to Tandem.
    pub eot_threshold: f64,
    /// From which confidence it holds a turn for probably over: 0.3 to 0.9, at most `eot_threshold`. The language model is then
    /// asked, and its answer thrown away if the caller goes on; bots without `turn.preemptive_generation` do without. 0: never.
    pub eager_eot_threshold: f64,
    /// Silence, in milliseconds, after which it holds a turn for over in any case: 500 to 60000.
    pub eot_timeout_ms: u32,
    /// Connections of its recognizer at once, one a call; and as many requests for its voice. More are told that it is busy,
    /// and others stand in. What your contract with Deepgram has is the most that is of use.
    pub max_concurrent: u32,
}

impl DeepgramSettings {
    const BASE_URL: &str = "wss://api.deepgram.com";

    /// The key that holds what cannot be, its value, and what is wanted.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let Self { eot_threshold: end, eager_eot_threshold: eager, eot_timeout_ms: timeout, .. } = self;
        if !(0.5..=1.0).contains(end) {
            return Some(("deepgram.eot_threshold", end.to_string(), "0.5 to 0.9 is wanted, or 1"));
        }
        if *eager != 0.0 && !(0.3..=0.9).contains(eager) {
            return Some(("deepgram.eager_eot_threshold", eager.to_string(), "0.3 to 0.9 is wanted, or 0 for never"));
        }
        if eager > end {
            let why = "a turn is probably over before it is over: at most deepgram.eot_threshold is wanted";
            return Some(("deepgram.eager_eot_threshold", eager.to_string(), why));
        }
        let timely = (500..=60_000).contains(timeout);
        (!timely).then(|| ("deepgram.eot_timeout_ms", timeout.to_string(), "500 to 60000 milliseconds are wanted"))
    }

    /// Whether there is a recognizer to ask: with a key, or on a server of one's own.
    pub fn is_set(&self) -> bool {
        self.api_key.value().is_some() || !is_at(&self.base_url, Self::BASE_URL)
    }

    /// The voice of the node.
    pub fn voice(&self) -> &str {
        if self.voice.is_empty() { AuraConfig::VOICE } else { &self.voice }
    }

    /// Whether bots that name no voice get this one.
    pub fn speaks_unasked(&self) -> bool {
        self.is_set() && (is_at(&self.base_url, Self::BASE_URL) || !self.voice.is_empty())
    }
}

impl Default for DeepgramSettings {
    fn default() -> Self {
        Self {
            api_key: Secret::default(),
            base_url: Self::BASE_URL.to_owned(),
            model: "nova-3".to_owned(),
            voice: String::new(),
            eot_threshold: 0.7,
            eager_eot_threshold: 0.5,
            eot_timeout_ms: 5_000,
            max_concurrent: LINES_MAX,
        }
    }
}

/// Which of ElevenLabs' two WebSockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ElevenLabsSocket {
    #[default]
    Multi,
    Single,
}

/// The voice of bots whose `livekit_config.tts_provider` is `elevenlabs` or nothing.
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
    /// `multi` has one connection a call (`/multi-stream-input`), `single` one for each utterance, the next dialled ahead
    /// (`/stream-input`): for models and servers that know no contexts.
    pub socket: ElevenLabsSocket,
    /// Connections at once, one a call; with `socket` `single` two while it speaks. More calls are told that it is busy, and
    /// others speak.
    pub max_concurrent: u32,
}

impl ElevenLabsSettings {
    /// Whether there is a voice to ask for: with a key, or on a server of one's own.
    pub fn is_set(&self) -> bool {
        self.api_key.value().is_some() || !is_at(&self.base_url, ElevenLabsConfig::BASE_URL)
    }
}

impl Default for ElevenLabsSettings {
    fn default() -> Self {
        Self {
            api_key: Secret::default(),
            base_url: ElevenLabsConfig::BASE_URL.to_owned(),
            model: ElevenLabsConfig::MODEL.to_owned(),
            voice: ElevenLabsConfig::VOICE.to_owned(),
            socket: ElevenLabsSocket::default(),
            max_concurrent: LINES_MAX,
        }
    }
}

/// The voice of bots whose `livekit_config.tts_provider` is `cartesia`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CartesiaSettings {
    /// Also read from `CARTESIA_API_KEY`.
    pub api_key: Secret,
    /// `wss://` or `https://`, without a path; also read from `CARTESIA_BASE_URL`.
    pub base_url: String,
    /// The model of bots that name none in `livekit_config.tts_model`.
    pub model: String,
    /// The voice of bots that name none in `livekit_config.tts_voice_id`.
    pub voice: String,
    /// Connections at once, one a call. More calls are told that it is busy, and others speak.
    pub max_concurrent: u32,
}

impl CartesiaSettings {
    /// Whether there is a voice to ask for: with a key, or on a server of one's own.
    pub fn is_set(&self) -> bool {
        self.api_key.value().is_some() || !is_at(&self.base_url, CartesiaConfig::BASE_URL)
    }
}

impl Default for CartesiaSettings {
    fn default() -> Self {
        Self {
            api_key: Secret::default(),
            base_url: CartesiaConfig::BASE_URL.to_owned(),
            model: CartesiaConfig::MODEL.to_owned(),
            voice: CartesiaConfig::VOICE.to_owned(),
            max_concurrent: LINES_MAX,
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
    /// Of the API that sends messages, and has what is attached to those that come.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_own_address_is_known_however_it_is_written() {
        let own = "wss://api.deepgram.com";
        for url in ["https://api.deepgram.com", "wss://API.deepgram.com:443/v1/", " api.deepgram.com ", own] {
            assert!(is_at(url, own), "{url}");
        }
        for url in ["ws://api.deepgram.com", "https://api.eu.deepgram.com", "http://127.0.0.1:9100", ""] {
            assert!(!is_at(url, own), "{url}");
        }
        let deepgram = DeepgramSettings { base_url: "https://api.deepgram.com/".into(), ..DeepgramSettings::default() };
        assert!(!deepgram.is_set(), "without a key");
        let api_key: Secret = toml::Value::from("k").try_into().unwrap();
        assert!(DeepgramSettings { api_key, ..deepgram }.speaks_unasked());
    }
}
