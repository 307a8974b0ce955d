//! The JSON messages of the door, in both directions. `docs/websocket.md` describes them for those who write clients.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_contract::event::{SessionEvent, WordSpan};
use tandem_contract::record::{LedgerEntry, Outcome, TimelineEntry, TurnRecord};
use tandem_contract::{BotName, ConfigVersion, Epoch, Private, SessionId};

use super::error::StreamError;

/// Longest chat message, characters: a long paragraph. A recognizer would not hear more in one turn either.
pub const TEXT_MAX: usize = 2_000;

/// Largest text frame, bytes: a chat message of four-byte characters, all escaped, and its envelope.
pub const TEXT_FRAME_MAX: usize = 32 * 1024;

/// Largest text frame with attachments, bytes: the largest picture in base64, or several smaller ones, and the message.
pub const ATTACHED_FRAME_MAX: usize = 5 * 1024 * 1024 + 128 * 1024;

/// What a session over this door carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Voice,
    Text,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Text => "text",
        }
    }
}

/// Client to server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    Start(Start),
    /// `text` may be empty where something is attached.
    Text {
        text: Private<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<AttachmentMessage>,
    },
    /// One key of a telephone.
    Dtmf {
        digit: String,
    },
    /// How much of an utterance the client's player has played, in samples.
    Played {
        utterance: u32,
        offset: u64,
    },
    Ping {},
    Bye {},
}

/// A picture or a file of text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachmentMessage {
    pub name: Private<String>,
    /// The media type.
    pub r#type: String,
    /// RFC 4648 section 4, padded.
    pub data: Private<String>,
}

/// The first message of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// None: the demo bot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotName>,
    pub mode: Mode,
    /// Hz, of both directions. Absent in chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Instead of `?token=` in the address, for clients that keep secrets out of URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Private<String>>,
    /// Chat: goes on with this session, whose connection was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<SessionId>,
    /// Of `resume`: the highest `utterance` of a `text` that the client has; 0 if it has none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seen: u32,
    /// A new session that continues this ended one, a phone call for example: its agent knows what was said there. Wants a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<SessionId>,
}

// serde calls it with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A message of the agent in a chat, for a client that comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    pub utterance: u32,
    pub text: Private<String>,
}

const KINDS: [&str; 6] = ["start", "text", "dtmf", "played", "ping", "bye"];

impl ClientMessage {
    /// Reads a text frame. One beyond `TEXT_FRAME_MAX` is a `text` with attachments, or an error.
    ///
    /// # Errors
    /// Too long, not JSON, no or unknown type, or a field that is missing, unknown or of the wrong type.
    pub fn parse(frame: &str) -> Result<Self, StreamError> {
        let too_long = StreamError::FrameLength { bytes: frame.len() };
        if frame.len() > ATTACHED_FRAME_MAX {
            return Err(too_long);
        }
        let value: Value = serde_json::from_str(frame).map_err(|error| StreamError::NotJson {
            line: error.line(),
            column: error.column(),
            why: reason(&error),
        })?;
        let Some(kind) = value.get("type").and_then(Value::as_str).map(excerpt) else {
            return Err(StreamError::NoType);
        };
        if frame.len() > TEXT_FRAME_MAX && value.get("attachments").is_none() {
            return Err(too_long);
        }
        if !KINDS.contains(&kind.as_str()) {
            return Err(StreamError::UnknownType { kind });
        }
        serde_json::from_value(value).map_err(|error| StreamError::BadField { kind, why: reason(&error) })
    }

    /// The message's `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Text { .. } => "text",
            Self::Dtmf { .. } => "dtmf",
            Self::Played { .. } => "played",
            Self::Ping {} => "ping",
            Self::Bye {} => "bye",
        }
    }
}

/// Longest piece of a client's own words in an error about them, characters.
const EXCERPT: usize = 40;

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

/// serde_json's words without its position, which stands elsewhere, and without a flood of quoted input.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    text.chars().take(4 * EXCERPT).collect()
}

/// Server to client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The session runs; audio and text flow from here on.
    Started(Started),
    /// The agent begins an utterance, or its words have grown.
    AgentUtterance {
        epoch: Epoch,
        utterance: u32,
        text: Private<String>,
        words: Vec<WordSpan>,
        rate: u32,
    },
    /// How far the server has sent it, samples.
    AgentProgress {
        utterance: u32,
        offset: u64,
    },
    /// Be silent at once; answer with `played`.
    Clear {
        utterance: u32,
    },
    /// A line of the ledger; it will not change.
    Committed {
        entry: LedgerEntry,
    },
    Timeline {
        entry: TimelineEntry,
    },
    Turn {
        turn: TurnRecord,
    },
    /// What the agent says, in chat.
    Text {
        utterance: u32,
        text: Private<String>,
    },
    /// A piece of a `text` that is still being written.
    TextPart {
        text: Private<String>,
    },
    /// The agent works on a reply (chat), or listens again.
    Typing {
        on: bool,
    },
    Pong {},
    Ended {
        outcome: Outcome,
    },
    Error {
        code: String,
        message: String,
        /// The server closes the connection after it.
        fatal: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    pub session: SessionId,
    pub bot: BotName,
    /// Of the bot's config; the session keeps it to its end.
    pub version: ConfigVersion,
    pub mode: Mode,
    /// Hz of both directions; 0 in chat.
    pub rate: u32,
}

impl From<SessionEvent> for ServerMessage {
    fn from(event: SessionEvent) -> Self {
        match event {
            SessionEvent::AgentUtterance { epoch, utterance, text, words, rate } => {
                Self::AgentUtterance { epoch, utterance: utterance.0, text, words, rate }
            }
            SessionEvent::AgentProgress { utterance, offset } => Self::AgentProgress { utterance: utterance.0, offset },
            SessionEvent::Committed { entry } => Self::Committed { entry },
            SessionEvent::Timeline { entry } => Self::Timeline { entry },
            SessionEvent::Turn { turn } => Self::Turn { turn },
            SessionEvent::Ended { outcome } => Self::Ended { outcome },
        }
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
