//! What a session tells its watchers while it runs: the page, the WebSocket door, the console.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{LedgerEntry, TimelineEntry, TurnRecord};
use crate::{Epoch, Private, UtteranceId};

/// A word of an utterance and where it sits in the audio: it counts as heard once its end was played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WordSpan {
    pub text: Private<String>,
    /// First sample of the word, from the start of the utterance, at the leg's rate.
    pub start: u64,
    /// One past the last sample.
    pub end: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SessionEvent {
    /// The agent begins an utterance; its words may still grow.
    AgentUtterance {
        epoch: Epoch,
        utterance: UtteranceId,
        text: Private<String>,
        words: Vec<WordSpan>,
        rate: u32,
    },
    /// How far the line has carried it, samples at the leg's rate.
    AgentProgress {
        utterance: UtteranceId,
        offset: u64,
    },
    /// A line of the ledger was committed and will not change.
    Committed {
        entry: LedgerEntry,
    },
    Timeline {
        entry: TimelineEntry,
    },
    Turn {
        turn: TurnRecord,
    },
    /// The session is over; the record is stored.
    Ended {
        outcome: crate::record::Outcome,
    },
}

/// Another part asks something of a running session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCommand {
    /// The node stops: finish if you can. `now` ends it at once (the drain limit is over).
    Drain { now: bool },
    /// End the session politely.
    HangUp,
}
