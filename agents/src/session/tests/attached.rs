//! What is attached in a chat, in virtual time: the model sees it, the ledger says that it was there.

use std::sync::Arc;

use tandem_contract::attachment::{Attachment, Picture, PictureFormat};
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::record::Speaker;
use tandem_contract::{Epoch, Private};
use tandem_media::Time;
use tandem_models::{Message, ModelError, ModelEvent};

use super::model::{answer, questions};
use super::world::*;
use crate::brain::{Brain as _, FlowBrain, Persona, PipelineBrain};
use crate::session::input::*;

fn image(name: &str, base64: &str) -> Attachment {
    let picture = Picture { format: PictureFormat::Jpeg, base64: Private::new(base64.into()) };
    Attachment::Image { name: name.to_owned().into(), picture }
}

fn file(name: &str, text: &str) -> Attachment {
    Attachment::File { name: name.to_owned().into(), text: text.to_owned().into() }
}

fn with_a_model(door: Door) -> World {
    let mut brain = PipelineBrain::new(Persona::new(&BotConfig::default(), Modality::Text), Modality::Text);
    World::of(door, Modality::Text, BotConfig::default(), move |event, out| brain.handle(Time::ZERO, event, out))
}

/// What the caller said and showed, by message.
fn shown(world: &World) -> Vec<(String, Vec<String>)> {
    let (_, asked) = questions(world).pop().unwrap();
    let line = |message: &Message| match message {
        Message::User { text, pictures } => {
            let pictures = pictures.iter().map(|picture| picture.base64.reveal().to_string());
            Some((text.reveal().clone(), pictures.collect()))
        }
        _ => None,
    };
    asked.messages.iter().filter_map(line).collect()
}

fn lines(world: &World) -> Vec<String> {
    world.entries(Speaker::Caller).iter().map(|entry| entry.heard.reveal().clone()).collect()
}

#[test]
fn the_model_sees_what_was_attached_to_the_line_and_the_record_does_not_hold_it() {
    let mut world = with_a_model(Door::Websocket);
    world.until(100);
    world.write_with("What is", vec![image("cat.jpg", "cat0")]);
    world.until(300);
    world.write_with("this?", vec![file("notes.txt", "It purrs.")]);
    world.until(2_000);
    let line = "What is\n[image: cat.jpg]\nthis?\n[file: notes.txt]";
    assert_eq!(lines(&world), [line]);
    let told = format!("{line}\n\nThe file notes.txt says:\n\"\"\"\nIt purrs.\n\"\"\"");
    assert_eq!(shown(&world), [(told.clone(), vec!["cat0".to_owned()])]);
    answer(&mut world, Epoch(1), "A cat.");
    world.until(3_000);
    world.write_with("", vec![image("dog.jpg", "dog0")]);
    world.until(5_000);
    let dog = ("[image: dog.jpg]".to_owned(), vec!["dog0".to_owned()]);
    assert_eq!(shown(&world), [(told, vec!["cat0".to_owned()]), dog], "each with its line");
    world.hang_up();
    world.until(6_000);
    let record = serde_json::to_string(&world.record).unwrap();
    assert!(record.contains("[image: dog.jpg]") && !record.contains("dog0") && !record.contains("purrs"), "{record}");
}

#[test]
fn a_message_channel_is_answered_at_once_with_all_that_came_with_it() {
    let mut world = with_a_model(Door::Messages);
    world.until(100);
    world.write_with("These?", vec![image("a.jpg", "a"), image("b.jpg", "b")]);
    world.until(200);
    let line = "These?\n[image: a.jpg]\n[image: b.jpg]".to_owned();
    assert_eq!(shown(&world), [(line, vec!["a".to_owned(), "b".to_owned()])]);
}

fn failed(error: ModelError) -> SessionInput {
    SessionInput::Model { epoch: Epoch(1), event: ModelEvent::Failed { error } }
}

fn refused() -> ModelError {
    ModelError::Refused { vendor: "openai".into(), detail: "400".into() }
}

