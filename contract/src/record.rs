//! The call record: what stays of a session. Stored as `calls/<session>.json` and answered by `GET /api/v1/calls/{id}`.
//! All times are milliseconds since the session began, unless a name says otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{Door, Modality};
use crate::leg::LegEnd;
use crate::{BotName, ConfigVersion, Epoch, Private, SessionId, UtteranceId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRecord {
    pub session: SessionId,
    pub bot: BotName,
    pub version: ConfigVersion,
    pub door: Door,
    pub modality: Modality,
    pub caller: Private<String>,
    /// The ended session that this one goes on with: a phone call, or the chat before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<SessionId>,
    /// Wall clock, milliseconds since 1970-01-01 UTC.
    pub started_at_ms: u64,
    pub duration_ms: u64,
    pub outcome: Outcome,
    pub ledger: Vec<LedgerEntry>,
    pub turns: Vec<TurnRecord>,
    pub timeline: Vec<TimelineEntry>,
    /// Absent for chat.
    pub media: Option<MediaStats>,
    /// Absent where no language model was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What the language models of a session have cost. Answers that were cut off are estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    pub input_tokens: u64,
    /// Part of `input_tokens` that the vendor had cached.
    pub cached_input_tokens: u64,
    pub output_tokens: u64,
    /// Millionths of a US dollar. Models whose price nobody knows cost nothing.
    pub microdollars: u64,
}

/// How a session ended. `Interrupted` is what a record says that was found half-written after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind", content = "reason")]
pub enum Outcome {
    InProgress,
    Ended(LegEnd),
    /// The process died during the session; the record holds what was committed before.
    Interrupted,
}

impl Outcome {
    /// Label of `tandem_sessions_total{outcome}`.
    pub fn label(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Interrupted => "interrupted",
            Self::Ended(LegEnd::CallerHungUp) => "caller_hung_up",
            Self::Ended(LegEnd::Cancelled) => "cancelled",
            Self::Ended(LegEnd::AgentHungUp) => "agent_hung_up",
            Self::Ended(LegEnd::Transferred) => "transferred",
            Self::Ended(LegEnd::WireLost) => "wire_lost",
            Self::Ended(LegEnd::Drained) => "drained",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    Caller,
    Agent,
}

/// One line of the ledger: what was said, and what of it was heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LedgerEntry {
    pub utterance: UtteranceId,
    pub epoch: Epoch,
    pub speaker: Speaker,
    pub at_ms: u64,
    /// Agent: the text given to the voice. Caller: the same as `heard`.
    pub text: Private<String>,
    /// Agent: the words that the line carried before it went silent. Caller: what the recognizer understood
    /// (digits for DTMF, the message itself for chat).
    pub heard: Private<String>,
    /// Agent: samples played, at `rate`. Zero for the caller and for chat.
    pub heard_samples: u64,
    /// Hz; zero for the caller and for chat.
    pub rate: u32,
    /// Agent: the caller cut it short.
    pub interrupted: bool,
}

/// One turn: a caller utterance and the agent's reply. The stages sum to the gap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnRecord {
    pub epoch: Epoch,
    /// End of the caller's speech.
    pub caller_stopped_ms: u64,
    /// First agent sample on the wire.
    pub agent_started_ms: u64,
    /// agent_started - caller_stopped, in microseconds: what the caller waited.
    pub gap_us: u64,
    pub stages: Vec<StageSpan>,
}

/// An interval on the critical path of a turn: max(0, end - latest earlier end).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageSpan {
    pub stage: Stage,
    pub us: u64,
}

/// Label of `tandem_stage_seconds{stage}`, in the order of the critical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    EndpointingWait,
    Transcript,
    Knowledge,
    ModelFirstToken,
    FirstClause,
    VoiceFirstAudio,
    Playout,
}

impl Stage {
    /// Label of `tandem_stage_seconds{stage}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndpointingWait => "endpointing_wait",
            Self::Transcript => "transcript",
            Self::Knowledge => "knowledge",
            Self::ModelFirstToken => "model_first_token",
            Self::FirstClause => "first_clause",
            Self::VoiceFirstAudio => "voice_first_audio",
            Self::Playout => "playout",
        }
    }
}

/// Something that happened, for the timeline a person looks at.
// No `deny_unknown_fields`: serde cannot read a flattened enum with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEntry {
    pub at_ms: u64,
    #[serde(flatten)]
    pub what: TimelineEvent,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TimelineEvent {
    CallerStartedSpeaking,
    CallerStoppedSpeaking,
    AgentStartedSpeaking {
        utterance: UtteranceId,
    },
    AgentStoppedSpeaking {
        utterance: UtteranceId,
    },
    /// Playout paused on the caller's voice; the line is silent from here.
    Paused {
        utterance: UtteranceId,
    },
    /// It was nothing: playout went on where it had stopped.
    Resumed {
        utterance: UtteranceId,
    },
    /// It was a barge-in: the rest of the reply was thrown away.
    BargeIn {
        utterance: UtteranceId,
    },
    FlowState {
        state: String,
    },
    Dtmf,
    NoInput,
    NoMatch,
    /// The recognizer failed: what the caller said is not known.
    NotHeard,
    /// The conversation has grown as long as a record may be; the agent says goodbye.
    LimitReached,
    Tool {
        name: String,
        ok: bool,
        /// Absent where they are long, of keys that were pressed, and to watchers without a key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Private<Value>>,
    },
    Transfer {
        status: Option<u16>,
    },
    /// A rule of the bot was acted on: its action, or the one for want of people (`queue_callback`).
    Escalation {
        action: String,
    },
}

/// RTP statistics of a leg (RFC 3550 section 6.4.1 words).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MediaStats {
    pub codec: String,
    pub packets_received: u64,
    pub packets_sent: u64,
    pub packets_lost: u64,
    pub packets_late: u64,
    pub packets_duplicate: u64,
    pub packets_invalid: u64,
    /// Interarrival jitter (RFC 3550 A.8), microseconds.
    pub jitter_us: u64,
    /// Frames that left later than their slot by more than 20 ms.
    pub playout_late: u64,
}
