//! Everybody falls silent: the wire, the worker, the voice, the recognizer, the model, a tool. Whatever the session was in
//! then, it leaves within a bound, and the caller is asked for an answer or let go.

use std::time::Duration;

use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::event::SessionCommand;
use tandem_contract::leg::LegEvent;
use tandem_contract::{Epoch, UtteranceId};
use tandem_media::Time;
use tandem_media::leg::MediaEvent;
use tandem_models::ModelEvent;
use tandem_speech::VoiceEvent;

use super::world::*;
use crate::brain::{Brain as _, BrainEffect, BrainEvent, DigitCollection, Listen, Persona, PipelineBrain};
use crate::session::core::SessionCore;
use crate::session::farewell::Life;
use crate::session::input::{SessionEffect, SessionInput};
use crate::session::tag_of;
use crate::turn::Silence;

/// A core whose effects nobody performs.
struct Deserted {
    core: SessionCore,
    told: std::sync::mpsc::Receiver<BrainEvent>,
    now: Time,
    over: bool,
}

impl Deserted {
    fn new(script: impl FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send + 'static) -> Self {
        Self::by(Door::Sip, script)
    }

    fn by(door: Door, script: impl FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send + 'static) -> Self {
        let (core, told) = World::core(door, Modality::Voice, BotConfig::default(), script);
        Self { core, told, now: Time::ZERO, over: false }
    }

    fn running(script: impl FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send + 'static) -> Self {
        Self::new(script).begun()
    }

    fn begun(mut self) -> Self {
        self.give(SessionInput::Begun);
        self.give(SessionInput::Leg(LegEvent::Answered));
        self
    }

    /// The agent has begun to speak.
    fn speaking() -> Self {
        let mut deserted = Self::running(polite);
        let (epoch, utterance) = (Epoch(0), UtteranceId(1));
        let event = VoiceEvent::Audio(vec![1000; 80_000].into());
        deserted.give(SessionInput::Voice { epoch, utterance, event });
        let (at, tag) = (deserted.now, tag_of(epoch, utterance));
        deserted.give(SessionInput::Media(MediaEvent::Started { at, tag }));
        deserted
    }

    fn give(&mut self, input: SessionInput) {
        self.core.handle(self.now, input);
        self.drain();
    }

    fn voice_on(&mut self) {
        let (at, onset) = (self.now, self.now);
        self.give(SessionInput::Media(MediaEvent::SpeechStarted { at, onset }));
    }

    fn voice_off(&mut self) {
        let (at, end) = (self.now, self.now);
        self.give(SessionInput::Media(MediaEvent::SpeechEnded { at, end }));
    }

    fn drain(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            self.over |= matches!(effect, SessionEffect::End(_));
        }
    }

    fn pass(&mut self, ms: u64) {
        self.until(self.now + Duration::from_millis(ms), |_| false);
    }

    /// Lets timers run until `wanted` or `end`.
    fn until(&mut self, end: Time, wanted: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            match self.core.poll_timeout().filter(|due| *due <= end && !wanted(self)) {
                Some(due) => {
                    self.now = self.now.max(due);
                    self.core.handle_timeout(self.now);
                    self.drain();
                }
                None if wanted(self) => return,
                None => return self.now = end,
            }
        }
        panic!("the timers do not rest in {:?}", self.core.turn());
    }

    /// The state is another within so many milliseconds, and later the brain is told of a silent caller, or it is over.
    #[track_caller]
    fn leaves(mut self, state: &str, within: u64) {
        assert_eq!(self.core.turn().state().name(), state);
        let (begun, limit) = (self.now, Duration::from_millis(within));
        self.until(begun + limit + Duration::from_millis(1), |it| it.core.turn().state().name() != state);
        assert_ne!(self.core.turn().state().name(), state, "after {within} ms");
        assert!(self.now.since(begun) <= limit, "{state} was left after {:?}", self.now.since(begun));
        self.told.try_iter().for_each(drop);
        self.pass(300_000);
        let silent = self.told.try_iter().any(|event| matches!(event, BrainEvent::Silent { .. }));
        assert!(silent || self.over, "nobody asked the caller");
    }

    /// The brain is told this within so many milliseconds.
    #[track_caller]
    fn tells(mut self, wanted: impl Fn(&BrainEvent) -> bool, within: u64) {
        assert_eq!(self.core.turn().state().name(), "listening");
        self.pass(within - 1);
        let early = self.told.try_iter().any(|event| wanted(&event));
        self.pass(1);
        assert!(!early && self.told.try_iter().any(|event| wanted(&event)), "after {within} ms");
    }

    /// The life is another within so many milliseconds.
    #[track_caller]
    fn outlives(&mut self, within: u64) {
        let life = self.core.life;
        let end = self.now + Duration::from_millis(within);
        self.until(end, |it| it.core.life != life);
        assert_ne!(self.core.life, life, "after {within} ms");
    }
}

