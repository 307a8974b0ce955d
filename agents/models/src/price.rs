//! What a completion costs.
//!
//! Prices are the vendors' own, in US dollars per million tokens, without their discounts for batches and their surcharges
//! for long prompts (a conversation stays below 100,000 tokens) and for writing to a cache. A cost is rounded up to the
//! next millionth of a dollar.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Usage;

/// A millionth of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Microdollars(pub u64);

impl Microdollars {
    pub const fn from_dollars(dollars: u64) -> Self {
        Self(dollars.saturating_mul(MILLION))
    }

    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl fmt::Display for Microdollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}.{:06}", self.0 / MILLION, self.0 % MILLION)
    }
}

/// Microdollars of a dollar, and tokens that a price is for.
const MILLION: u64 = 1_000_000;

/// For a million tokens each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: Microdollars,
    /// Input that the vendor had cached.
    pub cached_input: Microdollars,
    /// Thoughts too.
    pub output: Microdollars,
}

impl Price {
    pub fn cost(&self, usage: &Usage) -> Microdollars {
        let cached = usage.cached_input.min(usage.input);
        let part = |tokens: u64, price: Microdollars| u128::from(tokens) * u128::from(price.0);
        let parts = part(usage.input - cached, self.input)
            .saturating_add(part(cached, self.cached_input))
            .saturating_add(part(usage.output, self.output));
        Microdollars(u64::try_from(parts.div_ceil(u128::from(MILLION))).unwrap_or(u64::MAX))
    }
}

