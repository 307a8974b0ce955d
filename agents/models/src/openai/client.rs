use reqwest::Client;
use reqwest::header::AUTHORIZATION;

use super::config::OpenAiConfig;
use super::map::{Assembly, request};
use crate::http::{Endpoint, SetupError};
use crate::{Completion, LanguageModel, ModelStream, answer};

/// A model behind `/v1/chat/completions`.
pub struct OpenAi {
    config: OpenAiConfig,
    endpoint: Endpoint,
    name: String,
}

impl OpenAi {
    /// `client` is shared by all vendors, so that connections stay open between completions.
    ///
    /// # Errors
    /// When no request could ever be sent with this configuration.
    pub fn new(client: Client, config: OpenAiConfig) -> Result<Self, SetupError> {
        let url = format!("{}/chat/completions", config.base_url.trim_end_matches('/'));
        let mut endpoint = Endpoint::new(client, "openai", "OPENAI_API_KEY", url, config.limits)?;
        if let Some(key) = &config.key {
            endpoint = endpoint.with_key(AUTHORIZATION, &format!("Bearer {}", key.reveal()).into())?;
        }
        let name = format!("openai {}", config.model);
        Ok(Self { config, endpoint, name })
    }
}

impl LanguageModel for OpenAi {
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
