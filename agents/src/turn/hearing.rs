//! What is being recognized, and when that is over.

use serde::{Deserialize, Serialize};
use tandem_contract::bot::TurnPolicy;
use tandem_media::Time;

/// Longest wait for a recognizer's result once it was told that the caller has finished. Bounds what a vendor that
/// fell silent costs the caller.
pub(super) const RESULT_LIMIT: std::time::Duration = std::time::Duration::from_secs(3);

/// The recognition that belongs to the caller's present voice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "hearing", rename_all = "snake_case")]
pub enum Hearing {
    #[default]
    Closed,
    Open {
        /// The caller is silent since.
        quiet: Option<Time>,
        /// What was recognized so far is not yet an answer.
        unfinished: bool,
    },
    /// A result is awaited.
    Finishing { since: Time },
}

impl Hearing {
    /// A recognition that just began.
    pub(super) const BEGUN: Self = Self::Open { quiet: None, unfinished: false };

    pub(super) fn voice_started(&mut self) {
        if let Self::Open { quiet, .. } = self {
            *quiet = None;
        }
    }

    pub(super) fn voice_ended(&mut self, end: Time) {
        if let Self::Open { quiet, .. } = self {
            *quiet = Some(end);
        }
    }

    pub(super) fn partial(&mut self, complete: bool) {
        if let Self::Open { unfinished, .. } = self {
            *unfinished = !complete;
        }
    }

    /// When something has to happen to it: the end of the caller's turn, or the end of our patience.
    pub(super) fn deadline(&self, policy: &TurnPolicy) -> Option<Time> {
        match *self {
            Self::Open { quiet: Some(quiet), unfinished } => {
                Some(quiet + if unfinished { policy.max_endpointing() } else { policy.min_endpointing() })
            }
            Self::Finishing { since } => Some(since + RESULT_LIMIT),
            Self::Closed | Self::Open { .. } => None,
        }
    }
}
