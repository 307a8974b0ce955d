//! Which models a bot gets, over real sockets to vendors that do as they are told.

use futures_util::StreamExt as _;
use serde_json::json;
use tandem_contract::ports::CallLog as _;
use tandem_contract::record::{CallRecord, Cost};
use tandem_contract::{BotName, ConfigVersion, NodeId};
use tandem_models::{Completion, ModelError, ModelEvent};
use tandem_test_vendors::{FakeVendor, Script, Step};

use super::*;
use crate::store::calls::FileCalls;

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

fn accept(config: BotConfig) -> Accept {
    Accept { bot: BotName::new("reception").unwrap(), version: ConfigVersion(1), config: Arc::new(config) }
}

fn id() -> SessionId {
    SessionId::new(NodeId(1))
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
    let (models, _) = Models::open(&settings).unwrap();
    let config =
        bot(r#"{"provider": "openai", "model": "gpt-4o", "fallback": {"provider": "google", "model": "gemini-x"}}"#);
    assert_eq!(said(&*models.session(&accept(config), id()).unwrap()).await, "From nine.");
    let asked: serde_json::Value = serde_json::from_str(&first.asked()[0].body).unwrap();
    assert_eq!(asked["model"], "gpt-4o");
    assert_eq!(second.asked()[0].path, "/v1beta/models/gemini-x:streamGenerateContent?alt=sse");
}

#[tokio::test]
async fn what_one_bot_has_learnt_of_a_model_all_bots_know() {
    let (first, second) = (FakeVendor::start([Script::status(401, "{}")]).unwrap(), gemini("From nine."));
    let second = FakeVendor::start([second]).unwrap();
    let mut settings = Settings::default();
    settings.openai.base_url = first.url("/v1");
    settings.gemini.base_url = second.url("");
    let (models, _) = Models::open(&settings).unwrap();
    let named = |fallback: &str| {
        let fallback = format!(r#""fallback": {{"provider": "google", "model": "{fallback}"}}"#);
        accept(bot(&format!(r#"{{"provider": "openai", "model": "gpt-4o", {fallback}}}"#)))
    };
    for fallback in ["a", "a", "b", "b", "b", "a", "b", "c"] {
        assert_eq!(said(&*models.session(&named(fallback), id()).unwrap()).await, "From nine.");
    }
    assert_eq!(first.asked().len(), 5, "each has another chain, and the fifth failure is the last for all");
}

#[tokio::test]
async fn an_account_is_asked_no_more_at_once_than_it_may_be() {
    let delta = json!({ "choices": [{ "index": 0, "delta": { "content": "We" }, "finish_reason": null }] });
    let steps = vec![Step::event(&delta.to_string()), Step::Stall];
    let first = FakeVendor::start([Script::Stream { content_type: "text/event-stream", steps }]).unwrap();
    let second = FakeVendor::start([gemini("From nine.")]).unwrap();
    let mut settings = with_openai(&first, "max_concurrent = 1");
    settings.gemini.base_url = second.url("");
    let (models, _) = Models::open(&settings).unwrap();
    let model = |name: &str| {
        let fallback = r#""fallback": {"provider": "google", "model": "gemini-x"}"#;
        let llm = format!(r#"{{"provider": "openai", "model": "{name}", {fallback}}}"#);
        models.session(&accept(bot(&llm)), id()).unwrap()
    };
    let mut running = model("gpt-4o").complete(Completion::default());
    assert!(matches!(running.next().await, Some(ModelEvent::Text { .. })));
    assert_eq!(said(&*model("gpt-4.1")).await, "From nine.", "another model of the same account");
    assert_eq!(first.asked().len(), 1);
    drop(running);
    let mut next = model("gpt-4.1").complete(Completion::default());
    assert!(matches!(next.next().await, Some(ModelEvent::Text { .. })), "the place is free again");
}

#[tokio::test]
async fn who_names_nobody_that_is_here_gets_the_first_that_is_set() {
    let mut settings = Settings::default();
    assert!(!Models::open(&settings).unwrap().0.answer_for(&BotConfig::default()));
    settings.gemini.api_key = toml::Value::from("k").try_into().unwrap();
    let name = |settings: &Settings, llm: &str| {
        let model = Models::open(settings).unwrap().0.session(&accept(bot(llm)), id());
        model.map(|model| model.name().to_owned()).unwrap()
    };
    let claude = r#"{"provider": "anthropic", "model": "claude-x"}"#;
    assert_eq!(name(&settings, claude), "gemini gemini-2.5-flash");
    settings.anthropic.api_key = toml::Value::from("k").try_into().unwrap();
    assert_eq!(name(&settings, claude), "anthropic claude-x");
    let parrot = r#"{"provider": "parrot", "model": "p", "fallback": {"provider": "gemini", "model": "g"}}"#;
    assert_eq!(name(&settings, parrot), "gemini g", "a fallback that is here answers alone");
    assert_eq!(name(&settings, r#"{"provider": "parrot", "model": "p"}"#), "anthropic claude-haiku-4-5");
    let info = Models::open(&settings).unwrap().0.info();
    assert_eq!(info.quality, "at https://api.anthropic.com; also gemini");
}

/// Settings whose OpenAI is this vendor, and more.
fn with_openai(vendor: &FakeVendor, more: &str) -> Settings {
    toml::from_str(&format!("[openai]\nbase_url = '{}'\nmodel = 'own'\n{more}", vendor.url("/v1"))).unwrap()
}

/// The models that a vendor was asked for.
fn asked(vendor: &FakeVendor) -> Vec<String> {
    let model =
        |body: String| serde_json::from_str::<serde_json::Value>(&body).unwrap()["model"].as_str().unwrap().to_owned();
    vendor.asked().into_iter().map(|asked| model(asked.body)).collect()
}

/// A price at which one answer of `openai` costs a dollar and twenty cents.
const PRICES: &str = "prices = 'openai/own=1000/0/2000, openai/small=0/0/0'";

#[tokio::test]
async fn a_bot_gets_the_tier_that_it_wants() {
    let vendor = FakeVendor::start([openai("Hello.")]).unwrap();
    let settings = with_openai(&vendor, "[models]\ncheap = 'openai/small'\npremium = ['openai/large']");
    let (models, _) = Models::open(&settings).unwrap();
    for llm in [
        r#"{"provider": "tier", "model": "premium"}"#,
        r#"{"provider": "tier", "model": "cheap"}"#,
        r#"{"provider": "tier", "model": "balanced"}"#,
        r#"{"provider": "openai", "model": "named"}"#,
    ] {
        assert_eq!(said(&*models.session(&accept(bot(llm)), id()).unwrap()).await, "Hello.");
    }
    assert_eq!(asked(&vendor), ["large", "small", "own", "named"]);
    let lost = Models::open(&with_openai(&vendor, "[models]\ncheap = 'gemini/x'")).err().unwrap().to_string();
    assert_eq!(lost, "[models] names gemini/x, and [gemini] has no api_key");
}

#[tokio::test]
async fn a_bot_that_has_spent_its_budget_is_answered_by_nobody_and_others_are() {
    let vendor = FakeVendor::start([openai("Hello.")]).unwrap();
    let (models, mut alerts) =
        Models::open(&with_openai(&vendor, &format!("[models]\ncheap = 'openai/small'\n{PRICES}"))).unwrap();
    let limited = |dollars: f64| {
        let mut config = BotConfig::default();
        config.limits.budget_usd_per_day = serde_json::Number::from_f64(dollars);
        accept(config)
    };
    let model = models.session(&limited(1.3), id()).unwrap();
    assert_eq!((said(&*model).await, said(&*model).await), ("Hello.".to_owned(), "Hello.".to_owned()));
    assert_eq!(asked(&vendor), ["own", "small"], "92 % of it are spent");
    assert_eq!(alerts.recv().await.unwrap().level.word(), "throttled");
    let spent = models.session(&limited(1.0), id()).unwrap();
    let events: Vec<_> = spent.complete(Completion::default()).collect().await;
    assert!(matches!(events.as_slice(), [ModelEvent::Failed { error: ModelError::OutOfBudget { .. } }]), "{events:?}");
    let other = Accept { bot: BotName::new("other").unwrap(), ..accept(BotConfig::default()) };
    assert_eq!(said(&*models.session(&other, id()).unwrap()).await, "Hello.");
}

#[tokio::test]
async fn what_was_spent_outlives_the_process_and_stands_in_the_record() {
    let vendor = FakeVendor::start([openai("Hello.")]).unwrap();
    let settings = with_openai(&vendor, &format!("[models]\nbudget_stop_usd = 1\n{PRICES}"));
    let folder = tempfile::tempdir().unwrap();
    let path = crate::store::spending::path_in(folder.path());
    let session = id();
    {
        let (models, alerts) = Models::open(&settings).unwrap();
        let close = tokio_util::sync::CancellationToken::new();
        let keeping = models.costs.keep(path.clone(), alerts, close.clone());
        let model = models.session(&accept(BotConfig::default()), session).unwrap();
        assert_eq!(said(&*model).await, "Hello.");
        let (calls, writer) = FileCalls::open(folder.path(), id()).unwrap();
        models.costs.log(calls.clone()).begin(record(session)).await.unwrap();
        let cost = Cost { input_tokens: 1000, cached_input_tokens: 0, output_tokens: 100, microdollars: 1_200_000 };
        assert_eq!(calls.read(session).await.unwrap().unwrap().cost, Some(cost));
        close.cancel();
        keeping.await;
        drop((models, calls));
        writer.join().unwrap();
    }
    let (models, _) = Models::open(&settings).unwrap();
    models.costs.restore(crate::store::spending::read(&path).unwrap());
    let model = models.session(&accept(BotConfig::default()), id()).unwrap();
    assert_eq!(said(&*model).await, "", "the budget of the month is spent");
}

fn record(session: SessionId) -> CallRecord {
    serde_json::from_value(json!({
        "session": session, "bot": "reception", "version": 1, "door": "sip", "modality": "voice", "caller": "",
        "started_at_ms": 0, "duration_ms": 0, "outcome": { "kind": "in_progress" }, "ledger": [], "turns": [],
        "timeline": [], "media": null
    }))
    .unwrap()
}

#[tokio::test]
async fn a_question_that_was_asked_before_is_answered_for_nothing() {
    let vendor = FakeVendor::start([openai("Hello.")]).unwrap();
    let (models, _) = Models::open(&with_openai(&vendor, "[models]\ncache = true")).unwrap();
    for _ in 0..2 {
        let model = models.session(&accept(BotConfig::default()), id()).unwrap();
        let question = Completion { temperature: Some(0.0), ..Completion::default() };
        let events: Vec<_> = model.complete(question).collect().await;
        assert!(events.iter().any(|event| matches!(event, ModelEvent::Text { .. })));
    }
    assert_eq!(vendor.asked().len(), 1);
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

#[tokio::test]
async fn the_way_to_a_model_is_opened_for_who_asks_one() {
    let mut settings = Settings::default();
    settings.openai.base_url = "http://127.0.0.1:9/v1".to_owned();
    let (models, _) = Models::open(&settings).unwrap();
    models.warm(&BotConfig::default());
    assert!(models.tiers.is_empty(), "its flow answers");
    models.warm(&bot(r#"{"provider": "openai", "model": "gpt-4o"}"#));
    assert_eq!(models.tiers.len(), 1);
}
