//! The voice, the recognition and the completion that run for a session. Speech works elsewhere and answers by channel; a
//! completion is a stream that runs while it is polled.

use std::sync::Arc;

use futures_util::StreamExt as _;
use tandem_contract::{Epoch, Private, UtteranceId};
use tandem_models::{Completion, LanguageModel, ModelError, ModelEvent, ModelStream};
use tandem_speech::{
    Grammar, Recognition, RecognizeRequest, RecognizerEvent, RecognizerInput, SpeakRequest, SpeechError, VoiceEvent,
};
use tokio::sync::mpsc;

use crate::session::SpeechSet;
use crate::session::input::{AheadId, RecognitionId, SessionInput};

struct RunningVoice {
    epoch: Epoch,
    utterance: UtteranceId,
    events: mpsc::Receiver<VoiceEvent>,
}

struct RunningRecognition {
    id: RecognitionId,
    recognition: Recognition,
}

/// For what the model is asked.
#[derive(Clone, Copy)]
pub(super) enum Asker {
    Reply(Epoch),
    Ahead(AheadId),
}

impl Asker {
    fn told(self, event: ModelEvent) -> SessionInput {
        match self {
            Self::Reply(epoch) => SessionInput::Model { epoch, event },
            Self::Ahead(ahead) => SessionInput::Ahead { ahead, event },
        }
    }
}

struct RunningCompletion {
    asker: Asker,
    events: ModelStream,
}

pub(super) struct Engines {
    speech: SpeechSet,
    model: Option<Arc<dyn LanguageModel>>,
    rate: u32,
    voice: Option<RunningVoice>,
    recognition: Option<RunningRecognition>,
    completion: Option<RunningCompletion>,
}

impl Engines {
    pub(super) fn new(speech: SpeechSet, model: Option<Arc<dyn LanguageModel>>, rate: Option<u32>) -> Self {
        Self { speech, model, rate: rate.unwrap_or(0), voice: None, recognition: None, completion: None }
    }

    /// The answer of a node without a model.
    pub(super) fn ask(&mut self, asker: Asker, request: Completion) -> Option<SessionInput> {
        let Some(model) = &self.model else {
            let error = ModelError::Failed { vendor: "this node".to_owned(), detail: "it has no model".to_owned() };
            return Some(asker.told(ModelEvent::Failed { error }));
        };
        self.completion = Some(RunningCompletion { asker, events: model.complete(request) });
        None
    }

    /// A completion that somebody else reads. None: there is no model.
    pub(super) fn complete(&self, request: Completion) -> Option<ModelStream> {
        self.model.as_ref().map(|model| model.complete(request))
    }

    pub(super) fn cancel_completion(&mut self) {
        self.completion = None;
    }

    /// The answer of a voice that refuses at once.
    pub(super) fn speak(
        &mut self,
        epoch: Epoch,
        utterance: UtteranceId,
        text: Private<String>,
    ) -> Option<SessionInput> {
        match self.speech.voice.speak(SpeakRequest { text: text.into_inner(), rate: self.rate }) {
            Ok(events) => {
                self.voice = Some(RunningVoice { epoch, utterance, events });
                None
            }
            Err(error) => Some(SessionInput::Voice { epoch, utterance, event: VoiceEvent::Failed(error) }),
        }
    }

    pub(super) fn cancel_voice(&mut self) {
        self.voice = None;
    }

    /// The answer of a recognizer that refuses at once.
    pub(super) fn listen(&mut self, id: RecognitionId, grammar: Grammar) -> Option<SessionInput> {
        let failed = |error| Some(SessionInput::Recognizer { recognition: id, event: RecognizerEvent::Failed(error) });
        let Some(recognizer) = &self.speech.recognizer else {
            let engine = "this node".to_owned();
            return failed(SpeechError::NotSupported { engine, what: "recognize speech".to_owned() });
        };
        let language = self.speech.language.clone();
        match recognizer.listen(RecognizeRequest { grammar, rate: self.rate, language }) {
            Ok(recognition) => {
                self.recognition = Some(RunningRecognition { id, recognition });
                None
            }
            Err(error) => failed(error),
        }
    }

    /// A frame for which the engine has no room is lost, and counted: the caller is faster than the engine.
    pub(super) fn hear(&mut self, samples: Arc<[i16]>) {
        if let Some(running) = &self.recognition
            && running.recognition.audio.try_send(RecognizerInput::Audio(samples)).is_err()
        {
            metrics::counter!("tandem_recognizer_audio_dropped_total").increment(1);
        }
    }

    /// The channel by which the engine is to be told that the caller has finished.
    pub(super) fn finish(&self) -> Option<mpsc::Sender<RecognizerInput>> {
        self.recognition.as_ref().map(|running| running.recognition.audio.clone())
    }

    pub(super) fn cancel_recognition(&mut self) {
        self.recognition = None;
    }

    /// The next word of an engine. Audio only when the line `takes_audio`.
    pub(super) async fn next(&mut self, takes_audio: bool) -> SessionInput {
        let Self { voice, recognition, completion, .. } = self;
        tokio::select! {
            input = spoken(voice), if takes_audio => input,
            input = recognized(recognition) => input,
            input = completed(completion) => input,
        }
    }
}

async fn spoken(running: &mut Option<RunningVoice>) -> SessionInput {
    let Some(voice) = running else { return std::future::pending().await };
    let (epoch, utterance) = (voice.epoch, voice.utterance);
    let event = voice.events.recv().await.unwrap_or_else(|| VoiceEvent::Failed(gone("the voice")));
    if matches!(event, VoiceEvent::Done | VoiceEvent::Failed(_)) {
        *running = None;
    }
    SessionInput::Voice { epoch, utterance, event }
}

async fn recognized(running: &mut Option<RunningRecognition>) -> SessionInput {
    let Some(RunningRecognition { id, recognition }) = running else { return std::future::pending().await };
    let id = *id;
    let event = recognition.events.recv().await.unwrap_or_else(|| RecognizerEvent::Failed(gone("the recognizer")));
    if event.is_last() {
        *running = None;
    }
    SessionInput::Recognizer { recognition: id, event }
}

async fn completed(running: &mut Option<RunningCompletion>) -> SessionInput {
    let Some(RunningCompletion { asker, events }) = running else { return std::future::pending().await };
    let asker = *asker;
    let event = events.next().await.unwrap_or_else(|| ModelEvent::Failed {
        error: ModelError::Failed { vendor: "the model".to_owned(), detail: "it ended without a last word".to_owned() },
    });
    if event.is_last() {
        *running = None;
    }
    asker.told(event)
}

fn gone(engine: &str) -> SpeechError {
    SpeechError::Failed { engine: engine.to_owned(), why: "it ended without a last word".to_owned(), retry: true }
}
