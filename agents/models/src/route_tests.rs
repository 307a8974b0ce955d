//! In virtual time, on models that answer as they are told.

use std::time::Duration;

use tandem_contract::{BotName, NodeId, SessionId};
use tandem_test_vendors::{FakeVendor, Script};
use tokio::time::{Instant, advance};

use super::*;
use crate::anthropic::{Anthropic, AnthropicConfig};
use crate::budget::Period;
use crate::cache::CacheRules;
use crate::gemini::{Gemini, GeminiConfig};
use crate::price::{Microdollars, Price, PriceList};
use crate::scripted::{done, failed, guarded, named, text, usage};
use crate::spending::{Clock, Metered, Organization, Scope, system_clock};
use crate::{Limits, client_builder};

/// 2026-11-21T00:00:00Z.
const NOW: Duration = Duration::from_secs(1_795_219_200);
/// Longer than any test takes: of silence the tests of `resilient` tell.
const HAND_OVER: Duration = Duration::from_secs(60);

fn clock() -> Clock {
    let began = Instant::now();
    Arc::new(move || NOW + (Instant::now() - began))
}

/// Says its own name, for ten microdollars.
fn model(name: &'static str) -> Arc<dyn LanguageModel> {
    named(name, vec![vec![text(name), usage(5, 5), done()]]).0
}

fn spending() -> Arc<Spending> {
    let dollar = Microdollars::from_dollars(1);
    let price = Price { input: dollar, cached_input: dollar, output: dollar };
    let prices = ["cheap", "balanced", "premium"];
    Spending::new(prices.iter().fold(PriceList::default(), |list, name| list.with(*name, price)), clock()).0
}

fn metered(spending: &Arc<Spending>, model: Arc<dyn LanguageModel>) -> Guarded {
    guarded(Arc::new(Metered::new(model, Arc::clone(spending))))
}

fn chains(spending: &Arc<Spending>) -> Chains {
    let [cheap, balanced, premium] = ["cheap", "balanced", "premium"].map(|name| vec![metered(spending, model(name))]);
    Chains { cheap, balanced, premium }
}

fn payer() -> Payer {
    Payer {
        organization: Organization("acme".into()),
        bot: BotName::new("reception").unwrap(),
        session: SessionId::new(NodeId(1)),
    }
}

