//! Conversations by way of a far end that speaks texts itself: what was heard is what it says.

use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_contract::record::Speaker;
use tandem_contract::{Epoch, UtteranceId};
use tandem_models::{Finish, Message, ModelEvent};

use super::world::*;
use crate::brain::{Brain as _, BrainEffect, BrainEvent, Persona, PipelineBrain};
use crate::session::input::*;
use tandem_media::Time;

fn told(world: &mut World, event: LegEvent) {
    world.give(SessionInput::Leg(event));
}

/// The far end has spoken all of it.
fn spoken(world: &mut World, utterance: u32, text: &str) {
    let utterance = UtteranceId(utterance);
    told(world, LegEvent::Played { utterance, offset: text.len() as u64 });
    told(world, LegEvent::Finished { utterance });
}

fn began(world: &mut World, utterance: u32) {
    told(world, LegEvent::Played { utterance: UtteranceId(utterance), offset: 0 });
}

fn heard(world: &World, speaker: Speaker) -> Vec<String> {
    world.entries(speaker).iter().map(|entry| entry.heard.reveal().clone()).collect()
}

/// What the wire was told, without what it is about.
fn commands(world: &World) -> Vec<String> {
    let line = |(_, effect): &(Time, SessionEffect)| match effect {
        SessionEffect::Leg(LegCommand::Speak { text, .. }) => Some(text.reveal().clone()),
        SessionEffect::Leg(LegCommand::ReplyEnds) => Some("|".to_owned()),
        SessionEffect::Leg(LegCommand::Clear { .. }) => Some("cleared".to_owned()),
        SessionEffect::Leg(LegCommand::HangUp) => Some("hang up".to_owned()),
        SessionEffect::Leg(other) => Some(format!("{other:?}")),
        _ => None,
    };
    world.effects.iter().filter_map(line).collect()
}

#[test]
fn a_text_is_heard_when_the_far_end_says_so_and_as_far_as_it_says() {
    const GREETING: &str = "one two three four five six seven eight nine ten";
    let mut world = World::new(Door::Twilio, polite);
    assert_eq!(commands(&world), [GREETING, "|"]);
    assert_eq!(world.entries(Speaker::Agent).len(), 0, "given is not heard");
    began(&mut world, 1);
    told(&mut world, LegEvent::Played { utterance: UtteranceId(1), offset: "one two thr".len() as u64 });
    told(&mut world, LegEvent::Interrupted);
    assert_eq!(heard(&world, Speaker::Agent), ["one two"]);
    let entry = world.entries(Speaker::Agent)[0];
    assert!(entry.interrupted && (entry.heard_samples, entry.rate) == (0, 0), "{entry:?}");
    world.write("no");
    spoken(&mut world, 3, "that is fine");
    assert_eq!(heard(&world, Speaker::Agent), ["one two", "that is fine"]);
    assert_eq!(commands(&world), [GREETING, "|", "cleared", "that is fine", "|"]);
    world.hang_up();
    let record = world.record.as_ref().unwrap();
    assert_eq!((record.modality, record.media.as_ref(), record.turns.len()), (Modality::Voice, None, 1));
}

#[test]
fn what_the_far_end_never_began_leaves_no_trace() {
    let mut world = World::new(Door::Twilio, |event, out| {
        if event == BrainEvent::Started {
            out.extend([say(Epoch(0), "First."), say(Epoch(0), "Second."), say(Epoch(0), "Third.")]);
        }
    });
    spoken(&mut world, 1, "First.");
    began(&mut world, 2);
    told(&mut world, LegEvent::Interrupted);
    // Late news of what is over.
    spoken(&mut world, 3, "Third.");
    assert_eq!(heard(&world, Speaker::Agent), ["First.", ""]);
}

#[test]
fn silence_counts_from_the_last_word_and_not_while_the_caller_speaks() {
    let mut world = World::new(Door::Twilio, polite);
    began(&mut world, 1);
    let asked = |world: &World| world.told().iter().any(|event| matches!(event, BrainEvent::Silent { .. }));
    for second in 1..6 {
        world.until(second * 5_000);
        began(&mut world, 1);
    }
    assert!(!asked(&world), "the agent speaks");
    spoken(&mut world, 1, "one two three four five six seven eight nine ten");
    world.until(28_000);
    told(&mut world, LegEvent::CallerSpeaks { on: true });
    world.until(60_000);
    told(&mut world, LegEvent::CallerSpeaks { on: false });
    world.until(65_900);
    assert!(!asked(&world), "the caller spoke");
    world.until(66_100);
    assert!(asked(&world));
}

#[test]
fn the_agent_hangs_up_when_its_last_word_was_heard() {
    let mut world = World::new(Door::Twilio, |event, out| {
        if event == BrainEvent::Started {
            out.extend([say(Epoch(0), "Goodbye."), BrainEffect::HangUp]);
        }
    });
    began(&mut world, 1);
    world.until(3_000);
    assert_eq!(commands(&world), ["Goodbye.", "|"]);
    spoken(&mut world, 1, "Goodbye.");
    assert_eq!(commands(&world).last().unwrap(), "hang up");
}

fn questions(world: &World) -> Vec<(Epoch, Vec<String>)> {
    let line = |message: &Message| match message {
        Message::User { text, .. } => Some(format!("user {}", text.reveal())),
        Message::Assistant { text, .. } => Some(format!("agent {}", text.reveal())),
        Message::System { .. } | Message::Tool { .. } => None,
    };
    let asked = |(_, effect): &(Time, SessionEffect)| match effect {
        SessionEffect::StartModel { epoch, request } => {
            Some((*epoch, request.messages.iter().filter_map(line).collect()))
        }
        _ => None,
    };
    world.effects.iter().filter_map(asked).collect()
}

#[test]
fn a_model_that_is_interrupted_stops_and_believes_what_was_heard() {
    let mut brain = PipelineBrain::new(Persona::new(&BotConfig::default(), Modality::Voice), Modality::Voice);
    let mut world = World::new(Door::Twilio, move |event, out| brain.handle(Time::ZERO, event, out));
    world.write("Tell me about life.");
    let (epoch, _) = questions(&world).pop().unwrap();
    let piece = |text: &str| ModelEvent::Text { text: text.to_owned().into() };
    world.give(SessionInput::Model { epoch, event: piece("Life is a complex set of things. It ") });
    assert_eq!(commands(&world), ["Life is a complex set of things."], "the reply goes on");
    began(&mut world, 2);
    told(&mut world, LegEvent::Played { utterance: UtteranceId(2), offset: "Life is a complex set of".len() as u64 });
    told(&mut world, LegEvent::Interrupted);
    assert_eq!(world.when(|effect| *effect == SessionEffect::CancelModel).len(), 1);
    world.give(SessionInput::Model { epoch, event: piece("goes on and on. ") });
    world.give(SessionInput::Model { epoch, event: ModelEvent::Done { finish: Finish::Stop } });
    world.write("Shorter.");
    let (_, question) = questions(&world).pop().unwrap();
    assert_eq!(question, ["user Tell me about life.", "agent Life is a complex set of", "user Shorter."]);
    assert!(commands(&world).iter().all(|said| !said.contains("on and on")), "{:?}", commands(&world));
}
