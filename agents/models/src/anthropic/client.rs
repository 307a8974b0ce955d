use reqwest::Client;
use reqwest::header::HeaderName;

use super::config::AnthropicConfig;
use super::map::{Assembly, request};
use crate::http::{Endpoint, SetupError};
use crate::{Completion, LanguageModel, ModelStream, answer};

/// The version of the API that `wire` speaks; names are only added to it. The next one, of 2026-10-21, takes no `temperature`
/// and no `top_p`, which the older models have.
const VERSION: &str = "2023-06-01";

/// A model behind `/v1/messages`.
pub struct Anthropic {
    config: AnthropicConfig,
    endpoint: Endpoint,
    name: String,
}

impl Anthropic {
    /// `client` is shared by all vendors, so that connections stay open between completions.
    ///
    /// # Errors
    /// When no request could ever be sent with this configuration.
    pub fn new(client: Client, config: AnthropicConfig) -> Result<Self, SetupError> {
        let url = format!("{}/v1/messages", config.base_url.trim_end_matches('/'));
        let endpoint = Endpoint::new(client, "anthropic", "ANTHROPIC_API_KEY", url, config.limits)?;
        let mut endpoint = endpoint.with_header("anthropic-version", VERSION);
        if let Some(key) = &config.key {
            endpoint = endpoint.with_key(HeaderName::from_static("x-api-key"), key)?;
        }
        let name = format!("anthropic {}", config.model);
        Ok(Self { config, endpoint, name })
    }
}

impl LanguageModel for Anthropic {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&self, asked: Completion) -> ModelStream {
        // Plain structs with string keys: serde_json has nothing to refuse.
        let body = serde_json::to_value(request(&self.config, &asked)).unwrap_or_default();
        answer::stream(self.endpoint.clone(), body, Assembly::default())
    }

    fn warm(&self) {
        self.endpoint.warm();
    }
}
