//! One recognition.
//!
//! Owns: its audio queue, its decoder. Receives: audio. Sends: events, the last of which is `Final`, `Rejected` or `Failed`.
//! Ends after that event, or without one when either end of its channels was dropped.

use std::sync::Arc;

use tandem_media::resample::{ResampleError, Resampler, sample_hold_double};
use tandem_speech_engines::pocketsphinx::{Decoder, SAMPLE_RATE};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::grammar::Compiled;
use super::{ENGINE, Shared, failed, rejection};
use crate::{RecognizerEvent, RecognizerInput, SpeechError};

/// Audio that is gathered before it is decoded, unless the caller finished: a hand-over to the pool for each frame would
/// cost more than its decoding.
const BATCH_MS: usize = 80;
/// Longest utterance; after it the recognition finishes by itself. Bounds the decoder's memory.
const LONGEST_S: usize = 30;

/// Brings audio to the decoder's rate.
pub(super) struct Front {
    rate: u32,
    /// None at 8 kHz, where samples are doubled, and at 16 kHz.
    resampler: Option<Resampler>,
}

impl Front {
    pub(super) fn new(rate: u32) -> Result<Self, ResampleError> {
        let resampler = match rate {
            8_000 | SAMPLE_RATE => None,
            rate => Some(Resampler::new(rate, SAMPLE_RATE)?),
        };
        Ok(Self { rate, resampler })
    }

    fn convert(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        match &mut self.resampler {
            Some(resampler) => resampler.push(samples, out),
            None if self.rate == 8_000 => sample_hold_double(samples, out),
            None => out.extend_from_slice(samples),
        }
    }
}

/// What travels between the task and the pool.
pub(super) struct Work {
    front: Front,
    grammar: Compiled,
    decoder: Option<Decoder>,
    /// What the last partial said.
    partial: String,
    /// Samples decoded so far, at the decoder's rate.
    decoded: usize,
    /// Its place among the recognitions that run; free again before the last event is sent.
    _permit: OwnedSemaphorePermit,
}

/// What a job found.
enum Found {
    Nothing,
    Partial(String),
    /// The last event.
    End(RecognizerEvent),
}

impl Work {
    pub(super) fn new(front: Front, grammar: Compiled, permit: OwnedSemaphorePermit) -> Self {
        Self { front, grammar, decoder: None, partial: String::new(), decoded: 0, _permit: permit }
    }

    /// Decodes; on a pool thread.
    fn decode(&mut self, shared: &Shared, batch: &Batch) -> Found {
        self.try_decode(shared, batch).unwrap_or_else(|error| Found::End(RecognizerEvent::Failed(error)))
    }

    fn try_decode(&mut self, shared: &Shared, batch: &Batch) -> Result<Found, SpeechError> {
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => shared.decoder(&self.grammar)?,
        };
        let mut samples = Vec::new();
        for part in &batch.audio {
            self.front.convert(part, &mut samples);
        }
        self.decoded += samples.len();
        decoder.process(&samples).map_err(failed)?;
        if batch.finished || self.decoded >= LONGEST_S * SAMPLE_RATE as usize {
            let said = decoder.finish().map_err(failed)?;
            shared.give_back(decoder);
            return Ok(Found::End(rejection::judge(&said)));
        }
        let partial = decoder.partial();
        self.decoder = Some(decoder);
        if partial.is_empty() || partial == self.partial {
            return Ok(Found::Nothing);
        }
        self.partial.clone_from(&partial);
        Ok(Found::Partial(partial))
    }
}

/// Audio that came since the last job.
#[derive(Default)]
struct Batch {
    audio: Vec<Arc<[i16]>>,
    samples: usize,
    finished: bool,
}

impl Batch {
    fn add(&mut self, input: RecognizerInput) {
        match input {
            // What comes after the end is not heard.
            RecognizerInput::Audio(_) if self.finished => {}
            RecognizerInput::Audio(samples) => {
                self.samples += samples.len();
                self.audio.push(samples);
            }
            RecognizerInput::Finish => self.finished = true,
        }
    }
}

pub(super) async fn run(
    shared: Arc<Shared>,
    mut work: Work,
    mut audio: mpsc::Receiver<RecognizerInput>,
    events: mpsc::Sender<RecognizerEvent>,
) {
    let enough = work.front.rate as usize * BATCH_MS / 1000;
    while let Some(batch) = gather(&mut audio, &events, enough).await {
        let found;
        (work, found) = match decode_on_pool(&shared, work, batch).await {
            Ok(done) => done,
            Err(error) => {
                // Nobody listens any more when this fails.
                let _ = events.send(RecognizerEvent::Failed(error)).await;
                return;
            }
        };
        match found {
            Found::Nothing => {}
            // Full: the session is behind; a later partial says more.
            Found::Partial(text) => drop(events.try_send(RecognizerEvent::Partial { text })),
            Found::End(event) => {
                drop(work);
                let _ = events.send(event).await;
                return;
            }
        }
    }
    if let Some(decoder) = work.decoder.take() {
        shared.give_back(decoder);
    }
}

/// Waits for enough audio or the end of it; none when the session gave the recognition up.
async fn gather(
    audio: &mut mpsc::Receiver<RecognizerInput>,
    events: &mpsc::Sender<RecognizerEvent>,
    enough: usize,
) -> Option<Batch> {
    let mut batch = Batch::default();
    while batch.samples < enough && !batch.finished {
        tokio::select! {
            () = events.closed() => return None,
            input = audio.recv() => batch.add(input?),
        }
    }
    while let Ok(input) = audio.try_recv() {
        batch.add(input);
    }
    Some(batch)
}

async fn decode_on_pool(shared: &Arc<Shared>, mut work: Work, batch: Batch) -> Result<(Work, Found), SpeechError> {
    let (done, answer) = oneshot::channel();
    let on_thread = Arc::clone(shared);
    let job = move || {
        let found = work.decode(&on_thread, &batch);
        // Before the answer, so that the task holds the last handle and the pool never ends on its own thread.
        drop(on_thread);
        drop(done.send((work, found)));
    };
    shared.pool.submit(job).map_err(|full| SpeechError::Busy { engine: ENGINE.to_owned(), limit: full.limit })?;
    answer.await.map_err(|_| SpeechError::Failed {
        engine: ENGINE.to_owned(),
        why: "decoding was given up".to_owned(),
        retry: true,
    })
}
