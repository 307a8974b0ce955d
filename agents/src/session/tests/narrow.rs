//! Questions that are bounded, and models that take less than they are asked.

use proptest::prelude::*;
use serde_json::json;
use tandem_contract::Epoch;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::record::Speaker;
use tandem_models::{Completion, Finish, Message, ModelError, ModelEvent, ToolCall};

use super::model::{answer, questions};
use super::world::*;
use crate::brain::{Persona, PipelineBrain};
use crate::session::input::*;

fn chat() -> World {
    let tools = json!({ "tools_available": [{ "tool_name": "find", "status": "implemented", "http": { "url": "https://crm.example/" } }] });
    let config: BotConfig = serde_json::from_value(tools).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Text), Modality::Text);
    let mut world = World::by(Door::Messages, Modality::Text, config, Box::new(brain));
    world.until(100);
    world
}

/// Bytes of what was said, called and answered.
fn size(request: &Completion) -> usize {
    let bytes = |message: &Message| match message {
        Message::System { .. } => 0,
        Message::User { text, .. } => text.reveal().len(),
        Message::Assistant { text, calls } => {
            text.reveal().len() + calls.iter().map(|call| call.arguments.reveal().to_string().len()).sum::<usize>()
        }
        Message::Tool { result, .. } => result.reveal().len(),
    };
    request.messages.iter().map(bytes).sum()
}

fn passes(world: &mut World, ms: u64) {
    world.until(world.now.as_millis() + ms);
}

fn last(world: &World) -> (Epoch, Completion) {
    questions(world).pop().unwrap()
}

/// A question for which the model calls so many tools, each with a result of so many bytes. Where it calls
/// none, its answer is still to come (an end without either is a failure, and three in a row end a chat).
fn looked_up(world: &mut World, asked: &str, results: &[usize]) {
    world.write(asked);
    passes(world, 600);
    if results.is_empty() {
        return;
    }
    let (epoch, _) = last(world);
    for at in 0..results.len() {
        let arguments = json!({ "at": at }).into();
        let call = ToolCall { id: format!("{asked}{at}"), name: "find".into(), arguments, signature: None };
        world.give(SessionInput::Model { epoch, event: ModelEvent::ToolCall { call } });
    }
    world.give(SessionInput::Model { epoch, event: ModelEvent::Done { finish: Finish::ToolCalls } });
    let called = world.effects.iter().filter_map(|(_, effect)| match effect {
        SessionEffect::CallTool { call, .. } => Some(*call),
        _ => None,
    });
    let called: Vec<u32> = called.collect();
    for (call, bytes) in called[called.len() - results.len()..].iter().zip(results) {
        world.give(SessionInput::ToolDone { call: *call, result: Ok(json!({ "text": "x".repeat(*bytes) })) });
    }
}

fn refuses(world: &mut World) {
    let epoch = last(world).0;
    let error = ModelError::Refused { vendor: "llama".into(), detail: "status 400: exceed_context_size_error".into() };
    world.give(SessionInput::Model { epoch, event: ModelEvent::Failed { error } });
}

fn results(request: &Completion) -> Vec<usize> {
    let result = |message: &Message| match message {
        Message::Tool { result, .. } => Some(result.reveal().len()),
        _ => None,
    };
    request.messages.iter().filter_map(result).collect()
}

#[test]
fn results_of_tools_do_not_pile_up() {
    let mut world = chat();
    for at in 0..12 {
        looked_up(&mut world, &format!("question {at}"), &[20_000]);
        let (epoch, request) = last(&world);
        assert!(size(&request) < 40_000, "{} bytes", size(&request));
        let results = results(&request);
        assert!(results.len() == at + 1 && *results.last().unwrap() > 20_000, "{results:?}");
        answer(&mut world, epoch, "Found.");
    }
}

#[test]
fn a_model_that_takes_less_is_asked_for_less_and_answers_on() {
    let mut world = chat();
    looked_up(&mut world, "What is there?", &[20_000]);
    let (_, whole) = last(&world);
    refuses(&mut world);
    let (epoch, less) = last(&world);
    assert_eq!(questions(&world).len(), 3, "the question, with the result, and with less of it");
    assert!(size(&whole) > 20_000 && size(&less) < 8_200, "{} {}", size(&whole), size(&less));
    assert!(results(&less)[0] > 1_000, "it has the beginning");
    answer(&mut world, epoch, "A lot.");
    passes(&mut world, 600);
    let agent: Vec<_> = world.entries(Speaker::Agent).into_iter().map(|entry| entry.heard.reveal().clone()).collect();
    assert_eq!(agent, ["A lot."]);
    looked_up(&mut world, "And there?", &[20_000]);
    let asked = questions(&world);
    assert_eq!(asked.len(), 5, "it is known now what the model takes");
    assert!(asked[3..].iter().all(|(_, request)| size(request) < 8_200));
}

#[test]
fn a_question_that_is_refused_for_another_reason_is_asked_again_once_or_not_at_all() {
    let mut world = chat();
    world.write("Hello");
    passes(&mut world, 600);
    refuses(&mut world);
    assert_eq!(questions(&world).len(), 1, "it was short");
    passes(&mut world, 600);
    looked_up(&mut world, "What is there?", &[20_000]);
    refuses(&mut world);
    refuses(&mut world);
    passes(&mut world, 600);
    assert_eq!((questions(&world).len(), world.entries(Speaker::Agent).len()), (4, 2), "then the caller is told");
    world.write("And now?");
    passes(&mut world, 600);
    assert!(size(&last(&world).1) > 20_000, "less did not help");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_question_is_longer_than_its_room(
        asked in prop::collection::vec((1..2_000_usize, prop::collection::vec(0..40_000_usize, 0..5), 1..9_000_usize), 1..12),
    ) {
        let mut world = chat();
        for (words, results, answered) in asked {
            looked_up(&mut world, &"q".repeat(words), &results);
            let (epoch, request) = last(&world);
            prop_assert!(size(&request) <= (32 + 36 + 6) * 1024 + 1_000, "{} bytes", size(&request));
            let asked = request.messages.iter().map(|m| if let Message::Assistant { calls, .. } = m { calls.len() } else { 0 });
            prop_assert_eq!(asked.sum::<usize>(), self::results(&request).len());
            answer(&mut world, epoch, &"a".repeat(answered));
            passes(&mut world, 600);
        }
    }
}
