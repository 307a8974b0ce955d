//! The language models of this node: which are reached with the keys at hand, and which of them a bot gets.

pub mod budgets;
mod costs;
pub mod local;
mod vendors;

use std::sync::Arc;

use anyhow::Context as _;
use dashmap::DashMap;
use tandem_contract::SessionId;
use tandem_contract::bot::{BotConfig, ModelName, ModelVendor};
use tandem_contract::call::Accept;
use tandem_models::route::{Chains, Routed, Tiers};
use tandem_models::{LanguageModel, SetupError, client_builder};
use tandem_speech::EngineInfo;
use tracing::warn;

use self::costs::{Alerts, Costs};
use self::vendors::Accounts;
use crate::settings::{ModelsSettings, Settings};

/// The models that bots have asked for. Each keeps its connections and its health, whoever asks it.
pub struct Models {
    accounts: Accounts,
    /// The model of bots that name none which is here: of the first vendor that is set.
    own: Option<ModelName>,
    /// The models of each tier.
    listed: ModelsSettings,
    /// By the models that a bot names itself; none: the node's. Bots bound their number.
    tiers: DashMap<Vec<ModelName>, Arc<Tiers>>,
    pub costs: Costs,
}

impl Models {
    /// And where its budgets' alerts come out. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When a vendor's key or address can never be sent, or a tier names a model that nobody can be asked for.
    pub fn open(settings: &Settings) -> anyhow::Result<(Self, Alerts)> {
        let client = client_builder().build().context("no HTTP client can be made")?;
        let (costs, alerts) = Costs::open(settings);
        let accounts = Accounts::new(settings, client, Arc::clone(&costs.spending));
        for own in vendors::own(settings) {
            accounts.open(&own).with_context(|| format!("[{}]", own.vendor.as_str()))?;
        }
        let own = vendors::own(settings).next();
        let listed = settings.models.clone();
        for name in [&listed.cheap, &listed.balanced, &listed.premium].into_iter().flat_map(|tier| &tier.0) {
            let section = name.vendor.as_str();
            anyhow::ensure!(accounts.is_set(name.vendor), "[models] names {name}, and [{section}] has no api_key");
            accounts.open(name).with_context(|| format!("[models] names {name}"))?;
        }
        Ok((Self { accounts, own, listed, tiers: DashMap::new(), costs }, alerts))
    }

    /// Whether somebody answers for this bot.
    pub fn answer_for(&self, config: &BotConfig) -> bool {
        self.tiers(config).is_some()
    }

    /// A session of this bot is about to begin: opens the way to its model, which nobody waits for. Inside a runtime.
    pub fn warm(&self, config: &BotConfig) {
        if config.asks_a_model()
            && let Some(tiers) = self.tiers(config)
        {
            tiers.of(config.tier().unwrap_or_default()).warm();
        }
    }

    /// The model of one session: the bot's own and then its fallback, as far as their vendors are here, else the node's of the
    /// tier that it wants. Its budget, and those of its bot and its organization, are in force.
    pub fn session(&self, accept: &Accept, session: SessionId) -> Option<Arc<dyn LanguageModel>> {
        let tiers = self.tiers(&accept.config)?;
        let payer = self.costs.payer(accept, session);
        let wanted = accept.config.tier().unwrap_or_default();
        let spending = Arc::clone(&self.costs.spending);
        Some(Arc::new(Routed::new(tiers, spending, payer, wanted, self.costs.session)))
    }

    fn tiers(&self, config: &BotConfig) -> Option<Arc<Tiers>> {
        let names: Vec<_> = config.models().filter(|name| self.accounts.is_set(name.vendor)).collect();
        if let Some(tiers) = self.tiers.get(&names) {
            return Some(Arc::clone(&tiers));
        }
        let chains = self.chains(&names).inspect_err(|error| warn!(?names, %error, "a model cannot be asked")).ok()?;
        let tiers = Arc::new(Tiers::new(chains, self.listed.hand_over(), self.costs.cache.as_ref())?);
        self.tiers.insert(names, Arc::clone(&tiers));
        Some(tiers)
    }

    /// A bot that names models gets these; the node's cheap ones answer where its budget is nearly spent.
    fn chains(&self, names: &[ModelName]) -> Result<Chains, SetupError> {
        let open = |names: &[ModelName]| names.iter().map(|name| self.accounts.open(name)).collect::<Result<_, _>>();
        let cheap = open(&self.listed.cheap.0)?;
        if !names.is_empty() {
            return Ok(Chains { cheap, balanced: open(names)?, premium: Vec::new() });
        }
        let balanced = match self.listed.balanced.0.as_slice() {
            [] => open(self.own.as_slice())?,
            listed => open(listed)?,
        };
        Ok(Chains { cheap, balanced, premium: open(&self.listed.premium.0)? })
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

/// Whether there is a language model at all.
pub fn any_is_set(settings: &Settings) -> bool {
    ModelVendor::ALL.into_iter().any(|vendor| vendors::is_set(vendor, settings))
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
