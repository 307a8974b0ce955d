//! A model that fails while the caller waits.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::record::Speaker;
use tandem_models::{Completion, Finish, Message, ModelError, ModelEvent, ToolCall};
use tandem_speech::RecognizerEvent;

use super::world::*;
use crate::brain::{Persona, PipelineBrain};
use crate::session::input::*;

const FILLER: &str = "One moment, please.";

fn world(turn: serde_json::Value, modality: Modality) -> World {
    let config: BotConfig = serde_json::from_value(json!({ "turn": turn })).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, modality), modality);
    World::by(if modality == Modality::Voice { Door::Sip } else { Door::Websocket }, modality, config, Box::new(brain))
}

/// The first model fails after this long; of the second this is heard so long after the question.
fn fails_after(world: &mut World, (failed, heard): (u64, u64), second: ModelEvent) {
    let mut second = vec![second, ModelEvent::Done { finish: Finish::Stop }];
    if second[0].is_last() {
        second.pop();
    }
    world.model.script = Some(Box::new(move |_| {
        let news = (Duration::from_millis(failed), ModelEvent::Rerouted);
        let second = second.iter().map(|event| (Duration::from_millis(heard), event.clone()));
        [news].into_iter().chain(second).collect()
    }));
}

fn answer() -> ModelEvent {
    ModelEvent::Text { text: "We open at nine.".to_owned().into() }
}

fn heard(world: &World) -> Vec<&str> {
    world.entries(Speaker::Agent).iter().map(|entry| entry.heard.reveal().as_str()).collect()
}

#[test]
fn the_caller_hears_the_filler_and_then_the_second_models_answer() {
    let mut world = world(json!({ "failover_filler": FILLER }), Modality::Voice);
    fails_after(&mut world, (1_500, 2_500), answer());
    world.until(100);
    world.press('1');
    world.until(9_000);
    assert_eq!(heard(&world), [FILLER, "We open at nine."]);
    assert_eq!(world.when(|effect| matches!(effect, SessionEffect::StartVoice { .. }))[0], 1_600);
    world.assert_heard_is_played();
    assert_eq!(world.core.turn().state().name(), "listening");
    // The next question knows both as one answer of the agent.
    world.press('2');
    let asked = |(_, effect): &(_, SessionEffect)| match effect {
        SessionEffect::StartModel { request, .. } => Some(request.clone()),
        _ => None,
    };
    let Completion { messages, .. } = world.effects.iter().rev().find_map(asked).unwrap();
    let [Message::System { .. }, Message::User { .. }, Message::Assistant { text, .. }, Message::User { .. }] =
        messages.as_slice()
    else {
        panic!("{} messages", messages.len())
    };
    assert_eq!(text.reveal(), "One moment, please. We open at nine.");
}

#[test]
fn who_is_not_kept_waiting_or_reads_hears_no_filler() {
    let with = || json!({ "failover_filler": FILLER });
    for (turn, times, modality) in [
        (with(), (300, 690), Modality::Voice),
        (json!({}), (1_500, 2_500), Modality::Voice),
        (with(), (1_500, 2_500), Modality::Text),
    ] {
        let mut world = world(turn, modality);
        fails_after(&mut world, times, answer());
        world.until(100);
        if modality == Modality::Text {
            world.write("Open?")
        } else {
            world.press('1')
        }
        world.until(9_000);
        assert_eq!(heard(&world), ["We open at nine."]);
    }
}

#[test]
fn a_filler_is_no_answer() {
    let mut world = world(json!({ "failover_filler": FILLER }), Modality::Voice);
    let error = ModelError::Timeout { vendor: "x".into(), limit_ms: 1 };
    fails_after(&mut world, (1_500, 2_500), ModelEvent::Failed { error });
    world.until(100);
    world.press('1');
    world.until(12_000);
    assert_eq!(heard(&world), [FILLER, "I'm sorry, I can't answer right now. Please say that again."]);
}

/// When the caller's turn is over in `asks`.
const END: i64 = 2_140;
/// When the model is asked, if it is asked ahead.
const AHEAD: i64 = 1_760;

/// When the filler is said to a caller whose model fails, and another begins to speak, so long after the end of their turn.
/// Before it only where the model is asked ahead.
fn fillers(ahead: bool, failed: i64, heard: i64) -> Vec<u64> {
    let turn = json!({ "failover_filler": FILLER, "preemptive_generation": ahead, "silence_timeout_ms": 60_000 });
    let mut world = world(turn, Modality::Voice);
    let asked = if ahead { AHEAD } else { END };
    let since_asked = |after: i64| u64::try_from(END + after - asked).unwrap_or(0);
    fails_after(&mut world, (since_asked(failed), since_asked(heard)), answer());
    world.answer = Some(RecognizerEvent::Final { text: "what time do you open".to_owned(), confidence: 1.0 });
    world.later_partial(1_500, "what time do you open");
    world.voice(1_000, 1_600);
    world.until(12_000);
    assert_eq!(world.when(|effect| matches!(effect, SessionEffect::AskAhead { .. })).len(), usize::from(ahead));
    assert_eq!(heard_of(&world), "We open at nine.");
    world.when(|effect| matches!(effect, SessionEffect::StartVoice { text, .. } if text.reveal() == FILLER))
}

