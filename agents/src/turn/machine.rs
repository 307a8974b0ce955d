//! The transitions while the agent is not on the line, and the timers of all states.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_contract::bot::TurnPolicy;
use tandem_contract::bot::turn::SILENCE_MS;
use tandem_contract::call::Modality;
use tandem_media::Time;

use super::endpointing::{Ending, Endpointing};
use super::hearing::Hearing;
use super::state::{Ask, Ignored, Sense, Silence, TurnEffect, TurnInput, TurnState};

/// Longest silence of a brain or a voice before the reply is given up. Above the longest tool time, so that a slow tool
/// fails by itself first.
const REPLY_LIMIT: Duration = Duration::from_secs(20);

/// Longest standstill of a playout that has begun: a voice that died in the middle of an utterance.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(10);

/// Longest wait for more digits: above every `inter_digit_ms` that makes sense, which the session itself watches.
const KEYING_LIMIT: Duration = Duration::from_secs(60);

/// Longest time without news of a transfer. Above the 180 s after which a wire gives its REFER up by itself: a transfer
/// that is begun before the wire has let go of the last one would be refused by it.
const TRANSFER_LIMIT: Duration = Duration::from_secs(200);

/// Shortest silence that is told, whatever a policy says: a brain that answers nothing would else be asked without end.
const SILENCE_LEAST: Duration = Duration::from_millis(*SILENCE_MS.start() as u64);

/// The turn machine of one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnMachine {
    pub(super) policy: TurnPolicy,
    modality: Modality,
    pub(super) state: TurnState,
    /// Onset of the voice that is on now.
    pub(super) voice: Option<Time>,
    pub(super) hearing: Hearing,
    pub(super) endpointing: Endpointing,
    /// Tools run, and the brain hears of nothing else before their results.
    tools: bool,
    /// The reply waits for a tool, or ends the conversation.
    pub(super) awaits: bool,
    silence: Silence,
    /// On hold nobody is waited for: neither the caller, who can say nothing, nor our playout, which stands still.
    held: bool,
    /// The far end, which hears the caller by itself, hears them now, or does not tell: they are not asked why they are silent.
    heard_there: bool,
}

/// Why a recognition has no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResult {
    /// It heard none.
    Noise,
    Unheard,
    Unmatched,
}

impl NoResult {
    pub(super) fn ask(self) -> Ask {
        match self {
            Self::Noise | Self::Unmatched => Ask::NotUnderstood,
            Self::Unheard => Ask::NotHeard,
        }
    }
}

/// What a transition found: the input was acted on, or why not.
pub(super) type Taken = Result<(), Ignored>;

impl TurnMachine {
    /// The leg was answered at `now`, and the brain is about to be told.
    pub fn new(policy: TurnPolicy, modality: Modality, now: Time) -> Self {
        Self {
            policy,
            modality,
            state: TurnState::Thinking { since: now },
            voice: None,
            hearing: Hearing::Closed,
            endpointing: Endpointing::default(),
            tools: false,
            awaits: false,
            silence: Silence::Policy,
            held: false,
            heard_there: false,
        }
    }

    pub fn state(&self) -> &TurnState {
        &self.state
    }

    pub fn is_held(&self) -> bool {
        self.held
    }

    pub fn is_heard_there(&self) -> bool {
        self.heard_there
    }

    /// Whether the caller's voice is on, or what they said is still being recognized. The end of the voice opens no gap for
    /// others: a recognition without a voice has a deadline, and its result, or the want of one, closes it.
    pub fn hears_caller(&self) -> bool {
        self.voice.is_some() || self.hearing != Hearing::Closed
    }

    pub fn policy(&self) -> &TurnPolicy {
        &self.policy
    }

    /// How long the caller may be silent from now on.
    pub fn set_silence(&mut self, silence: Silence) {
        self.silence = silence;
    }

