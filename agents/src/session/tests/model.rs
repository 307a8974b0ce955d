//! Conversations with a language model in virtual time: what it is told is what was heard.

use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::leg::LegCommand;
use tandem_contract::record::Speaker;
use tandem_models::{Completion, Finish, Message, ModelError, ModelEvent, ToolCall};
use tandem_speech::RecognizerEvent;

use super::world::*;
use crate::brain::{Brain as _, Persona, PipelineBrain};
use crate::session::input::*;
use tandem_contract::Epoch;
use tandem_media::Time;
use tandem_media::leg::MediaEvent;

fn world(door: Door, modality: Modality) -> World {
    let tools = serde_json::json!({ "tools_available": [{ "tool_name": "opening_hours", "status": "implemented" }] });
    let config: BotConfig = serde_json::from_value(tools).unwrap();
    let mut brain = PipelineBrain::new(Persona::new(&config, modality), modality);
    World::with(door, modality, move |event, out| brain.handle(Time::ZERO, event, out))
}

/// The questions that the model was asked.
pub(super) fn questions(world: &World) -> Vec<(Epoch, Completion)> {
    let asked = |(_, effect): &(Time, SessionEffect)| match effect {
        SessionEffect::StartModel { epoch, request } => Some((*epoch, request.clone())),
        _ => None,
    };
    world.effects.iter().filter_map(asked).collect()
}

pub(super) fn answer(world: &mut World, epoch: Epoch, text: &str) {
    world.give(SessionInput::Model { epoch, event: ModelEvent::Text { text: text.to_owned().into() } });
    world.give(SessionInput::Model { epoch, event: ModelEvent::Done { finish: Finish::Stop } });
}

pub(super) fn told(request: &Completion) -> Vec<(Speaker, String)> {
    let line = |message: &Message| match message {
        Message::User { text, .. } => Some((Speaker::Caller, text.reveal().clone())),
        Message::Assistant { text, .. } => Some((Speaker::Agent, text.reveal().clone())),
        Message::System { .. } | Message::Tool { .. } => None,
    };
    request.messages.iter().filter_map(line).collect()
}

const ANSWER: &str = "One two three four five. Six seven eight nine ten.";

/// Interrupts the answer at this time and looks at the next question.
fn interrupted_at(door: Door, far_delay: Option<u64>, ms: u64) {
    let mut world = world(door, Modality::Voice);
    world.far_delay = far_delay;
    world.until(100);
    world.press('1');
    let (epoch, first) = questions(&world).pop().unwrap();
    assert_eq!(told(&first), [(Speaker::Caller, "1".to_owned())]);
    answer(&mut world, epoch, ANSWER);
    world.until(100 + ms);
    world.press('2');
    world.until(100 + ms + 900);
    if door == Door::Sip {
        world.assert_heard_is_played();
    }
    let (_, second) = questions(&world).pop().unwrap();
    let heard: Vec<_> = world.entries(Speaker::Agent).iter().map(|entry| entry.heard.reveal().clone()).collect();
    let heard = heard.iter().filter(|heard| !heard.is_empty()).cloned().collect::<Vec<_>>().join(" ");
    let mut wanted =
        vec![(Speaker::Caller, "1".to_owned()), (Speaker::Agent, heard.clone()), (Speaker::Caller, "2".to_owned())];
    if heard.is_empty() {
        wanted = vec![(Speaker::Caller, "1 2".to_owned())];
    }
    assert_eq!(told(&second), wanted, "interrupted after {ms} ms");
}

#[test]
fn the_model_is_told_what_was_heard_whenever_it_was_interrupted() {
    for ms in (20..5_000).step_by(70) {
        interrupted_at(Door::Sip, None, ms);
        interrupted_at(Door::Websocket, Some(800), ms);
        interrupted_at(Door::Websocket, None, ms);
    }
}

#[test]
fn a_question_waits_for_the_far_ends_report() {
    let mut world = world(Door::Websocket, Modality::Voice);
    world.far_delay = Some(800);
    world.until(100);
    world.press('1');
    answer(&mut world, Epoch(1), ANSWER);
    world.until(1_000);
    world.press('2');
    assert_eq!(questions(&world).len(), 1, "how much was heard is not known yet");
    world.until(1_400);
    let asked = world.when(|effect| matches!(effect, SessionEffect::StartModel { .. }));
    let cleared = world.when(|effect| matches!(effect, SessionEffect::Leg(LegCommand::Clear { .. })));
    assert_eq!(asked.len(), 2);
    assert!(asked[1] > cleared[0] && asked[1] <= cleared[0] + 300, "{asked:?} {cleared:?}");
}

