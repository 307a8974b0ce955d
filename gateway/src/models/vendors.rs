//! The vendors of language models: one table.

use std::sync::Arc;

use reqwest::Client;
use tandem_contract::bot::{ModelName, ModelVendor};
use tandem_models::anthropic::{Anthropic, AnthropicConfig};
use tandem_models::gemini::{Gemini, GeminiConfig};
use tandem_models::openai::{OpenAi, OpenAiConfig};
use tandem_models::{LanguageModel, Limits, SetupError};

use crate::settings::{AnthropicSettings, GeminiSettings, OpenAiSettings, Settings};

/// The accounts of this node.
pub(super) struct Accounts {
    client: Client,
    openai: OpenAiSettings,
    anthropic: AnthropicSettings,
    gemini: GeminiSettings,
}

pub(super) fn is_set(vendor: ModelVendor, settings: &Settings) -> bool {
    match vendor {
        ModelVendor::OpenAi => settings.openai.is_set(),
        ModelVendor::Anthropic => settings.anthropic.is_set(),
        ModelVendor::Gemini => settings.gemini.is_set(),
    }
}

impl Accounts {
    pub(super) fn new(settings: &Settings, client: Client) -> Self {
        let Settings { openai, anthropic, gemini, .. } = settings.clone();
        Self { client, openai, anthropic, gemini }
    }

    pub(super) fn is_set(&self, vendor: ModelVendor) -> bool {
        match vendor {
            ModelVendor::OpenAi => self.openai.is_set(),
            ModelVendor::Anthropic => self.anthropic.is_set(),
            ModelVendor::Gemini => self.gemini.is_set(),
        }
    }

    /// The model of the settings.
    pub(super) fn own(&self, vendor: ModelVendor) -> ModelName {
        let model = match vendor {
            ModelVendor::OpenAi => &self.openai.model,
            ModelVendor::Anthropic => &self.anthropic.model,
            ModelVendor::Gemini => &self.gemini.model,
        };
        ModelName { vendor, model: model.clone() }
    }

    pub(super) fn address(&self, vendor: ModelVendor) -> &str {
        match vendor {
            ModelVendor::OpenAi => &self.openai.base_url,
            ModelVendor::Anthropic => &self.anthropic.base_url,
            ModelVendor::Gemini => &self.gemini.base_url,
        }
    }

    /// # Errors
    /// When a vendor's key, address or model can never be used.
    pub(super) fn open(&self, name: &ModelName) -> Result<Arc<dyn LanguageModel>, SetupError> {
        let (client, base_url, limits) = (self.client.clone(), self.address(name.vendor).to_owned(), Limits::default());
        let model = name.model.clone();
        Ok(match name.vendor {
            ModelVendor::OpenAi => {
                let key = self.openai.api_key.value();
                Arc::new(OpenAi::new(client, OpenAiConfig { base_url, key, model, limits })?)
            }
            ModelVendor::Anthropic => {
                let key = self.anthropic.api_key.value();
                Arc::new(Anthropic::new(client, AnthropicConfig { base_url, key, model, limits })?)
            }
            ModelVendor::Gemini => {
                let key = self.gemini.api_key.value();
                Arc::new(Gemini::new(client, GeminiConfig { base_url, key, model, limits })?)
            }
        })
    }
}
