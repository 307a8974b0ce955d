//! Which language models answer for a bot, from `llm_config`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::BotConfig;

/// Who answers for a bot over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelVendor {
    /// Also any server that speaks like it.
    OpenAi,
    Anthropic,
    Gemini,
}

/// `llm_config.provider` of a bot that leaves the choice to its node: `llm_config.model` is then the name of a [`Tier`].
pub const TIER: &str = "tier";

/// A model of a vendor's: `openai/gpt-4.1-mini`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelName {
    pub vendor: ModelVendor,
    pub model: String,
}

/// How good a model a bot wants of those that its node lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    Cheap,
    #[default]
    Balanced,
    Premium,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is no model: a vendor (openai, anthropic, gemini), a slash and its model are wanted, such as openai/gpt-4.1-mini"
)]
pub struct NoModelName(String);

impl ModelVendor {
    /// The order in which a node's own model is looked for among the vendors that are set.
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Gemini];

    /// As `llm_config.provider` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// `google` is Gemini.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "google" => Some(Self::Gemini),
            name => Self::ALL.into_iter().find(|vendor| vendor.as_str() == name),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vendor.as_str(), self.model)
    }
}

impl FromStr for ModelName {
    type Err = NoModelName;

    /// The name of a model may hold slashes of its own.
    fn from_str(text: &str) -> Result<Self, NoModelName> {
        let parts = text.trim().split_once('/').filter(|(_, model)| !model.trim().is_empty());
        let named = parts.and_then(|(vendor, model)| {
            Some(Self { vendor: ModelVendor::from_name(vendor.trim())?, model: model.trim().to_owned() })
        });
        named.ok_or_else(|| NoModelName(text.to_owned()))
    }
}

impl Tier {
    pub const ALL: [Self; 3] = [Self::Cheap, Self::Balanced, Self::Premium];

    /// As metrics say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cheap => "cheap",
            Self::Balanced => "balanced",
            Self::Premium => "premium",
        }
    }
}

impl BotConfig {
    /// The models that it names, in the order in which they are asked: `llm_config`, then its `fallback`. Vendors that nobody
    /// knows are left out.
    pub fn models(&self) -> impl Iterator<Item = ModelName> + '_ {
        let named = self.llm_config.as_ref();
        let first = named.map(|llm| (&llm.provider, &llm.model));
        let second = named.and_then(|llm| llm.fallback.as_ref()).map(|llm| (&llm.provider, &llm.model));
        first.into_iter().chain(second).filter_map(|(provider, model)| {
            Some(ModelName { vendor: ModelVendor::from_name(provider)?, model: model.clone() })
        })
    }
}

impl BotConfig {
    /// What it wants of the node's models, if it leaves the choice to the node.
    pub fn tier(&self) -> Option<Tier> {
        let named = self.llm_config.as_ref().filter(|llm| llm.provider.eq_ignore_ascii_case(TIER))?;
        Tier::ALL.into_iter().find(|tier| named.model.eq_ignore_ascii_case(tier.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(llm: &str) -> Vec<String> {
        let config: BotConfig = serde_json::from_str(&format!(r#"{{"llm_config": {llm}}}"#)).unwrap();
        config.models().map(|model| model.to_string()).collect()
    }

    #[test]
    fn the_fallback_comes_after_the_model_and_an_unknown_vendor_is_nobody() {
        let both = r#"{"provider": "Google", "model": "gemini-3.8-flash",
                       "fallback": {"provider": "openai", "model": "gpt-5-mini"}}"#;
        assert_eq!(models(both), ["gemini/gemini-3.8-flash", "openai/gpt-5-mini"]);
        assert!(models(r#"{"provider": "parrot", "model": "x"}"#).is_empty());
    }

    #[test]
    fn a_tier_is_no_vendor() {
        let config = |model: &str| -> BotConfig {
            serde_json::from_str(&format!(r#"{{"llm_config": {{"provider": "tier", "model": "{model}"}}}}"#)).unwrap()
        };
        assert_eq!((config("Premium").models().count(), config("Premium").tier()), (0, Some(Tier::Premium)));
        assert_eq!(config("best").tier(), None);
    }

    #[test]
    fn a_model_is_read_as_it_is_written() {
        for text in ["openai/gpt-4.1-mini", "anthropic/claude-haiku-4-5", "openai/meta/llama-3"] {
            assert_eq!(text.parse::<ModelName>().unwrap().to_string(), text);
        }
        for text in ["", "gpt-4.1-mini", "openai/", "parrot/x"] {
            let error = text.parse::<ModelName>().unwrap_err().to_string();
            assert!(error.contains("such as openai/gpt-4.1-mini"), "{error}");
        }
    }
}
