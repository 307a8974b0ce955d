//! What is being recognized, and when that is over.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_media::Time;

use super::endpointing::Ending;
use super::state::Sense;

/// Longest wait for a recognizer's result once it was told that the caller has finished. Bounds what a vendor that
/// fell silent costs the caller.
pub(super) const RESULT_LIMIT: Duration = Duration::from_secs(3);

/// The recognition that belongs to the caller's present voice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "hearing", rename_all = "snake_case")]
pub enum Hearing {
    #[default]
    Closed,
    Open {
        /// The caller is silent since.
        quiet: Option<Time>,
        /// Of what was recognized so far.
        ending: Ending,
        sense: Sense,
    },
    /// A result is awaited.
    Finishing { since: Time },
}

impl Hearing {
    /// A recognition that just began.
    pub(super) const BEGUN: Self = Self::Open { quiet: None, ending: Ending::Unknown, sense: Sense::Words };

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

    pub(super) fn partial(&mut self, ends: Ending, means: Sense) {
        if let Self::Open { ending, sense, .. } = self {
            (*ending, *sense) = (ends, means);
        }
    }

    /// Nothing but backchannels was recognized so far.
    pub(super) fn is_backchannel(&self) -> bool {
        matches!(self, Self::Open { sense: Sense::Backchannel, .. })
    }

    /// Since when the caller is silent.
    pub(super) fn quiet(&self) -> Option<Time> {
        match *self {
            Self::Closed => None,
            Self::Open { quiet, .. } => quiet,
            Self::Finishing { since } => Some(since),
        }
    }

    /// When something has to happen to it: the end of the caller's turn, which `wait` tells, or the end of our patience.
    pub(super) fn deadline(&self, wait: impl Fn(Ending) -> Duration) -> Option<Time> {
        match *self {
            Self::Open { quiet: Some(quiet), ending, .. } => Some(quiet + wait(ending)),
            Self::Finishing { since } => Some(since + RESULT_LIMIT),
            Self::Closed | Self::Open { .. } => None,
        }
    }
}
