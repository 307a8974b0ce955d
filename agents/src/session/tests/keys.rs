//! Keys that the model presses.

use serde_json::{Value, json};
use tandem_contract::Epoch;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::leg::LegEvent;
use tandem_contract::record::{Speaker, TimelineEvent};
use tandem_media::leg::MediaCommand;
use tandem_models::{Finish, ModelEvent, ToolCall};

use super::world::*;
use crate::brain::{Abilities, BrainEvent, ToolFailure, from_config};
use crate::session::input::*;

fn world(keys: bool) -> World {
    let config: BotConfig = serde_json::from_value(json!({ "system_prompt": { "role": "r" } })).unwrap();
    let abilities = Abilities { model: true, keys, ..Abilities::default() };
    let brain = from_config(&config, Modality::Voice, abilities).unwrap();
    let mut world = World::by(Door::Sip, Modality::Voice, config, brain);
    world.until(100);
    world.press('1');
    world
}

fn model(world: &mut World, event: ModelEvent) {
    world.give(SessionInput::Model { epoch: Epoch(1), event });
}

fn call(world: &mut World, text: &str, digits: Value) {
    if !text.is_empty() {
        model(world, ModelEvent::Text { text: text.to_owned().into() });
    }
    let arguments = json!({ "digits": digits }).into();
    let call = ToolCall { id: "c".into(), name: "send_dtmf".into(), arguments, signature: None };
    model(world, ModelEvent::ToolCall { call });
    model(world, ModelEvent::Done { finish: Finish::ToolCalls });
}

fn pressed(world: &World) -> Vec<(u64, char)> {
    let key = |(at, effect): &(tandem_media::Time, SessionEffect)| match effect {
        SessionEffect::Media(MediaCommand::Dtmf { digit }) => Some((at.as_millis(), *digit)),
        _ => None,
    };
    world.effects.iter().filter_map(key).collect()
}

fn questions(world: &World) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::StartModel { .. }))
}

#[test]
fn keys_are_pressed_behind_the_words_and_the_model_goes_on_when_they_are() {
    let mut world = world(true);
    call(&mut world, "One two three.", "12w#".into());
    world.until(1_000);
    assert_eq!(pressed(&world), [], "the words are still on the line");
    world.until(4_000);
    let silent = world.sounding.last().unwrap().as_millis();
    let keys = pressed(&world);
    let first = keys[0].0;
    assert!((silent..=silent + 40).contains(&first), "{first} after {silent}");
    assert_eq!(keys, [(first, '1'), (first + 200, '2'), (first + 900, '#')]);
    assert_eq!(questions(&world)[1..], [first + 1_100]);
    model(&mut world, ModelEvent::Text { text: "That is done.".to_owned().into() });
    model(&mut world, ModelEvent::Done { finish: Finish::Stop });
    world.until(8_000);
    assert_eq!(world.entries(Speaker::Agent).len(), 2);
    world.assert_heard_is_played();
    world.hang_up();
    world.until(9_000);
    let tool = TimelineEvent::Tool { name: "send_dtmf".into(), ok: true, arguments: None };
    assert!(world.record.as_ref().unwrap().timeline.iter().any(|entry| entry.what == tool));
}

#[test]
fn without_words_they_are_pressed_at_once_and_nonsense_is_told() {
    let mut world = world(true);
    call(&mut world, "", "5".into());
    world.until(1_000);
    assert_eq!((pressed(&world), questions(&world)), (vec![(100, '5')], vec![100, 300]));
    call(&mut world, "", "five".into());
    assert_eq!((pressed(&world).len(), questions(&world).len()), (1, 3));
}

#[test]
fn where_keys_cannot_be_pressed_the_model_is_not_offered_them() {
    for (keys, asked) in [(true, 1), (false, 2)] {
        let mut world = world(keys);
        let offered = world.effects.iter().any(|(_, effect)| match effect {
            SessionEffect::StartModel { request, .. } => request.tools.iter().any(|tool| tool.name == "send_dtmf"),
            _ => false,
        });
        assert_eq!(offered, keys);
        call(&mut world, "", "5".into());
        assert_eq!(questions(&world).len(), asked, "at once where the answer is that there is no such tool");
    }
}

#[test]
fn a_caller_who_interrupts_the_words_hears_the_keys_all_the_same_and_hold_stops_them() {
    let mut world = world(true);
    call(&mut world, "One two three four five six.", "12".into());
    world.until(900);
    world.press('9');
    world.until(1_000);
    assert_eq!(pressed(&world).len(), 1, "{:?}", pressed(&world));
    world.hold(true);
    world.until(5_000);
    assert_eq!(pressed(&world).len(), 1);
    world.hold(false);
    world.until(5_100);
    assert_eq!(pressed(&world).len(), 2);
    world.hang_up();
    world.until(9_000);
    assert!(world.record.is_some());
}

#[test]
fn however_long_they_take_the_model_is_told() {
    let mut world = world(true);
    for _ in 0..2 {
        let arguments = json!({ "digits": format!("{}1", "w".repeat(31)) }).into();
        let call = ToolCall { id: "c".into(), name: "send_dtmf".into(), arguments, signature: None };
        model(&mut world, ModelEvent::ToolCall { call });
    }
    model(&mut world, ModelEvent::Done { finish: Finish::ToolCalls });
    world.until(40_000);
    assert_eq!((pressed(&world).len(), questions(&world).len()), (2, 2));
    assert_eq!(world.core.turn().state().name(), "thinking");
}

#[test]
fn no_key_is_pressed_into_a_transfer() {
    let config: BotConfig = serde_json::from_value(json!({
        "system_prompt": { "role": "r" },
        "tools_available": [{ "tool_name": "opening_hours", "status": "implemented" }],
        "workflow_features": {
            "human_escalation": { "enabled": true,
                "triggers": [{ "condition": "tool_failures > 0", "action": "immediate_handoff" }] },
            "call_transfer": { "enabled": true,
                "transfer_destinations": [{ "name": "desk", "phone": "sip:desk@192.0.2.7" }] },
        },
    }))
    .unwrap();
    let abilities = Abilities { model: true, people: true, keys: true };
    let brain = from_config(&config, Modality::Voice, abilities).unwrap();
    let mut world = World::by(Door::Sip, Modality::Voice, config, brain);
    world.until(100);
    world.press('1');
    let tool = ToolCall { id: "t".into(), name: "opening_hours".into(), arguments: json!({}).into(), signature: None };
    model(&mut world, ModelEvent::ToolCall { call: tool });
    // Ten seconds until the first key.
    call(&mut world, "", format!("{}12", "w".repeat(20)).into());
    let failure = ToolFailure { code: "failed".to_owned(), detail: String::new(), failed: true };
    world.give(SessionInput::ToolDone { call: 1, result: Err(failure) });
    world.until(16_000);
    assert_eq!((world.core.turn().state().name(), pressed(&world)), ("transferring", vec![]));
    let told = world.told();
    let codes = told.iter().filter_map(|event| match event {
        BrainEvent::ToolDone { result: Err(failure), .. } => Some(failure.code.as_str()),
        _ => None,
    });
    assert_eq!(codes.collect::<Vec<_>>(), ["failed", "transferred"]);
    world.give(SessionInput::Leg(LegEvent::TransferProgress { status: 486 }));
    world.until(30_000);
    assert_eq!((pressed(&world).len(), questions(&world).len()), (0, 2), "the model hears of both");
}
