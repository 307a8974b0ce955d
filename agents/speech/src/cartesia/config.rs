use tandem_contract::Private;
use tandem_models::Limits;

/// Where the voice is, and which one.
#[derive(Clone, Debug, PartialEq)]
pub struct CartesiaConfig {
    /// With any of the schemes `https`, `wss`, `http` and `ws`.
    pub base_url: String,
    /// None: a server of one's own that asks for none.
    pub key: Option<Private<String>>,
    pub model: String,
    /// The id of the voice that speaks where a bot names none.
    pub voice: String,
    /// Connections of this node at once, one a conversation. The vendor's plan bounds who speaks at a moment; this bounds our
    /// own sockets.
    pub max_connections: usize,
    pub limits: Limits,
}

impl CartesiaConfig {
    pub const BASE_URL: &str = "wss://api.cartesia.ai";
    /// The setting that holds the key.
    pub const KEY: &str = "CARTESIA_API_KEY";
    pub const MODEL: &str = "sonic-3";
    /// The voice of the vendor's own reference.
    pub const VOICE: &str = "a0e99841-438c-4a64-b679-ae501e7d6091";
    pub const MAX_CONNECTIONS: usize = 1_000;
}

impl Default for CartesiaConfig {
    fn default() -> Self {
        Self {
            base_url: Self::BASE_URL.to_owned(),
            key: None,
            model: Self::MODEL.to_owned(),
            voice: Self::VOICE.to_owned(),
            max_connections: Self::MAX_CONNECTIONS,
            limits: Limits::default(),
        }
    }
}
