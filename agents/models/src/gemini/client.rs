use reqwest::Client;
use reqwest::header::HeaderName;

use super::config::GeminiConfig;
use super::map::{Assembly, request};
use crate::http::{Endpoint, SetupError};
use crate::{Completion, LanguageModel, ModelStream, answer};

/// A model behind `/v1beta/models/{model}:streamGenerateContent`.
pub struct Gemini {
    config: GeminiConfig,
    endpoint: Endpoint,
    name: String,
}

impl Gemini {
    /// `client` is shared by all vendors, so that connections stay open between completions.
    ///
    /// # Errors
    /// When no request could ever be sent with this configuration.
    pub fn new(client: Client, config: GeminiConfig) -> Result<Self, SetupError> {
        let GeminiConfig { base_url, model, .. } = &config;
        // The name is a part of the address, and bots choose it.
        let plain = |c: char| c.is_ascii_alphanumeric() || ['.', '-', '_'].contains(&c);
        if model.is_empty() || !model.chars().all(plain) {
            return Err(SetupError::Model { model: model.clone() });
        }
        let base_url = base_url.trim_end_matches('/');
        let url = format!("{base_url}/v1beta/models/{model}:streamGenerateContent?alt=sse");
        let mut endpoint = Endpoint::new(client, "gemini", "GEMINI_API_KEY", url, config.limits)?;
        if let Some(key) = &config.key {
            endpoint = endpoint.with_key(HeaderName::from_static("x-goog-api-key"), key)?;
        }
        let name = format!("gemini {model}");
        Ok(Self { config, endpoint, name })
    }
}

impl LanguageModel for Gemini {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&self, asked: Completion) -> ModelStream {
        // Plain structs with string keys: serde_json has nothing to refuse.
        let body = serde_json::to_value(request(&self.config, &asked)).unwrap_or_default();
        answer::stream(self.endpoint.clone(), body, Assembly::after(&asked.messages))
    }

    fn warm(&self) {
        self.endpoint.warm();
    }
}
