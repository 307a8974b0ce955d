//! Questions ahead of the caller's end: sooner, and nothing else is different.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tandem_contract::Epoch;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::record::{LedgerEntry, Speaker, Stage};
use tandem_media::leg::MediaEvent;
use tandem_models::{Completion, Finish, Message, ModelError, ModelEvent, ToolCall};
use tandem_speech::RecognizerEvent;

use super::world::*;
use crate::brain::pipeline::context::{Room, messages};
use crate::brain::{Persona, PipelineBrain};
use crate::session::input::*;

/// Time of the model until its first and until its last word.
const FIRST: u64 = 250;
const LAST: u64 = 600;

fn world(turn: serde_json::Value) -> World {
    let tools = json!([{ "tool_name": "opening_hours", "status": "implemented" }]);
    let config: BotConfig = serde_json::from_value(json!({ "turn": turn, "tools_available": tools })).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Voice), Modality::Voice);
    let mut world = World::by(Door::Sip, Modality::Voice, config, Box::new(brain));
    world.model.script = Some(Box::new(|request| streamed(&reply(&request.messages))));
    world
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn text(text: &str) -> ModelEvent {
    ModelEvent::Text { text: text.to_owned().into() }
}

fn streamed(answer: &str) -> Vec<(Duration, ModelEvent)> {
    let (first, rest) = answer.split_at(answer.len() / 2);
    let done = ModelEvent::Done { finish: Finish::Stop };
    vec![(ms(FIRST), text(first)), (ms(LAST), text(rest)), (ms(LAST), done)]
}

/// A model that is a function of its question: two clauses.
fn reply(messages: &[Message]) -> String {
    let said: usize = messages.iter().map(|message| format!("{message:?}").len() + words_in(message)).sum();
    format!("Answer number {said} begins here. It ends with {} lines.", messages.len())
}

fn words_in(message: &Message) -> usize {
    match message {
        Message::User { text, .. } | Message::Assistant { text, .. } => {
            text.reveal().bytes().fold(7, |sum, byte| (sum * 31 + usize::from(byte)) % 9_973)
        }
        Message::System { .. } | Message::Tool { .. } => 0,
    }
}

fn final_of(text: &str) -> Option<RecognizerEvent> {
    Some(RecognizerEvent::Final { text: text.to_owned(), confidence: 1.0 })
}

fn ahead(world: &World) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::AskAhead { .. }))
}

fn asked(world: &World) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::StartModel { .. }))
}

fn cancelled(world: &World) -> usize {
    world.when(|effect| matches!(effect, SessionEffect::CancelModel)).len()
}

/// When the agent's voice was given its first words.
fn spoken(world: &World) -> u64 {
    world.when(|effect| matches!(effect, SessionEffect::StartVoice { .. }))[0]
}

/// The caller asks between 1 s and 1.6 s; the recognizer has all of it while they speak.
fn ask(world: &mut World) {
    world.answer = final_of("what time do you open");
    world.later_partial(1_500, "what time do you open");
    world.voice(1_000, 1_600);
    world.until(9_000);
}

#[test]
fn the_model_thinks_while_the_caller_is_waited_for() {
    let mut late = world(json!({ "preemptive_generation": false }));
    ask(&mut late);
    let mut soon = world(json!({}));
    ask(&mut soon);
    assert_eq!((ahead(&late).len(), asked(&late), spoken(&late)), (0, vec![2_140], 2_140 + LAST));
    // Silent since 1600, which the detector says at 1760: the words have stood still for long enough.
    assert_eq!((ahead(&soon), asked(&soon).len(), cancelled(&soon)), (vec![1_760], 0, 0));
    assert_eq!(spoken(&soon), 1_760 + LAST);
    let said = |world: &World| {
        world.core.ledger().entries().iter().map(|entry| (entry.speaker, entry.text.clone())).collect::<Vec<_>>()
    };
    assert_eq!(said(&soon), said(&late));
    assert_eq!(said(&soon).len(), 3);
    soon.assert_heard_is_played();
}