fn broken() -> ModelError {
    ModelError::Failed { vendor: "llama".into(), detail: "500".into() }
}

fn answers(world: &World) -> Vec<String> {
    world.entries(Speaker::Agent).iter().map(|entry| entry.heard.reveal().clone()).collect()
}

/// A question with a picture, a file and a caption. Of `manner` are the brain's answers: who speaks says a filler.
fn asked_with_a_picture(manner: Modality) -> World {
    let turn = serde_json::json!({ "turn": { "failover_filler": "One moment." } });
    let config: BotConfig = serde_json::from_value(turn).unwrap();
    let brain = PipelineBrain::new(Persona::new(&config, manner), manner);
    let mut world = World::by(Door::Messages, Modality::Text, config, Box::new(brain));
    world.until(100);
    world.write_with("Look", vec![image("a.jpg", "a"), file("b.txt", "words")]);
    world.until(200);
    assert_eq!(shown(&world)[0].1, ["a"]);
    world
}

const IN_WORDS: &str = "Look\n[image: a.jpg]\n[file: b.txt]\n\nThe picture a.jpg could not be shown to you: you do not know what is \
                        on it.\n\nThe file b.txt says:\n\"\"\"\nwords\n\"\"\"";

#[test]
fn a_model_that_does_not_see_answers_the_words_and_is_told_so() {
    let resting = ModelError::Resting { vendor: "x".into() };
    let limited = ModelError::RateLimited { vendor: "x".into(), after_ms: None };
    for error in [refused(), broken(), resting, limited] {
        let mut world = asked_with_a_picture(Modality::Text);
        world.give(SessionInput::Model { epoch: Epoch(1), event: ModelEvent::Progress });
        world.give(failed(error.clone()));
        world.until(300);
        let asked: Vec<Epoch> = questions(&world).into_iter().map(|(epoch, _)| epoch).collect();
        assert_eq!(asked, [Epoch(1), Epoch(1)], "{error:?}");
        assert_eq!(shown(&world), [(IN_WORDS.to_owned(), vec![])], "{error:?}");
        answer(&mut world, Epoch(1), "What is it?");
        world.until(1_000);
        assert_eq!(answers(&world), ["What is it?"], "{error:?}");
        world.write("And now?");
        world.until(2_000);
        assert_eq!(shown(&world), [(IN_WORDS.to_owned(), vec![]), ("And now?".to_owned(), vec![])], "nor later");
    }
}

#[test]
fn a_question_is_asked_in_words_once_and_only_where_pictures_may_be_why() {
    let mut world = asked_with_a_picture(Modality::Text);
    world.give(failed(broken()));
    world.give(failed(broken()));
    world.until(1_000);
    assert_eq!((questions(&world).len(), answers(&world).len()), (2, 1), "then the caller hears the apology");
    world.write("And now?");
    world.until(2_000);
    assert_eq!((questions(&world).len(), &shown(&world)[0].1[..]), (3, &["a".to_owned()][..]), "the words failed, too");
    let mut world = asked_with_a_picture(Modality::Text);
    world.give(failed(ModelError::Timeout { vendor: "x".into(), limit_ms: 8_000 }));
    world.until(1_000);
    assert_eq!((questions(&world).len(), answers(&world).len()), (1, 1));
    let mut world = asked_with_a_picture(Modality::Text);
    let text = ModelEvent::Text { text: "A do".to_owned().into() };
    world.give(SessionInput::Model { epoch: Epoch(1), event: text });
    world.give(failed(broken()));
    world.until(1_000);
    assert_eq!((questions(&world).len(), answers(&world).len()), (1, 1), "what was said cannot be said again");
    world.write("And now?");
    world.until(2_000);
    assert_eq!(shown(&world)[0].1, ["a"], "it was seen");
}

