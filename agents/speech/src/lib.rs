//! Speech: recognizers and voices behind narrow traits, the pool that blocking engines run on, the prompt cache, and the
//! test voice. Engines in C sit in `tandem-speech-engines`, the only crate with `unsafe`.

pub mod aura;
pub mod cartesia;
pub mod catalog;
mod chunk;
pub mod deepgram;
pub mod elevenlabs;
pub mod espeak_ng;
pub mod flite;
pub mod language;
mod line;
pub mod openai_speech;
pub mod openai_transcribe;
pub mod pocketsphinx;
pub mod pool;
mod post;
mod prompts;
#[cfg(test)]
mod recognizer_conformance;
mod recognizer_line;
pub mod resilient;
mod sentence;
mod socket;
#[cfg(test)]
mod socket_conformance;
pub mod test_voice;
#[cfg(test)]
mod voice_conformance;
#[cfg(test)]
mod voice_vendor_conformance;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tandem_models::ModelError;
use thiserror::Error;
use tokio::sync::mpsc;

/// What an engine is and how good, for the start page of a new user: "pocketsphinx, menus and digits only".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    pub name: String,
    pub quality: String,
}

/// What a recognizer is to listen for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Grammar {
    /// One of these phrases, in plain words.
    Phrases { phrases: Vec<String> },
    /// A string of spoken digits.
    Digits { min: u8, max: u8 },
    /// A JSGF grammar, for those who need one.
    Jsgf { source: String },
    /// Anything (dictation); recognizers that cannot do it say so in their error.
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecognizeRequest {
    pub grammar: Grammar,
    /// Hz of the audio that will be pushed.
    pub rate: u32,
    /// BCP 47.
    pub language: String,
}

/// Whose fault, and whether to try again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SpeechError {
    #[error("{engine} cannot {what}")]
    NotSupported { engine: String, what: String },
    #[error("{engine} is not available: {why}")]
    Unavailable { engine: String, why: String },
    #[error("all {limit} places at {engine} are taken")]
    Busy { engine: String, limit: usize },
    #[error("{engine} refused the key: check {setting}")]
    Unauthorized { engine: String, setting: String },
    #[error("{engine} takes no more requests at present")]
    RateLimited { engine: String },
    #[error("{engine} failed: {why}")]
    Failed { engine: String, why: String, retry: bool },
}

impl SpeechError {
    /// Whether another attempt, later, may fare better by itself.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::RateLimited { .. } | Self::Failed { retry: true, .. })
    }
}

/// What goes wrong over HTTP, in the words of speech.
impl From<ModelError> for SpeechError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Unauthorized { vendor: engine, setting } => Self::Unauthorized { engine, setting },
            ModelError::RateLimited { vendor: engine, .. } => Self::RateLimited { engine },
            ModelError::Refused { vendor: engine, detail: why } | ModelError::Spent { vendor: engine, detail: why } => {
                Self::Failed { engine, why, retry: false }
            }
            ModelError::Timeout { vendor: engine, limit_ms } => {
                Self::Failed { engine, why: format!("it said nothing for {limit_ms} ms"), retry: true }
            }
            ModelError::Failed { vendor: engine, detail: why }
            | ModelError::Malformed { vendor: engine, detail: why } => Self::Failed { engine, why, retry: true },
            ModelError::Busy { vendor: engine, limit } => Self::Busy { engine, limit },
            ModelError::Resting { vendor: engine } => {
                Self::Unavailable { engine, why: "it failed too often and is left alone for a while".to_owned() }
            }
            error @ ModelError::OutOfBudget { .. } => {
                Self::Unavailable { engine: "the vendor".to_owned(), why: error.to_string() }
            }
        }
    }
}

/// Caller audio for a running recognition.
#[derive(Clone, Debug, PartialEq)]
pub enum RecognizerInput {
    Audio(Arc<[i16]>),
    /// The caller finished; the last event follows.
    Finish,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RecognizerEvent {
    /// Words so far; may change.
    Partial {
        text: String,
    },
    /// The grammar was matched. Confidence 0 to 1.
    Final {
        text: String,
        confidence: f32,
    },
    /// The recognizer itself judges that the caller has finished. Eager: probably; what follows is either the same text,
    /// no longer eager, or `TurnResumed`. Not eager: the last event, as `Final` is. Confidence 0 to 1, that the turn is over.
    EndOfTurn {
        text: String,
        confidence: f32,
        eager: bool,
    },
    /// After an eager `EndOfTurn`: the caller goes on. What was begun on its account is void.
    TurnResumed,
    /// Something was said that the grammar does not hold (or nothing was said).
    Rejected,
    Failed(SpeechError),
}

impl RecognizerEvent {
    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Partial { .. } | Self::EndOfTurn { eager: true, .. } | Self::TurnResumed => false,
            Self::Final { .. } | Self::EndOfTurn { eager: false, .. } | Self::Rejected | Self::Failed(_) => true,
        }
    }
}

/// A running recognition: dropping it cancels it.
#[derive(Debug)]
pub struct Recognition {
    /// Full: the engine is slower than the caller; the session drops the frame and counts it.
    pub audio: mpsc::Sender<RecognizerInput>,
    pub events: mpsc::Receiver<RecognizerEvent>,
}

pub trait Recognizer: Send + Sync {
    fn info(&self) -> EngineInfo;
    /// Starts listening. Never blocks.
    ///
    /// # Errors
    /// When the engine cannot do it or has no decoder free.
    fn listen(&self, request: RecognizeRequest) -> Result<Recognition, SpeechError>;
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpeakRequest {
    pub text: String,
    /// Hz in which the audio is wanted: the leg's rate. The voice converts.
    pub rate: u32,
}

/// A word and where it sits in the utterance, in samples of the requested rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlignedWord {
    pub text: String,
    pub start: u64,
    /// One past the last sample.
    pub end: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum VoiceEvent {
    Audio(Arc<[i16]>),
    /// More alignment, in order. Voices without timestamps send none and the ledger divides by the audio's length.
    Words(Vec<AlignedWord>),
    Done,
    Failed(SpeechError),
}

pub trait Voice: Send + Sync {
    fn info(&self) -> EngineInfo;
    /// Starts speaking. Never blocks; dropping the receiver cancels. `Done` or `Failed` is the last event.
    ///
    /// # Errors
    /// When the engine cannot do it.
    fn speak(&self, request: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError>;
}