#[test]
fn nothing_is_said_before_the_turn_is_over_and_the_stages_still_sum_to_the_gap() {
    let mut world = world(json!({ "min_endpointing_ms": 2_000 }));
    ask(&mut world);
    // The answer was complete at 2360, and waited for the end of the turn.
    assert_eq!((ahead(&world), spoken(&world)), (vec![1_760], 3_640));
    world.hang_up();
    world.until(12_000);
    let turn = world.record.as_ref().unwrap().turns[0].clone();
    let stage = |stage| turn.stages.iter().find(|span| span.stage == stage).unwrap().us / 1_000;
    assert_eq!((stage(Stage::EndpointingWait), stage(Stage::ModelFirstToken)), (2_000, 0));
    assert_eq!(turn.stages.iter().map(|span| span.us).sum::<u64>(), turn.gap_us);
}

#[test]
fn other_words_in_the_end_make_it_void() {
    let mut world = world(json!({}));
    world.later_partial(1_500, "what time do you open");
    world.answer = final_of("What time do you open?");
    world.voice(1_000, 1_600);
    world.until(9_000);
    assert_eq!((ahead(&world), asked(&world), cancelled(&world)), (vec![1_760], vec![2_140], 1));
    assert_eq!(world.entries(Speaker::Agent).len(), 2);
    assert_eq!(spoken(&world), 2_140 + LAST);
}

#[test]
fn a_caller_who_goes_on_takes_it_back_and_is_asked_for_three_times_at_most() {
    let mut world = world(json!({ "min_endpointing_ms": 800 }));
    let mut said = String::new();
    for n in 0..5_u64 {
        said += if n == 0 { "one" } else { " and one" };
        world.later_partial(1_000 + n * 900 + 300, &said);
        world.voice(1_000 + n * 900, 1_000 + n * 900 + 350);
    }
    world.answer = final_of(&said);
    world.until(14_000);
    assert_eq!((ahead(&world).len(), cancelled(&world)), (3, 3));
    assert_eq!((asked(&world).len(), world.entries(Speaker::Caller).len()), (1, 1));
    assert_eq!(world.entries(Speaker::Agent).len(), 2, "the two clauses of one answer");
}

#[test]
fn an_eager_end_of_turn_asks_at_once_and_a_resumed_one_gives_up() {
    let mut world = world(json!({}));
    let end = |eager| RecognizerEvent::EndOfTurn { text: "what time".into(), confidence: 0.6, eager };
    world.later_heard(1_400, end(true));
    world.later_heard(1_450, RecognizerEvent::TurnResumed);
    world.later_heard(1_600, end(true));
    world.later_heard(1_700, end(false));
    // The end of the voice, which the recognizer was ahead of, is a recognition of nothing.
    world.answer = Some(RecognizerEvent::Rejected);
    world.voice(1_000, 1_650);
    world.until(9_000);
    assert_eq!((ahead(&world), cancelled(&world), asked(&world).len()), (vec![1_400, 1_600], 1, 0));
    assert_eq!(spoken(&world), 1_600 + LAST);
}

#[test]
fn words_that_ask_for_more_are_not_guessed_at() {
    for words in ["I want to book and", "my number is five five five"] {
        let mut world = world(json!({}));
        world.later_partial(1_500, words);
        world.answer = final_of(words);
        world.voice(1_000, 1_600);
        world.until(9_000);
        assert_eq!((ahead(&world).len(), asked(&world).len()), (0, 1), "{words}");
    }
}

#[test]
fn a_tool_is_called_when_the_turn_is_over_and_not_before() {
    let mut world = world(json!({ "min_endpointing_ms": 2_000 }));
    let call = ToolCall { id: "c".into(), name: "opening_hours".into(), arguments: json!({}).into(), signature: None };
    world.model.script = Some(Box::new(move |request: &Completion| {
        if matches!(request.messages.last(), Some(Message::Tool { .. })) {
            return streamed("From nine.");
        }
        let done = ModelEvent::Done { finish: Finish::ToolCalls };
        vec![(ms(FIRST), ModelEvent::ToolCall { call: call.clone() }), (ms(FIRST), done)]
    }));
    ask(&mut world);
    let called = world.when(|effect| matches!(effect, SessionEffect::CallTool { .. }));
    assert_eq!((ahead(&world), called), (vec![1_760], vec![3_640]));
    world.give(SessionInput::ToolDone { call: 1, result: Ok(json!({ "text": "nine" })) });
    world.until(12_000);
    assert_eq!(world.entries(Speaker::Agent)[0].heard.reveal(), "From nine.");
}