#[test]
fn a_model_that_has_seen_is_shown_the_pictures_again_after_a_failure() {
    let limited = ModelError::RateLimited { vendor: "x".into(), after_ms: None };
    for error in [broken(), limited] {
        let mut world = asked_with_a_picture(Modality::Text);
        answer(&mut world, Epoch(1), "A cat.");
        world.until(1_000);
        world.write_with("And this?", vec![image("c.jpg", "c")]);
        world.until(2_000);
        let pictures = |world: &World| shown(world).into_iter().flat_map(|(_, pictures)| pictures).collect::<Vec<_>>();
        assert_eq!(pictures(&world), ["a", "c"], "{error:?}");
        world.give(SessionInput::Model { epoch: Epoch(2), event: ModelEvent::Failed { error: error.clone() } });
        world.until(2_100);
        assert_eq!((questions(&world).len(), pictures(&world)), (3, vec![]), "{error:?}: in words alone");
        answer(&mut world, Epoch(2), "What is it?");
        world.until(3_000);
        assert_eq!(answers(&world), ["A cat.", "What is it?"], "{error:?}");
        world.write("Look again");
        world.until(4_000);
        assert_eq!((questions(&world).len(), pictures(&world)), (4, vec!["a".into(), "c".into()]), "{error:?}");
    }
}

#[test]
fn a_filler_said_meanwhile_is_no_part_of_the_question() {
    let mut world = asked_with_a_picture(Modality::Voice);
    world.give(SessionInput::Model { epoch: Epoch(1), event: ModelEvent::Rerouted });
    world.until(1_500);
    assert_eq!(answers(&world), ["One moment."]);
    world.give(failed(broken()));
    world.give(SessionInput::Model { epoch: Epoch(1), event: ModelEvent::Rerouted });
    world.until(3_000);
    let (_, asked) = questions(&world).pop().unwrap();
    assert_eq!(shown(&world), [(IN_WORDS.to_owned(), vec![])]);
    assert!(matches!(asked.messages.last(), Some(Message::User { .. })), "{asked:?}");
    answer(&mut world, Epoch(1), "What is it?");
    world.until(4_000);
    assert_eq!(answers(&world), ["One moment.", "What is it?"], "the filler is said once");
}

#[test]
fn a_flow_hears_the_words_and_says_that_it_has_no_eyes_where_there_are_none() {
    let flow = serde_json::json!({ "start": "ask", "states": {
        "ask": { "say": "Yes or no?", "ask": "yes_no", "on": { "yes": "end", "no": "end" } },
        "end": { "say": "Thank you.", "hang_up": true },
    } });
    let mut brain = FlowBrain::new(serde_json::from_value(flow).unwrap(), Modality::Text);
    let mut world =
        World::with(Door::Websocket, Modality::Text, move |event, out| brain.handle(Time::ZERO, event, out));
    world.until(100);
    world.write_with("", vec![image("a.jpg", "a")]);
    world.until(2_000);
    let said = |world: &World| -> Vec<String> {
        world.entries(Speaker::Agent).iter().map(|entry| entry.text.reveal().clone()).collect()
    };
    assert!(said(&world).iter().any(|said| said.contains("can't look at pictures")), "{:?}", said(&world));
    world.write_with("yes", vec![image("b.jpg", "b")]);
    world.until(5_000);
    assert!(said(&world).contains(&"Thank you.".to_owned()), "{:?}", said(&world));
    assert_eq!(lines(&world), ["[image: a.jpg]", "yes\n[image: b.jpg]"]);
}

#[test]
fn a_question_with_pictures_is_compared_without_reading_them() {
    let base64: Arc<str> = "A".repeat(1024).into();
    let picture = |base64: &Arc<str>| Picture { format: PictureFormat::Png, base64: Private::new(Arc::clone(base64)) };
    assert_eq!(picture(&base64), picture(&base64).clone());
    assert!(Arc::ptr_eq(picture(&base64).clone().base64.reveal(), &base64), "a copy shares its bytes");
    assert_eq!(picture(&base64), picture(&base64.to_string().into()), "the same bytes elsewhere");
    assert_ne!(picture(&base64), picture(&"B".repeat(1024).into()));
}
