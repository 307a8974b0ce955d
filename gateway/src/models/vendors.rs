//! The vendors of language models: one table.

use std::sync::Arc;

use dashmap::DashMap;
use reqwest::Client;
use tandem_contract::bot::{ModelName, ModelVendor};
use tandem_models::anthropic::{Anthropic, AnthropicConfig};
use tandem_models::bounded::Places;
use tandem_models::gemini::{Gemini, GeminiConfig};
use tandem_models::openai::{OpenAi, OpenAiConfig};
use tandem_models::resilient::Guarded;
use tandem_models::spending::{Metered, Spending};
use tandem_models::{LanguageModel, Limits, SetupError};

use crate::settings::Settings;

pub(super) fn is_set(vendor: ModelVendor, settings: &Settings) -> bool {
    match vendor {
        ModelVendor::OpenAi => settings.openai.is_set(),
        ModelVendor::Anthropic => settings.anthropic.is_set(),
        ModelVendor::Gemini => settings.gemini.is_set(),
    }
}

/// The vendor's model of the settings.
fn own_of(vendor: ModelVendor, settings: &Settings) -> ModelName {
    let model = match vendor {
        ModelVendor::OpenAi => &settings.openai.model,
        ModelVendor::Anthropic => &settings.anthropic.model,
        ModelVendor::Gemini => &settings.gemini.model,
    };
    ModelName { vendor, model: model.clone() }
}

/// The models of the vendors that are set; the first is the one of bots that name none which is here.
pub(super) fn own(settings: &Settings) -> impl Iterator<Item = ModelName> + '_ {
    ModelVendor::ALL.into_iter().filter(|vendor| is_set(*vendor, settings)).map(|vendor| own_of(vendor, settings))
}

/// The accounts of this node: one of each vendor, at one address.
pub(super) struct Accounts {
    client: Client,
    settings: Settings,
    spending: Arc<Spending>,
    openai: Arc<Places>,
    anthropic: Arc<Places>,
    gemini: Arc<Places>,
    /// One of each model, so that whatever one chain learns of its health all others know. Bots bound their number.
    models: DashMap<ModelName, Guarded>,
}

impl Accounts {
    pub(super) fn new(settings: &Settings, client: Client, spending: Arc<Spending>) -> Self {
        let places = |most: u32| Places::new(usize::try_from(most).unwrap_or(usize::MAX));
        Self {
            client,
            settings: settings.clone(),
            spending,
            openai: places(settings.openai.max_concurrent),
            anthropic: places(settings.anthropic.max_concurrent),
            gemini: places(settings.gemini.max_concurrent),
            models: DashMap::new(),
        }
    }

    fn places(&self, vendor: ModelVendor) -> Arc<Places> {
        Arc::clone(match vendor {
            ModelVendor::OpenAi => &self.openai,
            ModelVendor::Anthropic => &self.anthropic,
            ModelVendor::Gemini => &self.gemini,
        })
    }

    pub(super) fn is_set(&self, vendor: ModelVendor) -> bool {
        is_set(vendor, &self.settings)
    }

    pub(super) fn address(&self, vendor: ModelVendor) -> &str {
        match vendor {
            ModelVendor::OpenAi => &self.settings.openai.base_url,
            ModelVendor::Anthropic => &self.settings.anthropic.base_url,
            ModelVendor::Gemini => &self.settings.gemini.base_url,
        }
    }

    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When a vendor's key, address or model can never be used.
    pub(super) fn open(&self, name: &ModelName) -> Result<Guarded, SetupError> {
        if let Some(known) = self.models.get(name) {
            return Ok(known.clone());
        }
        let metered = Arc::new(Metered::new(self.client(name)?, Arc::clone(&self.spending)));
        let guarded = Guarded::new(metered, self.places(name.vendor));
        // Who was quicker made the one that all share.
        Ok(self.models.entry(name.clone()).or_insert(guarded).clone())
    }

    fn client(&self, name: &ModelName) -> Result<Arc<dyn LanguageModel>, SetupError> {
        let (client, base_url) = (self.client.clone(), self.address(name.vendor).to_owned());
        let limits = Limits { first: self.settings.models.first_token(), ..Limits::default() };
        let model = name.model.clone();
        Ok(match name.vendor {
            ModelVendor::OpenAi => {
                let key = self.settings.openai.api_key.value();
                Arc::new(OpenAi::new(client, OpenAiConfig { base_url, key, model, limits })?)
            }
            ModelVendor::Anthropic => {
                let key = self.settings.anthropic.api_key.value();
                Arc::new(Anthropic::new(client, AnthropicConfig { base_url, key, model, limits })?)
            }
            ModelVendor::Gemini => {
                let key = self.settings.gemini.api_key.value();
                Arc::new(Gemini::new(client, GeminiConfig { base_url, key, model, limits })?)
            }
        })
    }
}
