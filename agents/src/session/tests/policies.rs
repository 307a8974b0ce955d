//! Turn policies through the whole session: endpointing, backchannels, interrupting phrases, back-off.

use serde_json::json;
use tandem_contract::Epoch;
use tandem_contract::call::{Door, Modality};
use tandem_contract::record::Speaker;
use tandem_media::leg::MediaCommand;
use tandem_speech::{Grammar, RecognizerEvent};

use super::world::*;
use crate::brain::{BrainEffect, BrainEvent, Listen};
use crate::session::input::SessionEffect;
use crate::turn::Silence;

const GREETING: &str = "one two three four five six seven eight nine ten";

/// Listens for this; greets, and answers everything with three words.
fn listening(
    grammar: Grammar,
    greeting: &'static str,
) -> impl FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send + 'static {
    move |event, out| {
        if event == BrainEvent::Started {
            let listen = Listen { grammar: Some(grammar.clone()), digits: None, silence: Silence::Policy };
            out.extend([BrainEffect::Listen(listen), say(Epoch(0), greeting)]);
        } else {
            polite(event, out);
        }
    }
}

fn world(turn: serde_json::Value, greeting: &'static str) -> World {
    let config = serde_json::from_value(json!({ "turn": turn })).unwrap();
    World::of(Door::Sip, Modality::Voice, config, listening(Grammar::Open, greeting))
}

fn hear(world: &mut World, text: &str) {
    world.answer = Some(RecognizerEvent::Final { text: text.to_owned(), confidence: 1.0 });
}

/// The caller speaks between these times, and the recognizer has the text half way.
fn speak(world: &mut World, onset: u64, end: u64, text: &str) {
    hear(world, text);
    world.later_partial((onset + end) / 2, text);
    world.voice(onset, end);
}

fn commands(world: &World, wanted: &MediaCommand) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::Media(command) if command == wanted))
}

fn finished(world: &World) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::FinishRecognizer))
}

#[test]
fn plain_words_wait_no_longer_than_the_least() {
    for endpointing in ["adaptive", "fixed"] {
        let mut world = world(json!({ "endpointing": endpointing }), GREETING);
        speak(&mut world, 5000, 5600, "what time do you open");
        world.until(9000);
        assert_eq!(finished(&world), [6100], "{endpointing}");
    }
}

#[test]
fn who_says_and_is_waited_for() {
    for (endpointing, expected) in [("adaptive", 8600), ("fixed", 6100)] {
        let mut world = world(json!({ "endpointing": endpointing }), GREETING);
        speak(&mut world, 5000, 5600, "I want to book and");
        world.until(9000);
        assert_eq!(finished(&world), [expected], "{endpointing}");
    }
}

/// To a recognizer that knows nothing of the grammar, a pause between groups of digits sounds like an end.
#[test]
fn a_number_is_not_over_before_its_last_digit() {
    for (said, expected) in [("four two one", 8600), ("four two one four two one one one", 6100)] {
        let digits = listening(Grammar::Digits { min: 8, max: 8 }, GREETING);
        let mut world = World::of(Door::Sip, Modality::Voice, serde_json::from_value(json!({})).unwrap(), digits);
        world.later_heard(5500, RecognizerEvent::EndOfTurn { text: said.into(), confidence: 0.5, eager: true });
        hear(&mut world, said);
        world.voice(5000, 5600);
        world.until(9000);
        assert_eq!(finished(&world), [expected], "{said}");
    }
}

#[test]
fn a_backchannel_leaves_the_agent_the_floor_and_no_trace_in_the_ledger() {
    for onset in (200..3000).step_by(70) {
        let mut world = world(json!({}), GREETING);
        speak(&mut world, onset, onset + 600, "uh-huh, yeah");
        world.until(onset + 7000);
        let greeting = world.entries(Speaker::Agent)[0];
        assert!(!greeting.interrupted && greeting.heard == greeting.text, "{onset}");
        assert!(world.entries(Speaker::Caller).is_empty(), "{onset}");
        assert_eq!(commands(&world, &MediaCommand::Pause), [onset + 200]);
        assert_eq!(commands(&world, &MediaCommand::Resume), [onset + 760], "as soon as the caller is silent");
        world.assert_heard_is_played();
    }
}

