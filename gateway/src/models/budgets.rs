//! Budgets that would do nothing: said before somebody counts on them, by `tandem check` and at the start of a node.

use std::collections::HashSet;

use tandem_check::{Finding, Severity};
use tandem_contract::bot::{BotConfig, ModelName, Tier};

use super::{costs, vendors};
use crate::settings::Settings;

/// What the budgets of the node itself cannot do.
pub fn idle(settings: &Settings) -> Vec<String> {
    let models = &settings.models;
    let budget = models.budget();
    let mut told = Vec::new();
    if has_budget(settings) {
        told.extend(unpriced(node_models(settings), settings));
    }
    if budget.throttle.is_some() && models.cheap.0.is_empty() && vendors::own(settings).next().is_some() {
        told.push(
            "models.budget_throttle_usd is set and models.cheap is empty: the models of balanced go on answering, and \
             answer in place of premium ones"
                .into(),
        );
    }
    told
}

fn has_budget(settings: &Settings) -> bool {
    let (budget, session) = (settings.models.budget(), settings.models.session_budget());
    [budget.alert, budget.throttle, budget.stop, session.stop].iter().any(Option::is_some)
}

/// What budgets cannot do where this bot is answered: its own, and the node's where it names a model.
pub fn idle_of(config: &BotConfig, settings: &Settings) -> Vec<Finding> {
    let limits = &config.limits;
    let named: Vec<_> = config.models().filter(|name| vendors::is_set(name.vendor, settings)).collect();
    let own = match (&limits.budget_usd_per_day, &limits.budget_usd_per_month) {
        (Some(_), _) => Some("/limits/budget_usd_per_day"),
        (None, Some(_)) => Some("/limits/budget_usd_per_month"),
        (None, None) => None,
    };
    let cheap = settings.models.cheap.0.as_slice();
    let (pointer, models) = match own {
        _ if !config.asks_a_model() => return Vec::new(),
        Some(own) if named.is_empty() => (own, node_models(settings)),
        Some(own) => (own, named.into_iter().chain(cheap.iter().cloned()).collect()),
        // Of the models that it does not name the node tells itself.
        None if has_budget(settings) => ("/llm_config", named),
        None => return Vec::new(),
    };
    if models.is_empty() {
        return Vec::new();
    }
    let mut told = unpriced(models, settings);
    let is_premium = config.tier() == Some(Tier::Premium) && !settings.models.premium.0.is_empty();
    if own.is_some() && cheap.is_empty() && !is_premium {
        told.push("models.cheap is empty on this node: the same models answer from 90 % on, until all is spent".into());
    }
    let warning = |message| Finding { severity: Severity::Warning, pointer: pointer.to_owned(), message };
    told.into_iter().map(warning).collect()
}

/// All that may answer for a bot that names none.
fn node_models(settings: &Settings) -> Vec<ModelName> {
    let models = &settings.models;
    let own = vendors::own(settings).next().filter(|_| models.balanced.0.is_empty());
    let listed = [&models.cheap, &models.balanced, &models.premium].into_iter().flat_map(|tier| tier.0.iter().cloned());
    own.into_iter().chain(listed).collect()
}