    /// Takes one input; effects are appended to `out`.
    ///
    /// # Errors
    /// The reason when the input changes nothing.
    pub fn handle(&mut self, now: Time, input: TurnInput, out: &mut Vec<TurnEffect>) -> Taken {
        if self.state == TurnState::Ended {
            return Err(Ignored::Over);
        }
        match input {
            TurnInput::SpeechStarted { onset } => self.speech_started(onset, out),
            TurnInput::SpeechEnded { end } => self.speech_ended(now, end, out),
            TurnInput::Partial { words, ending, sense } => {
                let heard = self.partial(ending, sense);
                heard.map(|()| self.weigh(now, words, sense, out))
            }
            TurnInput::Understood { words, sense } => self.understood(now, words, sense, out),
            TurnInput::Rejected => self.rejected(now, NoResult::Noise, out),
            TurnInput::Unheard => self.rejected(now, NoResult::Unheard, out),
            TurnInput::Unmatched => self.rejected(now, NoResult::Unmatched, out),
            TurnInput::PlayoutStarted { utterance, interruptible } => {
                self.playout_started(now, utterance, interruptible, out)
            }
            TurnInput::PlayoutMoved => self.playout_moved(now),
            TurnInput::PlayoutFinished => self.playout_finished(now),
            TurnInput::Digit => self.digit(now, out),
            TurnInput::DigitsDone | TurnInput::Text => self.answered_otherwise(now, out),
            TurnInput::BrainWorks => self.brain_works(now),
            TurnInput::Tools { running, awaited } => self.tools_run(running, awaited),
            TurnInput::ReplyDone => self.reply_done(now, out),
            TurnInput::TransferBegun => self.transfer_begun(now, out),
            TurnInput::TransferNews { failed } => self.transfer_news(now, failed),
            TurnInput::Interrupted => self.interrupted(now, out),
            TurnInput::Held { on } => self.hold(now, on),
            TurnInput::HeardThere { on } => self.hear_there(now, on),
            TurnInput::LegEnded => self.leg_ended(out),
        }
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        let own = match self.state {
            // A transfer goes on: many telephones hold the call that they transfer.
            _ if self.held && !matches!(self.state, TurnState::Transferring { .. }) => None,
            TurnState::Listening { since, keying: true } => Some(since + KEYING_LIMIT),
            TurnState::Listening { .. } if self.is_chat() || self.heard_there => None,
            TurnState::Listening { since, .. } => self.silence_limit().map(|limit| since + limit),
            TurnState::CallerSpeaking { onset } => Some(onset + self.policy.max_caller_turn()),
            // A recognition is open or finishing in this state; its own timer leads on.
            TurnState::EndpointPending { .. } | TurnState::Ended => None,
            TurnState::Thinking { since } => Some(since + REPLY_LIMIT),
            TurnState::Speaking { .. } | TurnState::SpeakingPaused { .. } => self.speaking_deadline(),
            TurnState::Transferring { since } => Some(since + TRANSFER_LIMIT),
        };
        let hearing = self.hearing_deadline().filter(|_| self.state != TurnState::Ended);
        own.into_iter().chain(hearing).min()
    }

    /// Carries out what is due at `now`. Call again until `poll_timeout` lies in the future.
    pub fn handle_timeout(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        if self.hearing_deadline().is_some_and(|due| due <= now) {
            return self.hearing_timeout(now, out);
        }
        match self.state {
            TurnState::Listening { keying: true, .. } => {
                self.state = TurnState::Listening { since: now, keying: false }
            }
            TurnState::Listening { .. } => self.ask(now, Ask::Silent, out),
            TurnState::CallerSpeaking { onset } => self.cut_caller(now, onset, out),
            TurnState::Thinking { .. } => self.abandon_reply(now, out),
            TurnState::Speaking { .. } | TurnState::SpeakingPaused { .. } => self.speaking_timeout(now, out),
            TurnState::Transferring { .. } => {
                out.push(TurnEffect::AbandonTransfer);
                self.state = TurnState::Thinking { since: now };
            }
            TurnState::EndpointPending { .. } | TurnState::Ended => {}
        }
    }

    fn hearing_deadline(&self) -> Option<Time> {
        self.hearing.deadline(|ending| self.endpointing.wait(&self.policy, ending))
    }

    pub(super) fn silence_limit(&self) -> Option<Duration> {
        let limit = match self.silence {
            Silence::Policy => self.policy.silence_timeout(),
            Silence::Limit { ms } => Duration::from_millis(ms.into()),
            Silence::Unlimited => return None,
        };
        Some(limit.max(SILENCE_LEAST))
    }

