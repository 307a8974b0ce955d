//! Between the turn machine and the brain: who is asked what, and what comes of the answer.

use std::collections::VecDeque;

use serde_json::Value;
use tandem_contract::Private;
use tandem_contract::leg::LegCommand;
use tandem_contract::record::{Stage, TimelineEvent};
use tandem_media::Time;
use tandem_media::leg::MediaCommand;
use tracing::{debug, info, warn};

use super::commit::Cut;
use super::core::SessionCore;
use super::early::Done;
use super::farewell::Life;
use super::input::{Measure, SessionEffect};
use super::keys::Keys;
use super::letters::Letter;
use super::model::Question;
use super::output::Terminal;
use super::tools::Running;
use crate::brain::pipeline::context::Room;
use crate::brain::{BrainEffect, BrainEvent, Listen};
use crate::turn::{Ask, TurnEffect, TurnInput, TurnState};

/// Caller inputs that wait for the floor. Full: the newest is not taken. A person doesn't write sixteen messages ahead.
const HELD_MAX: usize = 16;

/// Request Timeout (RFC 3261 section 21.4.9): what the brain is told of a transfer without news.
const NO_NEWS: u16 = 408;

/// What waits for what.
#[derive(Debug, Default)]
pub(super) struct Floor {
    /// Inputs of the turn machine that came up while another was performed.
    inbox: VecDeque<TurnInput>,
    driving: bool,
    /// Chat: what the reader was told last.
    typing: bool,
    /// What the caller just said, pressed or wrote; the turn machine decides what becomes of it.
    said: Option<CallerInput>,
    /// For later, in order. At most `HELD_MAX`.
    held: VecDeque<CallerInput>,
    pub(super) tools: Vec<Running>,
    /// One that was left running has answered since the model was asked last.
    pub(super) late: bool,
    /// What the language model was asked, or is to be.
    pub(super) question: Option<Question>,
    /// How much its model takes, as far as it is known.
    pub(super) room: Room,
    /// What the agent presses.
    pub(super) keys: Keys,
}

impl Floor {
    /// Nothing is asked, held or worked on.
    pub(super) fn is_free(&self) -> bool {
        self.question.is_none() && !self.awaits_tools() && self.held.is_empty()
    }

    /// Whether the reply waits for a tool.
    pub(super) fn awaits_tools(&self) -> bool {
        self.tools.iter().any(|running| !running.left)
    }

    /// For when the caller has the floor. `digits`: keys.
    pub(super) fn hold(&mut self, letter: Letter, digits: bool, at: Time) {
        if self.held.len() < HELD_MAX {
            self.held.push_back(CallerInput { letter, digits, at });
        } else {
            warn!(held = HELD_MAX, "the caller is too far ahead; an input is dropped");
        }
    }

    /// False: it runs already.
    pub(super) fn begin_tool(&mut self, call: u32, tool: &str, arguments: Option<Private<Value>>) -> bool {
        let is_new = self.tools.iter().all(|running| running.call != call);
        if is_new {
            self.tools.push(Running { call, name: tool.to_owned(), arguments, watched: None, left: false });
        }
        is_new
    }
}

#[derive(Debug)]
struct CallerInput {
    letter: Letter,
    /// Keys.
    digits: bool,
    at: Time,
}

impl SessionCore {
    /// Gives the turn machine an input and performs what comes of it.
    pub(super) fn drive(&mut self, now: Time, input: TurnInput) {
        self.floor.inbox.push_back(input);
        if std::mem::replace(&mut self.floor.driving, true) {
            return;
        }
        while let Some(input) = self.floor.inbox.pop_front() {
            let before = self.turn.state().name();
            let mut effects = Vec::new();
            if let Err(reason) = self.turn.handle(now, input, &mut effects) {
                debug!(state = before, ?reason, "ignored");
            }
            self.tell_typing();
            for effect in effects {
                self.perform(now, effect);
            }
            let after = self.turn.state().name();
            if before != after {
                info!(state = after, "turn");
            }
        }
        self.floor.driving = false;
        // What the machine neither asked nor held is of no interest.
        self.floor.said = None;
    }

    /// A chat shows that the agent is at work, and that it has finished.
    pub(super) fn tell_typing(&mut self) {
        let works = matches!(self.turn.state(), TurnState::Thinking { .. } | TurnState::Transferring { .. });
        if self.is_chat() && self.life == Life::Running && self.floor.typing != works {
            self.floor.typing = works;
            self.out(SessionEffect::Leg(LegCommand::Typing { on: works }));
        }
    }

    /// Effects of a timer.
    pub(super) fn perform_all(&mut self, now: Time, effects: Vec<TurnEffect>) {
        for effect in effects {
            self.perform(now, effect);
        }
    }

