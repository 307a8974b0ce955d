use tandem_contract::Private;
use tandem_models::Limits;

/// Where the voice is, and which one.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiSpeechConfig {
    /// With or without `/v1`.
    pub base_url: String,
    /// None: a server of one's own that asks for none.
    pub key: Option<Private<String>>,
    pub model: String,
    /// The voice that speaks where a bot names none.
    pub voice: String,
    /// How to speak, in words; for models that take it (not `tts-1`).
    pub instructions: Option<String>,
    /// Requests of this node at once. Only who speaks at a moment has one.
    pub max_connections: usize,
    pub limits: Limits,
}

impl OpenAiSpeechConfig {
    pub const BASE_URL: &str = "https://api.openai.com/v1";
    /// The setting that holds the key.
    pub const KEY: &str = "OPENAI_API_KEY";
    pub const MODEL: &str = "gpt-4o-mini-tts";
    pub const VOICE: &str = "alloy";
    pub const MAX_CONNECTIONS: usize = 1_000;
}

impl Default for OpenAiSpeechConfig {
    fn default() -> Self {
        Self {
            base_url: Self::BASE_URL.to_owned(),
            key: None,
            model: Self::MODEL.to_owned(),
            voice: Self::VOICE.to_owned(),
            instructions: None,
            max_connections: Self::MAX_CONNECTIONS,
            limits: Limits::default(),
        }
    }
}