    fn speech_started(&mut self, onset: Time, out: &mut Vec<TurnEffect>) -> Taken {
        if self.voice.is_some() {
            return Err(Ignored::SameVoice);
        }
        self.voice = Some(onset);
        self.endpointing.voice_began(onset);
        match self.state {
            TurnState::Listening { .. } => self.state = TurnState::CallerSpeaking { onset },
            // The turn goes on; a result that is already awaited comes first.
            TurnState::EndpointPending { onset, .. } if !matches!(self.hearing, Hearing::Finishing { .. }) => {
                self.state = TurnState::CallerSpeaking { onset };
            }
            TurnState::EndpointPending { .. } | TurnState::CallerSpeaking { .. } | TurnState::Thinking { .. } => {}
            TurnState::Speaking { interruptible: false, .. } => return Err(Ignored::NotInterruptible),
            TurnState::Speaking { .. } => {}
            TurnState::SpeakingPaused { utterance, onset, .. } => {
                self.state = TurnState::SpeakingPaused { utterance, onset, ended: None };
            }
            TurnState::Transferring { .. } => return Err(Ignored::TransferRunning),
            TurnState::Ended => return Err(Ignored::Over),
        }
        self.listen(out);
        Ok(())
    }

    fn speech_ended(&mut self, now: Time, end: Time, out: &mut Vec<TurnEffect>) -> Taken {
        if self.voice.take().is_none() {
            return Err(Ignored::SameVoice);
        }
        self.hearing.voice_ended(end);
        if !self.is_on_line() {
            self.endpointing.voice_ended(end);
        }
        match self.state {
            TurnState::CallerSpeaking { onset } if self.hearing == Hearing::Closed => {
                // The recognition ended before the caller did, and without a result.
                self.state = TurnState::EndpointPending { onset, ended: end };
                self.ask(now, Ask::NotUnderstood, out);
            }
            TurnState::CallerSpeaking { onset } => self.state = TurnState::EndpointPending { onset, ended: end },
            TurnState::SpeakingPaused { .. } => self.voice_ended_in_pause(now, end, out),
            TurnState::Speaking { interruptible: false, .. } => return Err(Ignored::NotInterruptible),
            TurnState::Transferring { .. } => return Err(Ignored::TransferRunning),
            TurnState::Listening { .. }
            | TurnState::EndpointPending { .. }
            | TurnState::Thinking { .. }
            | TurnState::Speaking { .. } => {}
            TurnState::Ended => return Err(Ignored::Over),
        }
        Ok(())
    }

    fn partial(&mut self, ending: Ending, sense: Sense) -> Taken {
        if self.hearing == Hearing::Closed {
            return Err(Ignored::NotListening);
        }
        self.hearing.partial(ending, sense);
        Ok(())
    }

    fn understood(&mut self, now: Time, words: u32, sense: Sense, out: &mut Vec<TurnEffect>) -> Taken {
        if self.hearing == Hearing::Closed {
            return Err(Ignored::NotListening);
        }
        self.hearing = Hearing::Closed;
        match self.state {
            TurnState::SpeakingPaused { .. } if !self.takes_floor(words, sense) => self.go_on(now, out),
            TurnState::Speaking { .. } if !self.takes_floor(words, sense) => {}
            // "Okay", to who was told that it takes a moment, or goodbye.
            TurnState::Thinking { .. } if self.awaits && sense == Sense::Backchannel => {}
            _ => self.take_answer(now, out),
        }
        self.listen_on(out);
        Ok(())
    }

    fn rejected(&mut self, now: Time, why: NoResult, out: &mut Vec<TurnEffect>) -> Taken {
        if self.hearing == Hearing::Closed {
            return Err(Ignored::NotListening);
        }
        self.hearing = Hearing::Closed;
        match self.state {
            // The caller went on speaking before the result came: that is the utterance to understand.
            TurnState::EndpointPending { .. } if self.voice.is_some() => {
                self.state = TurnState::CallerSpeaking { onset: self.voice.unwrap_or(now) };
                self.listen(out);
            }
            TurnState::EndpointPending { .. } => self.ask(now, why.ask(), out),
            TurnState::SpeakingPaused { .. } => self.rejected_in_pause(now, why, out),
            TurnState::CallerSpeaking { .. }
            | TurnState::Speaking { .. }
            | TurnState::Thinking { .. }
            | TurnState::Listening { .. }
            | TurnState::Transferring { .. }
            | TurnState::Ended => {}
        }
        Ok(())
    }

