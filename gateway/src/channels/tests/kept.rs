//! Webhooks that were acknowledged, and nodes that end before they have answered.

use std::future::pending;

use tokio::runtime::Runtime;

use super::*;

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
