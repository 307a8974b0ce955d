//! Tools that take their time: what a caller hears meanwhile, and what the record holds of them.

use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::event::SessionEvent;
use tandem_contract::leg::LegEvent;
use tandem_contract::record::{Speaker, TimelineEvent};
use tandem_contract::{Epoch, Private};
use tandem_models::{Completion, Finish, Message, ModelEvent, ToolCall};
use tandem_speech::RecognizerEvent;

use super::model::{answer, questions};
use super::world::*;
use crate::brain::{Abilities, BrainEffect, BrainEvent, Key, Persona, PipelineBrain, from_config};
use crate::session::input::*;

const MOMENT: &str = "One moment please.";

fn world(say_after_ms: u32) -> World {
    world_of(say_after_ms, 6_000)
}

fn world_of(say_after_ms: u32, silence_timeout_ms: u32) -> World {
    let tool = json!({
        "tool_name": "order_status", "status": "implemented", "http": { "url": "https://crm.example/" },
        "say": MOMENT, "say_after_ms": say_after_ms,
    });
    let config: BotConfig = serde_json::from_value(
        json!({ "tools_available": [tool], "turn": { "silence_timeout_ms": silence_timeout_ms } }),
    )
    .unwrap();
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

const RUNNING: &str = "result: {\"status\":\"running\"";

/// The caller asks something else at 1 s, and is answered.
fn answered_meanwhile(world: &mut World) {
    world.until(1_000);
    world.press('2');
    let (epoch, second) = questions(world).pop().unwrap();
    let told = shape(&second);
    assert_eq!(
        (told.len(), told[0].as_str(), told.last().unwrap().as_str()),
        (4, "caller: 1", "caller: 2"),
        "{told:?}"
    );
    assert!(told[2].starts_with(RUNNING), "{told:?}");
    answer(world, epoch, "We are open until six.");
}

#[test]
fn a_caller_who_goes_on_is_answered_while_the_tool_runs_and_hears_of_it_when_the_floor_is_free() {
    let mut world = while_a_tool_works(5_000);
    answered_meanwhile(&mut world);
    world.until(4_500);
    assert_eq!((said(&world), world.core.turn().state().name()), (vec!["We are open until six."], "listening"));
    ends(&mut world, 1);
    let (epoch, third) = questions(&world).pop().unwrap();
    let told = ["caller: 1 2", "agent: We are open until six.", "calls order_status", SHIPPED];
    assert_eq!(shape(&third), told);
    answer(&mut world, epoch, "Your order was shipped.");
    world.until(8_000);
    assert_eq!(said(&world), ["We are open until six.", "Your order was shipped."]);
    assert_eq!((questions(&world).len(), world.core.turn().state().name()), (3, "listening"));
    world.assert_heard_is_played();
}

#[test]
fn what_a_tool_found_waits_for_the_end_of_the_answer_that_is_being_heard() {
    let mut world = while_a_tool_works(5_000);
    answered_meanwhile(&mut world);
    world.until(2_000);
    assert_eq!(world.core.turn().state().name(), "speaking");
    ends(&mut world, 1);
    assert_eq!(questions(&world).len(), 2);
    world.until(6_000);
    let asked = world.when(|effect| matches!(effect, SessionEffect::StartModel { .. }));
    assert_eq!(asked.last().copied(), world.sounding.last().map(|at| at.as_millis()), "as soon as it was heard");
    let (_, third) = questions(&world).pop().unwrap();
    assert_eq!(shape(&third).last().unwrap(), SHIPPED);
}

#[test]
fn a_caller_who_asks_before_the_floor_is_free_is_answered_with_what_the_tool_found() {
    let mut world = while_a_tool_works(5_000);
    answered_meanwhile(&mut world);
    world.until(2_000);
    ends(&mut world, 1);
    world.press('3');
    world.until(2_500);
    let (epoch, third) = questions(&world).pop().unwrap();
    let told = shape(&third);
    assert_eq!((told[2].as_str(), told.last().unwrap().as_str()), (SHIPPED, "caller: 3"), "{told:?}");
    answer(&mut world, epoch, "It was shipped.");
    world.until(9_000);
    assert_eq!(questions(&world).len(), 3, "and not told again");
}

#[test]
fn nobody_is_asked_why_they_are_silent_while_a_tool_works_for_them() {
    let mut world = while_a_tool_works(5_000);
    answered_meanwhile(&mut world);
    world.until(15_000);
    assert_eq!(said(&world), ["We are open until six."]);
    ends(&mut world, 1);
    let (epoch, _) = questions(&world).pop().unwrap();
    answer(&mut world, epoch, "It was shipped.");
    world.until(24_000);
    assert_eq!(said(&world)[1..], ["It was shipped.", "Are you still there?"]);
}

#[test]
fn a_caller_may_interrupt_the_announcement_and_is_answered_at_once() {
    let mut world = while_a_tool_works(0);
    world.until(600);
    world.press('2');
    world.until(700);
    let cut = world.entries(Speaker::Agent).pop().unwrap();
    assert!(cut.interrupted && cut.heard.reveal().len() < MOMENT.len(), "{cut:?}");
    let (epoch, second) = questions(&world).pop().unwrap();
    assert_eq!(questions(&world).len(), 2);
    assert_eq!(shape(&second).last().unwrap(), "caller: 2");
    answer(&mut world, epoch, "I still look for it.");
    ends(&mut world, 1);
    world.until(5_000);
    assert_eq!(shape(&questions(&world).pop().unwrap().1).last().unwrap(), SHIPPED);
}

#[test]
fn a_caller_who_said_nothing_after_all_hears_that_a_tool_works_when_that_is_known() {
    // Nothing was understood, or the recognizer does not answer.
    for (answer, known) in [(Some(RecognizerEvent::Rejected), 2_040), (None, 5_000)] {
        let mut world = while_a_tool_works(700);
        world.answer = answer;
        world.voice(600, 1_500);
        world.until(8_000);
        assert_eq!((spoken(&world), said(&world)), (vec![known], vec![MOMENT]));
        assert_eq!(questions(&world).len(), 1);
    }
}

#[test]
fn a_caller_who_asks_something_else_is_not_told_first_that_a_tool_works() {
    let mut world = while_a_tool_works(700);
    world.answer = final_of("when do you open");
    world.voice(600, 1_500);
    world.until(2_100);
    let (epoch, second) = questions(&world).pop().unwrap();
    assert_eq!(shape(&second).last().unwrap(), "caller: when do you open");
    answer(&mut world, epoch, "We open at nine.");
    world.until(6_000);
    assert_eq!((questions(&world).len(), said(&world)), (2, vec!["We open at nine."]));
}

#[test]
fn what_one_tool_found_is_not_told_while_another_is_awaited() {
    let mut world = while_a_tool_works(5_000);
    world.until(1_000);
    world.press('2');
    calls(&mut world, json!({ "order": "A2" }));
    // The far end gives the caller the floor.
    world.give(SessionInput::Leg(LegEvent::Interrupted));
    assert_eq!(world.core.turn().state().name(), "listening");
    ends(&mut world, 1);
    assert_eq!(questions(&world).len(), 2);
    ends(&mut world, 2);
    let (_, third) = questions(&world).pop().unwrap();
    let results: Vec<String> = shape(&third).into_iter().filter(|line| line.starts_with("result")).collect();
    assert_eq!((questions(&world).len(), results), (3, vec![SHIPPED.to_owned(); 2]));
}

#[test]
fn what_a_tool_found_is_told_behind_words_that_were_not_for_the_model() {
    let config = json!({
        "system_prompt": { "role": "You are a shop." },
        "tools_available": [{ "tool_name": "order_status", "status": "implemented", "http": { "url": "https://crm.example/" } }],
        "workflow_features": { "human_escalation": { "enabled": true,
            "triggers": [{ "condition": "user_requests_human", "action": "immediate_handoff" }] } },
    });
    let config: BotConfig = serde_json::from_value(config).unwrap();
    let abilities = Abilities { model: true, people: true, keys: false };
    let brain = from_config(&config, Modality::Voice, abilities).unwrap();
    let mut world = World::by(Door::Sip, Modality::Voice, config, brain);
    world.until(100);
    world.press('1');
    calls(&mut world, json!({ "order": "A1" }));
    answered_meanwhile(&mut world);
    world.until(2_000);
    ends(&mut world, 1);
    world.answer = Some(RecognizerEvent::Final { text: "let me talk to a human".into(), confidence: 1.0 });
    world.voice(2_100, 3_300);
    world.until(5_000);
    assert_eq!(questions(&world).len(), 2, "nobody is there, and the caller hears it");
    world.until(20_000);
    let (_, third) = questions(&world).pop().unwrap();
    assert_eq!((questions(&world).len(), shape(&third).last().unwrap().as_str()), (3, SHIPPED));
}

fn final_of(text: &str) -> Option<RecognizerEvent> {
    Some(RecognizerEvent::Final { text: text.into(), confidence: 1.0 })
}

#[test]
fn who_says_okay_to_the_announcement_waits_on_and_who_says_yes_to_a_question_has_answered() {
    let mut world = while_a_tool_works(0);
    world.answer = final_of("okay");
    world.voice(1_800, 2_100);
    world.until(4_000);
    assert_eq!((questions(&world).len(), world.core.turn().state().name()), (1, "thinking"));
    ends(&mut world, 1);
    let told = ["caller: 1".to_owned(), format!("agent: {MOMENT}"), "calls order_status".into(), SHIPPED.into()];
    assert_eq!(shape(&questions(&world).pop().unwrap().1), told);

    let mut world = self::world(700);
    world.until(100);
    world.press('1');
    let words = ModelEvent::Text { text: "Let me see. Is it A1? ".to_owned().into() };
    world.give(SessionInput::Model { epoch: Epoch(1), event: words });
    calls(&mut world, json!({}));
    world.answer = final_of("yes");
    world.voice(4_000, 4_300);
    world.until(6_000);
    assert_eq!(shape(&questions(&world).pop().unwrap().1).last().unwrap(), "caller: yes");
}

#[test]
fn a_tool_that_runs_when_the_call_ends_stands_in_the_record() {
    let mut world = while_a_tool_works(5_000);
    answered_meanwhile(&mut world);
    world.until(2_000);
    world.hang_up();
    world.until(4_000);
    assert_eq!(recorded(&world), [("order_status", false, Some(json!({ "order": "A1" }).into()))]);
}

/// The tools of the record, whether they succeeded, and what they were called with.
fn recorded(world: &World) -> Vec<(&str, bool, Option<Private<Value>>)> {
    let timeline = &world.record.as_ref().unwrap().timeline;
    let tools = timeline.iter().filter_map(|entry| match &entry.what {
        TimelineEvent::Tool { name, ok, arguments } => Some((name.as_str(), *ok, arguments.clone())),
        _ => None,
    });
    tools.collect()
}

#[test]
fn what_a_given_up_reply_waited_for_stands_in_the_record_once() {
    // The far end, which speaks by itself, never tells that it has: the keys wait behind the words.
    let mut world = World::new(Door::Twilio, |event, out| {
        if event == BrainEvent::Started {
            let (epoch, arguments) = (Epoch(0), json!({ "order": "A1" }));
            out.push(say(epoch, "I book it."));
            out.push(BrainEffect::CallTool { epoch, call: 1, tool: "book".into(), arguments });
            out.push(BrainEffect::PressKeys { epoch, call: 2, keys: vec![Key::Digit { digit: '1' }].into() });
        }
    });
    world.until(24_000);
    ends(&mut world, 1);
    let told = world.told();
    assert!(!told.iter().any(|event| matches!(event, BrainEvent::ToolDone { .. })), "{told:?}");
    world.hang_up();
    world.until(26_000);
    let expected = [("book", false, Some(json!({ "order": "A1" }).into())), ("send_dtmf", false, None)];
    assert_eq!(recorded(&world), expected);
}

#[test]
fn what_a_tool_found_after_its_reply_was_given_up_is_told() {
    let mut world = while_a_tool_works(0);
    world.until(24_000);
    assert_eq!((questions(&world).len(), world.core.turn().state().name()), (1, "listening"));
    ends(&mut world, 1);
    assert_eq!(shape(&questions(&world)[1].1).last().unwrap(), SHIPPED);
}

#[test]
fn keys_are_pressed_to_their_end_before_the_caller_is_answered() {
    let config: BotConfig = serde_json::from_value(json!({})).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Voice).with_keys(), Modality::Voice);
    let mut world = World::by(Door::Sip, Modality::Voice, config, Box::new(brain));
    world.until(100);
    world.press('1');
    let arguments = json!({ "digits": "12345" }).into();
    let call = ToolCall { id: "c".into(), name: "send_dtmf".into(), arguments, signature: None };
    for event in [ModelEvent::ToolCall { call }, ModelEvent::Done { finish: Finish::ToolCalls }] {
        world.give(SessionInput::Model { epoch: Epoch(1), event });
    }
    world.until(300);
    world.press('2');
    world.until(900);
    assert_eq!(questions(&world).len(), 1);
    world.until(1_200);
    assert_eq!(shape(&questions(&world)[1].1).last().unwrap(), r#"result: {"ok":true}"#);
}

