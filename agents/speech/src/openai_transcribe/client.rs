//! One recognition is one task.
//!
//! Owns: the audio so far, its place among the node's recognitions. Receives: audio. Sends: the last event. Ends after that
//! event, or without one when the session has let go of the recognition.

use std::sync::Arc;

use reqwest::Client;
use reqwest::header::AUTHORIZATION;
use tandem_media::resample::resample;
use tandem_models::{Endpoint, ModelError, SetupError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::config::{KEY_SETTING, OpenAiTranscribeConfig};
use super::wire::{Answer, content_type, form};
use crate::{EngineInfo, Recognition, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput, SpeechError};

const ENGINE: &str = "openai";
/// Frames that wait for the task: five seconds of 20 ms.
const AUDIO_QUEUE: usize = 256;
/// Longest utterance; after it the recognition finishes by itself. Bounds what is kept, and sent in one request.
const LONGEST_S: usize = 60;
/// Hz above which nothing is sent: the models hear no more.
const RATE_MAX: u32 = 16_000;
/// Hz of audio that is taken.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=48_000;
/// Largest answer, bytes. A minute of speech is a thousand letters.
const ANSWER_MAX: usize = 64 << 10;

/// Made once for the node.
pub struct OpenAiTranscribe {
    endpoint: Endpoint,
    model: Arc<str>,
    /// None left: "busy".
    places: Arc<Semaphore>,
    limit: usize,
    tasks: TaskTracker,
}

impl OpenAiTranscribe {
    /// `client` is shared by all vendors, so that connections stay open between utterances.
    ///
    /// # Errors
    /// When no request could ever be sent with this configuration.
    pub fn new(client: Client, config: OpenAiTranscribeConfig) -> Result<Self, SpeechError> {
        let url = format!("{}/audio/transcriptions", config.base_url.trim_end_matches('/'));
        let unusable =
            |error: SetupError| SpeechError::Unavailable { engine: ENGINE.to_owned(), why: error.to_string() };
        let mut endpoint = Endpoint::new(client, ENGINE, KEY_SETTING, url, config.limits).map_err(unusable)?;
        if let Some(key) = &config.key {
            let value = format!("Bearer {}", key.reveal()).into();
            endpoint = endpoint.with_key(AUTHORIZATION, &value).map_err(unusable)?;
        }
        let places = Arc::new(Semaphore::new(config.max_connections));
        let (model, limit) = (config.model.into(), config.max_connections);
        Ok(Self { endpoint, model, places, limit, tasks: TaskTracker::new() })
    }

    pub fn model(&self) -> &str {
        &self.model
    }

    /// The same account, and its recognitions, for another model.
    #[must_use]
    pub fn with_model(&self, model: &str) -> Self {
        let (endpoint, places) = (self.endpoint.clone(), Arc::clone(&self.places));
        Self { endpoint, model: model.into(), places, limit: self.limit, tasks: self.tasks.clone() }
    }

    /// See [`Endpoint::warm`].
    pub fn warm(&self) {
        self.endpoint.warm();
    }
}

impl Recognizer for OpenAiTranscribe {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: ENGINE.to_owned(), quality: "dictation in many languages, after it was spoken".to_owned() }
    }

    /// Grammars are not enforced: what was said is told as it is. Must be called inside a tokio runtime.
    fn listen(&self, request: RecognizeRequest) -> Result<Recognition, SpeechError> {
        if !RATES.contains(&request.rate) {
            let what = format!("take audio of {} Hz", request.rate);
            return Err(SpeechError::NotSupported { engine: ENGINE.to_owned(), what });
        }
        let busy = |_| SpeechError::Busy { engine: ENGINE.to_owned(), limit: self.limit };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let (audio, audio_rx) = mpsc::channel(AUDIO_QUEUE);
        // The only event is the last.
        let (events_tx, events) = mpsc::channel(1);
        let utterance = Utterance { endpoint: self.endpoint.clone(), model: Arc::clone(&self.model), request };
        self.tasks.spawn(run(utterance, audio_rx, events_tx, place));
        Ok(Recognition { audio, events })
    }
}

struct Utterance {
    endpoint: Endpoint,
    model: Arc<str>,
    request: RecognizeRequest,
}

async fn run(
    utterance: Utterance,
    mut audio: mpsc::Receiver<RecognizerInput>,
    events: mpsc::Sender<RecognizerEvent>,
    place: OwnedSemaphorePermit,
) {
    let last = async {
        let samples = gather(&mut audio, utterance.request.rate).await?;
        Some(utterance.transcribe(samples).await)
    };
    let last = tokio::select! {
        last = last => last,
        () = events.closed() => None,
    };
    drop(place);
    if let Some(last) = last {
        // Its queue is empty. Closed: nobody wants to know.
        let _ = events.try_send(last);
    }
}

/// All of the utterance; none when the session has let go of it.
async fn gather(audio: &mut mpsc::Receiver<RecognizerInput>, rate: u32) -> Option<Vec<i16>> {
    let mut samples = Vec::new();
    while samples.len() < LONGEST_S * rate as usize {
        match audio.recv().await? {
            RecognizerInput::Audio(frame) => samples.extend_from_slice(&frame),
            RecognizerInput::Finish => break,
        }
    }
    Some(samples)
}

impl Utterance {
    async fn transcribe(&self, samples: Vec<i16>) -> RecognizerEvent {
        if samples.is_empty() {
            return RecognizerEvent::Rejected;
        }
        match self.text(samples).await {
            Ok(text) if text.is_empty() => RecognizerEvent::Rejected,
            // The vendor tells no confidence.
            Ok(text) => RecognizerEvent::Final { text, confidence: 1.0 },
            Err(error) => RecognizerEvent::Failed(error),
        }
    }

    async fn text(&self, samples: Vec<i16>) -> Result<String, SpeechError> {
        let failed = |why: String, retry: bool| SpeechError::Failed { engine: ENGINE.to_owned(), why, retry };
        let RecognizeRequest { rate, language, .. } = &self.request;
        let (samples, rate) = match *rate {
            rate if rate <= RATE_MAX => (samples, rate),
            rate => (resample(&samples, rate, RATE_MAX).map_err(|error| failed(error.to_string(), false))?, RATE_MAX),
        };
        let body = form(&self.model, language, &samples, rate);
        let answer = self.upload(&body).await?;
        let Answer { text } = serde_json::from_slice(&answer)
            .map_err(|error| failed(format!("it sent what is no transcription ({error})"), true))?;
        Ok(text.trim().to_owned())
    }

    /// What fails is asked for once more, in what is left of the time: these words are nowhere else. What fails twice is not to
    /// be repeated by whoever listens.
    async fn upload(&self, body: &[u8]) -> Result<Vec<u8>, SpeechError> {
        let began = Instant::now();
        match self.endpoint.upload(&content_type(), body.to_vec(), ANSWER_MAX).await {
            Err(ModelError::Failed { .. }) => {
                let endpoint = self.endpoint.clone().after(began.elapsed());
                let answered = endpoint.upload(&content_type(), body.to_vec(), ANSWER_MAX).await;
                answered.map_err(|error| match SpeechError::from(error) {
                    SpeechError::Failed { engine, why, .. } => SpeechError::Failed { engine, why, retry: false },
                    other => other,
                })
            }
            answered => answered.map_err(SpeechError::from),
        }
    }
}
