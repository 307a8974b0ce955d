use tandem_contract::Private;

use crate::http::Limits;

/// Where the model is, and which one.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiConfig {
    /// Up to and with `/v1`.
    pub base_url: String,
    /// None: a server of one's own that asks for none.
    pub key: Option<Private<String>>,
    pub model: String,
    pub limits: Limits,
}

impl OpenAiConfig {
    pub const BASE_URL: &str = "https://api.openai.com/v1";

    /// OpenAI itself deprecates `max_tokens`, and the servers that speak like it know nothing else.
    pub(super) fn names_completion_tokens(&self) -> bool {
        self.base_url.starts_with("https://api.openai.com/")
    }
}
