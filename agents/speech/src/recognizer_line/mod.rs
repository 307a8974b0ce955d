//! A line to a vendor that recognizes speech while it comes: one WebSocket a conversation, dialled while the phone still
//! rings, over which the recognitions of the conversation follow each other.

pub(crate) mod core;
mod task;

use std::sync::Arc;

use tandem_media::codec;
use tandem_media::leg::Codec;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::task::TaskTracker;

use self::core::StreamCore;
use crate::socket::Dialer;
use crate::{EngineInfo, Recognition, RecognizeRequest, Recognizer, RecognizerInput, SpeechError};

/// Frames that wait while the socket is being opened or is slow: five seconds of 20 ms.
const AUDIO_QUEUE: usize = 256;
/// Events that wait for the session. Full: what says only how far the recognition is gets dropped; one place is kept for
/// the last event.
const EVENT_QUEUE: usize = 16;
/// Recognitions that wait for the line's task. Full: it was asked for so many at once, and says "busy".
const START_QUEUE: usize = 4;

/// How samples are written on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    MuLaw,
    Linear16,
}

impl Encoding {
    /// A telephone line brings no more than mu-law holds, in half of the bytes.
    pub(crate) fn of(rate: u32) -> Self {
        if rate == codec::RATE { Self::MuLaw } else { Self::Linear16 }
    }

    fn bytes(self, samples: &[i16]) -> Vec<u8> {
        match self {
            Self::MuLaw => {
                let mut bytes = Vec::with_capacity(samples.len());
                codec::encode(Codec::Pcmu, samples, &mut bytes);
                bytes
            }
            Self::Linear16 => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        }
    }
}

/// Where a line leads, and how it is kept.
pub(crate) struct Plan {
    pub(crate) engine: &'static str,
    pub(crate) dialer: Dialer,
    pub(crate) url: String,
    /// Hz of the audio that will be pushed.
    pub(crate) rate: u32,
    pub(crate) encoding: Encoding,
    /// What is sent in silence so that the vendor does not hang up. None: a ping.
    pub(crate) keep_alive: Option<&'static str>,
    /// What the vendor wants to hear before the socket closes.
    pub(crate) farewell: &'static str,
    /// The node's connections to this vendor; none left: "busy".
    pub(crate) places: Arc<Semaphore>,
    /// How many there are in all.
    pub(crate) limit: usize,
}

/// What the task needs of a new recognition.
struct Start {
    audio: mpsc::Receiver<RecognizerInput>,
    events: mpsc::Sender<crate::RecognizerEvent>,
}

/// The handle. Dropped: the line says farewell, after the recognition that runs.
pub(crate) struct RecognizerLine {
    engine: &'static str,
    quality: &'static str,
    rate: u32,
    starts: mpsc::Sender<Start>,
    /// The audio of the latest recognition: dead as soon as the session has let go of it, though the task may not know yet.
    latest: watch::Sender<Option<mpsc::WeakSender<RecognizerInput>>>,
}

impl RecognizerLine {
    /// Dials at once, from a task. Must be called inside a tokio runtime.
    pub(crate) fn open(plan: Plan, quality: &'static str, core: impl StreamCore, tasks: &TaskTracker) -> Self {
        let (starts, asked) = mpsc::channel(START_QUEUE);
        let line = Self { engine: plan.engine, quality, rate: plan.rate, starts, latest: watch::Sender::new(None) };
        tasks.spawn(task::run(plan, core, asked));
        line
    }

    fn busy(&self) -> SpeechError {
        SpeechError::Busy { engine: self.engine.to_owned(), limit: 1 }
    }
}

impl Recognizer for RecognizerLine {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: self.engine.to_owned(), quality: self.quality.to_owned() }
    }

    /// Grammars are not enforced: what was said is told as it is. The language is that of the line.
    fn listen(&self, request: RecognizeRequest) -> Result<Recognition, SpeechError> {
        if request.rate != self.rate {
            let what = format!("take audio of {} Hz on a line of {} Hz", request.rate, self.rate);
            return Err(SpeechError::NotSupported { engine: self.engine.to_owned(), what });
        }
        if self.latest.borrow().as_ref().is_some_and(|latest| latest.upgrade().is_some()) {
            return Err(self.busy());
        }
        let (audio, audio_rx) = mpsc::channel(AUDIO_QUEUE);
        let (events_tx, events) = mpsc::channel(EVENT_QUEUE);
        self.starts.try_send(Start { audio: audio_rx, events: events_tx }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => self.busy(),
            mpsc::error::TrySendError::Closed(_) => SpeechError::Failed {
                engine: self.engine.to_owned(),
                why: "its task has ended".to_owned(),
                retry: false,
            },
        })?;
        self.latest.send_replace(Some(audio.downgrade()));
        Ok(Recognition { audio, events })
    }
}
