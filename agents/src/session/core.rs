//! The session without I/O: turn machine, ledger, brain and epoch; inputs and time go in, effects come out.
//!
//! The parts sit in files of their own: `conversation` (turn machine and brain), `model`,
//! `narrow`, `ahead` and `memory` (what the model is asked), `patience` (who waits for it), `output` (the agent's speech),
//! `commit` (what was heard of it), `spoken` (where the far end speaks it), `back_off` (when it may begin), `recognition`, `digits`,
//! `early` (what the caller does before the beginning), `letters` and `album` (what is written and shown), `stages`, `record`,
//! `tools` (what runs), `farewell` (how it ends).
//!
//! It knows no vendor and no door. Messages of an older epoch, utterance or recognition are dropped here.

use std::collections::VecDeque;

use tandem_contract::Epoch;
use tandem_contract::call::{Door, Modality};
use tandem_contract::event::{SessionCommand, SessionEvent};
use tandem_contract::leg::{LegEnd, LegEvent};
use tandem_contract::record::{Outcome, TimelineEvent};
use tandem_media::Time;
use tandem_media::leg::MediaEvent;
use tracing::info;

use super::ahead::Ahead;
use super::conversation::Floor;
use super::digits::DigitCollector;
use super::farewell::Life;
use super::input::{Measure, SessionEffect, SessionFacts, SessionInput};
use super::letters::{Letter, Letters};
use super::memory::Memory;
use super::output::Output;
use super::recognition::Ears;
use super::record::Story;
use super::stages::Stages;
use crate::brain::{Brain, BrainEvent};
use crate::ledger::{Ledger, Playback};
use crate::turn::{TurnInput, TurnMachine};

/// One conversation.
pub struct SessionCore {
    pub(super) turn: TurnMachine,
    pub(super) ledger: Ledger,
    pub(super) brain: Box<dyn Brain>,
    pub(super) epoch: Epoch,
    pub(super) floor: Floor,
    pub(super) ahead: Ahead,
    pub(super) memory: Memory,
    pub(super) output: Output,
    pub(super) ears: Ears,
    pub(super) digits: DigitCollector,
    pub(super) letters: Letters,
    pub(super) stages: Stages,
    pub(super) story: Story,
    pub(super) life: Life,
    effects: VecDeque<SessionEffect>,
}

