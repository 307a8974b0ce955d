//! Who may speak when: `turn` of the bot config.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TurnPolicy {
    /// A phone rings for so long before the bot answers it.
    pub answer_after_ms: u32,
    /// Silence after which the caller's turn is over when what was said is complete.
    pub min_endpointing_ms: u32,
    /// Silence after which the caller's turn is over in any case.
    pub max_endpointing_ms: u32,
    /// Voice of this length while the agent speaks pauses the agent.
    pub min_interruption_ms: u32,
    /// Paused: voice that goes on for this long, counted from its onset, is an interruption, understood or not.
    pub commit_interruption_ms: u32,
    /// Paused: this many words understood so far are an interruption. 0: only a complete answer is.
    pub interruption_words: u32,
    /// Paused, and the caller fell silent again: if nothing was understood within this time, the agent goes on.
    pub false_interruption_ms: u32,
    /// Nothing heard for this long after the agent finished: no-input.
    pub silence_timeout_ms: u32,
    /// The caller's turn is cut off after this.
    pub max_caller_turn_ms: u32,
}

impl Default for TurnPolicy {
    fn default() -> Self {
        Self {
            answer_after_ms: 0,
            min_endpointing_ms: 500,
            max_endpointing_ms: 3_000,
            min_interruption_ms: 200,
            commit_interruption_ms: 800,
            interruption_words: 2,
            false_interruption_ms: 700,
            silence_timeout_ms: 6_000,
            max_caller_turn_ms: 30_000,
        }
    }
}

impl TurnPolicy {
    pub fn answer_after(&self) -> Duration {
        Duration::from_millis(self.answer_after_ms.into())
    }

    pub fn min_endpointing(&self) -> Duration {
        Duration::from_millis(self.min_endpointing_ms.into())
    }

    /// Never shorter than `min_endpointing`.
    pub fn max_endpointing(&self) -> Duration {
        Duration::from_millis(self.max_endpointing_ms.max(self.min_endpointing_ms).into())
    }

    pub fn min_interruption(&self) -> Duration {
        Duration::from_millis(self.min_interruption_ms.into())
    }

    /// Never shorter than `min_interruption`.
    pub fn commit_interruption(&self) -> Duration {
        Duration::from_millis(self.commit_interruption_ms.max(self.min_interruption_ms).into())
    }

    pub fn false_interruption(&self) -> Duration {
        Duration::from_millis(self.false_interruption_ms.into())
    }

    pub fn silence_timeout(&self) -> Duration {
        Duration::from_millis(self.silence_timeout_ms.into())
    }

    pub fn max_caller_turn(&self) -> Duration {
        Duration::from_millis(self.max_caller_turn_ms.into())
    }
}
