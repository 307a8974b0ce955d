//! Where the transcriptions are made, and by which model.

use tandem_contract::Private;
use tandem_models::Limits;

/// The setting that holds the key.
pub const KEY_SETTING: &str = "OPENAI_API_KEY";
/// Recognitions of one node at once: each may hold a minute of audio, 2 MB at 16 kHz.
const MAX_CONNECTIONS: usize = 200;

#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiTranscribeConfig {
    /// Up to and with `/v1`.
    pub base_url: String,
    /// None: a server of one's own that asks for none.
    pub key: Option<Private<String>>,
    pub model: String,
    pub limits: Limits,
    /// Recognitions of this node at once; one beyond them is told "busy".
    pub max_connections: usize,
}

impl Default for OpenAiTranscribeConfig {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            key: None,
            model: "gpt-4o-mini-transcribe".to_owned(),
            limits: Limits::default(),
            max_connections: MAX_CONNECTIONS,
        }
    }
}
