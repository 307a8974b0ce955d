//! Which models answer, and what they may cost.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tandem_contract::bot::ModelName;
use tandem_models::budget::{Budget, Period};
use tandem_models::price::{Microdollars, Price};
use tandem_models::resilient;
use thiserror::Error;

/// Tiers of models, kept answers, prices and budgets. A bot whose `llm_config.provider` is `tier` gets the tier that `llm_config.model`
/// names, and one that names no model gets `balanced`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsSettings {
    /// Models as `vendor/model`, commas between, in the order in which they are asked: `openai/gpt-4.1-nano,
    /// gemini/gemini-2.5-flash-lite`. They also answer for every bot whose budget is nearly spent.
    #[schemars(with = "String")]
    pub cheap: Listed<ModelName>,
    /// The same. Empty: the model of the first of `[openai]`, `[anthropic]`, `[gemini]` that is set.
    #[schemars(with = "String")]
    pub balanced: Listed<ModelName>,
    /// The same. Empty: as `balanced`.
    #[schemars(with = "String")]
    pub premium: Listed<ModelName>,
    /// Milliseconds in which a model has to begin its answer (thoughts count), or it has failed, 2000 to 15000; half as long, and at most
    /// 4000, where another that is well stands behind it, in its tier or as a bot's `fallback`, and is asked then.
    pub first_token_ms: u32,
    /// Whether an answer that was asked for with `temperature` 0 and called no tool is kept, for who asks exactly the same.
    pub cache: bool,
    /// How long it is kept.
    pub cache_minutes: u32,
    /// Prices in US dollars per million tokens (input, cached input, output) in place of the published ones, commas between:
    /// `openai/llama3.2=0.10/0.01/0.40`. Models without a price cost nothing and no budget ends by them: `tandem check` names them
    /// where a budget is set, and the metric `tandem_model_unpriced_tokens_total` counts their tokens.
    #[schemars(with = "String")]
    pub prices: Listed<ModelPrice>,
    /// When the account of what all bots' models cost together begins anew, UTC. Accounts are kept in `spending.json` of the
    /// data folder. A bot's own budget is in `limits` of its config.
    pub budget_period: BudgetPeriod,
    /// US dollars after which the log has a warning. 0: never.
    pub budget_alert_usd: f64,
    /// US dollars after which the models of `cheap` answer. 0: never.
    pub budget_throttle_usd: f64,
    /// US dollars after which no model answers, and callers hear an apology. 0: never.
    pub budget_stop_usd: f64,
    /// US dollars after which no model answers in one conversation. 0: never.
    pub session_stop_usd: f64,
}