    fn perform(&mut self, now: Time, effect: TurnEffect) {
        match effect {
            TurnEffect::OpenRecognition => self.open_recognition(),
            TurnEffect::FinishRecognition => self.finish_recognition(now),
            TurnEffect::CancelRecognition => self.cancel_recognition(),
            TurnEffect::Pause => self.pause(now),
            TurnEffect::Resume => self.resume(now),
            TurnEffect::BargeIn => self.barge_in(now),
            TurnEffect::AskBrain { ask } => self.ask(now, ask),
            TurnEffect::Hold => self.hold(),
            TurnEffect::AbandonReply => self.abandon_reply(now),
            TurnEffect::AbandonTransfer => self.transfer_progress(now, NO_NEWS),
        }
    }

    /// What follows once an input was taken: commits that became possible, words before a hang-up, a free floor.
    pub(super) fn settle(&mut self, now: Time) {
        self.end_when_full(now);
        self.settle_output(now);
        if self.life != Life::Running {
            return self.settle_life(now);
        }
        self.settle_question(now);
        self.end_given_reply();
        self.settle_ahead(now);
        if self.release_answer(now) || self.settle_keys(now) || self.settle_patience(now) || self.settle_watch(now) {
            return self.settle(now);
        }
        let has_floor = matches!(
            self.turn.state(),
            TurnState::Thinking { .. } | TurnState::Speaking { .. } | TurnState::SpeakingPaused { .. }
        );
        // A brain works at once, by a tool or by its model: with none of these and no speech left its reply is over.
        if has_floor && !self.floor.awaits_tools() && self.floor.question.is_none() && self.output.is_idle() {
            self.stages.void();
            self.drive(now, TurnInput::ReplyDone);
        }
        if let TurnState::Listening { keying: false, .. } = self.turn.state()
            && let Some(said) = self.floor.held.pop_front()
        {
            self.stages.caller_stopped(now);
            self.floor.said = Some(said);
            self.drive(now, TurnInput::Text);
            self.settle(now);
        }
        if self.settle_late(now) {
            self.settle(now);
        }
        if let Some((at, letter)) = self.read_letters(now) {
            self.caller_wrote(now, at, letter);
            self.settle(now);
        }
    }

    pub(super) fn caller_said(&mut self, now: Time, text: String, understood: TurnInput) {
        let at = self.ears.onset;
        let letter = Letter::words(text.into());
        self.understood(now, CallerInput { letter, digits: false, at }, understood);
    }

    /// `at`: when it came.
    pub(super) fn caller_wrote(&mut self, now: Time, at: Time, letter: Letter) {
        match self.life {
            Life::Opening { .. } => self.letters.early.put(at, Done::Said(letter)),
            Life::Running => {
                self.stages.caller_stopped(now);
                self.understood(now, CallerInput { letter, digits: false, at }, TurnInput::Text);
            }
            Life::Leaving { .. } | Life::Closing { .. } | Life::Over => {}
        }
    }

    pub(super) fn digit(&mut self, now: Time, digit: char) {
        if let Life::Opening { .. } = self.life {
            self.letters.early.put(now, Done::Key(digit));
        }
        if self.life != Life::Running {
            return;
        }
        self.note(now, TimelineEvent::Dtmf);
        self.stages.caller_stopped(now);
        let answer = self.digits.press(now, digit);
        self.drive(now, TurnInput::Digit);
        if let Some(digits) = answer {
            self.digits_done(now, digits);
        }
    }

    pub(super) fn digits_done(&mut self, now: Time, digits: String) {
        self.stages.end(Stage::EndpointingWait, now);
        let at = self.digits.last();
        let letter = Letter::words(digits.into());
        self.understood(now, CallerInput { letter, digits: true, at }, TurnInput::DigitsDone);
    }

    fn understood(&mut self, now: Time, said: CallerInput, input: TurnInput) {
        self.floor.said = Some(said);
        self.drive(now, input);
    }

    fn hold(&mut self) {
        if let Some(CallerInput { letter, digits, at }) = self.floor.said.take() {
            self.floor.hold(letter, digits, at);
        }
    }

    fn ask(&mut self, now: Time, ask: Ask) {
        let (awaits, runs) = (self.floor.awaits_tools(), !self.floor.tools.is_empty());
        let waits = match ask {
            Ask::Caller => false,
            // A noise, while an answer to what was said before it is on its way.
            Ask::NotUnderstood => awaits || self.floor.question.is_some(),
            Ask::NotHeard => awaits,
            // The caller waits for what is being looked up.
            Ask::Silent => runs,
        };
        if waits {
            return;
        }
        self.forget_question();
        self.ahead.turn_over();
        self.epoch = self.epoch.next();
        let epoch = self.epoch;
        let event = match ask {
            Ask::Caller => {
                let Some(said) = self.floor.said.take() else { return };
                self.write_caller(said.at, &said.letter);
                self.stages.asked(now);
                self.leave_tools();
                match said.digits {
                    true => BrainEvent::Digits { epoch, digits: said.letter.said },
                    false => BrainEvent::Said { epoch, text: said.letter.said },
                }
            }
            Ask::NotUnderstood => {
                // Who was asked nothing cannot be misunderstood.
                if self.ears.grammar.is_some() {
                    self.note(now, TimelineEvent::NoMatch);
                }
                self.stages.asked(now);
                BrainEvent::NotUnderstood { epoch }
            }
            Ask::NotHeard => {
                self.note(now, TimelineEvent::NotHeard);
                self.stages.asked(now);
                BrainEvent::NotHeard { epoch }
            }
            Ask::Silent => {
                self.note(now, TimelineEvent::NoInput);
                BrainEvent::Silent { epoch }
            }
        };
        self.think(now, event);
    }

