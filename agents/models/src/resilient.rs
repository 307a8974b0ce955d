//! What every session wants of its model, whoever the vendor: a second try before the first token, a breaker, another
//! model where one fails (and the news of it), and figures.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::breaker::Breaker;
use crate::{Completion, LanguageModel, ModelError, ModelEvent, ModelStream};

/// Pauses before the second and the third try of one model: a caller waits.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// A vendor that asks for more patience than this is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// After this long without a token no further request is sent: the turn machine gives a silent reply up after 20 s, and the
/// last request may take its own limit.
const TRIES_WITHIN: Duration = Duration::from_secs(10);

/// Models in the order in which they are asked.
pub struct Resilient {
    chain: Arc<[Guarded]>,
    name: String,
    /// The moment that the breakers count from.
    began: Instant,
}

struct Guarded {
    model: Arc<dyn LanguageModel>,
    breaker: Breaker,
}

impl Resilient {
    /// Must be made inside a tokio runtime, whose clock it reads.
    pub fn new(first: Arc<dyn LanguageModel>, fallbacks: Vec<Arc<dyn LanguageModel>>) -> Self {
        let name = first.name().to_owned();
        let chain = std::iter::once(first).chain(fallbacks);
        let chain = chain.map(|model| Guarded { model, breaker: Breaker::default() }).collect();
        Self { chain, name, began: Instant::now() }
    }
}

impl LanguageModel for Resilient {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&self, request: Completion) -> ModelStream {
        let (chain, began) = (self.chain.clone(), self.began);
        Box::pin(async_stream::stream! {
            let asked = Instant::now();
            let shows_pictures = request.shows_pictures();
            let mut last = ModelError::Resting { vendor: "every model".to_owned() };
            let mut failed = false;
            for guarded in chain.iter() {
                let mut tries = 0;
                loop {
                    if asked.elapsed() >= TRIES_WITHIN {
                        break;
                    }
                    if !guarded.breaker.admits(began.elapsed()) {
                        last = ModelError::Resting { vendor: guarded.model.name().to_owned() };
                        break;
                    }
                    if failed && tries == 0 {
                        yield ModelEvent::Rerouted;
                    }
                    let mut attempt = Attempt::new(guarded, shows_pictures && tries > 0);
                    let mut answer = guarded.model.complete(request.clone());
                    let error = loop {
                        match answer.next().await {
                            Some(ModelEvent::Failed { error }) => break Some(error),
                            Some(event) => {
                                attempt.saw(&event);
                                let done = event.is_last();
                                // Before it is given on: who has the last event does not ask for more.
                                if done {
                                    guarded.breaker.succeeded();
                                }
                                yield event;
                                if done {
                                    break None;
                                }
                            }
                            None => break Some(attempt.ended()),
                        }
                    };
                    let Some(error) = error else { return };
                    attempt.failed(&error, began.elapsed());
                    if attempt.spoke {
                        // What was said cannot be said again.
                        yield ModelEvent::Failed { error };
                        return;
                    }
                    failed = true;
                    let pause = pause_before_retry(&error, tries);
                    last = error;
                    match pause {
                        Some(pause) => sleep(pause).await,
                        None => break,
                    }
                    tries += 1;
                }
            }
            yield ModelEvent::Failed { error: last };
        })
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
    asked: Instant,
    /// The same question was asked with pictures before, and its failure was counted.
    counted: bool,
    /// Something of the answer was given on.
    spoke: bool,
}

impl<'a> Attempt<'a> {
    fn new(guarded: &'a Guarded, counted: bool) -> Self {
        Self { guarded, asked: Instant::now(), counted, spoke: false }
    }

    fn model(&self) -> String {
        self.guarded.model.name().to_owned()
    }

    fn saw(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::Text { .. } | ModelEvent::ToolCall { .. } if !self.spoke => {
                self.spoke = true;
                metrics::histogram!("tandem_model_first_token_seconds", "model" => self.model())
                    .record(self.asked.elapsed());
            }
            ModelEvent::Usage { usage } => {
                for (kind, tokens) in [("input", usage.input), ("output", usage.output)] {
                    metrics::counter!("tandem_model_tokens_total", "model" => self.model(), "kind" => kind)
                        .increment(tokens);
                }
            }
            ModelEvent::Done { .. } => self.count("done"),
            ModelEvent::Text { .. }
            | ModelEvent::ToolCall { .. }
            | ModelEvent::Progress
            | ModelEvent::Rerouted
            | ModelEvent::Failed { .. } => {}
        }
    }

    fn failed(&self, error: &ModelError, now: Duration) {
        warn!(model = self.guarded.model.name(), reason = error.reason(), %error, "a completion failed");
        self.count(error.reason());
        // A request that cannot be right says nothing of the vendor. Of one with pictures some vendors say that they failed,
        // where their model does not see: each counts once, for the vendor may be gone as well.
        let of_the_vendor = match error {
            ModelError::Refused { .. } => false,
            ModelError::Failed { .. } => self.spoke || !self.counted,
            _ => true,
        };
        if of_the_vendor {
            self.guarded.breaker.failed(now);
        }
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("tandem_model_requests_total", "model" => self.model(), "outcome" => outcome).increment(1);
    }

    /// A stream without a last event: a fault of ours.
    fn ended(&self) -> ModelError {
        ModelError::Failed { vendor: self.model(), detail: "it ended without a last word".to_owned() }
    }
}

#[cfg(test)]
#[path = "resilient_tests.rs"]
mod tests;