/// Each once.
fn unpriced(mut models: Vec<ModelName>, settings: &Settings) -> Vec<String> {
    let mut seen = HashSet::new();
    models.retain(|name| seen.insert(name.clone()));
    let prices = costs::prices(settings);
    let has_none = |name: &ModelName| prices.of(&costs::priced_as(name)).is_none();
    let told = |name: ModelName| {
        format!(
            "{name} has no price: its answers cost nothing, and no budget ever ends by them; set models.prices to \
             \"{name}=INPUT/CACHED/OUTPUT\", US dollars per million tokens"
        )
    };
    models.into_iter().filter(has_none).map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(models: &str) -> Settings {
        toml::from_str(&format!("[openai]\napi_key = 'k'\nmodel = 'llama3.2'\n[models]\n{models}")).unwrap()
    }

    #[test]
    fn a_budget_that_nothing_is_charged_to_is_told_and_one_that_works_is_not() {
        let budget = "budget_stop_usd = 5\n";
        let told = idle(&settings(budget));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("openai/llama3.2 has no price: its answers cost nothing"), "{told:?}");
        assert!(told[0].contains("models.prices to \"openai/llama3.2=INPUT/CACHED/OUTPUT\""), "{told:?}");
        assert_eq!(idle(&settings("session_stop_usd = 1\ncheap = 'openai/gpt-4.1-nano, openai/x, openai/x'")).len(), 2);
        for works in [
            "",
            "budget_stop_usd = 5\nprices = 'openai/llama3.2=0/0/0'",
            "budget_stop_usd = 5\nbalanced = 'openai/gpt-4.1-mini'",
        ] {
            assert_eq!(idle(&settings(works)), Vec::<String>::new(), "{works}");
        }
        assert_eq!(idle(&toml::from_str("[models]\nbudget_stop_usd = 5").unwrap()), Vec::<String>::new(), "no model");
    }

    #[test]
    fn a_throttle_without_a_cheaper_model_is_told() {
        let priced = "budget_throttle_usd = 4\nbalanced = 'openai/gpt-4.1-mini'\n";
        let told = idle(&settings(priced));
        assert!(told.len() == 1 && told[0].contains("models.cheap is empty: the models of balanced go on"), "{told:?}");
        assert_eq!(idle(&settings(&format!("{priced}cheap = 'openai/gpt-4.1-nano'"))), Vec::<String>::new());
    }

    #[test]
    fn the_same_is_told_of_a_bot_with_a_budget_of_its_own() {
        let bot = |limits: &str, llm: &str| -> BotConfig {
            let limits = format!(r#""limits": {{{limits}}}, "system_prompt": {{"role": "a clinic"}}"#);
            serde_json::from_str(&format!(r#"{{{limits}, "llm_config": {llm}}}"#)).unwrap()
        };
        let (day, known) = (r#""budget_usd_per_day": 2"#, r#"{"provider": "openai", "model": "gpt-4.1"}"#);
        let told = |limits: &str, llm: &str, models: &str| -> Vec<(String, String)> {
            let found = idle_of(&bot(limits, llm), &settings(models));
            found.into_iter().map(|finding| (finding.pointer, finding.message)).collect()
        };
        let of_llama = told(day, r#"{"provider": "openai", "model": "llama4"}"#, "cheap = 'openai/gpt-4.1-nano'");
        assert!(of_llama.len() == 1 && of_llama[0].1.starts_with("openai/llama4 has no price"), "{of_llama:?}");
        let no_cheap = told(r#""budget_usd_per_month": 9"#, known, "");
        assert_eq!(no_cheap[0].0, "/limits/budget_usd_per_month");
        assert!(no_cheap.len() == 1 && no_cheap[0].1.starts_with("models.cheap is empty"), "{no_cheap:?}");
        assert_eq!(told(day, known, "cheap = 'openai/gpt-4.1-nano'"), []);
        assert_eq!(told("", known, ""), [], "no budget");
        let cheap = told(day, known, "cheap = 'openai/small, openai/small'");
        assert!(cheap.len() == 1 && cheap[0].1.starts_with("openai/small has no price"), "{cheap:?}");
        let premium = r#"{"provider": "tier", "model": "premium"}"#;
        let balanced = "balanced = 'openai/gpt-4.1-mini'\n";
        assert_eq!(
            told(day, premium, &format!("{balanced}premium = 'openai/gpt-4.1'")),
            [],
            "balanced ones are cheaper"
        );
        assert_eq!(told(day, premium, balanced).len(), 1, "the same ones");
        assert_eq!(idle_of(&bot(day, known), &Settings::default()), [], "no model");
    }

    #[test]
    fn a_bot_whose_model_no_budget_of_the_node_ends_by_is_told() {
        let bot = |llm: &str| -> BotConfig {
            serde_json::from_str(&format!(r#"{{"system_prompt": {{"role": "a clinic"}}, "llm_config": {llm}}}"#))
                .unwrap()
        };
        let unpriced = bot(r#"{"provider": "openai", "model": "llama4"}"#);
        for budget in ["budget_stop_usd = 5", "session_stop_usd = 1", "budget_alert_usd = 1"] {
            let told = idle_of(&unpriced, &settings(budget));
            assert!(told.len() == 1 && told[0].pointer == "/llm_config", "{told:?}");
            assert!(told[0].message.starts_with("openai/llama4 has no price"), "{told:?}");
        }
        let priced = bot(r#"{"provider": "openai", "model": "gpt-4.1"}"#);
        assert_eq!(idle_of(&priced, &settings("budget_throttle_usd = 5")), []);
        assert_eq!(
            idle_of(&bot(r#"{"provider": "tier", "model": "cheap"}"#), &settings("budget_stop_usd = 5")),
            [],
            "the node tells"
        );
        assert_eq!(idle_of(&unpriced, &settings("")), [], "no budget");
    }
}
