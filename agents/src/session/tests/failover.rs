//! A model that fails while the caller waits.

use std::time::Duration;

use serde_json::json;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::record::Speaker;
use tandem_models::{Completion, Finish, Message, ModelError, ModelEvent};

use super::world::*;
use crate::brain::{Persona, PipelineBrain};
use crate::session::input::*;

const FILLER: &str = "One moment, please.";

fn world(turn: serde_json::Value, modality: Modality) -> World {
    let config: BotConfig = serde_json::from_value(json!({ "turn": turn })).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, modality), modality);
    World::by(if modality == Modality::Voice { Door::Sip } else { Door::Websocket }, modality, config, Box::new(brain))
}

/// The first model fails after this long; the second answers a second later, or fails too.
fn fails_after(world: &mut World, waited_ms: u64, second: ModelEvent) {
    let mut second = vec![second, ModelEvent::Done { finish: Finish::Stop }];
    if second[0].is_last() {
        second.pop();
    }
    world.model.script = Some(Box::new(move |_| {
        let news = (Duration::from_millis(waited_ms), ModelEvent::Rerouted { waited_ms });
        let second = second.iter().map(|event| (Duration::from_millis(waited_ms + 1_000), event.clone()));
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
    fails_after(&mut world, 1_500, answer());
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
    for (turn, waited_ms, modality) in
        [(with(), 300, Modality::Voice), (json!({}), 1_500, Modality::Voice), (with(), 1_500, Modality::Text)]
    {
        let mut world = world(turn, modality);
        fails_after(&mut world, waited_ms, answer());
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
    fails_after(&mut world, 1_500, ModelEvent::Failed { error });
    world.until(100);
    world.press('1');
    world.until(12_000);
    assert_eq!(heard(&world), [FILLER, "I'm sorry, I can't answer right now. Please say that again."]);
}
