//! Chats that wait for their callers, and those who find all places taken.

use tandem_contract::call::{Door, Modality};

use super::*;
use crate::answer::{self, Request};

/// A message in a conversation of its own, to the bot that talks to two at once.
async fn write(world: &mut World, id: u64, conversation: u64, text: &str) -> Vec<String> {
    let mut event = incoming(id, text);
    event["conversation"]["id"] = json!(conversation);
    let answer = world.post("/api/webhook/chatwoot?bot=small", &event).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let question = asked(&world.model.json("/chat/completions").await);
    world.channel.next(&format!("/conversations/{conversation}/messages")).await;
    question
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_places_are_answered_and_each_is_known_again() {
    let mut world = World::start(|number| says(&format!("Answer {number}.")), ok).await;
    for round in 0..3 {
        for conversation in [1, 2, 3] {
            let question =
                write(&mut world, round * 10 + conversation, conversation, &format!("{conversation} {round}")).await;
            let said: Vec<String> = (0..=round).map(|round| format!("{conversation} {round}")).collect();
            assert_eq!(question, said, "the whole conversation");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_gets_the_place_of_a_chat_that_waits() {
    let mut world = World::start(|number| says(&format!("Answer {number}.")), ok).await;
    for conversation in [1, 2] {
        write(&mut world, conversation, conversation, "hello").await;
    }
    let state = &world.node.state;
    let call = || {
        let (bot, caller) = ("small".to_owned(), "+15005550006".to_owned().into());
        answer::admit(state, Request { door: Door::Sip, modality: Modality::Voice, bot, caller })
    };
    // Until the answers have left, the chats are no idle ones.
    let calls = async {
        let mut calls = Vec::new();
        while calls.len() < 2 {
            match call() {
                Ok(call) => calls.push(call),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        calls
    };
    let calls = tokio::time::timeout(PATIENCE, calls).await.expect("both calls have a place");
    assert!(call().is_err(), "a call waits for nobody");
    drop(calls);
    assert_eq!(write(&mut world, 3, 1, "still there?").await, ["hello", "still there?"]);
}
