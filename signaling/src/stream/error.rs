//! What a client of this door can do wrong. Each says what, where and how to do it right.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::attachment::{ATTACHMENTS_MAX, AttachmentError};
use super::audio::{AudioError, RATE};
use super::message::{Mode, TEXT_FRAME_MAX, TEXT_MAX};

#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum StreamError {
    #[error("this text frame is not JSON (line {line}, column {column}): {why}")]
    NotJson { line: usize, column: usize, why: String },
    #[error("a text frame of {bytes} bytes is over the limit of {TEXT_FRAME_MAX}")]
    FrameLength { bytes: usize },
    #[error("this message has no type; every message is an object with a string `type`")]
    NoType,
    #[error("there is no message of type {kind:?}; a client sends start, text, dtmf, played, ping, bye")]
    UnknownType { kind: String },
    #[error("message {kind}: {why}")]
    BadField { kind: String, why: String },
    #[error("{first} came before start; the first frame is {{\"type\":\"start\",\"mode\":\"voice\",\"rate\":{RATE}}}")]
    StartFirst { first: String },
    #[error("media, a mark or a digit came before start")]
    StartMissing,
    #[error("start came twice; open another connection for another session")]
    StartTwice,
    #[error("start.rate {rate} is not supported; send {RATE}")]
    Rate { rate: u32 },
    #[error("a voice session cannot be resumed: start without `resume`")]
    ResumedVoice,
    #[error(transparent)]
    Audio(#[from] AudioError),
    #[error("audio came in a session of mode {}; start with mode voice to speak", mode.as_str())]
    AudioInChat { mode: Mode },
    #[error("text.text is empty or longer than {TEXT_MAX} characters")]
    TextLength,
    #[error("text.attachments[{at}]: {why}")]
    Attachment { at: usize, why: AttachmentError },
    #[error("a text has {count} attachments; send {ATTACHMENTS_MAX} at most")]
    Attachments { count: usize },
    #[error("attachments are for chats that run: start with mode text, and wait for `started`")]
    AttachedElsewhere,
    #[error("dtmf.digit {digit:?} is no key of a telephone; send one of 0-9, *, #, A-D")]
    Digit { digit: String },
    #[error("no start came within {seconds} s of connecting")]
    StartTimeout { seconds: u64 },
    #[error("nothing was heard of this client for {seconds} s, not even a pong")]
    Idle { seconds: u64 },
    #[error("this client reads too slowly: {waiting} messages wait for it")]
    TooSlow { waiting: usize },
    #[error("audio comes faster than it is spoken; {dropped} samples were dropped; send 16000 samples a second")]
    TooFast { dropped: u64 },
    #[error(
        "this message was dropped: texts and keys come faster than a person sends them; send {per_second} a second"
    )]
    MessagesTooFast { per_second: u32 },
    #[error("this client has resumed its chat by another connection")]
    TakenOver,
    #[error("{count} events were missed, because this client reads too slowly")]
    Missed { count: u64 },
}

impl StreamError {
    /// Whether the connection ends with it. What breaks the protocol does; a slip within it does not.
    pub fn fatal(&self) -> bool {
        match self {
            Self::AudioInChat { .. } | Self::TextLength | Self::Digit { .. } => false,
            Self::Attachment { .. } | Self::Attachments { .. } | Self::AttachedElsewhere => false,
            Self::TooFast { .. } | Self::MessagesTooFast { .. } | Self::Missed { .. } => false,
            Self::FrameLength { .. }
            | Self::NotJson { .. }
            | Self::NoType
            | Self::UnknownType { .. }
            | Self::BadField { .. } => true,
            Self::StartFirst { .. } | Self::StartMissing | Self::StartTwice => true,
            Self::Rate { .. } | Self::ResumedVoice | Self::Audio(_) => true,
            Self::StartTimeout { .. } | Self::Idle { .. } | Self::TooSlow { .. } | Self::TakenOver => true,
        }
    }
}
