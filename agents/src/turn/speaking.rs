//! The transitions while the agent is on the line: pause, then commit or resume.

use tandem_contract::UtteranceId;
use tandem_media::Time;

use super::hearing::Hearing;
use super::machine::{STALL_LIMIT, Taken, TurnMachine};
use super::state::{Ignored, Sense, TurnEffect, TurnState};

/// How many times `commit_interruption_ms` a voice may last of which only backchannels were understood. More than a few
/// murmurs in a row is something that the recognizer did not get.
const BACKCHANNEL_PATIENCE: u32 = 2;

impl TurnMachine {
    pub(super) fn playout_started(
        &mut self,
        now: Time,
        utterance: UtteranceId,
        interruptible: bool,
        out: &mut Vec<TurnEffect>,
    ) -> Taken {
        match self.state {
            TurnState::Transferring { .. } => return Err(Ignored::TransferRunning),
            // It began in the slot before the pause.
            TurnState::SpeakingPaused { onset, ended, .. } if interruptible => {
                self.state = TurnState::SpeakingPaused { utterance, onset, ended };
                return Ok(());
            }
            TurnState::SpeakingPaused { .. } => out.push(TurnEffect::Resume),
            _ => {}
        }
        self.endpointing.turn_over();
        self.state = TurnState::Speaking { utterance, interruptible, moved: now };
        if !interruptible {
            self.stop_listening(out);
        } else if self.voice.is_some() {
            self.listen(out);
        }
        Ok(())
    }

    pub(super) fn playout_moved(&mut self, now: Time) -> Taken {
        let TurnState::Speaking { ref mut moved, .. } = self.state else { return Err(Ignored::NotPlaying) };
        *moved = now;
        Ok(())
    }

    /// More may follow in the same reply; that it does not is told by `ReplyDone`.
    pub(super) fn playout_finished(&mut self, now: Time) -> Taken {
        match self.state {
            TurnState::Speaking { .. } => self.state = TurnState::Thinking { since: now },
            // Its last slot was the one before the pause: the decision is still to be made.
            TurnState::SpeakingPaused { .. } => return Err(Ignored::Expected),
            _ => return Err(Ignored::NotPlaying),
        }
        Ok(())
    }

    pub(super) fn voice_ended_in_pause(&mut self, now: Time, end: Time, out: &mut Vec<TurnEffect>) {
        let TurnState::SpeakingPaused { utterance, onset, .. } = self.state else { return };
        if end.since(onset) < self.policy.min_interruption() {
            // Too short to stop for. The recognition goes on: a short "no" may yet be understood.
            self.resume(now, out);
        } else {
            self.state = TurnState::SpeakingPaused { utterance, onset, ended: Some(end) };
            if self.hearing == Hearing::Closed || self.hearing.is_backchannel() {
                self.resume(now, out);
            }
        }
    }

    pub(super) fn speaking_deadline(&self) -> Option<Time> {
        match self.state {
            TurnState::Speaking { interruptible, moved, .. } => {
                let voice = self.voice.filter(|_| interruptible);
                let pause = voice.map(|onset| onset + self.policy.min_interruption());
                pause.into_iter().chain([moved + STALL_LIMIT]).min()
            }
            TurnState::SpeakingPaused { ended: Some(ended), .. } => Some(ended + self.policy.false_interruption()),
            TurnState::SpeakingPaused { onset, .. } => {
                let patience = if self.hearing.is_backchannel() { BACKCHANNEL_PATIENCE } else { 1 };
                Some(onset + self.policy.commit_interruption() * patience)
            }
            _ => None,
        }
    }

    pub(super) fn speaking_timeout(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        match self.state {
            TurnState::Speaking { utterance, interruptible: true, .. } if self.voice_is_long(now) => {
                let onset = self.voice.unwrap_or(now);
                self.state = TurnState::SpeakingPaused { utterance, onset, ended: None };
                self.listen(out);
                out.push(TurnEffect::Pause);
            }
            TurnState::Speaking { .. } => self.abandon_reply(now, out),
            TurnState::SpeakingPaused { ended: Some(_), .. } => self.resume(now, out),
            TurnState::SpeakingPaused { .. } => self.barge_in(now, out),
            _ => {}
        }
    }

    fn voice_is_long(&self, now: Time) -> bool {
        self.voice.is_some_and(|onset| onset + self.policy.min_interruption() <= now)
    }

    /// It was nothing. A recognition that still runs may prove that wrong.
    pub(super) fn resume(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        if let TurnState::SpeakingPaused { utterance, .. } = self.state {
            self.state = TurnState::Speaking { utterance, interruptible: true, moved: now };
            out.push(TurnEffect::Resume);
        }
    }

    /// What was understood so far may decide before the time does.
    pub(super) fn weigh(&mut self, now: Time, words: u32, sense: Sense, out: &mut Vec<TurnEffect>) {
        let enough = self.policy.interruption_words;
        match (self.state, sense) {
            (TurnState::Speaking { .. } | TurnState::SpeakingPaused { .. }, Sense::Interruption) => {
                self.barge_in(now, out);
            }
            (TurnState::SpeakingPaused { .. }, Sense::Words) if enough > 0 && words >= enough => {
                self.barge_in(now, out);
            }
            (TurnState::SpeakingPaused { ended: Some(_), .. }, Sense::Backchannel) => self.resume(now, out),
            _ => {}
        }
    }

    /// The caller has taken the floor; what they say is still being recognized.
    pub(super) fn barge_in(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        let (onset, ended) = match self.state {
            TurnState::SpeakingPaused { onset, ended, .. } => (onset, ended),
            // The words came before the pause, or after it was taken back.
            TurnState::Speaking { interruptible: true, .. } => match self.voice {
                Some(onset) => (onset, None),
                None => {
                    let quiet = self.hearing.quiet().unwrap_or(now);
                    (quiet, Some(quiet))
                }
            },
            _ => return,
        };
        out.push(TurnEffect::BargeIn);
        self.state = match ended {
            Some(ended) => TurnState::EndpointPending { onset, ended },
            None => TurnState::CallerSpeaking { onset },
        };
        if ended.is_none() {
            self.listen(out);
        }
    }
}