/// Vendor and model, then thousandths of a dollar per million tokens: input, cached input, output.
type Published = (&'static str, u64, u64, u64);

/// Microdollars of a thousandth of a dollar.
const MILLI: u64 = 1_000;

/// <https://platform.claude.com/docs/en/about-claude/pricing>, October 2026.
const ANTHROPIC: [Published; 9] = [
    ("anthropic claude-haiku-4-5", 1_000, 100, 5_000),
    // Prompts of up to 100,000 tokens.
    ("anthropic claude-haiku-5-5", 100, 10, 500),
    ("anthropic claude-sonnet-4-5", 3_000, 300, 15_000),
    ("anthropic claude-sonnet-4-6", 3_000, 300, 15_000),
    ("anthropic claude-sonnet-5", 2_000, 200, 10_000),
    ("anthropic claude-sonnet-5-5", 2_000, 100, 10_000),
    ("anthropic claude-opus-4-8", 5_000, 500, 25_000),
    ("anthropic claude-opus-5", 5_000, 500, 25_000),
    ("anthropic claude-opus-5-5", 4_000, 200, 20_000),
];

/// <https://ai.google.dev/gemini-api/docs/pricing>, October 2026; cached input at a tenth of the input.
const GEMINI: [Published; 10] = [
    ("gemini gemini-2.5-flash-lite", 100, 10, 400),
    ("gemini gemini-2.5-flash", 300, 30, 2_500),
    // Prompts of up to 200,000 tokens, as of the other "pro".
    ("gemini gemini-2.5-pro", 1_250, 125, 10_000),
    ("gemini gemini-3.1-flash-lite", 250, 25, 1_500),
    ("gemini gemini-3.1-pro", 2_000, 200, 12_000),
    ("gemini gemini-3.5-flash-lite", 300, 30, 2_500),
    ("gemini gemini-3.5-flash", 1_500, 150, 9_000),
    // Until the end of 2026; twice as much from then on.
    ("gemini gemini-3.6-flash", 750, 75, 3_750),
    ("gemini gemini-3.7-flash", 750, 75, 3_750),
    ("gemini gemini-3.8-flash", 750, 75, 3_750),
];

/// <https://developers.openai.com/api/docs/pricing>, October 2026.
const OPENAI: [Published; 19] = [
    ("openai gpt-4o-mini", 150, 75, 600),
    ("openai gpt-4o", 2_500, 1_250, 10_000),
    ("openai gpt-4.1-nano", 100, 25, 400),
    ("openai gpt-4.1-mini", 400, 100, 1_600),
    ("openai gpt-4.1", 2_000, 500, 8_000),
    ("openai gpt-5-nano", 50, 5, 400),
    ("openai gpt-5-mini", 250, 25, 2_000),
    ("openai gpt-5", 1_250, 125, 10_000),
    ("openai gpt-5.4-nano", 200, 20, 1_250),
    ("openai gpt-5.4-mini", 750, 75, 4_500),
    ("openai gpt-5.4", 2_500, 250, 15_000),
    ("openai gpt-5.5", 5_000, 500, 30_000),
    ("openai gpt-5.6-luna", 200, 20, 1_200),
    ("openai gpt-5.6-terra", 2_000, 200, 12_000),
    ("openai gpt-6-luna", 100, 10, 500),
    ("openai gpt-6-sol", 2_000, 200, 10_000),
    ("openai gpt-6-astra", 10_000, 1_000, 50_000),
    ("openai gpt-6.1-terra", 1_000, 50, 5_000),
    ("openai gpt-6.1-sol", 2_000, 100, 10_000),
];

/// What follows the name of a model that has its price.
const VERSIONS: [&str; 3] = ["-latest", "-preview", "-20"];

/// The price of each model by its [`crate::LanguageModel::name`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceList(BTreeMap<String, Price>);

impl PriceList {
    /// As the vendors publish them.
    pub fn published() -> Self {
        let price = |&(model, input, cached_input, output): &Published| {
            let dollars = |milli: u64| Microdollars(milli * MILLI);
            let price = Price { input: dollars(input), cached_input: dollars(cached_input), output: dollars(output) };
            (model.to_owned(), price)
        };
        Self(ANTHROPIC.iter().chain(&GEMINI).chain(&OPENAI).map(price).collect())
    }

    /// With a price that takes the place of the published one.
    #[must_use]
    pub fn with(mut self, model: impl Into<String>, price: Price) -> Self {
        self.0.insert(model.into(), price);
        self
    }

    /// Also of a version of a model: `gpt-5-mini-2025-08-07` costs what `gpt-5-mini` does. None: nobody knows it, or it is a
    /// model of one's own that costs nothing.
    pub fn of(&self, model: &str) -> Option<Price> {
        let of_version = |known: &str| {
            let rest = model.strip_prefix(known)?;
            VERSIONS.iter().any(|version| rest.starts_with(version)).then_some(known.len())
        };
        let known = || self.0.iter().filter_map(|(known, price)| Some((of_version(known)?, *price)));
        self.0.get(model).copied().or_else(|| known().max_by_key(|(length, _)| *length).map(|(_, price)| price))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_what_the_vendor_bills() {
        let price = PriceList::published().of("openai gpt-5-mini").unwrap();
        let cost = |input, cached_input, output| price.cost(&Usage { input, cached_input, output }).0;
        assert_eq!(cost(1_000_000, 0, 0), 250_000);
        assert_eq!(cost(1_000_000, 1_000_000, 0), 25_000);
        assert_eq!(cost(2_000, 1_000, 500), 250 + 25 + 1_000);
        assert_eq!(cost(1, 0, 0), 1, "rounded up: a budget is never exceeded in silence");
        assert_eq!(cost(0, 5, 0), 0, "more cached than there was: a vendor's slip");
        assert_eq!(cost(u64::MAX, 0, u64::MAX), u64::MAX);
        assert_eq!(Microdollars(1_275).to_string(), "$0.001275");
    }

    #[test]
    fn versions_cost_what_their_model_does_and_other_models_do_not() {
        let list = PriceList::published();
        for (model, input) in [
            ("openai gpt-5-mini-2025-08-07", Some(250_000)),
            ("openai gpt-5-2025-08-07", Some(1_250_000)),
            ("anthropic claude-haiku-4-5-20251001", Some(1_000_000)),
            ("gemini gemini-3.1-pro-preview", Some(2_000_000)),
            ("openai gpt-5-pro", None),
            ("anthropic claude-opus-5-7", None),
            ("openai llama3.2", None),
        ] {
            assert_eq!(list.of(model).map(|price| price.input.0), input, "{model}");
        }
        let own = Price { input: Microdollars(7), cached_input: Microdollars(1), output: Microdollars(9) };
        assert_eq!(list.with("openai gpt-5", own).of("openai gpt-5"), Some(own));
    }
}
