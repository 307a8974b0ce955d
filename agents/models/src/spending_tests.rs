//! In virtual time, on models that answer as they are told.

use tandem_contract::NodeId;
use tandem_contract::Private;
use tandem_contract::attachment::{Picture, PictureFormat};
use tokio::time::{Instant, advance};

use super::*;
use crate::price::Price;
use crate::resilient::Resilient;
use crate::scripted::{after, done, failed, guarded, named, stall, text, usage};

/// 2026-11-21T00:00:00Z.
const NOW: Duration = Duration::from_secs(1_795_219_200);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn clock() -> Clock {
    let began = Instant::now();
    Arc::new(move || NOW + (Instant::now() - began))
}

/// "cheap" costs a microdollar a token, "dear" ten.
fn spending() -> (Arc<Spending>, mpsc::Receiver<Alert>) {
    let price = |per_token: u64| {
        let price = Microdollars::from_dollars(per_token);
        Price { input: price, cached_input: price, output: price }
    };
    Spending::new(PriceList::default().with("cheap", price(1)).with("slow", price(1)).with("dear", price(10)), clock())
}

fn payer(organization: &str) -> Payer {
    Payer {
        organization: Organization(organization.into()),
        bot: BotName::new("reception").unwrap(),
        session: SessionId::new(NodeId(1)),
    }
}

fn asked(payer: &Payer) -> Completion {
    // 40 bytes: 10 tokens, if nobody counts them.
    let text = "a question of forty bytes, no more, okay".to_owned().into();
    Completion {
        messages: vec![Message::User { text, pictures: Vec::new() }],
        payer: Some(payer.clone()),
        ..Completion::default()
    }
}

fn spent(spending: &Spending, payer: &Payer) -> [u64; 3] {
    payer.scopes().map(|scope| spending.spent(&scope).0)
}

#[tokio::test(start_paused = true)]
async fn who_asks_pays_the_price_of_the_model_that_answered() {
    let (spending, _alerts) = spending();
    let metered = |name, script| -> Arc<dyn LanguageModel> {
        Arc::new(Metered::new(named(name, vec![script]).0, Arc::clone(&spending)))
    };
    let refused = ModelEvent::Failed { error: ModelError::Unauthorized { vendor: "x".into(), setting: "KEY".into() } };
    let first = metered("dear", vec![ModelEvent::Progress, refused.clone()]);
    let never = metered("dear", vec![refused]);
    let second = metered("cheap", vec![text("From nine."), usage(100, 7), done()]);
    let (payer, other) = (payer("acme"), payer("other"));
    spending.open(payer.session, Budget::default());
    let hand_over = Duration::from_secs(60);
    let chain = Resilient::new(guarded(never), vec![guarded(second)], hand_over);
    assert_eq!(chain.complete(asked(&payer)).count().await, 4, "the news and the answer");
    assert_eq!(spent(&spending, &payer), [107; 3], "and nothing for the one that refused");
    assert_eq!(spent(&spending, &other), [0; 3]);
    let _: Vec<_> = first.complete(asked(&payer)).collect().await;
    assert_eq!(spent(&spending, &payer), [207; 3], "what failed in the middle was worked on: ten tokens, at ten each");
    let _: Vec<_> = chain.complete(Completion { payer: None, ..asked(&payer) }).collect().await;
    assert_eq!(spent(&spending, &payer), [207; 3], "nobody's question");
}

#[tokio::test(start_paused = true)]
async fn a_silence_costs_the_reading_of_the_question_whoever_ends_it() {
    let (spending, _alerts) = spending();
    let metered = |model| -> Arc<dyn LanguageModel> { Arc::new(Metered::new(model, Arc::clone(&spending))) };
    let late = ModelError::Timeout { vendor: "slow".into(), limit_ms: 2_000 };
    let by_itself = after(Duration::from_secs(2), vec![ModelEvent::Failed { error: late }]);
    let handed_over = named("slow", vec![vec![stall()]]).0;
    for (number, silent) in [by_itself, handed_over].into_iter().enumerate() {
        let payer = payer(&number.to_string());
        let second = guarded(metered(named("cheap", vec![vec![text("From nine."), usage(100, 7), done()]]).0));
        let chain = Resilient::new(guarded(metered(silent)), vec![second], Duration::from_secs(4));
        assert_eq!(chain.complete(asked(&payer)).count().await, 4, "the news and the answer");
        assert_eq!(spent(&spending, &payer)[0], 10 + 107);
    }
}