fn nothing(_: BrainEvent, _: &mut Vec<BrainEffect>) {}

fn transfers(event: BrainEvent, out: &mut Vec<BrainEffect>) {
    if event == BrainEvent::Started {
        out.push(BrainEffect::Transfer { target: "sip:desk@example.org".to_owned().into() });
    }
}

fn books(event: BrainEvent, out: &mut Vec<BrainEffect>) {
    if event == BrainEvent::Started {
        let arguments = serde_json::Value::Null;
        out.push(BrainEffect::CallTool { epoch: Epoch(0), call: 1, tool: "book".into(), arguments });
    }
}

fn keys(event: BrainEvent, out: &mut Vec<BrainEffect>) {
    if event == BrainEvent::Started {
        let digits = Some(DigitCollection { min: 4, max: 4, inter_digit_ms: 30_000 });
        out.push(BrainEffect::Listen(Listen { grammar: None, digits, silence: Silence::Policy }));
    }
}

#[test]
fn a_caller_who_says_nothing_is_asked() {
    Deserted::running(nothing).tells(|event| matches!(event, BrainEvent::Silent { .. }), 6_000);
}

#[test]
fn half_a_number_is_told() {
    let mut deserted = Deserted::running(keys);
    deserted.give(SessionInput::Media(MediaEvent::Dtmf { at: Time::ZERO, digit: '1' }));
    deserted.tells(|event| matches!(event, BrainEvent::Digits { .. }), 30_000);
}

#[test]
fn a_voice_that_never_speaks_is_given_up() {
    Deserted::running(polite).leaves("thinking", 20_000);
}

#[test]
fn a_tool_that_never_returns_is_given_up() {
    Deserted::running(books).leaves("thinking", 20_000);
}

#[test]
fn a_playout_that_stands_still_is_given_up() {
    Deserted::speaking().leaves("speaking", 10_000);
}

#[test]
fn a_voice_without_end_over_the_agent_is_decided() {
    let mut deserted = Deserted::speaking();
    deserted.voice_on();
    deserted.pass(200);
    deserted.leaves("speaking_paused", 5_800 + 3_000);
}

#[test]
fn a_voice_that_ended_over_the_agent_is_decided() {
    let mut deserted = Deserted::speaking();
    deserted.voice_on();
    deserted.pass(300);
    deserted.voice_off();
    deserted.leaves("speaking_paused", 700);
}

#[test]
fn a_caller_without_end_is_cut() {
    let mut deserted = Deserted::running(nothing);
    deserted.voice_on();
    deserted.leaves("caller_speaking", 30_000);
}

#[test]
fn a_recognizer_that_never_answers_is_given_up() {
    let mut deserted = Deserted::running(|event, out| {
        if event == BrainEvent::Started {
            out.push(yes_or_no());
        }
    });
    deserted.voice_on();
    deserted.pass(500);
    deserted.voice_off();
    deserted.leaves("endpoint_pending", 3_000 + 3_000);
}

