use tandem_contract::Private;
use tandem_models::Limits;

/// Where the voice is, and which one.
#[derive(Clone, Debug, PartialEq)]
pub struct AuraConfig {
    /// With any of the schemes `https`, `wss`, `http` and `ws`, with or without `/v1`.
    pub base_url: String,
    /// None: a server of one's own that asks for none.
    pub key: Option<Private<String>>,
    /// The voice that speaks where a bot names none. With Deepgram the model is the voice, and its language.
    pub voice: String,
    /// Requests of this node at once. Only who speaks at a moment has one.
    pub max_connections: usize,
    pub limits: Limits,
}

impl AuraConfig {
    pub const BASE_URL: &str = "https://api.deepgram.com";
    /// The setting that holds the key.
    pub const KEY: &str = "DEEPGRAM_API_KEY";
    pub const VOICE: &str = "aura-2-thalia-en";
    pub const MAX_CONNECTIONS: usize = 1_000;
}

impl Default for AuraConfig {
    fn default() -> Self {
        Self {
            base_url: Self::BASE_URL.to_owned(),
            key: None,
            voice: Self::VOICE.to_owned(),
            max_connections: Self::MAX_CONNECTIONS,
            limits: Limits::default(),
        }
    }
}
