//! What the caller of a chat has written and nobody has read yet: pieces that come in quick succession, and what comes while
//! the agent answers, are answered as one.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_contract::Private;
use tandem_contract::call::Door;
use tandem_media::Time;
use tracing::warn;

use super::core::SessionCore;
use super::farewell::Life;
use crate::turn::{Gather, TurnState};

/// Messages that wait at most. Full: the newest is not taken. A person doesn't write so many ahead.
const WAITING_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Letters {
    waiting: VecDeque<Private<String>>,
    /// When the first of them came.
    first: Time,
    gather: Gather,
    quiet: Duration,
}

impl Letters {
    /// `quiet`: the bot's. The message channels have gathered already, across sessions.
    pub(super) fn new(door: Door, quiet: Duration) -> Self {
        let quiet = if door == Door::Websocket { quiet } else { Duration::ZERO };
        Self { waiting: VecDeque::new(), first: Time::ZERO, gather: Gather::default(), quiet }
    }

    fn put(&mut self, now: Time, text: Private<String>) {
        if self.waiting.len() == WAITING_MAX {
            return warn!(waiting = WAITING_MAX, "the caller is too far ahead; a message is dropped");
        }
        if self.waiting.is_empty() {
            self.first = now;
        }
        self.waiting.push_back(text);
        self.gather.came(now);
    }

    /// All as one, in order, and when the first came.
    fn take(&mut self) -> Option<(Time, Private<String>)> {
        let texts: Vec<String> = self.waiting.drain(..).map(Private::into_inner).collect();
        self.gather.clear();
        (!texts.is_empty()).then(|| (self.first, texts.join("\n").into()))
    }
}

impl SessionCore {
    /// Taken before the conversation has begun, too: who writes at once waits for the greeting.
    pub(super) fn letter_came(&mut self, now: Time, text: Private<String>) {
        if matches!(self.life, Life::Opening { .. } | Life::Running) {
            self.letters.put(now, text);
        }
    }

    /// When the letters are read; none while the agent answers.
    pub(super) fn letters_due(&self) -> Option<Time> {
        let listens = matches!(self.turn.state(), TurnState::Listening { keying: false, .. });
        self.letters.gather.due(self.letters.quiet).filter(|_| listens && self.life == Life::Running)
    }

    /// Those that it is time to read, as one, and when the first of them came.
    pub(super) fn read_letters(&mut self, now: Time) -> Option<(Time, Private<String>)> {
        self.letters_due().filter(|due| *due <= now)?;
        self.letters.take()
    }

    /// The conversation ends: what nobody will answer was written all the same.
    pub(super) fn keep_letters(&mut self) {
        if let Some((at, text)) = self.letters.take() {
            self.write_caller(at, text.reveal());
        }
    }
}
