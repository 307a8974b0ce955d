//! A far end that speaks texts itself and hears the caller itself (Twilio's ConversationRelay): it is given the agent's text,
//! tells how much of it was heard, and cuts it short when the caller speaks. The session has no audio then, and is no chat:
//! turns, silences and the ledger are those of a call.

use tandem_contract::event::SessionEvent;
use tandem_contract::leg::LegCommand;
use tandem_contract::{Private, UtteranceId};
use tandem_media::Time;

use super::core::SessionCore;
use super::farewell::Life;
use super::input::{SessionEffect, tag_of};
use super::output::Line;
use crate::ledger::Playback;
use crate::turn::TurnInput;

impl SessionCore {
    pub(super) fn is_spoken_there(&self) -> bool {
        self.ledger.playback() == Playback::Spoken
    }

    /// It is spoken behind what was given before: nothing of it is heard yet.
    pub(super) fn give_text(&mut self, utterance: UtteranceId, text: &str, interruptible: bool) {
        let (epoch, text) = (self.epoch, Private::new(text.to_owned()));
        self.output.lines.push(Line { utterance, interruptible, started: false });
        self.output.reply_open = true;
        self.out(SessionEffect::Leg(LegCommand::Speak { utterance, text: text.clone(), interruptible }));
        self.emit(SessionEvent::AgentUtterance { epoch, utterance, text, words: Vec::new(), rate: 0 });
    }

    /// The far end may wait with the end of what it was given until it knows that nothing more comes: it is told as soon as
    /// no model is writing.
    pub(super) fn end_given_reply(&mut self) {
        if self.output.reply_open && self.floor.question.is_none() {
            self.output.reply_open = false;
            self.out(SessionEffect::Leg(LegCommand::ReplyEnds));
        }
    }

    /// So much of it was played; the first news of an utterance is that it has begun.
    pub(super) fn far_end_played(&mut self, now: Time, utterance: UtteranceId, offset: u64) {
        self.ledger.reported(now, utterance, offset);
        if !self.is_spoken_there() {
            return;
        }
        if self.output.lines.iter().any(|line| line.utterance == utterance && !line.started) {
            self.playout_started(now, now, tag_of(self.epoch, utterance));
        }
        self.drive(now, TurnInput::PlayoutMoved);
    }

    pub(super) fn far_end_finished(&mut self, now: Time, utterance: UtteranceId) {
        if let Some(given) = self.ledger.sent(utterance) {
            self.playout_finished(now, now, tag_of(self.epoch, utterance), given);
        }
    }

    /// What was heard is known already. Texts on their way to the far end belong to the reply that is over; what is given to
    /// it from here on does not.
    pub(super) fn far_end_interrupted(&mut self, now: Time) {
        if self.life == Life::Running {
            self.out(SessionEffect::Leg(LegCommand::Clear { utterance: UtteranceId::default() }));
            self.drive(now, TurnInput::Interrupted);
        }
    }

    /// Nobody is asked why they are silent while they speak.
    pub(super) fn caller_speaks_there(&mut self, now: Time, on: bool) {
        self.drive(now, TurnInput::HeardThere { on });
    }
}
