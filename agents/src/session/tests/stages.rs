//! Where the time of a turn goes, as its record says.

use std::time::Duration;

use serde_json::json;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::event::SessionEvent;
use tandem_contract::record::Stage;
use tandem_models::{Finish, ModelEvent};
use tandem_speech::RecognizerEvent;

use super::world::*;
use crate::brain::{Persona, PipelineBrain};

/// A model whose first word comes after 300 ms, and its first sentence 500 ms later.
fn world() -> World {
    let config = json!({ "turn": { "preemptive_generation": false } });
    let config: BotConfig = serde_json::from_value(config).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Voice), Modality::Voice);
    let mut world = World::by(Door::Sip, Modality::Voice, config, Box::new(brain));
    world.model.script = Some(Box::new(|_| {
        let text = |ms, text: &str| (Duration::from_millis(ms), ModelEvent::Text { text: text.to_owned().into() });
        let done = (Duration::from_millis(900), ModelEvent::Done { finish: Finish::Stop });
        vec![text(300, "We are "), text(800, "open on all days of the week. "), text(900, "Is that fine?"), done]
    }));
    world
}

/// Milliseconds of each stage of the only turn.
fn stages(world: &World) -> Vec<(Stage, u64)> {
    let turn = |event: &&SessionEvent| if let SessionEvent::Turn { turn } = event { Some(turn.clone()) } else { None };
    let turn = world.events().iter().find_map(turn).unwrap();
    assert_eq!(turn.stages.iter().map(|span| span.us).sum::<u64>(), turn.gap_us);
    turn.stages.iter().map(|span| (span.stage, span.us / 1000)).collect()
}

#[test]
fn the_first_token_is_the_models_and_the_first_clause_is_what_it_takes_to_have_one() {
    let mut world = world();
    world.until(100);
    world.press('1');
    world.until(6_000);
    let stages = stages(&world);
    let of = |wanted| stages.iter().find(|(stage, _)| *stage == wanted).unwrap().1;
    assert_eq!((of(Stage::ModelFirstToken), of(Stage::FirstClause), of(Stage::VoiceFirstAudio)), (300, 500, 30));
}

#[test]
fn what_a_recognizer_waits_for_the_end_of_the_turn_is_endpointing() {
    let mut world = world();
    let text = "what time do you open".to_owned();
    world.later_heard(1_900, RecognizerEvent::EndOfTurn { text, confidence: 0.9, eager: false });
    world.voice(1_000, 1_600);
    world.until(6_000);
    let stages = stages(&world);
    assert_eq!(stages[..2], [(Stage::EndpointingWait, 300), (Stage::Transcript, 0)]);
}
