//! What every vendor of speech gets around it, written once: figures, a circuit breaker, and another that stands in inside the
//! turn. For voices nothing is said twice; for recognizers nothing that was said is lost.

mod recognizer;
mod voice;

use std::sync::Arc;
use std::time::Instant;

use tandem_models::breaker::{Breaker, Leave};
use tokio_util::task::TaskTracker;

pub use self::recognizer::ResilientRecognizer;
pub use self::voice::ResilientVoice;
use crate::SpeechError;

/// Opens what a conversation needs. None: it cannot be had (and whoever opens it has logged why).
pub type Open<T> = Box<dyn Fn() -> Option<Arc<T>> + Send + Sync>;

/// A recognizer or a voice that stands in.
pub struct StandIn<T: ?Sized> {
    /// Called inside a runtime, when it is first needed: a line costs a connection.
    pub open: Open<T>,
    /// The vendor's. None: it is installed here, and stands in for one utterance where no vendor can serve.
    pub health: Option<Arc<Health>>,
}

/// The health of one vendor, as all conversations of a node have seen it.
#[derive(Debug)]
pub struct Health {
    breaker: Arc<Breaker>,
    began: Instant,
    tasks: TaskTracker,
}

impl Default for Health {
    fn default() -> Self {
        Self { breaker: Arc::default(), began: Instant::now(), tasks: TaskTracker::new() }
    }
}

impl Health {
    /// Leave to ask the vendor. Where it rests, one asker at a time is let through to try it.
    fn admit(&self) -> Option<Leave> {
        self.breaker.admit(self.began.elapsed())
    }

    /// How a request ended; `requests` is the metric that counts it.
    fn count(&self, requests: &'static str, mut leave: Leave, error: Option<&SpeechError>) {
        let outcome = match error {
            None => "done",
            Some(SpeechError::Unauthorized { .. }) => "unauthorized",
            Some(SpeechError::RateLimited { .. } | SpeechError::Busy { .. }) => "rate_limited",
            Some(_) => "failed",
        };
        metrics::counter!(requests, "outcome" => outcome).increment(1);
        match error {
            None => leave.answers(),
            Some(_) => leave.failed(self.began.elapsed()),
        }
    }
}
