//! Noises that are taken for a voice, and voices whose words come late.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::record::Speaker;
use tandem_media::Time;
use tandem_media::leg::{MediaCommand, MediaEvent};
use tandem_models::{Finish, ModelEvent};
use tandem_speech::{RecognizerEvent, SpeechError};

use super::model::questions;
use super::world::*;
use crate::brain::{Persona, PipelineBrain};
use crate::session::input::{SessionEffect, SessionInput};

/// Ten words of 400 ms.
const ANSWER: &str = "We are open from nine to five on all days.";

/// A model that needs a second, and has been asked at 100 ms.
fn asked(mut turn: Value) -> World {
    turn["preemptive_generation"] = false.into();
    let config: BotConfig = serde_json::from_value(json!({ "turn": turn })).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Voice), Modality::Voice);
    let mut world = World::by(Door::Sip, Modality::Voice, config, Box::new(brain));
    world.model.script = Some(Box::new(|_| {
        let at = Duration::from_millis(1_000);
        let text = ModelEvent::Text { text: ANSWER.to_owned().into() };
        vec![(at, text), (at, ModelEvent::Done { finish: Finish::Stop })]
    }));
    world.until(100);
    world.press('1');
    world
}

fn hears(text: &str) -> Option<RecognizerEvent> {
    Some(RecognizerEvent::Final { text: text.to_owned(), confidence: 1.0 })
}

fn commands(world: &World, wanted: &MediaCommand) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::Media(command) if command == wanted))
}

#[test]
fn a_noise_takes_the_answer_from_nobody() {
    // While the model thinks, and while its answer plays (from 1.14 s on).
    for onset in (200..4_800).step_by(70) {
        for length in [250, 700, 2_000, 5_000] {
            let mut world = asked(json!({}));
            world.answer = Some(RecognizerEvent::Rejected);
            world.voice(onset, onset + length);
            world.until(onset + length + 7_000);
            let [answer] = world.entries(Speaker::Agent)[..] else { panic!("{onset} {length}: {:?}", world.told()) };
            assert_eq!((answer.heard.reveal().as_str(), answer.interrupted), (ANSWER, false), "{onset} {length}");
            assert_eq!(questions(&world).len(), 1, "{onset} {length}");
            world.assert_heard_is_played();
        }
    }
}

#[test]
fn the_line_is_silent_until_it_is_known_that_it_was_a_noise() {
    let mut world = asked(json!({}));
    world.answer = Some(RecognizerEvent::Rejected);
    world.voice(2_000, 4_000);
    world.until(9_000);
    assert_eq!(commands(&world, &MediaCommand::Pause), [2_200]);
    // 500 ms of endpointing, and 40 of the recognizer.
    assert_eq!(commands(&world, &MediaCommand::Resume), [4_540]);
    let silent = |at: u64| at > 2_220 && at < 4_540;
    assert!(!world.sounding.iter().any(|sounding| silent(sounding.as_millis())));
}

#[test]
fn a_noise_without_end_is_talked_over() {
    let mut world = asked(json!({}));
    world.answer = Some(RecognizerEvent::Rejected);
    world.until(2_064);
    let (at, onset) = (world.now, Time::from_millis(2_000));
    world.give(SessionInput::Media(MediaEvent::SpeechStarted { at, onset }));
    world.until(14_000);
    assert_eq!(commands(&world, &MediaCommand::Pause), [2_200], "once");
    assert_eq!(commands(&world, &MediaCommand::Resume), [8_040]);
    assert_eq!(world.entries(Speaker::Agent)[0].heard.reveal(), ANSWER);
}

#[test]
fn words_win_however_late_they_come() {
    for partial in [None, Some(2_500), Some(4_500)] {
        let mut world = asked(json!({}));
        world.answer = hears("what about sundays");
        if let Some(at) = partial {
            world.later_partial(at, "what about sundays");
        }
        world.voice(2_000, 5_000);
        world.until(5_700);
        let after = |at: &&Time| at.as_millis() > 2_220;
        assert_eq!(world.sounding.iter().filter(after).count(), 0, "{partial:?}");
        assert_eq!(commands(&world, &MediaCommand::Clear), [partial.unwrap_or(5_540)]);
        assert_eq!(questions(&world).len(), 2);
        assert_eq!(world.entries(Speaker::Caller)[1].heard.reveal(), "what about sundays");
        world.assert_heard_is_played();
    }
}

#[test]
fn a_caller_whom_no_recognizer_hears_is_told_so() {
    let mut world = asked(json!({}));
    let error = SpeechError::Failed { engine: "x".into(), why: "on purpose".into(), retry: false };
    world.answer = Some(RecognizerEvent::Failed(error));
    world.voice(2_000, 4_000);
    world.until(9_000);
    assert!(world.entries(Speaker::Agent)[0].interrupted);
    assert!(world.entries(Speaker::Agent)[1].heard.reveal().starts_with("I'm sorry, I could not hear that"));
}

#[test]
fn the_least_of_words_is_one() {
    let five = || json!({ "interruption_words": 5 });
    // As long as the voice goes on, and behind it.
    for (text, length) in [("so", 300), ("so", 2_000), ("so I was thinking", 3_000)] {
        let mut world = asked(five());
        world.answer = hears(text);
        world.later_partial(2_250, text);
        world.voice(2_000, 2_000 + length);
        world.until(12_000);
        let [answer] = world.entries(Speaker::Agent)[..] else { panic!("{text}") };
        assert_eq!((answer.heard.reveal().as_str(), answer.interrupted), (ANSWER, false), "{text}");
        assert_eq!(world.entries(Speaker::Caller).len(), 1, "{text} is not handed on");
    }
    for text in ["so I was thinking about sundays", "stop"] {
        let mut world = asked(five());
        world.answer = hears(text);
        world.voice(2_000, 2_900);
        world.until(12_000);
        assert!(world.entries(Speaker::Agent)[0].interrupted, "{text}");
        assert_eq!(world.entries(Speaker::Caller)[1].heard.reveal(), text);
    }
}

#[test]
fn an_answer_that_is_asked_for_may_be_one_word() {
    let mut world = asked(json!({ "interruption_words": 5 }));
    world.model.script = Some(Box::new(|_| {
        let at = Duration::from_millis(1_000);
        let text = ModelEvent::Text { text: "Shall I book you for nine on Monday morning?".to_owned().into() };
        vec![(at, text), (at, ModelEvent::Done { finish: Finish::Stop })]
    }));
    world.press('2');
    world.answer = hears("Sundays");
    world.voice(3_000, 3_600);
    world.until(6_000);
    assert_eq!(world.entries(Speaker::Caller).last().unwrap().heard.reveal(), "Sundays");
    // One word is enough where nothing else is wanted.
    let mut world = asked(json!({ "interruption_words": 1 }));
    world.answer = hears("Sundays");
    world.voice(2_000, 2_600);
    world.until(6_000);
    assert_eq!(world.entries(Speaker::Caller)[1].heard.reveal(), "Sundays");
}
