//! What every session wants of its model, whoever the vendor: a second try before the first token, a breaker, another
//! model where one fails (and the news of it), and figures.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use crate::bounded::Places;
use crate::breaker::{Breaker, Leave};
use crate::first_word::{self, FIRST_WORD, FIRST_WORD_OF_SEVERAL};
use crate::{Completion, LanguageModel, ModelError, ModelEvent, ModelStream};

/// Pauses before the second and the third try of one model: a caller waits.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// A vendor that asks for more patience than this is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// After this long without a token no further request is sent: a caller waits, and the last request may take its own limit.
/// More than [`FIRST_WORD_OF_SEVERAL`], so that another is asked where one only thinks.
const TRIES_WITHIN: Duration = Duration::from_secs(12);
/// In which a model may be set to begin its answer, milliseconds: less would pass every slow answer for a failure, and more is
/// no use, for a turn is given up after 20 s.
pub const FIRST_TOKEN_MS: RangeInclusive<u32> = 2_000..=15_000;
/// How long anybody may say nothing who has another behind him, at most: two may, and the third is still asked in time.
const HAND_OVER: Duration = Duration::from_secs(4);

/// How long a model may say nothing that has another behind it, where it may take `first` alone.
pub fn hand_over(first: Duration) -> Duration {
    (first / 2).min(HAND_OVER)
}

/// A model, and what is known of its health by all who ask it: clones share it, whichever chains they stand in.
#[derive(Clone)]
pub struct Guarded {
    model: Arc<dyn LanguageModel>,
    /// Of its account.
    places: Arc<Places>,
    breaker: Arc<Breaker>,
    /// The moment that the breaker counts from.
    began: Instant,
}

impl Guarded {
    /// Must be made inside a tokio runtime, whose clock it reads. `places`: of the account that it is asked with.
    pub fn new(model: Arc<dyn LanguageModel>, places: Arc<Places>) -> Self {
        Self { model, places, breaker: Arc::default(), began: Instant::now() }
    }

    fn admit(&self) -> Option<Leave> {
        self.breaker.admit(self.began.elapsed())
    }

    /// The request is on its way when this returns: a wait for a place is over, and a silence is the vendor's.
    async fn ask(&self, request: Completion) -> ModelStream {
        match self.places.take().await {
            Some(place) => place.hold(self.model.complete(request)),
            None => {
                let error = ModelError::Busy { vendor: self.model.name().to_owned(), limit: self.places.all() };
                Box::pin(stream::iter([ModelEvent::Failed { error }]))
            }
        }
    }

    fn rests_for(&self) -> Duration {
        self.breaker.rests_for(self.began.elapsed())
    }
}

/// Models in the order in which they are asked.
pub struct Resilient {
    chain: Arc<[Guarded]>,
    name: String,
    hand_over: Duration,
}

impl Resilient {
    /// `hand_over`: how long a model may say nothing where another that is well stands behind it, see [`hand_over`]. The last has the time that its
    /// vendor's [`crate::Limits`] give it.
    pub fn new(first: Guarded, fallbacks: Vec<Guarded>, hand_over: Duration) -> Self {
        let name = first.model.name().to_owned();
        Self { chain: std::iter::once(first).chain(fallbacks).collect(), name, hand_over }
    }
}

impl LanguageModel for Resilient {
    fn name(&self) -> &str {
        &self.name
    }

    /// The one that is asked first.
    fn warm(&self) {
        self.chain[0].model.warm();
    }

    fn complete(&self, request: Completion) -> ModelStream {
        let (chain, hand_over) = (self.chain.clone(), self.hand_over);
        Box::pin(async_stream::stream! {
            let asked = Instant::now();
            let shows_pictures = request.shows_pictures();
            let mut round = Round::of(&chain);
            let mut last = None;
            while asked.elapsed() < TRIES_WITHIN && let Some((guarded, leave)) = round.next() {
                let is_another = last.is_some() && round.tries == 0;
                if is_another {
                    yield ModelEvent::Rerouted;
                }
                let limit = if round.somebody_is_left() { FIRST_WORD_OF_SEVERAL } else { FIRST_WORD };
                let answer = guarded.ask(request.clone()).await;
                let mut answer = first_word::within(limit, guarded.model.name().to_owned(), answer);
                let mut attempt = Attempt::new(guarded, leave, shows_pictures && round.tries > 0);
                // Whom there is no time left to ask, nobody is broken off for.
                if round.somebody_is_left() && asked.elapsed() + hand_over < TRIES_WITHIN {
                    attempt.patience = Some(hand_over);
                }
                let error = loop {
                    match attempt.next(&mut answer).await {
                        ModelEvent::Failed { error } => break error,
                        event => {
                            // Before it is given on: who has the last event does not ask for more.
                            attempt.saw(&event);
                            let done = event.is_last();
                            yield event;
                            if done {
                                return;
                            }
                        }
                    }
                };
                let spoke = attempt.spoke;
                attempt.failed(&error);
                if spoke {
                    // What was said cannot be said again.
                    yield ModelEvent::Failed { error };
                    return;
                }
                if let Some(pause) = round.again_after(&error) {
                    sleep(pause).await;
                }
                last = Some(error);
            }
            yield ModelEvent::Failed { error: last.unwrap_or_else(nobody) };
        })
    }
}

fn nobody() -> ModelError {
    ModelError::Resting { vendor: "every model".to_owned() }
}