    /// Tells the brain, and carries out what it answers.
    pub(super) fn think(&mut self, now: Time, event: BrainEvent) {
        let mut effects = Vec::new();
        self.brain.handle(now, event, &mut effects);
        // A reply to a turn that was interrupted meanwhile is not wanted any more.
        effects.retain(|effect| effect.epoch().is_none_or(|epoch| epoch == self.epoch));
        if !effects.is_empty() {
            let works = |effect: &BrainEffect| {
                matches!(
                    effect,
                    BrainEffect::Say { .. }
                        | BrainEffect::CallTool { .. }
                        | BrainEffect::PressKeys { .. }
                        | BrainEffect::Complete { .. }
                )
            };
            let works = effects.iter().any(works);
            for effect in effects {
                self.carry_out(now, effect);
            }
            if works {
                self.drive(now, TurnInput::BrainWorks);
            }
        }
        // Who is told goodbye, or that they are put through, may say "okay" to that.
        let awaited = self.floor.awaits_tools() || self.output.is_ending();
        let running = self.holds_caller();
        self.drive(now, TurnInput::Tools { running, awaited });
    }

    fn carry_out(&mut self, now: Time, effect: BrainEffect) {
        match effect {
            BrainEffect::Write { text, .. } if self.is_chat() => {
                self.out(SessionEffect::Leg(LegCommand::Piece { text }))
            }
            BrainEffect::Write { .. } => {}
            BrainEffect::Say { text, interruptible, .. } => self.say(now, &text, interruptible),
            // Told by what is left to do; a brain that streams its reply will need it.
            BrainEffect::Done { .. } => {}
            BrainEffect::Listen(listen) => self.listen(listen),
            BrainEffect::CallTool { call, tool, arguments, .. } => self.call_tool(call, tool, arguments),
            BrainEffect::Watch { call, after_ms, .. } => self.watch_tool(now, call, after_ms),
            BrainEffect::PressKeys { call, keys, .. } => self.press_keys(call, keys.into_inner()),
            BrainEffect::Complete { epoch, prompt } => self.ask_model(now, epoch, prompt),
            BrainEffect::Transfer { target } => self.output.end_with(Terminal::Transfer(target)),
            BrainEffect::HangUp => self.output.end_with(Terminal::HangUp),
            BrainEffect::Echo { on } if self.has_audio() => self.out(SessionEffect::Media(MediaCommand::Loop { on })),
            BrainEffect::Echo { .. } => {}
            BrainEffect::EnteredState { state } => {
                info!(state, "flow");
                self.note(now, TimelineEvent::FlowState { state });
            }
            BrainEffect::Escalated { action } => {
                info!(action, "escalation");
                self.note(now, TimelineEvent::Escalation { action });
            }
        }
    }

    fn listen(&mut self, listen: Listen) {
        self.ears.grammar = listen.grammar;
        self.digits.expect(listen.digits);
        self.turn.set_silence(listen.silence);
    }

    fn pause(&mut self, now: Time) {
        let onset = self.ears.onset;
        self.pause_output(now, onset);
    }

    fn resume(&mut self, now: Time) {
        self.resume_output(now);
        self.measure(Measure::FalseInterruption);
    }

    fn barge_in(&mut self, now: Time) {
        self.stages.void();
        // A reply that waits for the back-off is not the caller's any more, but the moment that they were left still is.
        let interrupted = self.output.on_line().is_some() || self.output.back_off.is_on();
        let stays = self.output.interrupt_ending();
        self.cut_output(now, Cut::BargeIn);
        if interrupted {
            self.back_off(now);
        }
        if stays {
            self.think(now, BrainEvent::EndInterrupted);
        }
    }

    fn abandon_reply(&mut self, now: Time) {
        warn!("the reply did not come or stood still; it is given up");
        self.give_up_tools(now);
        self.floor.keys.forget();
        self.stages.void();
        self.cut_output(now, Cut::Abandoned);
    }

    pub(super) fn transfer_begun(&mut self, now: Time, target: Private<String>) {
        self.note(now, TimelineEvent::Transfer { status: None });
        self.out(SessionEffect::Leg(LegCommand::Transfer { target }));
        self.drive(now, TurnInput::TransferBegun);
        self.give_up_keys(now);
    }

    /// RFC 3515 section 2.4.5: 1xx is news, 2xx means that the target answered, and the leg ends next.
    pub(super) fn transfer_progress(&mut self, now: Time, status: u16) {
        if self.life != Life::Running {
            return;
        }
        self.note(now, TimelineEvent::Transfer { status: Some(status) });
        self.drive(now, TurnInput::TransferNews { failed: status >= 300 });
        let epoch = self.epoch;
        self.think(now, BrainEvent::TransferProgress { epoch, status });
    }
}