    fn digit(&mut self, now: Time, out: &mut Vec<TurnEffect>) -> Taken {
        match self.state {
            TurnState::Transferring { .. } => return Err(Ignored::TransferRunning),
            TurnState::Speaking { interruptible: false, .. } => return Err(Ignored::NotInterruptible),
            // Type-ahead: the reply to come may still be what the caller wants.
            TurnState::Thinking { .. } => return Err(Ignored::Expected),
            TurnState::Speaking { .. } | TurnState::SpeakingPaused { .. } => out.push(TurnEffect::BargeIn),
            TurnState::Listening { .. } | TurnState::CallerSpeaking { .. } | TurnState::EndpointPending { .. } => {}
            TurnState::Ended => return Err(Ignored::Over),
        }
        self.stop_listening(out);
        self.endpointing.turn_over();
        self.state = TurnState::Listening { since: now, keying: true };
        Ok(())
    }

    fn answered_otherwise(&mut self, now: Time, out: &mut Vec<TurnEffect>) -> Taken {
        match self.state {
            TurnState::Transferring { .. } => return Err(Ignored::TransferRunning),
            TurnState::Speaking { interruptible: false, .. } => out.push(TurnEffect::Hold),
            _ => {
                self.stop_listening(out);
                self.take_answer(now, out);
            }
        }
        Ok(())
    }

    /// The caller has answered: whatever the agent says to something earlier is over.
    fn take_answer(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        match self.state {
            TurnState::Speaking { .. } | TurnState::SpeakingPaused { .. } => out.push(TurnEffect::BargeIn),
            // Chat is answered in order.
            TurnState::Thinking { .. } if self.tools || self.is_chat() => {
                return out.push(TurnEffect::Hold);
            }
            TurnState::Thinking { .. } => out.push(TurnEffect::BargeIn),
            TurnState::Transferring { .. } | TurnState::Ended => return,
            TurnState::Listening { .. } | TurnState::CallerSpeaking { .. } | TurnState::EndpointPending { .. } => {}
        }
        self.ask(now, Ask::Caller, out);
    }

    fn brain_works(&mut self, now: Time) -> Taken {
        match self.state {
            TurnState::Listening { .. } => self.state = TurnState::Thinking { since: now },
            TurnState::Thinking { ref mut since } => *since = now,
            _ => return Err(Ignored::Expected),
        }
        Ok(())
    }

    fn tools_run(&mut self, running: bool, awaited: bool) -> Taken {
        if (self.tools, self.awaits) == (running, awaited) {
            return Err(Ignored::Expected);
        }
        (self.tools, self.awaits) = (running, awaited);
        Ok(())
    }

    fn reply_done(&mut self, now: Time, out: &mut Vec<TurnEffect>) -> Taken {
        match self.state {
            TurnState::Thinking { .. } | TurnState::Speaking { .. } => {}
            TurnState::SpeakingPaused { .. } => out.push(TurnEffect::Resume),
            TurnState::Transferring { .. } => return Err(Ignored::TransferRunning),
            TurnState::Ended => return Err(Ignored::Over),
            TurnState::Listening { .. } | TurnState::CallerSpeaking { .. } | TurnState::EndpointPending { .. } => {
                return Err(Ignored::Expected);
            }
        }
        self.give_floor(now, out);
        Ok(())
    }

    /// What the caller says comes when it was understood.
    fn interrupted(&mut self, now: Time, out: &mut Vec<TurnEffect>) -> Taken {
        match self.state {
            TurnState::Transferring { .. } => return Err(Ignored::TransferRunning),
            TurnState::Speaking { .. } | TurnState::SpeakingPaused { .. } | TurnState::Thinking { .. } => {}
            TurnState::Listening { .. } | TurnState::CallerSpeaking { .. } | TurnState::EndpointPending { .. } => {
                return Err(Ignored::Expected);
            }
            TurnState::Ended => return Err(Ignored::Over),
        }
        out.push(TurnEffect::BargeIn);
        self.give_floor(now, out);
        Ok(())
    }

    fn transfer_begun(&mut self, now: Time, out: &mut Vec<TurnEffect>) -> Taken {
        // A line that stayed silent would swallow what is said if nobody takes the call.
        self.resume(now, out);
        self.stop_listening(out);
        self.state = TurnState::Transferring { since: now };
        Ok(())
    }

    fn transfer_news(&mut self, now: Time, failed: bool) -> Taken {
        let TurnState::Transferring { .. } = self.state else { return Err(Ignored::NoTransfer) };
        self.state = if failed { TurnState::Thinking { since: now } } else { TurnState::Transferring { since: now } };
        Ok(())
    }

