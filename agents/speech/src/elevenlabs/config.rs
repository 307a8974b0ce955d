use serde::Serialize;
use tandem_contract::Private;
use tandem_models::Limits;

/// Where the voice is, and which one.
#[derive(Clone, Debug, PartialEq)]
pub struct ElevenLabsConfig {
    /// With any of the schemes `https`, `wss`, `http` and `ws`, with or without `/v1`.
    pub base_url: String,
    /// None: a server of one's own that asks for none.
    pub key: Option<Private<String>>,
    pub model: String,
    /// The id of the voice that speaks where a bot names none.
    pub voice: String,
    /// None: as they are stored with the voice.
    pub voice_settings: Option<VoiceSettings>,
    pub socket: Socket,
    /// Connections of this node at once, one a conversation (`Single`: two while it speaks). What the vendor's plan counts is
    /// who speaks at a moment, not who is connected; this bounds our own sockets.
    pub max_connections: usize,
    pub limits: Limits,
}

/// Which of the vendor's two WebSockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Socket {
    /// One a conversation, an utterance in a context of its own (`/multi-stream-input`).
    #[default]
    Multi,
    /// One an utterance (`/stream-input`): what models and servers know that have no contexts.
    Single,
}

/// How a voice speaks; what is none is as it is stored with the voice.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VoiceSettings {
    /// 0 (lively) to 1 (even).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stability: Option<f64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity_boost: Option<f64>,
    /// 0 to 1; models of the second version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_speaker_boost: Option<bool>,
    /// 0.7 to 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
}

impl ElevenLabsConfig {
    pub const BASE_URL: &str = "wss://api.elevenlabs.io";
    /// The setting that holds the key.
    pub const KEY: &str = "ELEVENLABS_API_KEY";
    /// The fastest one that knows many languages.
    pub const MODEL: &str = "eleven_flash_v2_5";
    /// "George", the voice of the vendor's own examples: every account has it.
    pub const VOICE: &str = "JBFqnCBsd6RMkjVDRZzb";
    pub const MAX_CONNECTIONS: usize = 1_000;
}

impl Default for ElevenLabsConfig {
    fn default() -> Self {
        Self {
            base_url: Self::BASE_URL.to_owned(),
            key: None,
            model: Self::MODEL.to_owned(),
            voice: Self::VOICE.to_owned(),
            voice_settings: None,
            socket: Socket::default(),
            max_connections: Self::MAX_CONNECTIONS,
            limits: Limits::default(),
        }
    }
}
