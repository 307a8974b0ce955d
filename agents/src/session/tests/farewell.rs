//! What is said before a hang-up or a transfer, and callers who have something to say to that.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::leg::LegCommand;
use tandem_contract::record::Speaker;
use tandem_media::Time;
use tandem_media::leg::MediaEvent;
use tandem_models::{Completion, Finish, Message, ModelEvent, ToolCall};
use tandem_speech::RecognizerEvent;

use super::model::questions;
use super::world::*;
use crate::brain::{FlowBrain, Persona, PipelineBrain};
use crate::session::input::{SessionEffect, SessionInput};

/// Eight words of 400 ms.
const FAREWELL: &str = "Thank you for calling us and good bye.";
const ANSWER: &str = "Of course I can.";

type Arguments = fn() -> Value;

/// What a goodbye may lead to.
const ENDS: [(&str, Arguments); 2] = [("hang_up", || json!({})), ("transfer", || json!({ "destination": "desk" }))];

fn hears(text: &str) -> Option<RecognizerEvent> {
    Some(RecognizerEvent::Final { text: text.to_owned(), confidence: 1.0 })
}

/// A model that ends the conversation as soon as it is asked, and once more has an answer.
fn by_model(name: &'static str, arguments: Arguments) -> World {
    let config: BotConfig = serde_json::from_value(json!({
        "turn": { "preemptive_generation": false },
        "workflow_features": { "call_transfer": { "enabled": true,
            "transfer_destinations": [{ "name": "desk", "phone": "sip:desk@example.org" }] } }
    }))
    .unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Voice).with_people(&config), Modality::Voice);
    let mut world = World::by(Door::Sip, Modality::Voice, config, Box::new(brain));
    let mut asked = 0;
    world.model.script = Some(Box::new(move |_| {
        asked += 1;
        let at = Duration::from_millis(10);
        let text = |text: &str| (at, ModelEvent::Text { text: text.to_owned().into() });
        let done = |finish| (at, ModelEvent::Done { finish });
        if asked > 1 {
            return vec![text(ANSWER), done(Finish::Stop)];
        }
        let call = ToolCall { id: "c".into(), name: name.into(), arguments: arguments().into(), signature: None };
        vec![text(FAREWELL), (at, ModelEvent::ToolCall { call }), done(Finish::ToolCalls)]
    }));
    world.until(100);
    world.press('1');
    world
}

/// A flow whose caller says yes to the end.
fn by_flow(end: Value) -> World {
    let mut states = json!({
        "more": { "say": "Is that all?", "ask": "yes_no", "on": { "yes": "end", "no": "@hang_up" } },
        "end": { "say": FAREWELL, "interruptible": true }
    });
    states["end"].as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
    let flow = json!({ "start": "more", "states": states });
    let brain = FlowBrain::new(serde_json::from_value(flow).unwrap(), Modality::Voice);
    let mut world = World::by(Door::Sip, Modality::Voice, BotConfig::default(), Box::new(brain));
    world.until(1_400);
    world.answer = hears("yes");
    world.voice(1_500, 2_000);
    world
}

fn flow_ends() -> [Value; 2] {
    [json!({ "hang_up": true }), json!({ "transfer": { "target": "sip:desk@example.org" } })]
}

fn left(world: &World) -> Vec<u64> {
    let leaves =
        |effect: &SessionEffect| matches!(effect, SessionEffect::Leg(LegCommand::HangUp | LegCommand::Transfer { .. }));
    world.when(leaves)
}

/// When the farewell sounds first, and when its end leads out, if nobody speaks.
fn undisturbed(mut world: World) -> (u64, u64) {
    let begun = world.now.as_millis();
    world.until(begun + 8_000);
    let entry = world.entries(Speaker::Agent).into_iter().next_back().unwrap().clone();
    assert_eq!((entry.heard.reveal().as_str(), entry.interrupted), (FAREWELL, false));
    let first = world.sounding.iter().map(|at| at.as_millis()).find(|at| *at > begun).unwrap();
    assert_eq!(left(&world).len(), 1);
    (first, left(&world)[0])
}