impl SessionCore {
    /// A session whose leg is being answered. Its first effect stores the record.
    pub fn new(now: Time, facts: SessionFacts, brain: Box<dyn Brain>) -> Self {
        let rate = facts.rate.unwrap_or(0);
        let playback = match (facts.offer.door, facts.offer.modality, facts.rate) {
            (_, Modality::Voice, None) => Playback::Spoken,
            (Door::Sip, ..) => Playback::Paced,
            (Door::Websocket | Door::Twilio | Door::Chatwoot | Door::Messages, ..) => Playback::Reported,
        };
        let policy = facts.accept.config.turn_policy();
        let letters = Letters::new(facts.offer.door, policy.message_wait());
        let turn = TurnMachine::new(policy, facts.offer.modality, now);
        let mut core = Self {
            turn,
            ledger: Ledger::new(playback, rate),
            brain,
            epoch: Epoch::default(),
            floor: Floor::default(),
            ahead: Ahead::default(),
            memory: Memory::default(),
            output: Output::of(facts.rate),
            ears: Ears::new(&facts.accept.config),
            digits: DigitCollector::default(),
            letters,
            stages: Stages::default(),
            story: Story::new(facts, now),
            life: Life::opening(),
            effects: VecDeque::new(),
        };
        let record = core.story.record(now, &core.ledger, Outcome::InProgress);
        core.out(SessionEffect::Store { record, first: true });
        core
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn turn(&self) -> &TurnMachine {
        &self.turn
    }

    /// Whether `End` was given out.
    pub fn is_over(&self) -> bool {
        self.life == Life::Over
    }

    /// What is to be done next; drain it after each input.
    pub fn poll_effect(&mut self) -> Option<SessionEffect> {
        self.effects.pop_front()
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        let running = self.life == Life::Running;
        let turn = self.turn.poll_timeout().filter(|_| running);
        let digits = self.digits.deadline().filter(|_| running);
        let store = self.story.store_due(&self.ledger).filter(|_| running);
        let ears = self.ears.deadline().filter(|_| running);
        let ahead = self.ahead_due().filter(|_| running);
        let keys = self.keys_due().filter(|_| running);
        let patience = self.patience_due().filter(|_| running);
        let watch = self.watch_due().filter(|_| running);
        let output = self.output.deadline();
        let ending = self.ending_due().filter(|_| running);
        let letters = self.letters_due();
        [turn, digits, ears, ahead, keys, patience, watch, letters, store, output, ending, self.life.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Carries out what is due. Call again until `poll_timeout` lies in the future.
    pub fn handle_timeout(&mut self, now: Time) {
        self.life_timeout(now);
        if self.life == Life::Running {
            self.turn_timeout(now);
            self.digits_timeout(now);
            self.recognition_timeout(now);
            self.store_timeout(now);
        }
        self.output_timeout(now);
        self.settle(now);
    }

    pub fn handle(&mut self, now: Time, input: SessionInput) {
        if self.life == Life::Over {
            return;
        }
        match input {
            SessionInput::Begun => self.begun(now),
            SessionInput::Media(event) => self.media_event(now, event),
            SessionInput::MediaLost => self.media_lost(now),
            SessionInput::Leg(event) => self.leg_event(now, event),
            SessionInput::Recognizer { recognition, event } => self.recognizer_event(now, recognition, event),
            SessionInput::Voice { epoch, utterance, event } => self.voice_event(now, epoch, utterance, event),
            SessionInput::ToolDone { call, result } => self.tool_done(now, call, result),
            SessionInput::Model { epoch, event } => self.model_event(now, epoch, event),
            SessionInput::Ahead { ahead, event } => self.ahead_event(now, ahead, event),
            SessionInput::Notes { notes } => self.notes_made(notes),
            // A node that drains lets its sessions finish: there is nothing to do yet.
            SessionInput::Command(SessionCommand::Drain { now: false }) => {}
            SessionInput::Command(SessionCommand::Drain { now: true }) => self.leave(now, LegEnd::Drained),
            SessionInput::Command(SessionCommand::HangUp) => self.leave(now, LegEnd::AgentHungUp),
        }
        self.settle(now);
    }

    fn media_event(&mut self, now: Time, event: MediaEvent) {
        match event {
            MediaEvent::Audio { capture, samples, .. } => self.caller_audio(capture, samples),
            MediaEvent::SpeechStarted { onset, .. } => self.speech_started(now, onset),
            MediaEvent::SpeechEnded { end, .. } => self.speech_ended(now, end),
            MediaEvent::Dtmf { digit, .. } => self.digit(now, digit),
            MediaEvent::Started { at, tag } => self.playout_started(now, at, tag),
            MediaEvent::Progress { tag, offset, .. } => self.playout_moved(now, tag, offset),
            MediaEvent::Paused { at, tag, offset } => self.playout_paused(now, at, tag, offset),
            MediaEvent::Cleared { tag, offset, .. } => self.playout_cleared(now, tag, offset),
            MediaEvent::Finished { at, tag, offset } => self.playout_finished(now, at, tag, offset),
            MediaEvent::Held { on, .. } => self.drive(now, TurnInput::Held { on }),
            MediaEvent::Inactive { .. } => self.leave(now, LegEnd::WireLost),
            MediaEvent::Closed { stats, .. } => self.media_closed(now, &stats),
        }
    }

    fn leg_event(&mut self, now: Time, event: LegEvent) {
        match event {
            LegEvent::Answered => self.answered(now),
            LegEvent::Dtmf { digit } => self.digit(now, digit),
            LegEvent::Text { text, attachments } => self.text_came(now, text, attachments),
            LegEvent::Played { utterance, offset } => self.far_end_played(now, utterance, offset),
            LegEvent::Finished { utterance } => self.far_end_finished(now, utterance),
            LegEvent::Interrupted => self.far_end_interrupted(now),
            LegEvent::CallerSpeaks { on } => self.caller_speaks_there(now, on),
            LegEvent::Withheld { utterance, offset } => self.ledger.withheld(utterance, offset),
            LegEvent::Released { utterance } => self.ledger.released(utterance),
            LegEvent::Lost { utterance, offset } => self.ledger.lost(utterance, offset),
            LegEvent::TransferProgress { status } => self.transfer_progress(now, status),
            LegEvent::Ended { reason } => self.leg_ended(now, reason),
        }
    }

    fn speech_started(&mut self, now: Time, onset: Time) {
        if self.life == Life::Running {
            self.ears.onset = onset;
            self.ears.ended = None;
            self.forget_ahead();
            self.note(onset, TimelineEvent::CallerStartedSpeaking);
            self.drive(now, TurnInput::SpeechStarted { onset });
        }
    }

    fn speech_ended(&mut self, now: Time, end: Time) {
        if self.life == Life::Running {
            self.stages.caller_stopped(end);
            self.ears.ended = Some(end);
            self.prolong_back_off(end);
            self.note(end, TimelineEvent::CallerStoppedSpeaking);
            self.drive(now, TurnInput::SpeechEnded { end });
        }
    }

    fn turn_timeout(&mut self, now: Time) {
        let before = self.turn.state().name();
        let mut effects = Vec::new();
        self.turn.handle_timeout(now, &mut effects);
        self.tell_typing();
        let after = self.turn.state().name();
        if before != after {
            info!(state = after, "turn");
        }
        self.perform_all(now, effects);
    }

    fn digits_timeout(&mut self, now: Time) {
        if let Some(digits) = self.digits.timeout(now) {
            self.digits_done(now, digits);
        }
    }

    fn store_timeout(&mut self, now: Time) {
        if self.story.store_due(&self.ledger).is_some_and(|due| due <= now) {
            let record = self.story.record(now, &self.ledger, Outcome::InProgress);
            self.out(SessionEffect::Store { record, first: false });
        }
    }

    /// Starts the conversation: the brain has the first word.
    pub(super) fn start(&mut self, now: Time) {
        self.life = Life::Running;
        let facts = &self.story.facts;
        let (policy, modality) = (facts.accept.config.turn_policy(), facts.offer.modality);
        let (held, heard_there) = (self.turn.is_held(), self.turn.is_heard_there());
        self.turn = TurnMachine::new(policy, modality, now);
        self.tell_typing();
        if held {
            self.drive(now, TurnInput::Held { on: true });
        }
        if heard_there {
            self.drive(now, TurnInput::HeardThere { on: true });
        }
        let continued = !self.story.facts.before.lines.is_empty();
        self.think(now, if continued { BrainEvent::Continued } else { BrainEvent::Started });
        self.hold_early();
    }

    pub(super) fn out(&mut self, effect: SessionEffect) {
        self.effects.push_back(effect);
    }

    pub(super) fn emit(&mut self, event: SessionEvent) {
        self.out(SessionEffect::Emit(event));
    }

    pub(super) fn measure(&mut self, measure: Measure) {
        self.out(SessionEffect::Measure(measure));
    }

    pub(super) fn note(&mut self, at: Time, what: TimelineEvent) {
        let entry = self.story.note(at, what);
        self.emit(SessionEvent::Timeline { entry });
    }

    pub(super) fn is_chat(&self) -> bool {
        self.story.facts.offer.modality == Modality::Text
    }

    /// Whether a media worker carries sound; else texts go out and come in.
    pub(super) fn has_audio(&self) -> bool {
        self.story.facts.rate.is_some()
    }

    pub(super) fn write_caller(&mut self, at: Time, letter: &Letter) {
        let at_ms = self.story.at_ms(at);
        let entry = self.ledger.caller(self.epoch, letter.line.clone(), at_ms);
        self.letters.album.belong(&letter.attached, &entry);
        self.story.changed();
        self.emit(SessionEvent::Committed { entry });
    }
}