#[test]
fn a_model_that_fails_ahead_is_asked_again_in_time() {
    let mut world = world(json!({ "min_endpointing_ms": 2_000 }));
    let mut times = 0;
    world.model.script = Some(Box::new(move |_| {
        times += 1;
        let error = ModelError::Failed { vendor: "x".into(), detail: "500".into() };
        if times == 1 { vec![(ms(FIRST), ModelEvent::Failed { error })] } else { streamed("It works now.") }
    }));
    ask(&mut world);
    assert_eq!((ahead(&world).len(), asked(&world)), (1, vec![3_640]));
    assert_eq!(world.entries(Speaker::Agent)[0].heard.reveal(), "It works now.");
}

#[test]
fn keys_and_hang_ups_take_it_back() {
    let mut world = world(json!({ "min_endpointing_ms": 2_000 }));
    world.later_partial(1_500, "what time do you open");
    world.voice(1_000, 1_600);
    world.until(1_800);
    assert_eq!(ahead(&world).len(), 1);
    world.press('1');
    assert_eq!((cancelled(&world), asked(&world).len()), (1, 1));
    world.until(8_000);
    assert_eq!(world.entries(Speaker::Caller)[0].heard.reveal(), "1");
    world.later_partial(9_500, "what time do you open");
    world.voice(9_000, 9_600);
    world.until(9_900);
    assert_eq!(ahead(&world).len(), 2);
    world.hang_up();
    assert_eq!(cancelled(&world), 2);
    assert_eq!(world.entries(Speaker::Caller).len(), 1, "no trace of it");
}

#[derive(Clone, Debug)]
enum Event {
    Wait(u16),
    VoiceOn,
    VoiceOff,
    /// How many words the recognizer has.
    Partial(usize),
    Eager(usize),
    Resumed,
    /// What it will have in the end.
    Final(usize),
    Over(usize),
    Digit,
    /// An answer to a question that is long over.
    Late,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..900_u16).prop_map(Event::Wait),
        4 => Just(Event::VoiceOn),
        4 => Just(Event::VoiceOff),
        6 => (0..4_usize).prop_map(Event::Partial),
        2 => (1..4_usize).prop_map(Event::Eager),
        1 => Just(Event::Resumed),
        3 => (1..4_usize).prop_map(Event::Final),
        1 => (1..4_usize).prop_map(Event::Over),
        1 => Just(Event::Digit),
        1 => Just(Event::Late),
    ]
}

fn words(count: usize) -> String {
    ["when", "are", "you", "open"][..count].join(" ")
}

fn apply(world: &mut World, event: &Event) {
    let (at, recognition) = (world.now, world.recognition);
    let mut heard = |event| world.give(SessionInput::Recognizer { recognition, event });
    match *event {
        Event::Partial(count) => heard(RecognizerEvent::Partial { text: words(count) }),
        Event::Eager(count) | Event::Over(count) => {
            let eager = matches!(event, Event::Eager(_));
            heard(RecognizerEvent::EndOfTurn { text: words(count), confidence: 0.5, eager });
        }
        Event::Resumed => heard(RecognizerEvent::TurnResumed),
        Event::Final(count) => world.answer = final_of(&words(count)),
        Event::Wait(ms) => world.until(at.as_millis() + u64::from(ms)),
        Event::VoiceOn => world.give(SessionInput::Media(MediaEvent::SpeechStarted { at, onset: at })),
        Event::VoiceOff => world.give(SessionInput::Media(MediaEvent::SpeechEnded { at, end: at })),
        Event::Digit => world.press('1'),
        Event::Late => {
            for number in 0..3 {
                world.give(SessionInput::Ahead { ahead: AheadId(number + 900), event: text("Late words. So late. ") });
            }
        }
    }
}

