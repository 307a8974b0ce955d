use serde_json::{Value, json};
use tandem_contract::Private;

use crate::http::Limits;

/// Where the model is, and which one.
#[derive(Clone, Debug, PartialEq)]
pub struct GeminiConfig {
    /// Up to and without `/v1beta`.
    pub base_url: String,
    /// None: a proxy of one's own that adds it.
    pub key: Option<Private<String>>,
    pub model: String,
    pub limits: Limits,
}

/// The least thinking that `gemini-2.5-pro` accepts, tokens.
const LEAST_BUDGET: u32 = 128;

impl GeminiConfig {
    pub const BASE_URL: &str = "https://generativelanguage.googleapis.com";

    /// Since Gemini 3 a call is sent back with its id and the signature of the thoughts behind it, or the request is
    /// refused; and Google asks to leave `temperature` and `topP` alone.
    pub(super) fn is_before_3(&self) -> bool {
        self.model.starts_with("gemini-1") || self.model.starts_with("gemini-2")
    }

    /// A caller waits: the least thinking that the model accepts. Models that are not known decide for themselves, and so do
    /// the lite ones, which hardly think. <https://ai.google.dev/gemini-api/docs/thinking>
    pub(super) fn thinking(&self) -> Option<Value> {
        match self.model.as_str() {
            model if model.starts_with("gemini-2.5-pro") => Some(json!({ "thinkingBudget": LEAST_BUDGET })),
            model if model.starts_with("gemini-2.5-flash") => Some(json!({ "thinkingBudget": 0 })),
            model if model.starts_with("gemini-3") && !model.contains("-lite") => {
                Some(json!({ "thinkingLevel": "low" }))
            }
            _ => None,
        }
    }
}
