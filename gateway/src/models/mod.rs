//! The language models of this node: which are reached with the keys at hand, and which of them a bot gets.

mod vendors;

use std::sync::Arc;

use anyhow::Context as _;
use dashmap::DashMap;
use tandem_contract::bot::{BotConfig, ModelName, ModelVendor};
use tandem_models::resilient::Resilient;
use tandem_models::{LanguageModel, SetupError, client_builder};
use tandem_speech::EngineInfo;
use tracing::warn;

use self::vendors::Accounts;
use crate::settings::Settings;

/// The models that bots have asked for. Each chain keeps its connections and its breakers, whoever asks it.
pub struct Models {
    accounts: Accounts,
    /// The model of bots that name none which is here: of the first vendor that is set.
    own: Option<ModelName>,
    /// Bots bound their number.
    chains: DashMap<Vec<ModelName>, Arc<Resilient>>,
}

impl Models {
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When a vendor's key or address can never be sent.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        let client = client_builder().build().context("no HTTP client can be made")?;
        let accounts = Accounts::new(settings, client);
        let set = || ModelVendor::ALL.into_iter().filter(|vendor| accounts.is_set(*vendor));
        for vendor in set() {
            accounts.open(&accounts.own(vendor)).with_context(|| format!("[{}]", vendor.as_str()))?;
        }
        let own = set().next().map(|vendor| accounts.own(vendor));
        Ok(Self { accounts, own, chains: DashMap::new() })
    }

    /// The model that this bot asks: its own and then its fallback, as far as their vendors are here, else the node's.
    pub fn of(&self, config: &BotConfig) -> Option<Arc<dyn LanguageModel>> {
        let mut names: Vec<_> = config.models().filter(|name| self.accounts.is_set(name.vendor)).collect();
        if names.is_empty() {
            names.push(self.own.clone()?);
        }
        match self.chain(&names) {
            Ok(chain) => Some(chain),
            Err(error) => {
                warn!(model = %names[0], %error, "a model cannot be asked");
                None
            }
        }
    }

    fn chain(&self, names: &[ModelName]) -> Result<Arc<Resilient>, SetupError> {
        if let Some(chain) = self.chains.get(names) {
            return Ok(Arc::clone(&chain));
        }
        let mut models = names.iter().map(|name| self.accounts.open(name)).collect::<Result<Vec<_>, _>>()?;
        let chain = Arc::new(Resilient::new(models.remove(0), models));
        self.chains.insert(names.to_vec(), Arc::clone(&chain));
        Ok(chain)
    }

    /// For the start page: the node's own model, and who else is there.
    pub fn info(&self) -> EngineInfo {
        let Some(own) = &self.own else {
            return EngineInfo { name: "none".into(), quality: "flow agent".into() };
        };
        let others =
            ModelVendor::ALL.into_iter().filter(|vendor| *vendor != own.vendor && self.accounts.is_set(*vendor));
        let others: Vec<_> = others.map(ModelVendor::as_str).collect();
        let also = if others.is_empty() { String::new() } else { format!("; also {}", others.join(", ")) };
        EngineInfo { name: own.model.clone(), quality: format!("at {}{also}", self.accounts.address(own.vendor)) }
    }
}

/// Places of a bot's file that name a vendor which is not set here, and the vendor.
pub fn unset(config: &BotConfig, settings: &Settings) -> Vec<(&'static str, &'static str)> {
    let named = config.llm_config.as_ref().filter(|_| config.asks_a_model());
    let first = named.map(|llm| ("/llm_config/provider", &llm.provider));
    let second = named.and_then(|llm| llm.fallback.as_ref());
    let second = second.map(|llm| ("/llm_config/fallback/provider", &llm.provider));
    let vendors =
        first.into_iter().chain(second).filter_map(|(place, name)| Some((place, ModelVendor::from_name(name)?)));
    vendors
        .filter(|(_, vendor)| !vendors::is_set(*vendor, settings))
        .map(|(place, vendor)| (place, vendor.as_str()))
        .collect()
}

#[cfg(test)]
mod tests;