/// What every vendor wants of a question: each call has its result right behind it, and somebody but the agent has the last word.
fn assert_is_a_question(request: &Completion) {
    let mut open: Vec<&str> = Vec::new();
    for message in &request.messages {
        match message {
            Message::Tool { call, .. } => {
                assert_eq!(open.first(), Some(&call.as_str()), "{:?}", shape(request));
                open.remove(0);
            }
            other => {
                assert_eq!(open, <[&str; 0]>::default(), "{:?}", shape(request));
                if let Message::Assistant { calls, .. } = other {
                    open.extend(calls.iter().map(|call| call.id.as_str()));
                }
            }
        }
    }
    assert_eq!(open, <[&str; 0]>::default(), "{:?}", shape(request));
    let last = request.messages.last();
    assert!(matches!(last, Some(Message::User { .. } | Message::Tool { .. })), "{:?}", shape(request));
}

#[derive(Clone, Debug)]
enum Event {
    Wait(u16),
    Press,
    /// The tool of this number has an answer.
    Ends(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..2_500_u16).prop_map(Event::Wait),
        2 => Just(Event::Press),
        2 => (1..6_u32).prop_map(Event::Ends),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Whenever callers go on and tools answer: every question is one, every result reaches the model once it is there, and the
    /// conversation comes to rest.
    #[test]
    fn whenever_tools_answer_the_model_hears_of_it(
        events in prop::collection::vec(event(), 1..24),
        answers in prop::collection::vec(0..3_u8, 1..8),
        say_after_ms in prop::sample::select(vec![0, 700]),
    ) {
        let mut world = world_of(say_after_ms, 600_000);
        let (mut asked, mut called) = (0, 0);
        world.model.script = Some(Box::new(move |_| {
            let at = std::time::Duration::from_millis(200);
            asked += 1;
            let text = ModelEvent::Text { text: format!("Answer {asked} it is.").into() };
            let stop = ModelEvent::Done { finish: Finish::Stop };
            match answers[asked % answers.len()] {
                0 if called < 5 => {
                    called += 1;
                    // As llama.cpp's are, whose calls have no names.
                    let (id, arguments) = ("call_0".into(), json!({}).into());
                    let call = ToolCall { id, name: "order_status".into(), arguments, signature: None };
                    let done = ModelEvent::Done { finish: Finish::ToolCalls };
                    vec![(at, ModelEvent::ToolCall { call }), (at, done)]
                }
                _ => vec![(at, text), (at, stop)],
            }
        }));
        let mut done = Vec::new();
        for event in &events {
            let now = world.now.as_millis();
            match event {
                Event::Wait(ms) => world.until(now + u64::from(*ms)),
                Event::Press => world.press('1'),
                Event::Ends(call) => {
                    let runs = world.effects.iter().any(|(_, effect)| matches!(effect, SessionEffect::CallTool { call: of, .. } if of == call));
                    if runs && !done.contains(call) {
                        done.push(*call);
                        world.give(SessionInput::ToolDone { call: *call, result: Ok(json!({ "found": call })) });
                    }
                }
            }
        }
        // All the rest answer, and time passes.
        let now = world.now.as_millis();
        world.until(now + 3_500);
        for call in (1..6).chain(1..6) {
            let now = world.now.as_millis();
            world.give(SessionInput::ToolDone { call, result: Ok(json!({ "found": call })) });
            world.until(now + 3_500);
        }
        let questions = questions(&world);
        questions.iter().for_each(|(_, request)| assert_is_a_question(request));
        let calls = world.when(|effect| matches!(effect, SessionEffect::CallTool { .. })).len();
        for call in 1..=calls {
            let found = format!("result: {}", json!({ "found": call }));
            let told = questions.iter().any(|(_, request)| shape(request).contains(&found));
            prop_assert!(told, "call {} in {:?}", call, questions.last().map(|(_, request)| shape(request)));
        }
        prop_assert_eq!(world.core.turn().state().name(), "listening");
        world.assert_heard_is_played();
    }
}
