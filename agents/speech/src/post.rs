//! Voices that speak over HTTP: an utterance is a POST of JSON, and its body is the audio as it is made.
//!
//! The task of an utterance
//! - owns the request: nobody else reads its body;
//! - receives bytes from the vendor;
//! - sends the utterance its events;
//! - ends with the body, or at once when nobody listens any more.

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::Value;
use tandem_models::{Endpoint, ModelError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::line::speaking::{Halt, Outlet, Source, Speaking};
use crate::{SpeakRequest, SpeechError, VoiceEvent};

/// Bytes of one body at most. Bounds what a broken vendor can make us read; the longest text at 48 kHz is below.
const BODY_MAX: usize = 64 << 20;

/// One vendor's utterances, once a node.
#[derive(Clone)]
pub(crate) struct Posts {
    engine: String,
    endpoint: Endpoint,
    places: Arc<Semaphore>,
    /// Requests at once.
    most: usize,
    tasks: TaskTracker,
}

/// What is asked of the vendor for one utterance.
pub(crate) struct Post {
    /// None: the vendor's one URL.
    pub(crate) url: Option<String>,
    pub(crate) body: Value,
    pub(crate) source: Source,
}

impl Posts {
    pub(crate) fn new(engine: &str, endpoint: Endpoint, most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(most));
        Self { engine: engine.to_owned(), endpoint, places, most, tasks: TaskTracker::new() }
    }

    /// See [`Endpoint::warm`].
    pub(crate) fn warm(&self) {
        self.endpoint.warm();
    }

    /// Asks for it at once; inside a runtime.
    ///
    /// # Errors
    /// `Busy` when the node has all the requests under way that it may have.
    pub(crate) fn speak(&self, request: &SpeakRequest, post: Post) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        let busy = |_| SpeechError::Busy { engine: self.engine.clone(), limit: self.most };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let (outlet, events) = Outlet::open(&self.engine);
        let speaking = Speaking::new(post.source, request, outlet).map_err(|error| SpeechError::NotSupported {
            engine: self.engine.clone(),
            what: format!("speak at this rate ({error})"),
        })?;
        let endpoint = match post.url {
            Some(url) => self.endpoint.clone().at(url),
            None => self.endpoint.clone(),
        };
        self.tasks.spawn(run(endpoint, post.body, speaking, place));
        Ok(events)
    }
}

async fn run(endpoint: Endpoint, body: Value, speaking: Speaking, _place: OwnedSemaphorePermit) {
    let listener = speaking.listener();
    tokio::select! {
        () = listener.closed() => {}
        () = speak(endpoint, body, speaking) => {}
    }
}

/// What breaks off before the first audio is asked for once more; what has begun is not, since it would be heard twice.
async fn speak(endpoint: Endpoint, body: Value, mut speaking: Speaking) {
    let began = Instant::now();
    let error = match take(endpoint.clone(), body.clone(), &mut speaking).await {
        Err(Some(ModelError::Failed { .. })) if !speaking.has_begun() => {
            take(endpoint.after(began.elapsed()), body, &mut speaking).await
        }
        taken => taken,
    };
    match error {
        Ok(()) => speaking.finish(),
        Err(Some(error)) => speaking.fail(SpeechError::from(error)),
        Err(None) => {}
    }
}

/// The whole body. `Err(None)`: nobody listens.
async fn take(endpoint: Endpoint, body: Value, speaking: &mut Speaking) -> Result<(), Option<ModelError>> {
    let vendor = speaking.engine().to_owned();
    let mut parts = endpoint.bytes(body, BODY_MAX);
    while let Some(part) = parts.next().await {
        match speaking.bytes(&part.map_err(Some)?) {
            Ok(()) => {}
            Err(Halt::Unheard) => return Err(None),
            Err(Halt::Broken(detail)) => return Err(Some(ModelError::Refused { vendor, detail })),
        }
    }
    Ok(())
}
