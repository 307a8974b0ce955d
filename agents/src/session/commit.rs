//! From "over" to "committed": the line says how far it was, the far end may say less, and the ledger writes it down.
//! The conversation goes on meanwhile.

use std::time::Duration;

use tandem_contract::UtteranceId;
use tandem_contract::event::SessionEvent;
use tandem_contract::record::{LedgerEntry, TimelineEvent};
use tandem_media::Time;
use tandem_media::leg::{MediaCommand, Tag};

use super::back_off::BackOff;
use super::core::SessionCore;
use super::farewell::Life;
use super::input::{SessionEffect, utterance_of};
use crate::brain::BrainEvent;
use crate::ledger::Playback;

/// Longest wait for the far end's report, and for the worker's answer, after the line was cut. Above the round trip of a
/// bad mobile connection.
const REPORT_LIMIT: Duration = Duration::from_millis(300);

/// How long a far end that buffers may take to play the rest of an utterance that was sent to its end.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// An utterance that is over, and of which is not yet known how much was heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    utterance: UtteranceId,
    started: bool,
    /// What the queue has sent of it, once that is final.
    server: Option<u64>,
    interrupted: bool,
    /// Then it is committed with what is known.
    pub(super) until: Time,
}

/// Why the agent's speech is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    BargeIn,
    /// The conversation is over.
    Farewell,
    /// The voice or its playout stood still.
    Abandoned,
}

impl SessionCore {
    /// Throws away everything the agent was going to say.
    pub(super) fn cut_output(&mut self, now: Time, cut: Cut) {
        self.forget_question();
        self.forget_ahead();
        self.epoch = self.epoch.next();
        if self.output.voice.take().is_some() {
            self.out(SessionEffect::CancelVoice);
        }
        for utterance in self.output.forget_waiting() {
            self.ledger.discard(utterance);
        }
        self.output.back_off = BackOff::default();
        let on_line = self.output.on_line();
        let pause = self.output.pause.take();
        let lines = std::mem::take(&mut self.output.lines);
        if (pause.is_some() || !lines.is_empty()) && !self.output.media_gone {
            self.out(SessionEffect::Media(MediaCommand::Clear));
        }
        let silent = pause.and_then(|pause| pause.silent);
        for line in lines {
            let server = silent.filter(|(on, _)| *on == Some(line.utterance)).map(|(_, offset)| offset);
            if !line.started && silent.is_some() && server.is_none() {
                self.ledger.discard(line.utterance);
                continue;
            }
            if pause.is_none() && line.started {
                self.silence_far_end(now, line.utterance);
            }
            // From the moment the far end was told to be silent, which may have been a pause before.
            let since = self.ledger.stopped_at(line.utterance).unwrap_or(now);
            self.output.closing.push(Closing {
                utterance: line.utterance,
                started: line.started || server.is_some(),
                server,
                interrupted: cut != Cut::Abandoned,
                until: now.max(since + REPORT_LIMIT),
            });
        }
        if let Some(utterance) = on_line.filter(|_| cut == Cut::BargeIn) {
            self.note(now, TimelineEvent::BargeIn { utterance });
        }
        self.settle_closings(now);
    }

    /// The last sample of an utterance went out.
    pub(super) fn close_finished(&mut self, now: Time, utterance: UtteranceId, offset: u64) {
        let until = now + DRAIN_LIMIT;
        let finished = Closing { utterance, started: true, server: Some(offset), interrupted: false, until };
        self.output.closing.push(finished);
        self.settle_closings(now);
    }

    pub(super) fn closing_started(&mut self, utterance: UtteranceId) {
        if let Some(closing) = self.find_closing(utterance) {
            closing.started = true;
        }
    }

    /// It had come to its end before the cut reached the line.
    pub(super) fn closing_finished(&mut self, utterance: UtteranceId, offset: u64) {
        if let Some(closing) = self.find_closing(utterance) {
            *closing = Closing { started: true, server: Some(offset), interrupted: false, ..*closing };
        }
    }

    pub(super) fn closing_silent(&mut self, utterance: UtteranceId, offset: u64) {
        if let Some(closing) = self.find_closing(utterance).filter(|closing| closing.server.is_none()) {
            *closing = Closing { started: true, server: Some(offset), ..*closing };
        }
    }

    /// The queue was thrown away: of what was in it only the first can have been heard.
    pub(super) fn playout_cleared(&mut self, now: Time, tag: Option<Tag>, offset: u64) {
        if let Some(tag) = tag {
            self.closing_silent(utterance_of(tag).1, offset);
        }
        let closings = std::mem::take(&mut self.output.closing);
        for closing in closings {
            if closing.started || closing.server.is_some() {
                let server = closing.server.or_else(|| self.ledger.sent(closing.utterance));
                self.output.closing.push(Closing { server, ..closing });
            } else {
                self.ledger.discard(closing.utterance);
            }
        }
        self.settle_closings(now);
    }

    fn find_closing(&mut self, utterance: UtteranceId) -> Option<&mut Closing> {
        self.output.closing.iter_mut().find(|closing| closing.utterance == utterance)
    }

    pub(super) fn settle_closings(&mut self, now: Time) {
        // A leg that is gone reports nothing more.
        let reports =
            self.ledger.playback() == Playback::Reported && !matches!(self.life, Life::Closing { .. } | Life::Over);
        let ready = |closing: &Closing| {
            closing.until <= now || self.output.media_gone || (closing.server.is_some() && !reports)
        };
        let (ready, open) = self.output.closing.iter().partition(|closing| ready(closing));
        self.output.closing = open;
        let ready: Vec<Closing> = ready;
        for closing in ready {
            self.commit(now, closing);
        }
    }

    fn commit(&mut self, now: Time, closing: Closing) {
        if !closing.started {
            return self.ledger.discard(closing.utterance);
        }
        let offset = closing.server.or_else(|| self.ledger.sent(closing.utterance)).unwrap_or(0);
        if let Some(entry) = self.ledger.commit(now, closing.utterance, offset, closing.interrupted) {
            self.committed(now, entry);
        }
    }

    pub(super) fn committed(&mut self, now: Time, entry: LedgerEntry) {
        self.story.changed();
        let heard = BrainEvent::Heard {
            utterance: entry.utterance,
            heard: entry.heard.clone(),
            interrupted: entry.interrupted,
        };
        self.emit(SessionEvent::Committed { entry });
        if self.life == Life::Running {
            self.think(now, heard);
        }
    }
}
