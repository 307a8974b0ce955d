//! The language models of this node: which are reached with the keys at hand, and which of them a bot gets.

use std::sync::Arc;

use anyhow::Context as _;
use dashmap::DashMap;
use reqwest::Client;
use tandem_contract::bot::BotConfig;
use tandem_models::openai::{OpenAi, OpenAiConfig};
use tandem_models::resilient::Resilient;
use tandem_models::{LanguageModel, Limits, client_builder};
use tandem_speech::EngineInfo;
use tracing::warn;

use crate::settings::OpenAiSettings;

/// The vendor's name in `llm_config.provider`.
const OPENAI: &str = "openai";

/// The models that bots have asked for. Each keeps its connections and its breaker, whoever asks it.
pub struct Models {
    openai: Option<OpenAiVendor>,
}

struct OpenAiVendor {
    client: Client,
    settings: OpenAiSettings,
    models: DashMap<String, Arc<Resilient>>,
}

impl Models {
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When a vendor's key or address can never be sent.
    pub fn open(settings: &OpenAiSettings) -> anyhow::Result<Self> {
        if !settings.is_set() {
            return Ok(Self { openai: None });
        }
        let client = client_builder().build().context("no HTTP client can be made")?;
        let vendor = OpenAiVendor { client, settings: settings.clone(), models: DashMap::new() };
        vendor.model(&settings.model)?;
        Ok(Self { openai: Some(vendor) })
    }

    /// The model that this bot asks: its own, if it is of a vendor that is here, else the node's.
    pub fn of(&self, config: &BotConfig) -> Option<Arc<dyn LanguageModel>> {
        let vendor = self.openai.as_ref()?;
        let own = config.llm_config.as_ref().filter(|llm| llm.provider.eq_ignore_ascii_case(OPENAI));
        let name = own.map_or(vendor.settings.model.as_str(), |llm| llm.model.as_str());
        match vendor.model(name) {
            Ok(model) => Some(model),
            Err(error) => {
                warn!(model = name, %error, "a model cannot be asked");
                None
            }
        }
    }

    /// For the start page.
    pub fn info(&self) -> EngineInfo {
        match &self.openai {
            Some(OpenAiVendor { settings: OpenAiSettings { model, base_url, .. }, .. }) => {
                EngineInfo { name: model.clone(), quality: format!("at {base_url}") }
            }
            None => EngineInfo { name: "none".into(), quality: "flow agent".into() },
        }
    }
}

impl OpenAiVendor {
    fn model(&self, name: &str) -> anyhow::Result<Arc<Resilient>> {
        if let Some(model) = self.models.get(name) {
            return Ok(Arc::clone(&model));
        }
        let OpenAiSettings { base_url, api_key, .. } = &self.settings;
        let config = OpenAiConfig {
            base_url: base_url.clone(),
            key: api_key.value(),
            model: name.to_owned(),
            limits: Limits::default(),
        };
        let model = OpenAi::new(self.client.clone(), config)?;
        let model = Arc::new(Resilient::new(Arc::new(model), Vec::new()));
        self.models.insert(name.to_owned(), Arc::clone(&model));
        Ok(model)
    }
}
