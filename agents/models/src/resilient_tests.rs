//! In virtual time, on models that answer as they are told.

use std::sync::atomic::Ordering;

use tandem_contract::Private;
use tandem_contract::attachment::{Picture, PictureFormat};

use super::*;
use crate::Message;
use crate::scripted::{done, failed, model, text};

fn limited(after_ms: u64) -> ModelEvent {
    ModelEvent::Failed { error: ModelError::RateLimited { vendor: "x".into(), after_ms: Some(after_ms) } }
}

async fn all(model: &Resilient) -> Vec<ModelEvent> {
    model.complete(Completion::default()).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_token_is_tried_again() {
    let (first, asked) = model(vec![vec![failed()], vec![limited(200)], vec![text("Hello."), done()]]);
    let began = Instant::now();
    assert_eq!(all(&Resilient::new(first, vec![])).await, [text("Hello."), done()]);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert_eq!((Instant::now() - began).as_millis(), 100 + 300, "of the virtual clock");
}

#[tokio::test(start_paused = true)]
async fn what_was_said_is_never_said_again() {
    let (first, asked) = model(vec![vec![text("Hel"), failed()]]);
    let (second, untouched) = model(vec![vec![text("Hello."), done()]]);
    assert_eq!(all(&Resilient::new(first, vec![second])).await, [text("Hel"), failed()]);
    assert_eq!((asked.load(Ordering::Relaxed), untouched.load(Ordering::Relaxed)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn another_model_answers_where_one_fails_or_asks_for_too_much_patience() {
    let refused =
        || ModelEvent::Failed { error: ModelError::Unauthorized { vendor: "x".into(), setting: "KEY".into() } };
    let late = || ModelEvent::Failed { error: ModelError::Timeout { vendor: "x".into(), limit_ms: 8_000 } };
    for (event, tries) in [(failed(), 3), (limited(5_000), 1), (refused(), 1), (late(), 1)] {
        let (first, asked) = model(vec![vec![event.clone()]]);
        let (second, _) = model(vec![vec![text("Hello."), done()]]);
        let answer = [ModelEvent::Rerouted, text("Hello."), done()];
        assert_eq!(all(&Resilient::new(first, vec![second])).await, answer, "{event:?}");
        assert_eq!(asked.load(Ordering::Relaxed), tries, "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_keeps_failing_is_left_alone() {
    let (first, asked) = model(vec![vec![failed()]]);
    let (second, _) = model(vec![vec![done()]]);
    let resilient = Resilient::new(first, vec![second]);
    // Whom nobody asks is not waited for: that is no news.
    for asked_another in [true, true, false, false] {
        let news = asked_another.then_some(ModelEvent::Rerouted);
        assert_eq!(all(&resilient).await, news.into_iter().chain([done()]).collect::<Vec<_>>());
    }
    assert_eq!(asked.load(Ordering::Relaxed), 5, "the fifth failure opens the breaker");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(all(&resilient).await, [ModelEvent::Rerouted, done()]);
    assert_eq!(asked.load(Ordering::Relaxed), 6, "one trial after the rest");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_to_its_last_event_and_no_further_closes_the_breaker() {
    let rounds = (0..12).flat_map(|_| [vec![failed()], vec![text("Hello."), done()]]).collect();
    let (only, _) = model(rounds);
    let resilient = Resilient::new(only, vec![]);
    for round in 0..12 {
        let mut answer = resilient.complete(Completion::default());
        assert_eq!(answer.next().await, Some(text("Hello.")), "round {round}");
        assert_eq!(answer.next().await, Some(done()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_told_when_all_fail() {
    let (only, _) = model(vec![vec![limited(9_000)]]);
    assert_eq!(all(&Resilient::new(only, vec![])).await, [limited(9_000)]);
    let (silent, _) = model(vec![vec![]]);
    assert!(matches!(all(&Resilient::new(silent, vec![])).await.as_slice(), [ModelEvent::Failed { .. }]));
}

fn with_a_picture() -> Completion {
    let picture = Picture { format: PictureFormat::Png, base64: Private::new("AAAA".into()) };
    let shown = Message::User { text: "Look".to_owned().into(), pictures: vec![picture] };
    Completion { messages: vec![shown], ..Completion::default() }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_at_pictures_is_asked_by_others() {
    let (only, asked) = model([vec![vec![failed()]; 6], vec![vec![text("Hello."), done()]]].concat());
    let resilient = Resilient::new(only, vec![]);
    for _ in 0..2 {
        assert_eq!(resilient.complete(with_a_picture()).collect::<Vec<_>>().await, [failed()]);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 6, "each three times");
    assert_eq!(all(&resilient).await, [text("Hello."), done()], "the breaker is closed");
}

#[tokio::test(start_paused = true)]
async fn of_a_question_with_pictures_one_failure_counts() {
    let (first, asked) = model(vec![vec![failed()]]);
    let (second, _) = model(vec![vec![done()]]);
    let resilient = Resilient::new(first, vec![second]);
    for so_far in [3, 6, 9, 12, 13, 13] {
        resilient.complete(with_a_picture()).collect::<Vec<_>>().await;
        assert_eq!(asked.load(Ordering::Relaxed), so_far, "the fifth question opens the breaker");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_amid_the_answer_to_pictures_counts() {
    let (only, asked) = model((0..3).flat_map(|_| [vec![failed()], vec![text("A do"), failed()]]).collect());
    let resilient = Resilient::new(only, vec![]);
    for so_far in [2, 4, 5, 5] {
        resilient.complete(with_a_picture()).collect::<Vec<_>>().await;
        assert_eq!(asked.load(Ordering::Relaxed), so_far, "two of each question");
    }
}

/// So many seconds of the virtual clock.
async fn passes(seconds: u64) {
    let _ = tokio::time::timeout(Duration::from_secs(seconds), std::future::pending::<()>()).await;
}

/// Thinks for ever: a sign of life every four seconds.
struct Thinker;

impl LanguageModel for Thinker {
    fn name(&self) -> &str {
        "thinker"
    }

    fn complete(&self, _: Completion) -> ModelStream {
        Box::pin(futures_util::stream::repeat_with(|| ModelEvent::Progress).then(|event| async {
            passes(4).await;
            event
        }))
    }
}

/// What is told of an answer besides signs of life, and after how many seconds it was over.
async fn told(model: &Resilient) -> (Vec<ModelEvent>, u64) {
    let began = Instant::now();
    let told = all(model).await.into_iter().filter(|event| *event != ModelEvent::Progress).collect();
    (told, (Instant::now() - began).as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_model_that_only_shows_signs_of_life_is_given_up_and_another_asked() {
    let timeout = |limit_ms| ModelEvent::Failed { error: ModelError::Timeout { vendor: "thinker".into(), limit_ms } };
    assert_eq!(told(&Resilient::new(Arc::new(Thinker), vec![])).await, (vec![timeout(20_000)], 20));
    let (second, _) = model(vec![vec![text("Hello."), done()]]);
    let several = Resilient::new(Arc::new(Thinker), vec![second]);
    assert_eq!(told(&several).await, (vec![ModelEvent::Rerouted, text("Hello."), done()], 10));
    let thinkers = Resilient::new(Arc::new(Thinker), vec![Arc::new(Thinker)]);
    assert_eq!(told(&thinkers).await, (vec![ModelEvent::Rerouted, timeout(20_000)], 30), "and that is the end");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_speaks_may_take_its_time() {
    let slow = (0..4).flat_map(|_| [ModelEvent::Progress, text("word ")]).chain([done()]).collect::<Vec<_>>();
    struct Slow(Vec<ModelEvent>);
    impl LanguageModel for Slow {
        fn name(&self) -> &str {
            "slow"
        }

        fn complete(&self, _: Completion) -> ModelStream {
            Box::pin(futures_util::stream::iter(self.0.clone()).then(|event| async {
                passes(4).await;
                event
            }))
        }
    }
    let (second, untouched) = model(vec![vec![done()]]);
    let several = Resilient::new(Arc::new(Slow(slow.clone())), vec![second]);
    assert_eq!((all(&several).await, untouched.load(Ordering::Relaxed)), (slow, 0));
}