/// What a model that was asked in time would have said in each reply.
fn assert_answers_are_those_of_their_questions(world: &World) {
    let entries = world.core.ledger().entries();
    let config: BotConfig = serde_json::from_value(json!({})).unwrap();
    let system = Persona::new(&config, Modality::Voice).system;
    let mut seen = Epoch(0);
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.speaker == Speaker::Agent) {
        // Silences are broken by the brain alone.
        let own = ["Are you still there?", "Goodbye."].contains(&entry.text.reveal().as_str());
        if entry.epoch == seen || own {
            continue;
        }
        seen = entry.epoch;
        let before: Vec<LedgerEntry> = entries[..at].to_vec();
        let expected = reply(&messages(&system, &before, &[], &[], Room::Wide));
        assert!(expected.starts_with(entry.text.reveal()), "{} is not of {expected}", entry.text.reveal());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// `World` itself fails where two questions run at a time.
    #[test]
    fn whatever_comes_each_answer_is_that_of_its_question(events in prop::collection::vec(event(), 0..60)) {
        let mut world = world(json!({ "silence_timeout_ms": 600_000 }));
        for event in &events {
            apply(&mut world, event);
        }
        world.assert_heard_is_played();
        assert_answers_are_those_of_their_questions(&world);
        let now = world.now.as_millis();
        world.give(SessionInput::Media(MediaEvent::SpeechEnded { at: world.now, end: world.now }));
        world.until(now + 15_000);
        assert_answers_are_those_of_their_questions(&world);
        world.hang_up();
        world.until(now + 21_000);
        prop_assert!(world.record.is_some());
        prop_assert!(ahead(&world).len() <= 3 * (1 + world.told().len()));
    }

    /// Callers who let the agent finish cannot tell a bot that asks ahead from one that does not, but by the clock.
    #[test]
    fn conversations_are_the_same_with_and_without(
        turns in prop::collection::vec((prop::collection::vec((1..4_usize, 100..700_u64), 1..4), 1..5_usize, any::<bool>()), 1..4),
    ) {
        let talk = |preemptive: bool| {
            let mut world = world(json!({ "preemptive_generation": preemptive, "silence_timeout_ms": 600_000 }));
            for (n, (parts, last, eager)) in (0..).zip(&turns) {
                let mut at = 1_000 + n * 20_000;
                world.answer = final_of(&words(*last.min(&4)));
                for (count, pause) in parts {
                    let text = words(*count);
                    world.later_heard(at + 250, match eager {
                        true => RecognizerEvent::EndOfTurn { text, confidence: 0.5, eager: true },
                        false => RecognizerEvent::Partial { text },
                    });
                    world.voice(at, at + 300);
                    at = world.now.as_millis().max(at + 300 + pause.min(&390));
                }
                world.until(1_000 + (n + 1) * 20_000 - 500);
            }
            let said = |entry: &LedgerEntry| (entry.speaker, entry.text.reveal().clone(), entry.heard.reveal().clone());
            world.core.ledger().entries().iter().map(said).collect::<Vec<_>>()
        };
        prop_assert_eq!(talk(true), talk(false));
    }
}

#[test]
fn what_the_model_is_told_ahead_is_what_was_heard() {
    // Interrupted in the middle of an answer: the next question ahead tells how far it was heard.
    let mut world = world(json!({}));
    ask(&mut world);
    world.later_partial(9_500, "when do you open");
    world.answer = final_of("when do you open");
    world.voice(9_000, 9_600);
    world.until(11_500);
    world.later_partial(11_900, "and on sunday");
    world.answer = final_of("and on sunday");
    world.voice(11_500, 12_100);
    world.until(20_000);
    world.assert_heard_is_played();
    assert!(world.entries(Speaker::Agent).iter().any(|entry| entry.interrupted));
    assert_answers_are_those_of_their_questions(&world);
    assert_eq!((ahead(&world).len(), asked(&world).len()), (3, 0));
}