/// The caller speaks from here on as long as it takes.
fn interrupts(world: &mut World, onset: u64, text: &str) {
    world.answer = hears(text);
    world.later_partial(onset + 500, text);
    world.voice(onset, onset + 1_000);
}

fn results(request: &Completion) -> Vec<String> {
    let result = |message: &Message| match message {
        Message::Tool { result, .. } => Some(result.reveal().clone()),
        _ => None,
    };
    request.messages.iter().filter_map(result).collect()
}

#[test]
fn who_interrupts_a_models_goodbye_is_answered_and_stays() {
    for (name, arguments) in ENDS {
        let (first, end) = undisturbed(by_model(name, arguments));
        // Voice is told 64 ms after its onset.
        for onset in (first..end - 80).step_by(70) {
            let mut world = by_model(name, arguments);
            interrupts(&mut world, onset, "wait one more thing");
            world.until(onset + 8_000);
            assert_eq!(left(&world), <[u64; 0]>::default(), "{name} at {onset}");
            let (_, second) = questions(&world).pop().unwrap();
            let told = results(&second);
            assert!(told.len() == 1 && told[0].contains("interrupted"), "{name} at {onset}: {told:?}");
            assert_eq!(world.entries(Speaker::Agent).last().unwrap().heard.reveal(), ANSWER);
            assert_eq!(world.core.turn().state().name(), "listening");
            world.assert_heard_is_played();
        }
    }
}

#[test]
fn who_interrupts_a_flows_goodbye_is_asked_again() {
    for end in flow_ends() {
        let (first, last) = undisturbed(by_flow(end.clone()));
        for onset in (first..last - 80).step_by(70) {
            let mut world = by_flow(end.clone());
            world.voice(onset, onset + 1_000);
            let silent = world.now.as_millis();
            assert!(left(&world).is_empty(), "in the middle of a sentence: {end} at {onset}");
            world.until(silent + 6_000);
            // What begins behind the last word is no interruption: nothing of it can be understood.
            if world.entries(Speaker::Agent)[1].interrupted {
                assert!(left(&world).is_empty(), "{end} at {onset}");
                assert_eq!(world.entries(Speaker::Agent).last().unwrap().heard.reveal(), "Is that all?");
            }
            world.assert_heard_is_played();
        }
    }
}

#[test]
fn neither_a_noise_nor_an_okay_keeps_the_agent_from_leaving() {
    for (name, arguments) in ENDS {
        let (first, end) = undisturbed(by_model(name, arguments));
        for onset in (first..end - 80).step_by(210) {
            for answer in [Some(RecognizerEvent::Rejected), hears("okay"), hears("Thank you, bye!")] {
                let mut world = by_model(name, arguments);
                world.answer = answer;
                world.voice(onset, onset + 900);
                assert!(left(&world).is_empty(), "{name} at {onset}");
                world.until(onset + 8_000);
                let farewell = world.entries(Speaker::Agent)[0];
                assert_eq!((farewell.heard.reveal().as_str(), farewell.interrupted), (FAREWELL, false), "{onset}");
                assert_eq!((left(&world).len(), questions(&world).len()), (1, 1), "{name} at {onset}");
            }
        }
    }
}

#[test]
fn a_noise_without_end_holds_no_line() {
    let (_, end) = undisturbed(by_model("hang_up", || json!({})));
    let mut world = by_model("hang_up", || json!({}));
    world.answer = None;
    world.until(end - 50);
    let (at, onset) = (world.now, Time::from_millis(end - 120));
    world.give(SessionInput::Media(MediaEvent::SpeechStarted { at, onset }));
    world.until(end + 9_000);
    assert!(left(&world).is_empty());
    world.until(end + 11_000);
    assert_eq!(left(&world).len(), 1);
}
