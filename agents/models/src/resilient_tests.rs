//! In virtual time, on models that answer as they are told.

use std::sync::atomic::{AtomicUsize, Ordering};

use tandem_contract::Private;
use tandem_contract::attachment::{Picture, PictureFormat};

use super::*;
use crate::Message;
use crate::scripted::{after, done, failed, guarded, model, named, stall, text};

fn chain(first: Arc<dyn LanguageModel>, fallbacks: Vec<Arc<dyn LanguageModel>>) -> Resilient {
    let fallbacks = fallbacks.into_iter().map(guarded).collect();
    Resilient::new(guarded(first), fallbacks, HAND_OVER)
}

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
    assert_eq!(all(&chain(first, vec![])).await, [text("Hello."), done()]);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert_eq!((Instant::now() - began).as_millis(), 100 + 300, "of the virtual clock");
}

#[tokio::test(start_paused = true)]
async fn what_was_said_is_never_said_again() {
    let (first, asked) = model(vec![vec![text("Hel"), failed()]]);
    let (second, untouched) = model(vec![vec![text("Hello."), done()]]);
    assert_eq!(all(&chain(first, vec![second])).await, [text("Hel"), failed()]);
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
        assert_eq!(all(&chain(first, vec![second])).await, answer, "{event:?}");
        assert_eq!(asked.load(Ordering::Relaxed), tries, "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_keeps_failing_is_left_alone() {
    let (first, asked) = model(vec![vec![failed()]]);
    let (second, _) = model(vec![vec![done()]]);
    let resilient = chain(first, vec![second]);
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
    let resilient = chain(only, vec![]);
    for round in 0..12 {
        let mut answer = resilient.complete(Completion::default());
        assert_eq!(answer.next().await, Some(text("Hello.")), "round {round}");
        assert_eq!(answer.next().await, Some(done()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_told_when_all_fail() {
    let (only, _) = model(vec![vec![limited(9_000)]]);
    assert_eq!(all(&chain(only, vec![])).await, [limited(9_000)]);
    let (silent, _) = model(vec![vec![]]);
    assert!(matches!(all(&chain(silent, vec![])).await.as_slice(), [ModelEvent::Failed { .. }]));
}

fn with_a_picture() -> Completion {
    let picture = Picture { format: PictureFormat::Png, base64: Private::new("AAAA".into()) };
    let shown = Message::User { text: "Look".to_owned().into(), pictures: vec![picture] };
    Completion { messages: vec![shown], ..Completion::default() }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_at_pictures_is_asked_by_others() {
    let (only, asked) = model([vec![vec![failed()]; 6], vec![vec![text("Hello."), done()]]].concat());
    let resilient = chain(only, vec![]);
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
    let resilient = chain(first, vec![second]);
    for so_far in [3, 6, 9, 12, 13, 13] {
        resilient.complete(with_a_picture()).collect::<Vec<_>>().await;
        assert_eq!(asked.load(Ordering::Relaxed), so_far, "the fifth question opens the breaker");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_amid_the_answer_to_pictures_counts() {
    let (only, asked) = model((0..3).flat_map(|_| [vec![failed()], vec![text("A do"), failed()]]).collect());
    let resilient = chain(only, vec![]);
    for so_far in [2, 4, 5, 6, 7] {
        resilient.complete(with_a_picture()).collect::<Vec<_>>().await;
        assert_eq!(asked.load(Ordering::Relaxed), so_far, "two of each question, and one while it rests");
    }
}

/// So many seconds of the virtual clock.
async fn passes(seconds: u64) {
    let _ = tokio::time::timeout(Duration::from_secs(seconds), std::future::pending::<()>()).await;
}

/// Thinks for ever: a sign of life every three seconds.
struct Thinker;

impl LanguageModel for Thinker {
    fn name(&self) -> &str {
        "thinker"
    }

    fn complete(&self, _: Completion) -> ModelStream {
        Box::pin(stream::repeat_with(|| ModelEvent::Progress).then(|event| async {
            passes(3).await;
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
    assert_eq!(told(&chain(Arc::new(Thinker), vec![])).await, (vec![timeout(20_000)], 20));
    let (second, _) = model(vec![vec![text("Hello."), done()]]);
    let several = chain(Arc::new(Thinker), vec![second]);
    assert_eq!(told(&several).await, (vec![ModelEvent::Rerouted, text("Hello."), done()], 10));
    let thinkers = chain(Arc::new(Thinker), vec![Arc::new(Thinker)]);
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
            Box::pin(stream::iter(self.0.clone()).then(|event| async {
                passes(4).await;
                event
            }))
        }
    }
    let (second, untouched) = model(vec![vec![done()]]);
    let several = chain(Arc::new(Slow(slow.clone())), vec![second]);
    assert_eq!((all(&several).await, untouched.load(Ordering::Relaxed)), (slow, 0));
}

/// A model whose breaker has just opened, by the scripts of two questions; then it does as it is told.
async fn opened(then: Vec<Vec<ModelEvent>>) -> (Resilient, Arc<AtomicUsize>) {
    let (first, asked) = named("first", [vec![vec![failed()]; 5], then].concat());
    let (second, _) = named("second", vec![vec![text("Second."), done()]]);
    let resilient = chain(first, vec![second]);
    for _ in 0..2 {
        assert_eq!(all(&resilient).await, [ModelEvent::Rerouted, text("Second."), done()]);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 5);
    tokio::time::advance(Duration::from_secs(10)).await;
    (resilient, asked)
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_nobody_waits_for_is_made_by_the_next_question() {
    let (resilient, asked) = opened(vec![vec![stall()], vec![text("First."), done()]]).await;
    let mut ahead = resilient.complete(Completion::default());
    assert!(tokio::time::timeout(Duration::from_secs(1), ahead.next()).await.is_err());
    assert_eq!(all(&resilient).await, [text("Second."), done()], "one trial at a time");
    drop(ahead);
    assert_eq!(all(&resilient).await, [text("First."), done()], "the caller had gone on");
    assert_eq!(asked.load(Ordering::Relaxed), 5 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_barged_in_on_has_shown_that_the_vendor_is_well() {
    let (resilient, asked) =
        opened(vec![vec![text("First"), stall()], vec![text("First."), done()], vec![failed()]]).await;
    let mut barged_in = resilient.complete(Completion::default());
    assert_eq!(barged_in.next().await, Some(text("First")));
    assert_eq!(all(&resilient).await, [text("First."), done()], "from its first word on");
    drop(barged_in);
    assert_eq!(all(&resilient).await, [ModelEvent::Rerouted, text("Second."), done()]);
    assert_eq!(asked.load(Ordering::Relaxed), 5 + 2 + 3, "its failures are forgotten");
}

#[tokio::test(start_paused = true)]
async fn where_all_rest_the_one_that_rests_least_is_asked_once() {
    let (first, first_asked) = named("first", [vec![vec![failed()]; 5], vec![vec![text("First."), done()]]].concat());
    let (second, second_asked) = named("second", vec![vec![failed()]]);
    let resilient = chain(first, vec![second]);
    all(&resilient).await;
    all(&resilient).await;
    let counts = || [&first_asked, &second_asked].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts(), [5, 5]);
    let answer = all(&resilient).await;
    assert_eq!((answer, counts()), (vec![text("First."), done()], [6, 5]), "the first has failed before the second");
    assert_eq!(all(&resilient).await, [text("First."), done()], "it is well");
}

#[tokio::test(start_paused = true)]
async fn who_rests_is_asked_after_all_others_have_failed() {
    let (resilient, asked) = {
        let (first, asked) = named("first", vec![vec![failed()]]);
        let (second, _) =
            named("second", vec![vec![text("Second."), done()], vec![text("Second."), done()], vec![limited(9_000)]]);
        (chain(first, vec![second]), asked)
    };
    for so_far in [3, 5] {
        all(&resilient).await;
        assert_eq!(asked.load(Ordering::Relaxed), so_far);
    }
    assert_eq!(all(&resilient).await, [ModelEvent::Rerouted, failed()]);
    assert_eq!(asked.load(Ordering::Relaxed), 6, "once");
}

#[tokio::test(start_paused = true)]
async fn one_chain_knows_what_another_has_learnt() {
    let (model, asked) = named("shared", vec![vec![failed()]]);
    let (other, _) = named("other", vec![vec![done()]]);
    let (shared, other) = (guarded(model), guarded(other));
    let chain = || Resilient::new(shared.clone(), vec![other.clone()], HAND_OVER);
    for so_far in [3, 5, 5] {
        // Each by a chain of its own, and at another time.
        all(&chain()).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(asked.load(Ordering::Relaxed), so_far);
    }
}

/// What is answered, and after how long.
async fn timed(resilient: &Resilient) -> (Vec<ModelEvent>, Duration) {
    let began = Instant::now();
    (all(resilient).await, Instant::now() - began)
}

#[tokio::test(start_paused = true)]
async fn a_model_that_says_nothing_is_waited_for_only_until_another_can_answer() {
    let silent = || named("silent", vec![vec![stall()]]).0;
    let (second, _) = named("second", vec![vec![text("Second."), done()]]);
    let answer = vec![ModelEvent::Rerouted, text("Second."), done()];
    assert_eq!(timed(&chain(silent(), vec![second.clone()])).await, (answer, HAND_OVER));

    // A sign is enough: from there on its vendor's own limits count.
    let (slow, _) = named("slow", vec![vec![ModelEvent::Progress, stall()]]);
    let mut thinks = chain(slow, vec![second]).complete(Completion::default());
    assert_eq!(thinks.next().await, Some(ModelEvent::Progress));
    assert!(tokio::time::timeout(HAND_OVER * 2, thinks.next()).await.is_err());

    // Nobody is behind it, or nobody who is well.
    let alone = chain(silent(), vec![]);
    assert!(tokio::time::timeout(HAND_OVER * 2, all(&alone)).await.is_err());
    let (broken, _) = named("broken", vec![vec![failed()]]);
    let broken = guarded(broken);
    (0..5).for_each(|_| broken.breaker.admit_resting().failed(Duration::ZERO));
    let behind = Resilient::new(guarded(silent()), vec![broken], HAND_OVER);
    assert!(tokio::time::timeout(HAND_OVER * 2, all(&behind)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn whatever_time_a_model_is_given_another_is_asked_where_it_says_nothing() {
    for first_ms in FIRST_TOKEN_MS.step_by(500) {
        let first = Duration::from_millis(first_ms.into());
        let late =
            ModelEvent::Failed { error: ModelError::Timeout { vendor: "slow".into(), limit_ms: first_ms.into() } };
        let silent = || guarded(after(first, vec![late.clone()]));
        let (other, _) = named("other", vec![vec![text("Other."), done()]]);
        let other = guarded(other);
        let resilient = Resilient::new(silent(), vec![other.clone()], hand_over(first));
        let answer = [ModelEvent::Rerouted, text("Other."), done()];
        assert_eq!(timed(&resilient).await, (answer.to_vec(), hand_over(first)), "{first_ms}");
        let resilient = Resilient::new(silent(), vec![silent(), other], hand_over(first));
        let (answer, took) = timed(&resilient).await;
        assert_eq!((answer.last(), took), (Some(&done()), hand_over(first) * 2), "{first_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_broken_off_for_one_whom_there_is_no_time_to_ask() {
    let (slow, silent) =
        (after(HAND_OVER + HAND_OVER / 2, vec![text("Slow."), done()]), || named("silent", vec![vec![stall()]]).0);
    let (fourth, untouched) = named("fourth", vec![vec![text("Fourth."), done()]]);
    let (answer, took) = timed(&chain(silent(), vec![silent(), slow, fourth])).await;
    assert_eq!(answer, [ModelEvent::Rerouted, ModelEvent::Rerouted, text("Slow."), done()]);
    assert_eq!((took, untouched.load(Ordering::Relaxed)), (HAND_OVER * 3 + HAND_OVER / 2, 0));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_spent_is_not_asked_again_and_then_left_alone() {
    let spent = ModelEvent::Failed { error: ModelError::Spent { vendor: "x".into(), detail: "status 402".into() } };
    let (first, asked) = model(vec![vec![spent]]);
    let (second, _) = model(vec![vec![text("Hello."), done()]]);
    let resilient = chain(first, vec![second]);
    for so_far in [1, 2, 3, 4, 5] {
        assert_eq!(all(&resilient).await, [ModelEvent::Rerouted, text("Hello."), done()]);
        assert_eq!(asked.load(Ordering::Relaxed), so_far);
    }
    assert_eq!(all(&resilient).await, [text("Hello."), done()], "callers wait for it no more");
    assert_eq!(asked.load(Ordering::Relaxed), 5);
}
