//! A model that answers as it is told, for tests in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use crate::bounded::Places;
use crate::resilient::Guarded;
use crate::{Completion, Finish, LanguageModel, ModelError, ModelEvent, ModelStream, Usage};

/// Answers the n-th request as the n-th script says, later ones as the last does. After [`stall`] nothing more comes.
struct Scripted {
    name: &'static str,
    scripts: Vec<Vec<ModelEvent>>,
    asked: Arc<AtomicUsize>,
}

impl LanguageModel for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn complete(&self, _: Completion) -> ModelStream {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let mut script = self.scripts.get(number).or(self.scripts.last()).cloned().unwrap_or_default();
        match script.iter().position(|event| *event == stall()) {
            Some(at) => {
                script.truncate(at);
                Box::pin(stream::iter(script).chain(stream::pending()))
            }
            None => Box::pin(stream::iter(script)),
        }
    }
}

/// Says nothing for so long, and then this.
struct Slow {
    after: Duration,
    script: Vec<ModelEvent>,
}

impl LanguageModel for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn complete(&self, _: Completion) -> ModelStream {
        let (after, script) = (self.after, self.script.clone());
        Box::pin(stream::once(tokio::time::sleep(after)).flat_map(move |()| stream::iter(script.clone())))
    }
}

pub(crate) fn after(after: Duration, script: Vec<ModelEvent>) -> Arc<dyn LanguageModel> {
    Arc::new(Slow { after, script })
}

/// A model whose account has room for all.
pub(crate) fn guarded(model: Arc<dyn LanguageModel>) -> Guarded {
    Guarded::new(model, Places::new(usize::MAX))
}

/// And how often it was asked.
pub(crate) fn model(scripts: Vec<Vec<ModelEvent>>) -> (Arc<dyn LanguageModel>, Arc<AtomicUsize>) {
    named("scripted", scripts)
}

pub(crate) fn named(name: &'static str, scripts: Vec<Vec<ModelEvent>>) -> (Arc<dyn LanguageModel>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    (Arc::new(Scripted { name, scripts, asked: asked.clone() }), asked)
}

pub(crate) fn text(text: &str) -> ModelEvent {
    ModelEvent::Text { text: text.to_owned().into() }
}

pub(crate) fn done() -> ModelEvent {
    ModelEvent::Done { finish: Finish::Stop }
}

/// What no model says.
pub(crate) fn stall() -> ModelEvent {
    text("(stall)")
}

pub(crate) fn failed() -> ModelEvent {
    ModelEvent::Failed { error: ModelError::Failed { vendor: "x".into(), detail: "500".into() } }
}

pub(crate) fn usage(input: u64, output: u64) -> ModelEvent {
    ModelEvent::Usage { usage: Usage { input, cached_input: 0, output } }
}
