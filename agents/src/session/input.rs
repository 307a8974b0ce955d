//! What goes into the session's core and what comes out.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tandem_contract::call::{Accept, CallOffer};
use tandem_contract::event::{SessionCommand, SessionEvent};
use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_contract::record::{CallRecord, LedgerEntry, Stage};
use tandem_contract::{Epoch, Private, UtteranceId};
use tandem_media::leg::{MediaCommand, MediaEvent, Tag};
use tandem_models::{Completion, ModelEvent};
use tandem_speech::{Grammar, RecognizerEvent, VoiceEvent};

use crate::brain::ToolFailure;

/// What a session is, before anything happens in it.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    pub offer: CallOffer,
    pub accept: Accept,
    /// Lines of the sessions that this one continues.
    pub before: Vec<LedgerEntry>,
    /// Hz of the leg's audio; none for chat.
    pub rate: Option<u32>,
    /// Wall clock, milliseconds since 1970-01-01 UTC.
    pub started_at_ms: u64,
}

/// Number of a recognition within its session. A result of an older one is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecognitionId(pub u32);

/// Number of a question to the model that was asked ahead of the caller's end. An answer to an older one is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AheadId(pub u32);

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionInput {
    /// The record's first version is stored (or cannot be: the call goes on all the same).
    Begun,
    Media(MediaEvent),
    /// The worker is gone without a word.
    MediaLost,
    Leg(LegEvent),
    Recognizer {
        recognition: RecognitionId,
        event: RecognizerEvent,
    },
    Voice {
        epoch: Epoch,
        utterance: UtteranceId,
        event: VoiceEvent,
    },
    ToolDone {
        call: u32,
        result: Result<Value, ToolFailure>,
    },
    Model {
        epoch: Epoch,
        event: ModelEvent,
    },
    /// The answer to `AskAhead`.
    Ahead {
        ahead: AheadId,
        event: ModelEvent,
    },
    /// The answer to `MakeNotes`. None: there are none.
    Notes {
        notes: Option<Private<String>>,
    },
    Command(SessionCommand),
}

/// Something is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEffect {
    Media(MediaCommand),
    Leg(LegCommand),
    StartVoice {
        epoch: Epoch,
        utterance: UtteranceId,
        text: Private<String>,
    },
    CancelVoice,
    StartRecognizer {
        recognition: RecognitionId,
        grammar: Grammar,
    },
    PushAudio(Arc<[i16]>),
    FinishRecognizer,
    CancelRecognizer,
    CallTool {
        call: u32,
        tool: String,
        arguments: Value,
    },
    /// Ask the language model; a question that still runs is given up.
    StartModel {
        epoch: Epoch,
        request: Completion,
    },
    /// The same, before it is sure that this is the question. It goes on when it proves to be.
    AskAhead {
        ahead: AheadId,
        request: Completion,
    },
    CancelModel,
    /// Ask the language model for notes of the conversation, beside what it is asked else.
    MakeNotes {
        request: Completion,
    },
    Emit(SessionEvent),
    /// Write this version of the record. `first`: answer with `Begun` when it is durable.
    Store {
        record: Box<CallRecord>,
        first: bool,
    },
    Measure(Measure),
    /// The session is over; this is its final record. Nothing follows.
    End(Box<CallRecord>),
}

/// A figure for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// `tandem_turn_gap_seconds`
    TurnGap(Duration),
    /// `tandem_stage_seconds{stage}`
    Stage(Stage, Duration),
    /// `tandem_barge_in_pause_seconds`: onset of the caller's voice to the silent line.
    BargeInPause(Duration),
    /// `tandem_recognizer_failures_total{reason}`
    RecognizerFailed(&'static str),
    /// `tandem_false_interruptions_total`
    FalseInterruption,
    /// `tandem_asked_ahead_total{outcome}`: whether the answer was wanted in the end.
    AskedAhead { used: bool },
}

/// How an utterance is addressed on its leg: the epoch in the upper, the utterance in the lower half.
pub fn tag_of(epoch: Epoch, utterance: UtteranceId) -> Tag {
    Tag(u64::from(epoch.0) << 32 | u64::from(utterance.0))
}

/// Whose audio it is.
pub fn utterance_of(tag: Tag) -> (Epoch, UtteranceId) {
    let [epoch, utterance] = [tag.0 >> 32, tag.0 & u64::from(u32::MAX)].map(|half| u32::try_from(half).unwrap_or(0));
    (Epoch(epoch), UtteranceId(utterance))
}