/// Who hears the caller by itself may never tell when they are silent: that they are not asked why stops no other timer.
#[test]
fn a_reply_to_a_caller_who_is_heard_elsewhere_is_given_up() {
    type Script = fn(BrainEvent, &mut Vec<BrainEffect>);
    for script in [books as Script, polite as Script] {
        let mut deserted = Deserted::by(Door::Twilio, script);
        // Before the call begins, too.
        deserted.give(SessionInput::Leg(LegEvent::CallerSpeaks { on: true }));
        let mut deserted = deserted.begun();
        assert_eq!(deserted.core.turn().state().name(), "thinking");
        deserted.pass(20_000);
        assert_eq!(deserted.core.turn().state().name(), "listening", "given up");
        deserted.pass(300_000);
        assert!(!deserted.told.try_iter().any(|event| matches!(event, BrainEvent::Silent { .. })), "nobody is hurried");
        deserted.give(SessionInput::Leg(LegEvent::CallerSpeaks { on: false }));
        deserted.tells(|event| matches!(event, BrainEvent::Silent { .. }), 6_000);
    }
}

#[test]
fn a_transfer_without_news_is_given_up() {
    let mut deserted = Deserted::running(transfers);
    deserted.pass(300);
    deserted.leaves("transferring", 200_000);
}

/// Before the wire answers there is nothing to wait for but the wire, which has timers of its own.
#[test]
fn every_life_ends() {
    let mut deserted = Deserted::new(polite);
    assert!(deserted.core.poll_timeout().is_none());
    deserted.give(SessionInput::Leg(LegEvent::Answered));
    // The record is never stored: the call begins all the same.
    deserted.outlives(2_000);
    assert_eq!(deserted.core.life, Life::Running);
    deserted.give(SessionInput::Command(SessionCommand::HangUp));
    // The wire never says that it has ended.
    deserted.outlives(5_000);
    assert!(matches!(deserted.core.life, Life::Closing { .. }), "{:?}", deserted.core.life);
    // The worker never closes the leg.
    deserted.outlives(500);
    assert!(deserted.core.is_over() && deserted.over);
    assert_eq!(deserted.core.poll_timeout(), None);
}

/// A vendor that keeps the connection alive and says nothing: its signs of life hold no caller for ever.
#[test]
fn a_model_that_only_shows_signs_of_life_is_given_up() {
    let persona = Persona::new(&BotConfig::default(), Modality::Voice);
    let mut brain = PipelineBrain::new(persona, Modality::Voice);
    let mut deserted = Deserted::running(move |event, out| brain.handle(Time::ZERO, event, out));
    deserted.give(SessionInput::Media(MediaEvent::Dtmf { at: Time::ZERO, digit: '1' }));
    assert_eq!(deserted.core.turn().state().name(), "thinking");
    for _ in 0..7 {
        deserted.pass(4_000);
        deserted.give(SessionInput::Model { epoch: Epoch(1), event: ModelEvent::Progress });
    }
    assert_eq!(deserted.core.turn().state().name(), "thinking", "28 s: it was at work for 12 of them");
    deserted.pass(4_000);
    assert_eq!(deserted.core.turn().state().name(), "listening");
    // Another model that is asked in its place has its own time.
    deserted.give(SessionInput::Media(MediaEvent::Dtmf { at: deserted.now, digit: '1' }));
    let begun = deserted.now;
    for round in 0..6 {
        deserted.pass(4_000);
        let event = if round == 2 { ModelEvent::Rerouted } else { ModelEvent::Progress };
        deserted.give(SessionInput::Model { epoch: deserted.core.epoch, event });
    }
    deserted.until(begun + Duration::from_secs(60), |it| it.core.turn().state().name() != "thinking");
    assert_eq!(deserted.now.since(begun).as_secs(), 24 + 20);
}
