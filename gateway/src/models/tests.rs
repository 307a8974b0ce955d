//! Which models a bot gets, over real sockets to vendors that do as they are told.

use futures_util::StreamExt as _;
use serde_json::json;
use tandem_models::{Completion, ModelEvent};
use tandem_test_vendors::{FakeVendor, Script};

use super::*;

fn bot(llm: &str) -> BotConfig {
    serde_json::from_str(&format!(r#"{{"llm_config": {llm}}}"#)).unwrap()
}

/// An OpenAI that says this.
fn openai(text: &str) -> Script {
    let delta = json!({ "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }] });
    let stop = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 1000, "completion_tokens": 100 } });
    Script::events([delta.to_string(), stop.to_string(), usage.to_string(), "[DONE]".to_owned()])
}

/// A Gemini that says this.
fn gemini(text: &str) -> Script {
    let candidate = json!({ "content": { "parts": [{ "text": text }], "role": "model" }, "finishReason": "STOP" });
    Script::events([json!({ "candidates": [candidate] }).to_string()])
}

/// All that a model says.
async fn said(model: &dyn LanguageModel) -> String {
    let events: Vec<_> = model.complete(Completion::default()).collect().await;
    let text = events.iter().filter_map(|event| match event {
        ModelEvent::Text { text } => Some(text.reveal().as_str()),
        _ => None,
    });
    text.collect()
}

#[tokio::test]
async fn the_fallback_answers_where_the_model_fails() {
    let first = FakeVendor::start([Script::status(401, "{}")]).unwrap();
    let second = FakeVendor::start([gemini("From nine.")]).unwrap();
    let mut settings = Settings::default();
    settings.openai.base_url = first.url("/v1");
    settings.gemini.base_url = second.url("");
    let models = Models::open(&settings).unwrap();
    let config =
        bot(r#"{"provider": "openai", "model": "gpt-4o", "fallback": {"provider": "google", "model": "gemini-x"}}"#);
    assert_eq!(said(&*models.of(&config).unwrap()).await, "From nine.");
    let asked: serde_json::Value = serde_json::from_str(&first.asked()[0].body).unwrap();
    assert_eq!(asked["model"], "gpt-4o");
    assert_eq!(second.asked()[0].path, "/v1beta/models/gemini-x:streamGenerateContent?alt=sse");
}

#[tokio::test]
async fn who_names_nobody_that_is_here_gets_the_first_that_is_set() {
    let mut settings = Settings::default();
    assert!(Models::open(&settings).unwrap().of(&BotConfig::default()).is_none());
    settings.gemini.api_key = toml::Value::from("k").try_into().unwrap();
    let name = |settings: &Settings, llm: &str| {
        Models::open(settings).unwrap().of(&bot(llm)).map(|model| model.name().to_owned()).unwrap()
    };
    let claude = r#"{"provider": "anthropic", "model": "claude-x"}"#;
    assert_eq!(name(&settings, claude), "gemini gemini-2.5-flash");
    settings.anthropic.api_key = toml::Value::from("k").try_into().unwrap();
    assert_eq!(name(&settings, claude), "anthropic claude-x");
    let parrot = r#"{"provider": "parrot", "model": "p", "fallback": {"provider": "gemini", "model": "g"}}"#;
    assert_eq!(name(&settings, parrot), "gemini g", "a fallback that is here answers alone");
    assert_eq!(name(&settings, r#"{"provider": "parrot", "model": "p"}"#), "anthropic claude-haiku-4-5");
    let info = Models::open(&settings).unwrap().info();
    assert_eq!(info.quality, "at https://api.anthropic.com; also gemini");
}

#[test]
fn vendors_that_are_named_and_not_set_are_told() {
    let seed = bot(r#"{"provider": "openai", "model": "gpt-4o", "fallback": {"provider": "anthropic", "model": "c"}}"#);
    let mut settings = Settings::default();
    let places = [("/llm_config/provider", "openai"), ("/llm_config/fallback/provider", "anthropic")];
    assert_eq!(unset(&seed, &settings), places);
    settings.openai.base_url = "http://127.0.0.1:9/v1".to_owned();
    assert_eq!(unset(&seed, &settings), places[1..]);
}
