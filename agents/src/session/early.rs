//! What the caller of a call says and keys before the conversation has begun: while its first record is being written. It is
//! answered after the greeting, as the letters of a chat are.

use std::collections::VecDeque;

use tandem_contract::record::TimelineEvent;
use tandem_media::Time;
use tracing::warn;

use super::core::SessionCore;
use super::letters::Letter;

/// Utterances and keys that are kept. Full: the newest is not taken. The wait is of seconds, and nobody says more in them.
const EARLY_MAX: usize = 16;

/// And when each came.
#[derive(Debug, Default)]
pub(super) struct Early(VecDeque<(Time, Done)>);

#[derive(Debug)]
pub(super) enum Done {
    Said(Letter),
    Key(char),
}

impl Early {
    pub(super) fn put(&mut self, at: Time, done: Done) {
        if self.0.len() == EARLY_MAX {
            return warn!(kept = EARLY_MAX, "the caller is too far ahead; an input is dropped");
        }
        self.0.push_back((at, done));
    }
}

impl SessionCore {
    /// The brain has said what it listens for: keys become answers, and each answer waits for the caller's turn.
    pub(super) fn hold_early(&mut self) {
        for (at, done) in std::mem::take(&mut self.letters.early.0) {
            match done {
                Done::Said(letter) => self.floor.hold(letter, false, at),
                Done::Key(digit) => {
                    self.note(at, TimelineEvent::Dtmf);
                    if let Some(digits) = self.digits.press(at, digit) {
                        self.floor.hold(Letter::words(digits.into()), true, at);
                    }
                }
            }
        }
    }
}
