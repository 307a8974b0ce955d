//! How many questions an account may be asked at once: all of its models share the places, whichever chains they stand in. Who
//! finds none waits a moment, in the order of asking, and is then told so, that another may be asked.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::{Completion, LanguageModel, ModelError, ModelEvent, ModelStream};

/// How long a place is waited for. Answers take a second or two: among many some place is soon free, and a caller waits. Less
/// than the shortest time in which a model has to begin its answer, or a wait would pass for a vendor's silence.
const WAIT: Duration = Duration::from_millis(500);

/// The places of one account of a vendor.
pub struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Places {
    pub fn new(all: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(all)), all })
    }
}

/// A model that is asked only while its account has a place.
pub struct Bounded {
    model: Arc<dyn LanguageModel>,
    places: Arc<Places>,
}

impl Bounded {
    pub fn new(model: Arc<dyn LanguageModel>, places: Arc<Places>) -> Self {
        Self { model, places }
    }
}

impl LanguageModel for Bounded {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn complete(&self, request: Completion) -> ModelStream {
        let (model, places) = (Arc::clone(&self.model), Arc::clone(&self.places));
        Box::pin(async_stream::stream! {
            let Ok(Ok(place)) = timeout(WAIT, Arc::clone(&places.free).acquire_owned()).await else {
                let error = ModelError::Busy { vendor: model.name().to_owned(), limit: places.all };
                yield ModelEvent::Failed { error };
                return;
            };
            let mut place = Some(place);
            let mut answer = model.complete(request);
            while let Some(event) = answer.next().await {
                // Before it is given on: who has the last event does not ask for more.
                if event.is_last() {
                    place = None;
                }
                yield event;
            }
            drop(place);
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use tokio::time::Instant;

    use super::*;
    use crate::scripted::{done, model, text};

    async fn all(model: &Bounded) -> Vec<ModelEvent> {
        model.complete(Completion::default()).collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn all_models_of_an_account_share_its_places() {
        let places = Places::new(2);
        let ((one, _), (other, count)) = (model(vec![vec![text("Hi"), done()]]), model(vec![vec![text("Ho"), done()]]));
        let (one, other) = (Bounded::new(one, Arc::clone(&places)), Bounded::new(other, places));
        let mut running = [one.complete(Completion::default()), other.complete(Completion::default())];
        for answer in &mut running {
            assert!(matches!(answer.next().await, Some(ModelEvent::Text { .. })));
        }
        let began = Instant::now();
        let busy = ModelError::Busy { vendor: "scripted".into(), limit: 2 };
        assert_eq!(all(&other).await, [ModelEvent::Failed { error: busy }]);
        assert_eq!((Instant::now() - began, count.load(Ordering::Relaxed)), (WAIT, 1), "and nobody was asked");
        // Its last event gives the place back, though nobody asks for more.
        assert_eq!(running[0].next().await, Some(done()));
        assert_eq!(all(&other).await, [text("Ho"), done()]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_next_when_an_answer_is_given_up() {
        let (one, _) = model(vec![vec![text("Hi"), done()]]);
        let model = Bounded::new(one, Places::new(1));
        let mut running = model.complete(Completion::default());
        running.next().await;
        let waiting = all(&model);
        let given_up = async {
            tokio::time::advance(WAIT / 2).await;
            drop(running);
        };
        let (answer, ()) = tokio::join!(waiting, given_up);
        assert_eq!(answer, [text("Hi"), done()]);
    }
}
