//! In virtual time, on models that answer as they are told.

use std::sync::atomic::Ordering;

use proptest::prelude::*;
use serde_json::json;
use tandem_contract::attachment::{Picture, PictureFormat};
use tandem_contract::{BotName, NodeId, Private, SessionId};
use tokio::time::advance;

use super::*;
use crate::scripted::{done, failed, model, text, usage};
use crate::spending::Payer;
use crate::{Message, ToolCall};

fn asked(organization: &str, question: &str, temperature: f64) -> Completion {
    let payer = Payer {
        organization: Organization(organization.into()),
        bot: BotName::new("reception").unwrap(),
        // Each time another.
        session: SessionId::new(NodeId(1)),
    };
    Completion {
        messages: vec![Message::user(question.to_owned())],
        temperature: Some(temperature),
        payer: Some(payer),
        ..Completion::default()
    }
}

async fn answer(model: &dyn LanguageModel, request: Completion) -> Vec<ModelEvent> {
    model.complete(request).collect().await
}

#[tokio::test(start_paused = true)]
async fn the_same_question_of_the_same_organization_is_answered_again() {
    let greeting = vec![ModelEvent::Progress, text("Good "), text("morning."), usage(12, 3), done()];
    let (chain, count) = model(vec![greeting.clone(), vec![text("Hello."), done()]]);
    let cached = Cached::new(chain, Cache::new(CacheRules::default()));
    assert_eq!(answer(&cached, asked("acme", "Hi", 0.0)).await, greeting);
    assert_eq!(answer(&cached, asked("acme", "Hi", 0.0)).await, [text("Good "), text("morning."), done()]);
    assert_eq!(count.load(Ordering::Relaxed), 1);
    for (number, other) in [asked("other", "Hi", 0.0), asked("acme", "Hi!", 0.0)].into_iter().enumerate() {
        assert_eq!(answer(&cached, other).await, [text("Hello."), done()]);
        assert_eq!(count.load(Ordering::Relaxed), 2 + number, "another organization, another question");
    }
    advance(CacheRules::default().keeps_for).await;
    assert_eq!(answer(&cached, asked("acme", "Hi", 0.0)).await, [text("Hello."), done()], "it is over");
}

