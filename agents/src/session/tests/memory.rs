//! Long conversations: notes in place of the oldest lines, whenever they come, and without them.

use serde_json::json;
use tandem_contract::bot::{BotConfig, Tier};
use tandem_contract::call::{Door, Modality};
use tandem_contract::record::{LedgerEntry, Speaker};
use tandem_contract::{Epoch, Private, UtteranceId};
use tandem_models::{Completion, Finish, Message, ModelEvent};

use super::world::*;
use crate::brain::{Persona, PipelineBrain};
use crate::session::input::*;

fn chat(before: Vec<LedgerEntry>) -> World {
    let config: BotConfig =
        serde_json::from_value(json!({ "system_prompt": { "role": "r" }, "turn": { "message_wait_ms": 0 } })).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, Modality::Text), Modality::Text);
    World::after(before, Door::Websocket, Modality::Text, config, Box::new(brain))
}

/// A question of about a thousand bytes with its number, and an answer as long. What the model was told.
fn exchange(world: &mut World, number: usize) -> Vec<String> {
    world.write(&format!("question {number} {}", "q ".repeat(500)));
    let asked = |(_, effect): &(_, SessionEffect)| match effect {
        SessionEffect::StartModel { epoch, request } => Some((*epoch, request.clone())),
        _ => None,
    };
    let (epoch, request) = world.effects.iter().rev().find_map(asked).unwrap();
    let text = format!("answer {number} {}", "a ".repeat(500)).into();
    world.give(SessionInput::Model { epoch, event: ModelEvent::Text { text } });
    world.give(SessionInput::Model { epoch, event: ModelEvent::Done { finish: Finish::Stop } });
    request.messages.iter().map(words).collect()
}

fn words(message: &Message) -> String {
    match message {
        Message::System { text } => text.clone(),
        Message::User { text, .. } | Message::Assistant { text, .. } | Message::Tool { result: text, .. } => {
            text.reveal().clone()
        }
    }
}

/// The requests for notes.
fn requests(world: &World) -> Vec<Completion> {
    let request = |(_, effect): &(_, SessionEffect)| match effect {
        SessionEffect::MakeNotes { request } => Some(request.clone()),
        _ => None,
    };
    world.effects.iter().filter_map(request).collect()
}

fn notes(world: &mut World, notes: Option<&str>) {
    world.give(SessionInput::Notes { notes: notes.map(|notes| Private::new(notes.to_owned())) });
}

fn numbers(told: &[String], kind: &str) -> Vec<usize> {
    told.iter().filter_map(|line| line.strip_prefix(kind)?.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn notes_take_the_place_of_the_oldest_lines_and_are_brought_up_to_date() {
    let mut world = chat(Vec::new());
    for number in 0..9 {
        exchange(&mut world, number);
    }
    // 18 KiB after the ninth answer.
    let [request] = requests(&world).try_into().unwrap();
    assert_eq!(request.tier, Some(Tier::Cheap));
    let asked = words(&request.messages[1]);
    assert!(asked.contains("Caller: question 0 ") && asked.contains("Agent: answer 4 "), "{asked}");
    assert!(!asked.contains("question 5 "));
    // While they are made everything is as it was, and no others are asked for.
    let told = exchange(&mut world, 9);
    assert_eq!((numbers(&told, "question "), requests(&world).len()), ((0..=9).collect(), 1));
    notes(&mut world, Some("Ann wants Tuesday."));
    let told = exchange(&mut world, 10);
    assert!(told[1].ends_with("Ann wants Tuesday."), "{}", told[1]);
    assert_eq!((numbers(&told, "question "), numbers(&told, "answer ")), ((5..=10).collect(), (5..=9).collect()));
    for number in 11..15 {
        exchange(&mut world, number);
    }
    let second = words(&requests(&world)[1].messages[1]);
    assert!(second.starts_with("The notes so far:\nAnn wants Tuesday.") && !second.contains("question 4 "), "{second}");
    notes(&mut world, Some("Ann wants Wednesday."));
    let told = exchange(&mut world, 15);
    let first = numbers(&told, "question ")[0];
    assert!(told[1].ends_with("Ann wants Wednesday.") && first > 5);
    assert!(second.contains(&format!("question {} ", first - 1)), "no line is lost between notes and lines");
}

#[test]
fn without_notes_the_window_does() {
    let mut world = chat(Vec::new());
    for number in 0..9 {
        exchange(&mut world, number);
    }
    for (failures, number) in (1..).zip((9..30).step_by(3)) {
        notes(&mut world, None);
        assert_eq!(requests(&world).len(), failures);
        for number in number..number + 3 {
            exchange(&mut world, number);
        }
        assert_eq!(requests(&world).len(), failures + 1, "tried again after 4 KiB");
    }
    let told = exchange(&mut world, 30);
    assert_eq!(told[0], "r");
    assert_eq!(numbers(&told, "question ").last(), Some(&30));
    assert!(told.iter().map(String::len).sum::<usize>() < 33 * 1024);
    // Late, and still good.
    notes(&mut world, Some("Ann wants Tuesday."));
    assert!(exchange(&mut world, 31)[1].ends_with("Ann wants Tuesday."));
}

#[test]
fn a_conversation_that_goes_on_is_noted_from_its_beginning() {
    let line = |number: u32| LedgerEntry {
        utterance: UtteranceId(number + 1),
        epoch: Epoch(number / 2),
        speaker: if number.is_multiple_of(2) { Speaker::Caller } else { Speaker::Agent },
        at_ms: 0,
        text: "t".to_owned().into(),
        heard: format!("earlier {number} {}", "e ".repeat(500)).into(),
        heard_samples: 0,
        rate: 0,
        interrupted: false,
    };
    let mut world = chat((0..60).map(line).collect());
    let told = exchange(&mut world, 0);
    assert_eq!(numbers(&told, "earlier ").last(), Some(&59));
    for (part, last) in [24, 48].into_iter().enumerate() {
        let asked = words(&requests(&world)[part].messages[1]);
        assert!(asked.contains(&format!(": earlier {} ", last - 1)), "part {part}");
        assert!(!asked.contains(&format!(": earlier {last} ")), "part {part}");
        notes(&mut world, Some(&format!("part {part}")));
    }
    assert_eq!(requests(&world).len(), 2);
    let told = exchange(&mut world, 1);
    assert!(told[1].ends_with("part 1"));
    assert_eq!((numbers(&told, "earlier ")[0], numbers(&told, "question ")), (48, vec![0, 1]));
}

#[test]
fn notes_that_come_after_the_end_are_for_nobody() {
    let mut world = chat(Vec::new());
    for number in 0..9 {
        exchange(&mut world, number);
    }
    world.hang_up();
    assert!(world.record.is_some());
    notes(&mut world, Some("Ann wants Tuesday."));
    assert_eq!(requests(&world).len(), 1);
}