/// What answers, or why nothing does.
async fn answer(model: &dyn LanguageModel) -> String {
    let events: Vec<_> = model.complete(Completion { temperature: Some(0.0), ..Completion::default() }).collect().await;
    match events.iter().find(|event| !matches!(event, ModelEvent::Rerouted)) {
        Some(ModelEvent::Text { text }) => text.reveal().clone(),
        Some(ModelEvent::Failed { error }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_policy_for_every_tier_and_level() {
    use Level::{Alerted, Free, Stopped, Throttled};
    for tier in [Tier::Cheap, Tier::Balanced, Tier::Premium] {
        for (level, answers) in
            [(Free, Some(tier)), (Alerted, Some(tier)), (Throttled, Some(Tier::Cheap)), (Stopped, None)]
        {
            assert_eq!(tier_at(tier, level), answers, "{tier:?} {level:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_without_models_is_answered_by_the_nearest() {
    let spending = spending();
    let names = |chains: Chains| {
        let tiers = Tiers::new(chains, HAND_OVER, None)?;
        Some([Tier::Cheap, Tier::Balanced, Tier::Premium].map(|tier| tiers.of(tier).name().to_owned()).join(" "))
    };
    assert_eq!(names(chains(&spending)).unwrap(), "cheap balanced premium");
    assert_eq!(names(Chains { balanced: vec![], ..chains(&spending) }).unwrap(), "cheap cheap premium");
    assert_eq!(names(Chains { cheap: vec![], ..chains(&spending) }).unwrap(), "balanced balanced premium");
    assert_eq!(names(Chains { premium: vec![], balanced: vec![], ..chains(&spending) }).unwrap(), "cheap cheap cheap");
    assert_eq!(names(Chains::default()), None);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_runs_out_is_answered_cheaply_and_then_not_at_all() {
    let spending = spending();
    let organization = Scope::Organization { organization: Organization("acme".into()) };
    let amount = |amount: u64| Some(Microdollars(amount));
    let daily = Budget { period: Period::Day, alert: amount(10), throttle: amount(20), stop: amount(40) };
    spending.set_budget(organization, daily);
    let tiers = Arc::new(Tiers::new(chains(&spending), HAND_OVER, None).unwrap());
    let session = Routed::new(tiers, Arc::clone(&spending), payer(), Tier::Premium, Budget::default());
    assert_eq!(session.name(), "premium");
    for wanted in ["premium", "premium", "cheap", "cheap"] {
        assert_eq!(answer(&session).await, wanted);
    }
    let told = "organization acme has spent its budget of this day: raise it, or wait for the next";
    assert_eq!(answer(&session).await, told);
    let events: Vec<_> = session.complete(Completion::default()).collect().await;
    let [ModelEvent::Failed { error }] = events.as_slice() else { panic!("{events:?}") };
    assert!(!error.may_retry());
    assert_eq!(error.reason(), "out_of_budget");
    advance(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(answer(&session).await, "premium", "the next day");
}

#[tokio::test(start_paused = true)]
async fn a_session_stops_at_its_own_budget_and_closes_its_account() {
    let spending = spending();
    let tiers = Arc::new(Tiers::new(chains(&spending), HAND_OVER, None).unwrap());
    let routed = |payer: &Payer| {
        let budget = Budget { stop: Some(Microdollars(10)), ..Budget::default() };
        Routed::new(Arc::clone(&tiers), Arc::clone(&spending), payer.clone(), Tier::Balanced, budget)
    };
    let (one, other) = (payer(), payer());
    let (first, second) = (routed(&one), routed(&other));
    assert_eq!(answer(&first).await, "balanced");
    assert!(answer(&first).await.starts_with(&format!("session {} has spent", one.session)));
    assert_eq!(answer(&second).await, "balanced", "another session is another account");
    drop(first);
    assert_eq!(spending.close(one.session), None);
}

#[tokio::test(start_paused = true)]
async fn a_chain_falls_back_and_what_was_cached_costs_nothing() {
    let spending = spending();
    let (failing, _) = named("premium", vec![vec![failed()]]);
    let (fallback, asked) = named("balanced", vec![vec![text("hello"), usage(5, 5), done()]]);
    let premium = [failing, fallback].map(|model| metered(&spending, model)).into();
    let cache = Cache::new(CacheRules::default());
    let tiers = Tiers::new(Chains { premium, ..Chains::default() }, HAND_OVER, Some(&cache));
    let tiers = Arc::new(tiers.unwrap());
    let payer = payer();
    let session = Routed::new(tiers, Arc::clone(&spending), payer.clone(), Tier::Premium, Budget::default());
    assert_eq!(answer(&session).await, "hello");
    assert_eq!(answer(&session).await, "hello");
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(spending.spent(&Scope::Session { session: payer.session }), Microdollars(10));
}

/// Over real sockets: Anthropic refuses, Gemini answers, and its published price is charged.
#[tokio::test]
async fn a_conversation_goes_over_to_another_vendor() {
    let refusing = FakeVendor::start([Script::status(404, "{}")]).unwrap();
    let answering = FakeVendor::start([Script::events([concat!(
        r#"{"candidates": [{"content": {"parts": [{"text": "From nine."}]}, "finishReason": "STOP"}],"#,
        r#" "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 3}}"#,
    )])])
    .unwrap();
    let client = client_builder().build().unwrap();
    let (limits, key) = (Limits::default(), Some("k".to_owned().into()));
    let first =
        AnthropicConfig { base_url: refusing.url(""), key: key.clone(), model: "claude-opus-5-5".into(), limits };
    let second = GeminiConfig { base_url: answering.url(""), key, model: "gemini-2.5-flash".into(), limits };
    let (spending, _alerts) = Spending::new(PriceList::published(), system_clock());
    let chain = vec![
        metered(&spending, Arc::new(Anthropic::new(client.clone(), first).unwrap())),
        metered(&spending, Arc::new(Gemini::new(client, second).unwrap())),
    ];
    let chains = Chains { balanced: chain, ..Chains::default() };
    let tiers = Arc::new(Tiers::new(chains, HAND_OVER, None).unwrap());
    let payer = payer();
    let session = Routed::new(tiers, Arc::clone(&spending), payer.clone(), Tier::default(), Budget::default());
    assert_eq!(answer(&session).await, "From nine.");
    // 12 tokens at $0.30 and 3 at $2.50 a million: 11.1 millionths of a dollar.
    assert_eq!(spending.spent(&Scope::Session { session: payer.session }), Microdollars(12));
    assert_eq!(refusing.asked().len(), 1);
    let told = answering.asked().pop().unwrap().body;
    assert!(!told.contains("acme") && !told.contains("reception"), "no vendor is told who pays: {told}");
}

#[tokio::test(start_paused = true)]
async fn a_question_may_do_with_less_than_its_session_wants() {
    let spending = spending();
    let tiers = Arc::new(Tiers::new(chains(&spending), HAND_OVER, None).unwrap());
    let routed = Routed::new(tiers, spending, payer(), Tier::Premium, Budget::default());
    let question = Completion { tier: Some(Tier::Cheap), ..Completion::default() };
    let events: Vec<_> = routed.complete(question).collect().await;
    assert_eq!((events[0].clone(), answer(&routed).await.as_str()), (text("cheap"), "premium"));
}
