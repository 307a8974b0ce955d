//! Webhooks that were acknowledged, and nodes that end before they have answered.

use std::future::pending;

use tandem_contract::call::Door;
use tokio::runtime::Runtime;

use super::*;
use crate::channels::conversation::{Inbound, Input};
use crate::channels::desk::{Delivered, Key};
use crate::channels::spool::Kept;
use crate::channels::{Channel, Place};

/// A node that is gone at once, in the middle of whatever it did: what of it the next one finds.
fn killed(life: Runtime, world: World) -> (TempDir, Peer, Peer) {
    let World { node, model, channel, folder, .. } = world;
    life.shutdown_timeout(PATIENCE);
    drop(node);
    (folder, model, channel)
}

fn left(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path().join("data/channels")).unwrap().count()
}

#[test]
fn a_killed_node_answers_after_its_next_start_what_it_had_taken_and_once() {
    let life = Runtime::new().unwrap();
    let dead = |number| if number < 2 { Script::Silence } else { says(&format!("Answer {number}.")) };
    let mut world = life.block_on(World::start(dead, ok));
    life.block_on(async {
        assert_eq!(world.chatwoot(&incoming(100, "Hello")).await, StatusCode::ACCEPTED);
        world.model.next("/chat/completions").await;
        assert_eq!(world.chatwoot(&incoming(101, "Are you there?")).await, StatusCode::ACCEPTED);
        assert_eq!(world.sms("SM1", "By SMS").await, StatusCode::OK);
        world.model.next("/chat/completions").await;
    });
    let (folder, model, channel) = killed(life, world);

    let life = Runtime::new().unwrap();
    life.block_on(async {
        let mut world = World::on(folder, model, channel).await;
        let mut questions = Vec::new();
        for _ in 0..2 {
            questions.extend(asked(&world.model.json("/chat/completions").await));
        }
        questions.sort_unstable();
        assert_eq!(questions, ["By SMS", "Hello\nAre you there?"]);
        world.channel.json("/conversations/123/messages").await;
        // Chatwoot says it again, and the caller goes on.
        assert_eq!(world.chatwoot(&incoming(100, "Hello")).await, StatusCode::ACCEPTED);
        assert_eq!(world.chatwoot(&incoming(102, "Thanks")).await, StatusCode::ACCEPTED);
        let question = asked(&world.model.json("/chat/completions").await);
        assert_eq!(question, ["Hello\nAre you there?", "Thanks"]);
        world.channel.json("/conversations/123/messages").await;
        let World { node, folder, .. } = world;
        node.drain(pending()).await;
        assert_eq!(left(&folder), 0, "all is dealt with");
    });
}

