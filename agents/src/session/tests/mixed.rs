//! A model and a flow pass a caller to each other, in virtual time: nothing is lost on the way, and what the model is told is
//! what was heard.

use serde_json::{Value, json};
use tandem_contract::Epoch;
use tandem_contract::bot::{BotConfig, strip_comments};
use tandem_contract::call::{Door, Modality};
use tandem_contract::event::SessionEvent;
use tandem_contract::leg::LegCommand;
use tandem_contract::record::{Speaker, TimelineEvent};
use tandem_media::Time;
use tandem_models::{Completion, Finish, Message, ModelEvent, ToolCall};

use super::model::{answer, questions, told};
use super::world::*;
use crate::brain::{Abilities, from_config};
use crate::session::input::*;

fn world(door: Door, modality: Modality) -> World {
    world_with(door, modality, false)
}

fn world_with(door: Door, modality: Modality, keys: bool) -> World {
    let mut value: Value = serde_json::from_str(include_str!("../../../../docs/examples/reception.json")).unwrap();
    strip_comments(&mut value);
    let config: BotConfig = serde_json::from_value(value).unwrap();
    let mut brain = from_config(&config, modality, Abilities { model: true, people: true, keys }).unwrap();
    World::with(door, modality, move |event, out| brain.handle(Time::ZERO, event, out))
}

/// The model answers what it was asked last.
fn calls(world: &mut World, text: &str, name: &str, arguments: Value) {
    let (epoch, _) = questions(world).pop().unwrap();
    let call = ToolCall { id: "c".into(), name: name.into(), arguments: arguments.into(), signature: None };
    let text = ModelEvent::Text { text: text.to_owned().into() };
    for event in [text, ModelEvent::ToolCall { call }, ModelEvent::Done { finish: Finish::ToolCalls }] {
        world.give(SessionInput::Model { epoch, event });
    }
}

fn tool(world: &World) -> (u32, String) {
    let called = |(_, effect): &(Time, SessionEffect)| match effect {
        SessionEffect::CallTool { call, tool, .. } => Some((*call, tool.clone())),
        _ => None,
    };
    world.effects.iter().filter_map(called).next_back().unwrap()
}

fn last(world: &World) -> (Epoch, Completion) {
    questions(world).pop().unwrap()
}

fn agent_heard(world: &World) -> Vec<String> {
    world.entries(Speaker::Agent).iter().map(|entry| entry.heard.reveal().clone()).collect()
}

/// As far as the state in which the model talks for the flow, with both lines of the hand-over interrupted.
fn interrupted(ms: u64) -> World {
    let mut world = world(Door::Sip, Modality::Voice);
    world.until(5_000);
    world.press('1');
    calls(&mut world, "Of course.", "start_booking", json!({}));
    world.until(5_000 + ms);
    // The flow's first option: it was in charge before its question was heard.
    world.press('1');
    world.until(5_000 + 2 * ms);
    world.press('2');
    world.until(6_500 + 2 * ms);
    world
}

#[test]
fn a_caller_who_interrupts_the_hand_over_loses_nothing() {
    for ms in (60..4_000).step_by(170) {
        let world = interrupted(ms);
        world.assert_heard_is_played();
        let (_, request) = last(&world);
        let callers: Vec<String> = world.entries(Speaker::Caller).iter().map(|e| e.text.reveal().clone()).collect();
        assert_eq!(callers, ["1", "1", "2"], "{ms}");
        let lines = told(&request);
        let agents = |(speaker, text): &(Speaker, String)| {
            (*speaker == Speaker::Agent && !text.is_empty()).then(|| text.clone())
        };
        let model_knows = lines.iter().filter_map(agents).collect::<Vec<_>>().join(" ");
        let heard = agent_heard(&world).into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        assert_eq!(model_knows, heard, "{ms}");
        assert_eq!(lines.last().map(|(speaker, _)| *speaker), Some(Speaker::Caller));
        assert!(request.tools.iter().any(|tool| tool.name == "leave"), "the model talks for the flow");
    }
}

#[test]
fn what_the_flow_came_to_is_told_even_if_the_caller_speaks_first() {
    let mut world = interrupted(2_000);
    calls(&mut world, "", "leave", json!({ "exit": "known", "about": "pain" }));
    let (call, name) = tool(&world);
    assert_eq!(name, "book_appointment");
    world.give(SessionInput::ToolDone { call, result: Ok(json!({ "reference": "47" })) });
    world.until(13_000);
    let (asked, request) = last(&world);
    let [.., Message::Assistant { calls, .. }, Message::Tool { result, .. }] = request.messages.as_slice() else {
        panic!("{request:?}")
    };
    assert_eq!(calls[0].name, "start_booking");
    let slots: Value = serde_json::from_str(result.reveal()).unwrap();
    assert_eq!(slots["slots"], json!({ "day": "monday", "about": "pain", "reference": "47" }));
    assert!(request.tools.iter().any(|tool| tool.name == "start_booking"), "the model has the conversation");
    // Before it has answered, the caller goes on.
    world.press('3');
    world.until(14_500);
    let (epoch, request) = last(&world);
    assert!(epoch > asked && request.messages.iter().any(|m| matches!(m, Message::Tool { .. })), "{request:?}");
    assert_eq!(told(&request).last(), Some(&(Speaker::Caller, "3".to_owned())));
    answer(&mut world, epoch, "You are welcome.");
    world.until(18_000);
    world.assert_heard_is_played();
    assert_eq!(world.core.turn().state().name(), "listening");
    let state = |event: &SessionEvent| match event {
        SessionEvent::Timeline { entry } => match &entry.what {
            TimelineEvent::FlowState { state } => Some(state.clone()),
            _ => None,
        },
        _ => None,
    };
    let states: Vec<String> = world.events().into_iter().filter_map(state).collect();
    assert_eq!(states, ["day", "reason", "book", "booked", "@model"]);
}

#[test]
fn a_chat_is_passed_on_and_back() {
    let mut world = world(Door::Websocket, Modality::Text);
    world.write("I need an appointment");
    calls(&mut world, "", "start_booking", json!({}));
    world.write("Tuesday");
    world.write("A check-up, I was here before");
    calls(&mut world, "", "leave", json!({ "exit": "nothing" }));
    let (epoch, request) = last(&world);
    let Some(Message::Tool { result, .. }) = request.messages.last() else { panic!("{request:?}") };
    assert!(result.reveal().contains("\"finished\":true"), "{}", result.reveal());
    answer(&mut world, epoch, "As you like.");
    let written: Vec<&str> = world
        .effects
        .iter()
        .filter_map(|(_, effect)| match effect {
            SessionEffect::Leg(LegCommand::Text { text, .. }) => Some(text.reveal().as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        written[1..],
        ["Which day suits you, Monday or Tuesday? (1 Monday, 2 Tuesday)", "And what is it about?", "As you like."]
    );
}

#[test]
fn the_model_beside_a_flow_is_told_that_its_keys_were_pressed() {
    let mut world = world_with(Door::Sip, Modality::Voice, true);
    world.until(5_000);
    world.press('1');
    for digits in ["5", "6"] {
        let asked = questions(&world).len();
        calls(&mut world, "", "send_dtmf", json!({ "digits": digits }));
        world.until(world.now.as_millis() + 1_000);
        assert_eq!(questions(&world).len(), asked + 1, "{digits}");
        let (_, request) = last(&world);
        let Some(Message::Tool { result, .. }) = request.messages.last() else { panic!("{request:?}") };
        assert_eq!(result.reveal(), "{\"ok\":true}");
    }
}
