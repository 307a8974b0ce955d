//! What a long conversation is remembered by: notes of its oldest lines, and the lines since.
//!
//! The notes are made in a child task while the caller listens, never while they wait. Until they are there, and where they
//! fail, the model is told the lines themselves, as many as it takes.

use tandem_contract::record::LedgerEntry;
use tandem_contract::{Epoch, Private, UtteranceId};

use super::core::SessionCore;
use super::farewell::Life;
use super::input::SessionEffect;
use crate::brain::pipeline::summary;

/// After notes that failed, bytes that must be said before the next try: a vendor that is down is not asked at every turn.
const TRY_AGAIN_AFTER: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(super) struct Memory {
    notes: Option<Private<String>>,
    /// The notes cover the lines up to here.
    mark: Mark,
    /// Notes are being made, up to here.
    making: Option<Mark>,
    /// Not before so many bytes are without notes.
    not_before: usize,
}

/// The last line that notes cover. Lines before it don't change any more: all that is not final is in the exchange that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    /// Lines of the sessions that this one continues.
    before: usize,
    /// Of this session; 0: none.
    utterance: UtteranceId,
}

impl Mark {
    /// So many lines further.
    fn advanced(self, covered: usize, before: usize, lines: &[LedgerEntry]) -> Self {
        let old = covered.min(before - self.before);
        let last = covered.checked_sub(old + 1).and_then(|own| lines.get(old + own));
        Self { before: self.before + old, utterance: last.map_or(self.utterance, |line| line.utterance) }
    }
}

impl SessionCore {
    /// The notes of what is not in `conversation`.
    pub(super) fn notes(&self) -> Option<&Private<String>> {
        self.memory.notes.as_ref()
    }

    /// All that was said since the notes, in the sessions that this one continues and in this one.
    pub(super) fn conversation(&self) -> Vec<LedgerEntry> {
        let mark = self.memory.mark;
        // Tools and replies are those of this session alone: what was before it came before its first epoch.
        let earlier = |entry: &LedgerEntry| LedgerEntry { epoch: Epoch::default(), ..entry.clone() };
        let before = self.story.facts.before.lines.iter().skip(mark.before).map(earlier);
        let own = self.ledger.entries().iter().filter(|entry| entry.utterance > mark.utterance);
        before.chain(own.cloned()).collect()
    }

    /// The model has said what it had to say: time to make notes, if the conversation has grown long.
    pub(super) fn make_notes(&mut self) {
        let idle = self.memory.making.is_none() && self.life == Life::Running;
        // What the far end has not reported yet may change.
        if !idle || !self.output.closing.is_empty() {
            return;
        }
        let lines = self.conversation();
        let Some(due) = summary::due(&lines).filter(|_| summary::size(&lines) >= self.memory.not_before) else {
            return;
        };
        let request = summary::request(self.notes(), &lines[..due]);
        self.memory.making = Some(self.memory.mark.advanced(due, self.story.facts.before.lines.len(), &lines));
        self.out(SessionEffect::MakeNotes { request });
    }

    /// None: they failed.
    pub(super) fn notes_made(&mut self, notes: Option<Private<String>>) {
        let Some(mark) = self.memory.making.take() else { return };
        match notes {
            Some(notes) => {
                self.memory = Memory { notes: Some(notes), mark, ..Memory::default() };
                self.make_notes();
            }
            None => self.memory.not_before = summary::size(&self.conversation()) + TRY_AGAIN_AFTER,
        }
    }
}