#[test]
fn a_killed_node_knows_after_its_next_start_that_a_person_has_taken_over() {
    let life = Runtime::new().unwrap();
    let mut world = life.block_on(World::start(|number| says(&format!("Answer {number}.")), ok));
    life.block_on(async {
        world.chatwoot(&incoming(100, "Hello")).await;
        world.model.next("/chat/completions").await;
        world.channel.next("/conversations/123/messages").await;
        assert_eq!(world.chatwoot(&by_person(101, "I take this.", 2.0)).await, StatusCode::ACCEPTED);
        assert!(world.node.state.registry.idle_within(PATIENCE).await, "the session ends");
    });
    let (folder, model, channel) = killed(life, world);

    let life = Runtime::new().unwrap();
    life.block_on(async {
        let mut world = World::on(folder, model, channel).await;
        let in_person = |id, text, at: f64| {
            let mut event = incoming(id, text);
            event["conversation"]["updated_at"] = json!(at);
            event
        };
        world.chatwoot(&in_person(102, "thanks", 2.0)).await;
        world.chatwoot(&status_changed("resolved", 3.0)).await;
        world.chatwoot(&status_changed("open", 4.0)).await;
        world.chatwoot(&in_person(103, "one more thing", 5.0)).await;
        assert_eq!(asked(&world.model.json("/chat/completions").await), ["one more thing"]);
        let record = world.node.state.calls.list(None, 1).await.unwrap().pop().unwrap();
        assert_eq!(record.caller.reveal(), "456", "not the person at work");
        world.channel.json("/conversations/123/messages").await;
        let World { node, folder, .. } = world;
        node.drain(pending()).await;
        assert_eq!(left(&folder), 0, "the person has left");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_a_node_ends_is_answered_by_the_next_one() {
    let (held, free) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let hold = (Arc::clone(&held), Arc::clone(&free));
    let answer = move |number| {
        if number == 0 {
            hold.0.wait();
            hold.1.wait();
        }
        says(&format!("Answer {number}."))
    };
    let world = World::start(answer, ok).await;
    world.chatwoot(&incoming(100, "Hello")).await;
    tokio::task::spawn_blocking(move || held.wait()).await.unwrap();
    let ends = world.node.state.clone();
    let World { node, model, mut channel, folder, client } = world;
    let mut later = incoming(101, "And I?");
    later["conversation"]["id"] = json!(124);
    let writes = async {
        let taken = post(&client, ends.settings.http.addr, "/api/webhook/chatwoot", &later).await.status();
        drop(ends);
        tokio::task::spawn_blocking(move || free.wait()).await.unwrap();
        taken
    };
    // The drain has begun before anything is written.
    let ((), taken) = tokio::join!(biased; node.drain(pending()), writes);
    assert_eq!(taken, StatusCode::ACCEPTED);
    assert_eq!(channel.json("/conversations/123/messages").await["content"], "Answer 0.");
    assert_eq!(left(&folder), 1);

    let mut world = World::on(folder, model, channel).await;
    assert_eq!(world.channel.json("/conversations/124/messages").await["content"], "Answer 1.");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_takes_while_its_answer_waits_for_the_next_start_is_theirs() {
    let world = World::start(|number| says(&format!("Answer {number}.")), ok).await;
    world.node.state.chats.channels.close();
    let of = |number: u64, mut event: Value| {
        let conversation =
            if event["conversation"].is_object() { &mut event["conversation"]["id"] } else { &mut event["id"] };
        *conversation = json!(number);
        event
    };
    for event in
        [of(123, incoming(100, "Hello")), of(124, incoming(101, "Hello")), of(123, status_changed("pending", 2.0))]
    {
        assert_eq!(world.chatwoot(&event).await, StatusCode::ACCEPTED);
    }
    let World { node, model, channel, folder, .. } = world;
    node.drain(pending()).await;
    assert_eq!(left(&folder), 3);

    let mut world = World::on(folder, model, channel).await;
    world.channel.json("/conversations/124/messages").await;
    let World { node, folder, mut channel, mut model, .. } = world;
    node.drain(pending()).await;
    assert_eq!(left(&folder), 0);
    model.asked.close();
    let mut questions = 0;
    while model.asked.recv().await.is_some() {
        questions += 1;
    }
    assert_eq!(questions, 1, "the person's is not asked");
    channel.asked.close();
    while let Some(asked) = channel.asked.recv().await {
        assert!(!asked.path.contains("/123/messages"), "{}", asked.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_disk_kept_in_another_order_are_asked_as_they_came() {
    let mut world = World::start(|number| says(&format!("Answer {number}.")), ok).await;
    let (state, mut taken) = (world.node.state.clone(), Vec::new());
    let channels = &state.chats.channels;
    let key = || {
        let place = Place { account: "+1415".to_owned().into(), conversation: "+15005550006".to_owned().into() };
        Key { door: Door::Messages, place, bot: "clinic".to_owned() }
    };
    for text in ["first", "second"] {
        let message = Inbound { id: text.to_owned(), order: None, text: text.to_owned().into(), links: Vec::new() };
        let caller = || "+15005550006".to_owned().into();
        let kept = Kept { key: key(), caller: caller(), inputs: vec![Input::Message { message }] };
        let ticket = channels.spool.keep(&kept).await.unwrap();
        taken.push(Delivered { ticket, caller: caller(), inputs: kept.inputs });
    }
    for news in taken.into_iter().rev() {
        let channel = channels.messages.clone().unwrap() as Arc<dyn Channel>;
        channels.deliver(&state, channel, key(), vec![news]).unwrap();
    }
    assert_eq!(asked(&world.model.json("/chat/completions").await), ["first\nsecond"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_cannot_be_kept_is_refused_in_a_way_that_is_sent_again() {
    let world = World::start(|_| says("Hello!"), ok).await;
    let folder = world.folder.path().join("data/channels");
    std::fs::remove_dir(&folder).unwrap();
    assert_eq!(world.chatwoot(&incoming(100, "Hello")).await, StatusCode::INTERNAL_SERVER_ERROR);
    std::fs::create_dir(&folder).unwrap();
    world.node.state.chats.channels.spool.fill();
    assert_eq!(world.chatwoot(&incoming(100, "Hello")).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.node.state.registry.active(), 0, "nothing is done half");
}