#[tokio::test(start_paused = true)]
async fn the_same_words_about_another_picture_are_another_question() {
    let (chain, count) = model(vec![vec![text("A cat."), done()], vec![text("A dog."), done()]]);
    let cached = Cached::new(chain, Cache::new(CacheRules::default()));
    let shown = |base64: &str| {
        let picture = Picture { format: PictureFormat::Png, base64: Private::new(base64.into()) };
        let message = Message::User { text: "What is it?".to_owned().into(), pictures: vec![picture] };
        Completion { messages: vec![message], ..asked("acme", "", 0.0) }
    };
    assert_eq!(answer(&cached, shown("Y2F0")).await, [text("A cat."), done()]);
    assert_eq!(answer(&cached, shown("ZG9n")).await, [text("A dog."), done()]);
    assert_eq!(answer(&cached, shown("Y2F0")).await, [text("A cat."), done()]);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn only_whole_answers_to_cool_questions_are_kept() {
    let call = ToolCall { id: "c".into(), name: "hours".into(), arguments: json!({}).into(), signature: None };
    let cut = ModelEvent::Done { finish: Finish::Length };
    let nobody = Completion { payer: None, ..asked("acme", "Hi", 0.0) };
    for (script, request) in [
        (vec![text("Hello."), done()], asked("acme", "Hi", 0.7)),
        (vec![text("Hello."), done()], nobody),
        (vec![ModelEvent::ToolCall { call }, done()], asked("acme", "Hi", 0.0)),
        (vec![text("Hel"), cut], asked("acme", "Hi", 0.0)),
        (vec![text("Hel"), failed()], asked("acme", "Hi", 0.0)),
        (vec![text("Hel")], asked("acme", "Hi", 0.0)),
        (vec![done()], asked("acme", "Hi", 0.0)),
        (vec![text(" \n"), done()], asked("acme", "Hi", 0.0)),
    ] {
        let (chain, count) = model(vec![script]);
        let cached = Cached::new(chain, Cache::new(CacheRules::default()));
        let first = answer(&cached, request.clone()).await;
        assert_eq!(answer(&cached, request.clone()).await, first);
        assert_eq!(count.load(Ordering::Relaxed), 2, "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_broken_off_is_not_kept_and_one_that_is_read_to_its_last_event_is() {
    let (chain, count) = model(vec![vec![text("Hel"), text("lo."), done()]]);
    let cached = Cached::new(chain, Cache::new(CacheRules { any_temperature: true, ..CacheRules::default() }));
    let mut running = cached.complete(asked("acme", "Hi", 0.9));
    running.next().await;
    drop(running);
    let mut whole = cached.complete(asked("acme", "Hi", 0.9));
    while whole.next().await.is_some_and(|event| !event.is_last()) {}
    drop(whole);
    assert_eq!(answer(&cached, asked("acme", "Hi", 0.9)).await, [text("Hel"), text("lo."), done()]);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

/// Hands on what it was asked.
struct Mirror;

impl LanguageModel for Mirror {
    fn name(&self) -> &str {
        "mirror"
    }

    fn complete(&self, request: Completion) -> ModelStream {
        let payer = request.payer.map(|payer| payer.organization.to_string()).unwrap_or_default();
        Box::pin(stream::iter([text(&payer), done()]))
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_pays_is_told_to_the_chain() {
    let cached = Cached::new(Arc::new(Mirror), Cache::new(CacheRules::default()));
    for temperature in [0.0, 0.7] {
        assert_eq!(answer(&cached, asked("acme", "Hi", temperature)).await, [text("acme"), done()], "{temperature}");
    }
}

proptest! {
    /// Whatever is put and asked for, and when: a shelf never holds more than it may, and what it gives is what was put
    /// first within the time that answers are kept.
    #[test]
    fn a_shelf_is_bounded_and_tells_the_truth(
        steps in prop::collection::vec((0..6_u8, 0..1_500_usize, 0..4_u64), 1..80),
    ) {
        let rules = CacheRules { bytes: 4_000, keeps_for: Duration::from_secs(10), any_temperature: false };
        let (mut shelf, mut now) = (Shelf::default(), Duration::ZERO);
        let mut put: HashMap<Key, (Answer, Duration)> = HashMap::new();
        for (key, length, seconds) in steps {
            now += Duration::from_secs(seconds);
            let key = [key; 32];
            let found = shelf.get(&key, now);
            if let Some(found) = &found {
                let (answer, at) = &put[&key];
                prop_assert_eq!(found, answer);
                prop_assert!(now < *at + rules.keeps_for);
            }
            let answer: Answer = vec![text(&"x".repeat(length)), done()].into();
            shelf.put(key, Arc::clone(&answer), &rules, now);
            if found.is_none() {
                prop_assert_eq!(shelf.get(&key, now), Some(Arc::clone(&answer)), "there is room for one");
                put.insert(key, (answer, now));
            }
            prop_assert!(shelf.bytes <= rules.bytes);
            prop_assert_eq!(shelf.ends.iter().map(|(_, size, _)| size).sum::<usize>(), shelf.bytes);
            prop_assert_eq!(shelf.ends.len(), shelf.answers.len());
        }
    }
}

#[test]
fn an_answer_that_is_too_long_for_a_shelf_pushes_nothing_out() {
    let rules = CacheRules { bytes: 2_000, ..CacheRules::default() };
    let mut shelf = Shelf::default();
    let answer = |length: usize| -> Answer { vec![text(&"x".repeat(length)), done()].into() };
    shelf.put([1; 32], answer(10), &rules, Duration::ZERO);
    shelf.put([2; 32], answer(5_000), &rules, Duration::ZERO);
    assert_eq!((shelf.get(&[1; 32], Duration::ZERO), shelf.get(&[2; 32], Duration::ZERO)), (Some(answer(10)), None));
}
