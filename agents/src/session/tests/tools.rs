//! Tools that take their time: what a caller hears meanwhile, and what the record holds of them.

use serde_json::{Value, json};
use tandem_contract::Epoch;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::event::SessionEvent;
use tandem_contract::record::{Speaker, TimelineEvent};
use tandem_models::{Completion, Finish, Message, ModelEvent, ToolCall};

use super::model::{answer, questions};
use super::world::*;
use crate::brain::{Persona, PipelineBrain};
use crate::session::input::*;

const MOMENT: &str = "One moment please.";

fn world(say_after_ms: u32) -> World {
    let tool = json!({
        "tool_name": "order_status", "status": "implemented", "http": { "url": "https://crm.example/" },
        "say": MOMENT, "say_after_ms": say_after_ms,
    });
    let config: BotConfig = serde_json::from_value(json!({ "tools_available": [tool] })).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Voice), Modality::Voice);
    World::by(Door::Sip, Modality::Voice, config, Box::new(brain))
}

fn calls(world: &mut World, arguments: Value) {
    let (epoch, _) = questions(world).pop().unwrap();
    let call = ToolCall { id: "c".into(), name: "order_status".into(), arguments: arguments.into(), signature: None };
    for event in [ModelEvent::ToolCall { call }, ModelEvent::Done { finish: Finish::ToolCalls }] {
        world.give(SessionInput::Model { epoch, event });
    }
}

/// At 100 ms the caller asks for what a tool has to find out, and it is called.
fn while_a_tool_works(say_after_ms: u32) -> World {
    let mut world = world(say_after_ms);
    world.until(100);
    world.press('1');
    calls(&mut world, json!({ "order": "A1" }));
    world
}

fn ends(world: &mut World, call: u32) {
    world.give(SessionInput::ToolDone { call, result: Ok(json!({ "state": "shipped" })) });
}

fn said(world: &World) -> Vec<&str> {
    world.entries(Speaker::Agent).iter().map(|entry| entry.text.reveal().as_str()).collect()
}

fn spoken(world: &World) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::StartVoice { .. }))
}

/// Who speaks in each message, and of a tool what it has said.
fn shape(request: &Completion) -> Vec<String> {
    let shape = |message: &Message| match message {
        Message::System { .. } => None,
        Message::User { text, .. } => Some(format!("caller: {}", text.reveal())),
        Message::Assistant { text, calls } if calls.is_empty() => Some(format!("agent: {}", text.reveal())),
        Message::Assistant { calls, .. } => Some(format!("calls {}", calls[0].name)),
        Message::Tool { result, .. } => Some(format!("result: {}", result.reveal())),
    };
    request.messages.iter().filter_map(shape).collect()
}

const SHIPPED: &str = r#"result: {"state":"shipped"}"#;

#[test]
fn a_tool_is_announced_when_it_has_not_answered_in_time() {
    for (after, done, expected) in [(0, 4_000, Some(100)), (700, 4_000, Some(800)), (2_000, 2_090, None)] {
        let mut world = while_a_tool_works(after);
        world.until(done);
        ends(&mut world, 1);
        world.until(5_000);
        assert_eq!(spoken(&world), expected.into_iter().collect::<Vec<u64>>(), "after {after} ms");
        let (epoch, second) = questions(&world).pop().unwrap();
        let announced = expected.map(|_| format!("agent: {MOMENT}"));
        let whole = ["caller: 1".to_owned()].into_iter().chain(announced);
        let whole: Vec<String> = whole.chain(["calls order_status".to_owned(), SHIPPED.to_owned()]).collect();
        assert_eq!(shape(&second), whole, "the result is what the model reads last");
        answer(&mut world, epoch, "It was shipped.");
        world.until(9_000);
        assert_eq!(said(&world).last(), Some(&"It was shipped."));
        world.assert_heard_is_played();
    }
}

#[test]
fn an_announcement_is_made_once_in_a_reply_and_not_behind_what_the_model_says() {
    let mut world = while_a_tool_works(700);
    world.until(1_000);
    ends(&mut world, 1);
    calls(&mut world, json!({ "order": "A2" }));
    world.until(4_000);
    assert_eq!(said(&world), [MOMENT], "it was said already");
    let mut world = self::world(700);
    world.until(100);
    world.press('1');
    let words = ModelEvent::Text { text: "Let me see. ".to_owned().into() };
    world.give(SessionInput::Model { epoch: Epoch(1), event: words });
    calls(&mut world, json!({}));
    world.until(5_000);
    assert_eq!(said(&world), ["Let me see."]);
}

#[test]
fn a_tool_that_works_on_hold_is_announced_when_the_caller_is_back() {
    let mut world = while_a_tool_works(700);
    world.hold(true);
    world.until(2_000);
    assert_eq!(spoken(&world), <[u64; 0]>::default());
    world.hold(false);
    world.until(2_100);
    assert_eq!(spoken(&world), [2_000]);
}

#[test]
fn the_record_holds_what_tools_were_called_with_as_far_as_there_is_room() {
    let arguments = |order: &str| json!({ "order": order });
    let mut world = world(0);
    world.until(100);
    world.press('1');
    for (call, order) in (1..).zip(["A1".to_owned(), "x".repeat(5_000)]) {
        calls(&mut world, arguments(&order));
        ends(&mut world, call);
    }
    let told = world.events().into_iter().filter_map(|event| match event {
        SessionEvent::Timeline { entry } => match &entry.what {
            TimelineEvent::Tool { name, ok: true, arguments } => Some((name.as_str(), arguments.clone())),
            _ => None,
        },
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, [("order_status", Some(arguments("A1").into())), ("order_status", None)]);
    assert!(!format!("{told:?}").contains("A1"), "it may be the caller's");
}