#[test]
fn a_caller_who_goes_on_is_answered_once() {
    let mut world = world(Door::Sip, Modality::Voice);
    world.until(100);
    world.press('1');
    world.until(400);
    world.press('2');
    world.until(500);
    let cancelled = world.when(|effect| matches!(effect, SessionEffect::CancelModel));
    let asked = questions(&world);
    assert_eq!((cancelled.len(), asked.len()), (1, 2), "{:?}", world.told());
    answer(&mut world, asked[0].0, "This is for nobody.");
    answer(&mut world, asked[1].0, "Hello both.");
    world.until(3_000);
    assert_eq!(
        world.entries(Speaker::Agent).iter().map(|entry| entry.text.reveal().as_str()).collect::<Vec<_>>(),
        ["Hello both."]
    );
}

#[test]
fn a_reply_is_over_when_the_model_has_said_all() {
    let mut world = world(Door::Sip, Modality::Voice);
    world.until(100);
    world.press('1');
    let text = |text: &str| ModelEvent::Text { text: text.to_owned().into() };
    world.give(SessionInput::Model { epoch: Epoch(1), event: text("One two three. And") });
    // The first clause is played out long before the model goes on.
    world.until(4_000);
    assert_eq!(world.core.turn().state().name(), "thinking");
    world.give(SessionInput::Model { epoch: Epoch(1), event: text(" four five.") });
    world.give(SessionInput::Model { epoch: Epoch(1), event: ModelEvent::Done { finish: Finish::Stop } });
    world.until(7_000);
    assert_eq!(world.core.turn().state().name(), "listening");
    world.assert_heard_is_played();
    assert_eq!(world.entries(Speaker::Agent).len(), 2);
}

#[test]
fn a_chat_is_answered_in_order_and_a_failure_is_told() {
    let mut world = world(Door::Websocket, Modality::Text);
    world.write("Open?");
    world.write("On Sunday?");
    assert_eq!(questions(&world).len(), 1);
    answer(&mut world, Epoch(1), "From nine.");
    let (epoch, second) = questions(&world).pop().unwrap();
    let agent = (Speaker::Agent, "From nine.".to_owned());
    assert_eq!(told(&second)[1..], [agent, (Speaker::Caller, "On Sunday?".to_owned())]);
    let error = ModelError::Failed { vendor: "x".into(), detail: "500".into() };
    world.give(SessionInput::Model { epoch, event: ModelEvent::Failed { error } });
    let last = world.entries(Speaker::Agent).pop().unwrap().text.reveal().clone();
    assert!(last.starts_with("I'm sorry"), "{last}");
}

#[test]
fn a_session_that_ends_gives_its_question_up() {
    let mut world = world(Door::Sip, Modality::Voice);
    world.until(100);
    world.press('1');
    world.hang_up();
    world.until(2_000);
    assert_eq!(world.when(|effect| matches!(effect, SessionEffect::CancelModel)).len(), 1);
    assert!(world.record.is_some());
}

