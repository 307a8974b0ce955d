//! What the caller of a chat has written and nobody has read yet: pieces that come in quick succession, and what comes while
//! the agent answers, are answered as one.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_contract::Private;
use tandem_contract::attachment::Attachment;
use tandem_contract::call::Door;
use tandem_media::Time;
use tracing::warn;

use super::album::Album;
use super::core::SessionCore;
use super::early::Early;
use super::farewell::Life;
use crate::turn::{Gather, TurnState};

/// Messages that wait at most. Full: the newest is not taken. A person doesn't write so many ahead.
const WAITING_MAX: usize = 32;

/// What somebody says or writes in one go.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// The words alone.
    pub(super) said: Private<String>,
    /// The words, and what stands for the attachments: the ledger's line.
    pub(super) line: Private<String>,
    /// Numbers of attachments in the album.
    pub(super) attached: Vec<u32>,
}

impl Letter {
    pub(super) fn words(said: Private<String>) -> Self {
        Self { line: said.clone(), said, attached: Vec::new() }
    }

    /// Several as one, in order.
    fn together(letters: impl Iterator<Item = Self>) -> Self {
        let (mut said, mut lines, mut attached) = (Vec::new(), Vec::new(), Vec::new());
        for letter in letters {
            said.extend(Some(letter.said.into_inner()).filter(|said| !said.trim().is_empty()));
            lines.push(letter.line.into_inner());
            attached.extend(letter.attached);
        }
        Self { said: said.join("\n").into(), line: lines.join("\n").into(), attached }
    }
}

#[derive(Debug)]
pub(super) struct Letters {
    waiting: VecDeque<Letter>,
    /// When the first of them came.
    first: Time,
    gather: Gather,
    quiet: Duration,
    /// What was attached to what was written.
    pub(super) album: Album,
    /// What was done before the conversation began.
    pub(super) early: Early,
}

impl Letters {
    /// `quiet`: the bot's. The message channels have gathered already, across sessions.
    pub(super) fn new(door: Door, quiet: Duration) -> Self {
        let quiet = if door == Door::Websocket { quiet } else { Duration::ZERO };
        let (waiting, gather, album) = (VecDeque::new(), Gather::default(), Album::default());
        Self { waiting, first: Time::ZERO, gather, quiet, album, early: Early::default() }
    }

    fn put(&mut self, now: Time, letter: Letter) {
        if self.waiting.len() == WAITING_MAX {
            return warn!(waiting = WAITING_MAX, "the caller is too far ahead; a message is dropped");
        }
        if self.waiting.is_empty() {
            self.first = now;
        }
        self.waiting.push_back(letter);
        self.gather.came(now);
    }

    /// All as one, in order, and when the first came.
    fn take(&mut self) -> Option<(Time, Letter)> {
        self.gather.clear();
        (!self.waiting.is_empty()).then(|| (self.first, Letter::together(self.waiting.drain(..))))
    }

    /// Words and marks, a line each; what is attached goes into the album.
    fn with_attachments(&mut self, text: Private<String>, attachments: Vec<Attachment>) -> Letter {
        let words = Some(text.reveal().clone()).filter(|words| !words.trim().is_empty());
        let lines: Vec<String> = words.into_iter().chain(attachments.iter().map(Attachment::mark)).collect();
        Letter { said: text, line: lines.join("\n").into(), attached: self.album.put(attachments) }
    }
}

impl SessionCore {
    /// Taken before the conversation has begun, too: who writes at once waits for the greeting.
    pub(super) fn text_came(&mut self, now: Time, text: Private<String>, attachments: Vec<Attachment>) {
        if !matches!(self.life, Life::Opening { .. } | Life::Running) {
            return;
        }
        let letter = self.letters.with_attachments(text, attachments);
        match self.is_chat() {
            true => self.letters.put(now, letter),
            false => self.caller_wrote(now, now, letter),
        }
    }

    /// When the letters are read; none while the agent answers.
    pub(super) fn letters_due(&self) -> Option<Time> {
        let listens = matches!(self.turn.state(), TurnState::Listening { keying: false, .. });
        self.letters.gather.due(self.letters.quiet).filter(|_| listens && self.life == Life::Running)
    }

    /// Those that it is time to read, as one, and when the first of them came.
    pub(super) fn read_letters(&mut self, now: Time) -> Option<(Time, Letter)> {
        self.letters_due().filter(|due| *due <= now)?;
        self.letters.take()
    }

    /// The conversation ends: what nobody will answer was written all the same.
    pub(super) fn keep_letters(&mut self) {
        if let Some((at, letter)) = self.letters.take() {
            self.write_caller(at, &letter);
        }
    }
}
