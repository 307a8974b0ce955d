//! Pocketsphinx behind [`Recognizer`]: menus, yes/no and digits.
//!
//! A recognition is a small task that owns its audio queue; decoding happens on a pool of threads, one job at a time for
//! each recognition, while the caller still speaks. Decoders are made when a recognition gets its first audio, and kept for
//! the next one.

mod grammar;
mod recognition;
mod rejection;

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use tandem_speech_engines::LoadError;
use tandem_speech_engines::pocketsphinx::{Decoder, DecoderError, Pocketsphinx};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use self::grammar::Compiled;
pub use self::grammar::words_of;
use crate::pool::{BlockingPool, PoolFull};
use crate::{EngineInfo, Grammar, Recognition, RecognizeRequest, Recognizer, RecognizerEvent, SpeechError};

pub(crate) const ENGINE: &str = "pocketsphinx";
/// Recognitions at once for each thread: what it can serve in time, as decoding takes about a fourteenth of the time of the
/// speech. Measured on one core with 50 callers: with 16 or more the slowest twentieth waits three seconds for the answer.
const RECOGNITIONS_PER_THREAD: usize = 12;
/// Decoders kept for each thread while nobody speaks (3 MB each): as many as a thread serves in time.
const IDLE_PER_THREAD: usize = 10;
/// A decoder that knows this many words is not kept: its dictionary only grows.
const MOST_WORDS: usize = 2000;
/// Pushes that wait for a decoder: five seconds of 20 ms frames.
const AUDIO_QUEUE: usize = 256;
/// Events that wait for the session. Partials are dropped when it is full, the last event waits.
const EVENT_QUEUE: usize = 16;

/// The recognizer. Cloning shares it.
#[derive(Clone, Debug)]
pub struct PocketsphinxRecognizer {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

/// What all recognitions share.
#[derive(Debug)]
struct Shared {
    engine: &'static Pocketsphinx,
    pool: BlockingPool,
    /// Full: the decoder that comes back is freed.
    idle: (Sender<Decoder>, Receiver<Decoder>),
    /// One permit for each running recognition; none left: "busy".
    permits: Arc<Semaphore>,
    limit: usize,
}

impl PocketsphinxRecognizer {
    /// Opens the engine and starts `threads` threads.
    ///
    /// # Errors
    /// When the libraries or the model are not installed, or the system gives no thread.
    pub fn start(threads: usize) -> Result<Self, StartError> {
        let engine = Pocketsphinx::load()?;
        let limit = threads.max(1) * RECOGNITIONS_PER_THREAD;
        // Each recognition has at most one job here, and one freeing of its decoder.
        let pool = BlockingPool::start("recognize", threads, limit * 2)?;
        let permits = Arc::new(Semaphore::new(limit));
        let shared = Shared { engine, pool, idle: bounded(threads.max(1) * IDLE_PER_THREAD), permits, limit };
        Ok(Self { shared: Arc::new(shared), tasks: TaskTracker::new() })
    }
}

/// Why the recognizer does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("no thread to decode on")]
    Thread(#[from] std::io::Error),
}

pub(crate) fn missing_words(engine: &Pocketsphinx, grammar: &Grammar) -> Vec<String> {
    words_of(grammar).into_iter().filter(|word| !engine.dictionary().contains(word)).collect()
}

/// Checks a grammar by loading it; blocks for some 30 ms.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_grammar(engine: &'static Pocketsphinx, grammar: &Grammar) -> Result<(), SpeechError> {
    let compiled = Compiled::new(grammar, engine.dictionary())?;
    engine.decoder().map_err(failed)?.set_grammar(&compiled.jsgf, &compiled.words).map_err(failed)
}

fn failed(error: DecoderError) -> SpeechError {
    let engine = ENGINE.to_owned();
    match error {
        DecoderError::UnknownWord(word) => SpeechError::NotSupported { engine, what: format!("recognize {word:?}") },
        DecoderError::Grammar => SpeechError::NotSupported { engine, what: "use this grammar".to_owned() },
        DecoderError::Model | DecoderError::Layout => {
            SpeechError::Failed { engine, why: error.to_string(), retry: false }
        }
        DecoderError::Decoding => SpeechError::Failed { engine, why: error.to_string(), retry: true },
    }
}

impl Shared {
    /// A decoder that is ready for the grammar. On a pool thread only.
    fn decoder(&self, grammar: &Compiled) -> Result<Decoder, SpeechError> {
        let kept = self.idle.1.try_recv().ok();
        let mut decoder = kept.map_or_else(|| self.engine.decoder(), Ok).map_err(failed)?;
        decoder.set_grammar(&grammar.jsgf, &grammar.words).map_err(failed)?;
        decoder.start().map_err(failed)?;
        Ok(decoder)
    }

    /// Keeps the decoder for the next recognition, or frees it on a pool thread.
    fn give_back(&self, decoder: Decoder) {
        let freed = if decoder.known_words() > MOST_WORDS {
            Some(decoder)
        } else {
            self.idle.0.try_send(decoder).err().map(crossbeam_channel::TrySendError::into_inner)
        };
        if let Some(decoder) = freed
            && let Err(PoolFull { .. }) = self.pool.submit(move || drop(decoder))
        {
            tracing::debug!("a decoder was freed outside the pool");
        }
    }
}

impl Recognizer for PocketsphinxRecognizer {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: ENGINE.to_owned(), quality: "menus and digits only, English".to_owned() }
    }

    /// Must be called inside a tokio runtime.
    fn listen(&self, request: RecognizeRequest) -> Result<Recognition, SpeechError> {
        let refuse = |what: String| SpeechError::NotSupported { engine: ENGINE.to_owned(), what };
        if !request.language.to_ascii_lowercase().starts_with("en") {
            return Err(refuse(format!("recognize {:?}", request.language)));
        }
        let front = recognition::Front::new(request.rate).map_err(|error| refuse(error.to_string()))?;
        let compiled = Compiled::new(&request.grammar, self.shared.engine.dictionary())?;
        let permit = Arc::clone(&self.shared.permits)
            .try_acquire_owned()
            .map_err(|_| SpeechError::Busy { engine: ENGINE.to_owned(), limit: self.shared.limit })?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| SpeechError::Failed {
            engine: ENGINE.to_owned(),
            why: "called outside a runtime".to_owned(),
            retry: false,
        })?;
        let (audio, audio_rx) = mpsc::channel(AUDIO_QUEUE);
        let (events_tx, events) = mpsc::channel::<RecognizerEvent>(EVENT_QUEUE);
        let work = recognition::Work::new(front, compiled, permit);
        self.tasks.spawn_on(recognition::run(Arc::clone(&self.shared), work, audio_rx, events_tx), &runtime);
        Ok(Recognition { audio, events })
    }
}

#[cfg(test)]
mod tests;
