//! The transitions while the agent is on the line: pause, then commit or resume.

use std::time::Duration;

use tandem_contract::UtteranceId;
use tandem_media::Time;

use super::hearing::Hearing;
use super::machine::{NoResult, STALL_LIMIT, Taken, TurnMachine};
use super::state::{Ignored, Sense, TurnEffect, TurnState};

/// How many times `commit_interruption_ms` a voice may last of which only backchannels were understood. More than a few
/// murmurs in a row is something that the recognizer did not get.
const BACKCHANNEL_PATIENCE: u32 = 2;

/// Longest pause for a voice that goes on, and of which no words are known, or too few. Then the recognizer has to say what it has:
/// the agent stands still for a noise no longer than that. Above what most people say without a pause, since there are recognizers
/// that tell nothing before the end.
pub(super) const WORDLESS_LIMIT: Duration = Duration::from_secs(6);

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
            // The recognition has a deadline of its own, and its result decides.
            TurnState::SpeakingPaused { onset, ended: Some(ended), .. } => {
                let waits = self.is_weighty(onset, ended) && self.hearing != Hearing::Closed;
                (!waits).then(|| ended + self.policy.false_interruption())
            }
            TurnState::SpeakingPaused { .. } if matches!(self.hearing, Hearing::Finishing { .. }) => None,
            TurnState::SpeakingPaused { onset, .. } if self.hearing.is_backchannel() => {
                Some(onset + self.policy.commit_interruption() * BACKCHANNEL_PATIENCE)
            }
            TurnState::SpeakingPaused { onset, .. } => Some(onset + WORDLESS_LIMIT),
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
            TurnState::SpeakingPaused { .. } if self.hearing.is_backchannel() => self.barge_in(now, out),
            TurnState::SpeakingPaused { .. } if self.hearing == Hearing::Closed => self.go_on(now, out),
            TurnState::SpeakingPaused { .. } => self.finish_listening(now, out),
            _ => {}
        }
    }

    /// A voice of this length is more than a cough: what it was is for the recognizer to say, if there is one.
    fn is_weighty(&self, onset: Time, until: Time) -> bool {
        until.since(onset) >= self.policy.commit_interruption()
    }

    /// Whether what was understood is said to the agent, who has the floor, and not beside it.
    pub(super) fn takes_floor(&self, words: u32, sense: Sense) -> bool {
        match sense {
            Sense::Backchannel => false,
            Sense::Words => words >= self.policy.interruption_words,
            Sense::Answer | Sense::Interruption => true,
        }
    }

    /// What was recognized in the pause is nothing to stop for. A voice that still goes on may become something: up to a limit,
    /// behind which it is a noise, and no longer counts.
    pub(super) fn go_on(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        let TurnState::SpeakingPaused { onset, ended, .. } = self.state else { return };
        if ended.is_none() && now < onset + WORDLESS_LIMIT {
            return self.listen_on(out);
        }
        if ended.is_none() {
            self.voice = None;
        }
        self.resume(now, out);
    }

    /// There are no words. Where a recognizer has listened for any, it was a noise; else the voice is all that there is to judge by.
    pub(super) fn rejected_in_pause(&mut self, now: Time, why: NoResult, out: &mut Vec<TurnEffect>) {
        let TurnState::SpeakingPaused { onset, ended, .. } = self.state else { return };
        if why == NoResult::Noise || !self.is_weighty(onset, ended.unwrap_or(now)) {
            return self.go_on(now, out);
        }
        match ended {
            Some(_) => {
                out.push(TurnEffect::BargeIn);
                self.ask(now, why.ask(), out);
            }
            None => self.barge_in(now, out),
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
        // A word may be the beginning of a backchannel ("of course"), until it is final.
        let is_enough = enough > 0 && words >= enough.max(2);
        match (self.state, sense) {
            (TurnState::Speaking { .. } | TurnState::SpeakingPaused { .. }, Sense::Interruption) => {
                self.barge_in(now, out);
            }
            (TurnState::SpeakingPaused { .. }, Sense::Words | Sense::Answer) if is_enough => {
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
