//! How many questions an account may be asked at once: all of its models share the places, whichever chains they stand in. Who
//! finds none waits a moment, in the order of asking, and is then told so, that another may be asked.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::ModelStream;

/// How long a place is waited for. Answers take a second or two: among many some place is soon free, and a caller waits.
const WAIT: Duration = Duration::from_millis(500);

/// The places of one account of a vendor.
pub struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Places {
    /// No more than tokio's semaphores have.
    pub fn new(all: usize) -> Arc<Self> {
        let all = all.min(Semaphore::MAX_PERMITS);
        Arc::new(Self { free: Arc::new(Semaphore::new(all)), all })
    }

    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// None: all stay taken.
    pub(crate) async fn take(&self) -> Option<Place> {
        timeout(WAIT, Arc::clone(&self.free).acquire_owned()).await.ok()?.ok().map(Place)
    }
}

/// Given back when it is dropped.
pub(crate) struct Place(OwnedSemaphorePermit);

impl Place {
    /// For as long as this answer runs.
    pub(crate) fn hold(self, mut answer: ModelStream) -> ModelStream {
        Box::pin(async_stream::stream! {
            let mut place = Some(self.0);
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
    use crate::resilient::{Guarded, Resilient};
    use crate::scripted::{after, done, model, text};
    use crate::{Completion, LanguageModel, ModelError, ModelEvent};

    /// A chain of one.
    fn at(places: &Arc<Places>, model: Arc<dyn LanguageModel>) -> Resilient {
        Resilient::new(Guarded::new(model, Arc::clone(places)), vec![], Duration::from_secs(4))
    }

    async fn all(model: &Resilient) -> Vec<ModelEvent> {
        model.complete(Completion::default()).collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn all_models_of_an_account_share_its_places() {
        let places = Places::new(2);
        let ((one, _), (other, count)) = (model(vec![vec![text("Hi"), done()]]), model(vec![vec![text("Ho"), done()]]));
        let (one, other) = (at(&places, one), at(&places, other));
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
        let model = at(&Places::new(1), one);
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

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_a_place_is_no_silence_of_the_vendor() {
        let hand_over = Duration::from_secs(1);
        let places = Places::new(1);
        let slow = after(hand_over - Duration::from_millis(100), vec![text("Slow."), done()]);
        let (second, untouched) = model(vec![vec![text("Second."), done()]]);
        let second = Guarded::new(second, Places::new(1));
        let chain = Resilient::new(Guarded::new(slow, Arc::clone(&places)), vec![second], hand_over);
        let taken = places.take().await;
        let given_up = async {
            tokio::time::advance(WAIT / 2).await;
            drop(taken);
        };
        let (answer, ()) = tokio::join!(all(&chain), given_up);
        assert_eq!((answer, untouched.load(Ordering::Relaxed)), (vec![text("Slow."), done()], 0));
    }
}