impl Default for ModelsSettings {
    fn default() -> Self {
        Self {
            cheap: Listed::default(),
            balanced: Listed::default(),
            premium: Listed::default(),
            // A caller who hears nothing for eight seconds hangs up.
            first_token_ms: 8_000,
            cache: false,
            cache_minutes: 60,
            prices: Listed::default(),
            budget_period: BudgetPeriod::default(),
            budget_alert_usd: 0.0,
            budget_throttle_usd: 0.0,
            budget_stop_usd: 0.0,
            session_stop_usd: 0.0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BudgetPeriod {
    Day,
    #[default]
    Month,
}

impl ModelsSettings {
    pub fn first_token(&self) -> Duration {
        Duration::from_millis(self.first_token_ms.into())
    }

    /// How long a model may say nothing that has another behind it.
    pub fn hand_over(&self) -> Duration {
        resilient::hand_over(self.first_token())
    }

    /// Of the organization.
    pub fn budget(&self) -> Budget {
        let period = match self.budget_period {
            BudgetPeriod::Day => Period::Day,
            BudgetPeriod::Month => Period::Month,
        };
        let [alert, throttle, stop] =
            [self.budget_alert_usd, self.budget_throttle_usd, self.budget_stop_usd].map(limit);
        Budget { period, alert, throttle, stop }
    }

    /// Of one conversation.
    pub fn session_budget(&self) -> Budget {
        Budget { period: Period::Session, stop: limit(self.session_stop_usd), ..Budget::default() }
    }
}

fn limit(dollars: f64) -> Option<Microdollars> {
    (dollars > 0.0).then(|| micro(dollars))
}

/// The cast saturates: what is beyond it is no limit either.
pub fn micro(dollars: f64) -> Microdollars {
    Microdollars((dollars * 1e6).round() as u64)
}

/// A model and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPrice {
    pub model: ModelName,
    pub price: Price,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no price; a model and three amounts are wanted, such as openai/llama3.2=0.10/0.01/0.40")]
pub struct NoPrice(String);

impl FromStr for ModelPrice {
    type Err = NoPrice;

    fn from_str(text: &str) -> Result<Self, NoPrice> {
        let bad = || NoPrice(text.to_owned());
        let (model, amounts) = text.split_once('=').ok_or_else(bad)?;
        let amount = |text: &str| text.trim().parse().ok().filter(|dollars: &f64| (0.0..1e6).contains(dollars));
        let amounts: Vec<f64> = amounts.split('/').map_while(amount).collect();
        let [input, cached_input, output] = amounts[..] else { return Err(bad()) };
        let price = Price { input: micro(input), cached_input: micro(cached_input), output: micro(output) };
        Ok(Self { model: model.parse().map_err(|_| bad())?, price })
    }
}

impl fmt::Display for ModelPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Price { input, cached_input, output } = self.price;
        let [input, cached, output] = [input, cached_input, output].map(|price| price.0 as f64 / 1e6);
        write!(f, "{}={input}/{cached}/{output}", self.model)
    }
}

/// Several of a kind: a text with commas between them, so that a variable can hold it, or a list of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T>(pub Vec<T>);

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: fmt::Display> Serialize for Listed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts: Vec<String> = self.0.iter().map(T::to_string).collect();
        serializer.serialize_str(&texts.join(", "))
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a text with commas, or a list of texts, is wanted")]
        enum Form {
            Text(String),
            List(Vec<String>),
        }
        let texts = match Form::deserialize(deserializer)? {
            Form::Text(text) => text.split(',').map(str::to_owned).collect(),
            Form::List(list) => list,
        };
        let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
        texts.map(|text| text.parse().map_err(D::Error::custom)).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<ModelsSettings, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn lists_are_texts_or_lists_and_are_written_as_texts() {
        let text = settings("cheap = 'openai/a, google/b'\nprices = 'openai/a=0.1/0.01/0.4'").unwrap();
        let list = settings("cheap = ['openai/a', 'gemini/b']\nprices = ['openai/a=0.10/0.01/0.40']").unwrap();
        assert_eq!(text, list);
        let written = serde_json::to_value(&text).unwrap();
        assert_eq!(
            (&written["cheap"], &written["prices"]),
            (&"openai/a, gemini/b".into(), &"openai/a=0.1/0.01/0.4".into())
        );
        assert_eq!(text.prices.0[0].price.input, Microdollars(100_000));
    }

    #[test]
    fn what_is_no_model_and_no_price_is_told() {
        for (text, why) in [
            ("cheap = 'gpt-4'", "\"gpt-4\" is no model"),
            ("cheap = 7", "a text with commas"),
            ("prices = 'openai/a=1/2'", "is no price"),
            ("prices = 'openai/a=1/2/x'", "is no price"),
            ("prices = 'openai/a=1/2/-3'", "is no price"),
            ("prices = 'a=1/2/3'", "is no price"),
        ] {
            let error = settings(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_is_no_limit() {
        let settings = ModelsSettings { budget_stop_usd: 2.5, ..ModelsSettings::default() };
        let stop = Some(Microdollars(2_500_000));
        assert_eq!(settings.budget(), Budget { period: Period::Month, stop, ..Budget::default() });
        assert_eq!(settings.session_budget(), Budget { period: Period::Session, ..Budget::default() });
    }
}