#[test]
fn a_picture_that_nobody_counted_is_of_its_tokens_and_not_of_its_bytes() {
    let picture =
        |bytes: usize| Picture { format: PictureFormat::Jpeg, base64: Private::new("A".repeat(bytes).into()) };
    let text = || "a question of forty bytes, no more, okay".to_owned().into();
    let asked =
        |pictures| Completion { messages: vec![Message::User { text: text(), pictures }], ..Completion::default() };
    let tokens = |pictures| estimate(size(&asked(pictures)), 0).input;
    assert_eq!(tokens(vec![]), 10);
    assert_eq!(tokens(vec![picture(8), picture(100_000)]), 10 + 2 * 1_600);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_broken_off_costs_about_what_was_said() {
    let (spending, _alerts) = spending();
    let payer = payer("acme");
    let answer = || vec![text("twelve bytes"), text("and more"), usage(1, 1), done()];
    let model = Metered::new(named("cheap", vec![answer()]).0, Arc::clone(&spending));
    drop(model.complete(asked(&payer)));
    assert_eq!(spent(&spending, &payer)[0], 0, "never polled, never asked");
    let mut running = model.complete(asked(&payer));
    running.next().await;
    drop(running);
    assert_eq!(spent(&spending, &payer)[0], 10 + 3);
    let mut whole = model.complete(asked(&payer));
    while whole.next().await.is_some_and(|event| !event.is_last()) {}
    assert_eq!(spent(&spending, &payer)[0], 13 + 2, "the vendor's figures count, once");
    drop(whole);
    assert_eq!(spent(&spending, &payer)[0], 15);
    let silent = Metered::new(named("cheap", vec![vec![failed()]]).0, Arc::clone(&spending));
    let _: Vec<_> = silent.complete(asked(&payer)).collect().await;
    assert_eq!(spent(&spending, &payer)[0], 15, "it failed before it said anything");
    let unknown = Metered::new(named("of one's own", vec![answer()]).0, Arc::clone(&spending));
    let _: Vec<_> = unknown.complete(asked(&payer)).collect().await;
    assert_eq!(spent(&spending, &payer)[0], 15, "no price");
}

#[tokio::test(start_paused = true)]
async fn levels_are_told_once_and_end_with_the_period() {
    let (spending, mut alerts) = spending();
    let payer = payer("acme");
    let [organization, bot, _] = payer.scopes();
    let amount = |amount: u64| Some(Microdollars(amount));
    let daily = Budget { period: Period::Day, alert: amount(50), throttle: amount(80), stop: amount(100) };
    spending.set_budget(bot.clone(), daily);
    spending.set_budget(organization.clone(), Budget { stop: amount(150), ..Budget::default() });
    let charge = |tokens| spending.charge(&payer, "cheap", &Usage { input: tokens, ..Usage::default() });
    assert_eq!(charge(60), Microdollars(60));
    let alert =
        |whose: &Scope, level, spent, period| Alert { whose: whose.clone(), level, spent: Microdollars(spent), period };
    assert_eq!(alerts.try_recv().unwrap(), alert(&bot, Level::Alerted, 60, Period::Day));
    assert_eq!(spending.standing(&payer).level, Level::Alerted);
    charge(60);
    assert_eq!(alerts.try_recv().unwrap(), alert(&bot, Level::Stopped, 120, Period::Day));
    assert_eq!(spending.standing(&payer), Standing { level: Level::Stopped, whose: bot, period: Period::Day });
    advance(DAY).await;
    assert_eq!(spending.standing(&payer).level, Level::Free);
    charge(30);
    assert_eq!(alerts.try_recv().unwrap(), alert(&organization, Level::Stopped, 150, Period::Month));
    assert_eq!(spending.standing(&payer).whose, organization);
    advance(DAY * 10).await;
    assert_eq!(spending.standing(&payer).level, Level::Free, "it is December");
    assert!(alerts.try_recv().is_err(), "nothing is told twice");
}

#[tokio::test(start_paused = true)]
async fn alerts_that_nobody_takes_are_dropped() {
    let (spending, mut alerts) = spending();
    for number in 0..ALERTS + 5 {
        let organization = Organization(number.to_string().into());
        let stopped = Budget { stop: Some(Microdollars(0)), ..Budget::default() };
        spending.set_budget(Scope::Organization { organization }, stopped);
    }
    let taken = std::iter::from_fn(|| alerts.try_recv().ok()).count();
    assert_eq!(taken, ALERTS);
    drop(alerts);
    spending.charge(&payer("acme"), "cheap", &Usage { input: 1, ..Usage::default() });
}

#[tokio::test(start_paused = true)]
async fn a_session_leaves_no_account_behind_and_others_outlive_a_restart() {
    let (spending, _alerts) = spending();
    let payer = payer("acme");
    let charge = |spending: &Spending| spending.charge(&payer, "dear", &Usage { output: 2, ..Usage::default() });
    spending.open(payer.session, Budget::default());
    charge(&spending);
    assert_eq!(spending.statements().len(), 2);
    assert_eq!(spending.close(payer.session), Some(Microdollars(20)));
    charge(&spending);
    assert_eq!(spending.close(payer.session), None, "a late charge opens nothing");
    let kept = serde_json::to_string(&spending.statements()).unwrap();
    let (restarted, _alerts) = self::spending();
    restarted.restore(serde_json::from_str::<Vec<(Scope, Account)>>(&kept).unwrap());
    assert_eq!(spent(&restarted, &payer), [40, 40, 0]);
}

#[test]
fn charges_from_many_threads_add_up() {
    let (spending, _alerts) = Spending::new(PriceList::published(), Arc::new(|| NOW));
    let payer = payer("acme");
    let each = spending.prices.of("openai gpt-5").unwrap().cost(&Usage { input: 800, cached_input: 0, output: 10 }).0;
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..500 {
                    spending.charge(&payer, "openai gpt-5", &Usage { input: 800, cached_input: 0, output: 10 });
                }
            });
        }
    });
    assert_eq!(spent(&spending, &payer)[..2], [each * 2_000; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_session_knows_its_tokens_with_and_without_a_price() {
    let (spending, _) = spending();
    let payer = payer("acme");
    assert_eq!(spending.used(payer.session), None);
    spending.open(payer.session, Budget::default());
    let usage = |input, output| Usage { input, cached_input: 1, output };
    spending.charge(&payer, "dear", &usage(3, 2));
    spending.charge(&payer, "free", &usage(10, 1));
    let both = Usage { input: 13, cached_input: 2, output: 3 };
    assert_eq!(spending.used(payer.session), Some((both, Microdollars(50))));
    spending.close(payer.session);
    assert_eq!(spending.used(payer.session), None);
}