    /// After a hold every wait begins anew.
    fn hold(&mut self, now: Time, on: bool) -> Taken {
        if self.held == on {
            return Err(Ignored::Expected);
        }
        self.held = on;
        match &mut self.state {
            TurnState::Listening { since: wait, .. }
            | TurnState::Thinking { since: wait }
            | TurnState::Speaking { moved: wait, .. } => *wait = now,
            TurnState::CallerSpeaking { .. }
            | TurnState::EndpointPending { .. }
            | TurnState::SpeakingPaused { .. }
            | TurnState::Transferring { .. }
            | TurnState::Ended => {}
        }
        Ok(())
    }

    /// The caller's silence begins anew. Whoever else is waited for is not the caller: a brain, or our playout, has its time.
    fn hear_there(&mut self, now: Time, on: bool) -> Taken {
        if self.heard_there == on {
            return Err(Ignored::Expected);
        }
        self.heard_there = on;
        if let TurnState::Listening { since, .. } = &mut self.state {
            *since = now;
        }
        Ok(())
    }

    fn leg_ended(&mut self, out: &mut Vec<TurnEffect>) -> Taken {
        self.stop_listening(out);
        self.state = TurnState::Ended;
        Ok(())
    }

    /// The caller's turn has lasted long enough. A voice that still goes on (a noise, most likely) no longer counts.
    fn cut_caller(&mut self, now: Time, onset: Time, out: &mut Vec<TurnEffect>) {
        self.voice = None;
        self.state = TurnState::EndpointPending { onset, ended: now };
        if self.hearing == Hearing::Closed {
            self.ask(now, Ask::NotUnderstood, out);
        } else {
            self.finish_listening(now, out);
        }
    }

    fn hearing_timeout(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        if let Hearing::Finishing { .. } = self.hearing {
            out.push(TurnEffect::CancelRecognition);
            // Cannot be ignored: a recognition is open.
            let _ = self.rejected(now, NoResult::Unheard, out);
        } else {
            self.finish_listening(now, out);
        }
    }

    /// Nobody waits for a reader.
    pub(super) fn is_chat(&self) -> bool {
        self.modality == Modality::Text
    }

    fn is_on_line(&self) -> bool {
        matches!(self.state, TurnState::Speaking { .. } | TurnState::SpeakingPaused { .. })
    }

    /// Gives the brain the floor. The session hands it the question, with a new epoch.
    pub(super) fn ask(&mut self, now: Time, ask: Ask, out: &mut Vec<TurnEffect>) {
        if self.tools && ask == Ask::Caller {
            out.push(TurnEffect::Hold);
        } else if !self.tools {
            out.push(TurnEffect::AskBrain { ask });
        }
        self.state = TurnState::Thinking { since: now };
    }

    pub(super) fn abandon_reply(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        (self.tools, self.awaits) = (false, false);
        out.push(TurnEffect::AbandonReply);
        self.give_floor(now, out);
    }

    /// The agent has finished. The caller may have begun before that.
    pub(super) fn give_floor(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        self.endpointing.turn_over();
        if let Some(onset) = self.voice {
            self.state = TurnState::CallerSpeaking { onset };
            self.listen(out);
        } else if self.hearing == Hearing::Closed {
            self.state = TurnState::Listening { since: now, keying: false };
        } else {
            self.state = TurnState::EndpointPending { onset: now, ended: now };
        }
    }

    /// Opens a recognition, unless one is open that this voice belongs to, or whose result is awaited.
    pub(super) fn listen(&mut self, out: &mut Vec<TurnEffect>) {
        if self.hearing == Hearing::Closed {
            self.hearing = Hearing::BEGUN;
            out.push(TurnEffect::OpenRecognition);
        } else {
            self.hearing.voice_started();
        }
    }

    /// After a result: a voice that is still on is a new utterance.
    pub(super) fn listen_on(&mut self, out: &mut Vec<TurnEffect>) {
        if self.voice.is_some() && !matches!(self.state, TurnState::Transferring { .. } | TurnState::Ended) {
            self.listen(out);
        }
    }

    pub(super) fn finish_listening(&mut self, now: Time, out: &mut Vec<TurnEffect>) {
        self.hearing = Hearing::Finishing { since: now };
        out.push(TurnEffect::FinishRecognition);
    }

    pub(super) fn stop_listening(&mut self, out: &mut Vec<TurnEffect>) {
        if self.hearing != Hearing::Closed {
            self.hearing = Hearing::Closed;
            out.push(TurnEffect::CancelRecognition);
        }
    }
}