#[test]
fn the_answer_to_a_question_is_no_backchannel() {
    let mut world = world(json!({}), "one two three four five six seven eight nine ten?");
    speak(&mut world, 3000, 3600, "yeah");
    world.until(8000);
    assert!(world.entries(Speaker::Agent)[0].interrupted);
    assert_eq!(world.entries(Speaker::Caller)[0].heard.reveal(), "yeah");
}

#[test]
fn a_bots_own_backchannels_and_interruptions_count() {
    let turn = json!({ "backchannels": ["aye aye"], "interrupting_phrases": ["whoa"], "interruption_words": 9 });
    let mut first = world(turn.clone(), GREETING);
    speak(&mut first, 1000, 1600, "aye, aye");
    first.until(8000);
    assert!(!first.entries(Speaker::Agent)[0].interrupted);
    let mut second = world(turn, GREETING);
    speak(&mut second, 1000, 1700, "whoa");
    second.until(2000);
    assert_eq!(commands(&second, &MediaCommand::Clear), [1350], "with the first partial, not after 800 ms");
    second.until(8000);
    assert_eq!(second.entries(Speaker::Caller)[0].heard.reveal(), "whoa");
    second.assert_heard_is_played();
}

#[test]
fn after_an_interruption_the_line_is_the_callers_for_the_back_off() {
    for onset in (200..3000).step_by(110) {
        let mut world = world(json!({ "back_off_ms": 1500 }), GREETING);
        speak(&mut world, onset, onset + 1000, "I have a question");
        world.until(onset + 6000);
        let end = onset + 1000;
        let next = world.sounding.iter().map(|at| at.as_millis()).find(|at| *at > onset + 220).unwrap();
        // The reply was made meanwhile: it begins with the first slot after the back-off.
        assert!((end + 1500..=end + 1520).contains(&next), "{onset}: {next}");
        assert_eq!(world.entries(Speaker::Agent)[1].heard.reveal(), "that is fine");
        world.assert_heard_is_played();
    }
}

#[test]
fn a_caller_who_goes_on_in_the_back_off_is_left_the_line_again() {
    let mut world = world(json!({ "back_off_ms": 2000 }), GREETING);
    speak(&mut world, 1000, 2000, "I have a question");
    world.until(2900);
    // The reply waits for 4000 when the caller speaks again.
    speak(&mut world, 3000, 3800, "or two of them");
    world.until(12_000);
    let next = world.sounding.iter().map(|at| at.as_millis()).find(|at| *at > 1220).unwrap();
    assert!((5800..=5820).contains(&next), "{next}");
    let said: Vec<_> = world.core.ledger().entries().iter().map(|entry| entry.heard.reveal().as_str()).collect();
    assert_eq!(said[1..], ["I have a question", "or two of them", "that is fine"]);
    world.assert_heard_is_played();
}

#[test]
fn nobody_who_did_not_interrupt_waits_for_a_back_off() {
    let mut world = world(json!({ "back_off_ms": 5000 }), GREETING);
    speak(&mut world, 5000, 5600, "what time do you open");
    world.until(6300);
    assert!(world.sounding.iter().any(|at| at.as_millis() > 6000));
}

#[test]
fn a_hang_up_in_the_back_off_ends_as_any_other() {
    let mut world = world(json!({ "back_off_ms": 5000 }), GREETING);
    speak(&mut world, 1000, 2000, "I have a question");
    world.until(4000);
    world.hang_up();
    world.until(9000);
    assert_eq!(world.record.as_ref().unwrap().ledger.len(), 2, "what never sounded was not heard");
    world.assert_heard_is_played();
}