/// The agent's last line.
fn heard_of(world: &World) -> &str {
    heard(world).pop().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The filler comes when the caller has waited, whoever waited before: whether the model was asked ahead shows in nothing.
    #[test]
    fn a_question_that_was_asked_ahead_has_its_filler_when_any_other_has(failed in -380..2_000_i64, more in 0..2_000_i64) {
        let first_word = failed + more;
        let said = fillers(true, failed, first_word);
        prop_assert_eq!(&said, &fillers(false, failed.max(0), first_word.max(0)));
        let due = (END + 700).max(END + failed);
        let is_said = END + first_word > due || failed >= 700;
        let expected: Vec<u64> = is_said.then_some(due).into_iter().map(|due| due.try_into().unwrap()).collect();
        prop_assert_eq!(said, expected);
    }
}

#[test]
fn a_model_that_failed_before_the_turn_was_over_has_kept_nobody_waiting() {
    // Failed 300 ms before the end of the turn, and 500 ms after it; the answer is there before or after 700 ms.
    for (failed, heard, said) in
        [(-300, 690, None), (-300, 1_500, Some(700)), (500, 690, None), (500, 1_500, Some(700))]
    {
        let said: Vec<u64> = said.into_iter().map(|after| 2_140 + after).collect();
        assert_eq!((fillers(true, failed, heard), fillers(false, failed.max(0), heard)), (said.clone(), said));
    }
}

#[test]
fn a_caller_who_hears_the_agent_does_not_wait() {
    let turn = json!({ "failover_filler": FILLER });
    let tools = json!([{ "tool_name": "opening_hours", "status": "implemented" }]);
    let config: BotConfig = serde_json::from_value(json!({ "turn": turn, "tools_available": tools })).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Voice), Modality::Voice);
    let mut world = World::by(Door::Sip, Modality::Voice, config, Box::new(brain));
    let call = ToolCall { id: "c".into(), name: "opening_hours".into(), arguments: json!({}).into(), signature: None };
    let mut questions = 0;
    world.model.script = Some(Box::new(move |_| {
        questions += 1;
        let at = Duration::from_millis(10);
        if questions == 1 {
            let text = ModelEvent::Text { text: "I look that up for you.".to_owned().into() };
            let done = ModelEvent::Done { finish: Finish::ToolCalls };
            return vec![(at, text), (at, ModelEvent::ToolCall { call: call.clone() }), (at, done)];
        }
        let done = ModelEvent::Done { finish: Finish::Stop };
        vec![(at, ModelEvent::Rerouted), (Duration::from_secs(5), answer()), (Duration::from_secs(5), done)]
    }));
    world.until(100);
    world.press('1');
    world.until(200);
    world.give(SessionInput::ToolDone { call: 1, result: Ok(json!({ "text": "nine" })) });
    world.until(12_000);
    assert_eq!(heard(&world), ["I look that up for you.", FILLER, "We open at nine."]);
    let spoken = world.when(|effect| matches!(effect, SessionEffect::StartVoice { .. }));
    let silent = world.sounding.iter().map(|at| at.as_millis()).take_while(|at| *at < spoken[1]).last().unwrap();
    assert_eq!(spoken[1], silent + 700, "since the line fell silent");
}

#[test]
fn who_holds_the_call_hears_the_filler_when_they_are_back() {
    let mut world = world(json!({ "failover_filler": FILLER }), Modality::Voice);
    fails_after(&mut world, (300, 9_000), answer());
    world.until(100);
    world.press('1');
    world.until(500);
    world.hold(true);
    world.until(3_000);
    assert_eq!(heard(&world), <[&str; 0]>::default());
    world.hold(false);
    world.until(12_000);
    assert_eq!(heard(&world), [FILLER, "We open at nine."]);
    assert_eq!(world.when(|effect| matches!(effect, SessionEffect::StartVoice { .. }))[0], 3_000);
}

#[test]
fn a_caller_who_is_being_heard_is_not_talked_over_and_a_noise_takes_the_answer_from_nobody() {
    let mut world = world(json!({ "failover_filler": FILLER }), Modality::Voice);
    world.answer = Some(RecognizerEvent::Rejected);
    fails_after(&mut world, (300, 9_000), answer());
    world.until(100);
    world.press('1');
    world.voice(600, 1_500);
    world.until(12_000);
    assert_eq!(heard(&world), [FILLER, "We open at nine."]);
    assert_eq!(world.when(|effect| matches!(effect, SessionEffect::StartVoice { .. }))[0], 2_040);
}

#[test]
fn who_asks_anew_while_another_model_is_asked_hears_the_answer_without_a_filler() {
    let mut world = world(json!({ "failover_filler": FILLER }), Modality::Voice);
    world.answer = Some(RecognizerEvent::Final { text: "what time do you open".to_owned(), confidence: 1.0 });
    fails_after(&mut world, (300, 9_000), answer());
    world.until(100);
    world.press('1');
    world.voice(600, 1_500);
    fails_after(&mut world, (300, 690), answer());
    world.until(6_000);
    assert_eq!(world.when(|effect| matches!(effect, SessionEffect::StartModel { .. })), [100, 2_040]);
    assert_eq!(heard(&world), ["We open at nine."]);
}