/// Whom to ask one question, one after the other: those who are well in their order, then the one of the others who rests least.
struct Round<'a> {
    left: std::slice::Iter<'a, Guarded>,
    resting: Vec<&'a Guarded>,
    /// Who is asked at present, and is asked again.
    again: Option<&'a Guarded>,
    now: Option<&'a Guarded>,
    /// Of the present one, before this.
    tries: usize,
}

impl<'a> Round<'a> {
    fn of(chain: &'a [Guarded]) -> Self {
        Self { left: chain.iter(), resting: Vec::new(), again: None, now: None, tries: 0 }
    }

    fn next(&mut self) -> Option<(&'a Guarded, Leave)> {
        // Its own failure may have been the one that opens its breaker.
        if let Some((guarded, leave)) = self.again.take().and_then(|guarded| Some((guarded, guarded.admit()?))) {
            self.tries += 1;
            return Some((guarded, leave));
        }
        self.tries = 0;
        for guarded in self.left.by_ref() {
            if let Some(leave) = guarded.admit() {
                self.now = Some(guarded);
                return Some((guarded, leave));
            }
            self.resting.push(guarded);
        }
        let least = self.resting.drain(..).min_by_key(|guarded| guarded.rests_for())?;
        self.now = None;
        Some((least, least.breaker.admit_resting()))
    }

    /// Somebody who is well.
    fn somebody_is_left(&self) -> bool {
        self.left.clone().any(|guarded| guarded.rests_for().is_zero())
    }

    /// The pause before the present one is asked again. None: it is not.
    fn again_after(&mut self, error: &ModelError) -> Option<Duration> {
        // One that was to rest is asked once.
        let guarded = self.now?;
        let pause = pause_before_retry(error, self.tries)?;
        self.again = Some(guarded);
        Some(pause)
    }
}

/// None: this model is not asked again. Silence has cost the caller too much time already.
fn pause_before_retry(error: &ModelError, tries: usize) -> Option<Duration> {
    if !error.may_retry() || matches!(error, ModelError::Timeout { .. }) {
        return None;
    }
    let pause = *PAUSES.get(tries)?;
    match error.retry_after() {
        Some(asked) => Some(asked.max(pause)).filter(|wait| *wait <= PATIENCE),
        None => Some(pause),
    }
}

/// One request to one model, and its figures.
struct Attempt<'a> {
    guarded: &'a Guarded,
    leave: Leave,
    asked: Instant,
    /// How long it may say nothing. None: as long as its vendor may.
    patience: Option<Duration>,
    /// The same question was asked with pictures before, and its failure was counted.
    counted: bool,
    /// Something of the answer was given on.
    spoke: bool,
}

impl<'a> Attempt<'a> {
    fn new(guarded: &'a Guarded, leave: Leave, counted: bool) -> Self {
        Self { guarded, leave, asked: Instant::now(), patience: None, counted, spoke: false }
    }

    fn model(&self) -> String {
        self.guarded.model.name().to_owned()
    }

    async fn next(&mut self, answer: &mut ModelStream) -> ModelEvent {
        let event = match self.patience {
            Some(patience) => match timeout_at(self.asked + patience, answer.next()).await {
                Ok(event) => event,
                Err(_) => return ModelEvent::Failed { error: self.late(patience) },
            },
            None => answer.next().await,
        };
        // It has begun: from here on the vendor's own limits count.
        self.patience = None;
        event.unwrap_or_else(|| ModelEvent::Failed { error: self.ended() })
    }

    fn saw(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::Text { .. } | ModelEvent::ToolCall { .. } if !self.spoke => {
                self.spoke = true;
                self.leave.answers();
                metrics::histogram!("tandem_model_first_token_seconds", "model" => self.model())
                    .record(self.asked.elapsed());
            }
            ModelEvent::Usage { usage } => {
                for (kind, tokens) in [("input", usage.input), ("output", usage.output)] {
                    metrics::counter!("tandem_model_tokens_total", "model" => self.model(), "kind" => kind)
                        .increment(tokens);
                }
            }
            ModelEvent::Done { .. } => {
                self.leave.answers();
                self.count("done");
            }
            ModelEvent::Text { .. }
            | ModelEvent::ToolCall { .. }
            | ModelEvent::Progress
            | ModelEvent::Rerouted
            | ModelEvent::Failed { .. } => {}
        }
    }

    fn failed(self, error: &ModelError) {
        warn!(model = self.guarded.model.name(), reason = error.reason(), %error, "a completion failed");
        self.count(error.reason());
        // A request that cannot be right, and one that was not sent, say nothing of the vendor. Of one with pictures some vendors say that they failed,
        // where their model does not see: each counts once, for the vendor may be gone as well.
        let of_the_vendor = match error {
            ModelError::Refused { .. } | ModelError::Busy { .. } => false,
            ModelError::Failed { .. } => self.spoke || !self.counted,
            _ => true,
        };
        if of_the_vendor {
            self.leave.failed(self.guarded.began.elapsed());
        }
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("tandem_model_requests_total", "model" => self.model(), "outcome" => outcome).increment(1);
    }

    fn late(&self, limit: Duration) -> ModelError {
        ModelError::Timeout { vendor: self.model(), limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
    }

    /// A stream without a last event: a fault of ours.
    fn ended(&self) -> ModelError {
        ModelError::Failed { vendor: self.model(), detail: "it ended without a last word".to_owned() }
    }
}

#[cfg(test)]
#[path = "resilient_tests.rs"]
mod tests;