#[test]
fn what_a_tool_found_while_the_caller_spoke_is_told_when_the_floor_is_free() {
    let mut world = world(Door::Sip, Modality::Voice);
    // Their words are understood in part, and not as a whole.
    world.answer = Some(RecognizerEvent::Rejected);
    world.until(100);
    world.press('1');
    let model = |event| SessionInput::Model { epoch: Epoch(1), event };
    world.give(model(ModelEvent::Text { text: "One moment while I look that up for you.".to_owned().into() }));
    let call = ToolCall {
        id: "c".into(),
        name: "opening_hours".into(),
        arguments: serde_json::json!({}).into(),
        signature: None,
    };
    world.give(model(ModelEvent::ToolCall { call }));
    world.give(model(ModelEvent::Done { finish: Finish::ToolCalls }));
    world.until(800);
    world.later_partial(1_500, "what about");
    world.give(SessionInput::Media(MediaEvent::SpeechStarted { at: world.now, onset: Time::from_millis(800) }));
    world.until(2_000);
    assert_eq!(world.core.turn().state().name(), "caller_speaking");
    world.give(SessionInput::ToolDone { call: 1, result: Ok(serde_json::json!({ "text": "nine to five" })) });
    assert_eq!(questions(&world).len(), 1, "the caller has the floor");
    world.give(SessionInput::Media(MediaEvent::SpeechEnded { at: world.now, end: world.now }));
    world.until(4_000);
    let (epoch, second) = questions(&world).pop().unwrap();
    let [.., Message::Assistant { text, .. }, Message::Assistant { calls, .. }, Message::Tool { result, .. }] =
        second.messages.as_slice()
    else {
        panic!("{second:?}")
    };
    assert!(!text.reveal().is_empty() && text.reveal().len() < 20, "what was heard of it: {}", text.reveal());
    assert!(calls.len() == 1 && result.reveal().contains("nine to five"));
    answer(&mut world, epoch, "We are open from nine to five.");
    world.until(8_000);
    world.assert_heard_is_played();
    assert_eq!(world.entries(Speaker::Agent).len(), 2);
    assert_eq!(world.core.turn().state().name(), "listening");
}

#[test]
fn a_model_that_thinks_for_long_is_waited_for_and_one_that_is_silent_is_not() {
    let mut world = world(Door::Sip, Modality::Voice);
    world.until(100);
    world.press('1');
    let progress = |world: &mut World, second: u64| {
        world.until(second * 1_000);
        world.give(SessionInput::Model { epoch: Epoch(1), event: ModelEvent::Progress });
    };
    (4..=24).step_by(4).for_each(|second| progress(&mut world, second));
    answer(&mut world, Epoch(1), "Forty-two.");
    world.until(27_000);
    assert_eq!(world.entries(Speaker::Agent).len(), 1);
    world.press('2');
    world.until(48_000);
    assert_eq!(world.when(|effect| matches!(effect, SessionEffect::CancelModel)).len(), 1);
    assert_eq!(world.core.turn().state().name(), "listening");
}

/// A caller who asked for what a tool has to find out.
fn while_a_tool_works() -> World {
    let tool = serde_json::json!({
        "tool_name": "order_status", "status": "implemented", "http": { "url": "https://crm.example/" },
        "say": "One moment please.",
    });
    let config: BotConfig = serde_json::from_value(serde_json::json!({ "tools_available": [tool] })).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Voice), Modality::Voice);
    let mut world = World::by(Door::Sip, Modality::Voice, config, Box::new(brain));
    world.until(100);
    world.press('1');
    let call = ToolCall {
        id: "c".into(),
        name: "order_status".into(),
        arguments: serde_json::json!({}).into(),
        signature: None,
    };
    for event in [ModelEvent::ToolCall { call }, ModelEvent::Done { finish: Finish::ToolCalls }] {
        world.give(SessionInput::Model { epoch: Epoch(1), event });
    }
    world
}

fn agent(world: &World) -> Vec<String> {
    world.entries(Speaker::Agent).into_iter().map(|entry| entry.text.reveal().clone()).collect()
}

#[test]
fn a_caller_hears_that_a_tool_works_and_then_the_answer() {
    let mut world = while_a_tool_works();
    world.until(5_000);
    assert_eq!(agent(&world), ["One moment please."]);
    assert_eq!(world.core.turn().state().name(), "thinking", "the floor is still the agent's");
    world.give(SessionInput::ToolDone { call: 1, result: Ok(serde_json::json!({ "state": "shipped" })) });
    let (epoch, second) = questions(&world).pop().unwrap();
    let [.., Message::Assistant { text, .. }, Message::Assistant { .. }, Message::Tool { result, .. }] =
        second.messages.as_slice()
    else {
        panic!("{second:?}")
    };
    assert_eq!((text.reveal().as_str(), result.reveal().as_str()), ("One moment please.", r#"{"state":"shipped"}"#));
    answer(&mut world, epoch, "It was shipped.");
    world.until(9_000);
    assert_eq!(agent(&world), ["One moment please.", "It was shipped."]);
    world.assert_heard_is_played();
}
