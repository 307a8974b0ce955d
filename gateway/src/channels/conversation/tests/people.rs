//! People who take a conversation over, and give it back.

use proptest::prelude::*;

use super::story::Story;
use super::*;

#[test]
fn a_person_silences_an_answer_that_is_being_made() {
    let mut world = World::ready();
    world.pass(QUIET);
    let run = world.core.run;
    world.give(person_writes());
    assert!(world.has(&Effect::End { run, person: true }));
    // The session was still at it: what it says now belongs to nobody.
    for news in [SessionNews::Text { text: "Hello!".to_owned().into() }, SessionNews::Typing { on: false }] {
        world.give(Input::Session { run, news });
    }
    world.writes("2", "thank you");
    world.pass(QUIET * 10);
    assert!(world.sent().is_empty());
    assert!(world.core.bench.is_empty(), "a person answers it");
}

#[test]
fn a_person_silences_an_answer_that_is_being_sent() {
    for delivery in [Delivery::Done, Delivery::Later, Delivery::Failed] {
        let mut world = World::ready();
        world.pass(QUIET);
        world.says("This is the first sentence of it. And this is the second one.");
        assert_eq!(world.sent().len(), 1);
        world.give(person_writes());
        world.posted(delivery);
        world.pass(Duration::from_secs(600));
        assert!(world.sent().is_empty(), "{delivery:?}: neither the rest nor the same again");
    }
}

#[test]
fn our_own_message_is_no_take_over() {
    let mut world = World::ready();
    world.pass(QUIET);
    world.says("Hello!");
    // The channel tells of it before it has answered us.
    world.give(Input::Written { text: "Hello!".to_owned().into(), at: None });
    world.posted(Delivery::Done);
    world.writes("2", "and?");
    world.pass(QUIET);
    assert_eq!(world.told(), ["hello", "and?"]);
}

#[test]
fn the_bot_comes_back_when_the_status_does() {
    let mut world = World::ready();
    world.give(standing(true, false, 1));
    world.give(Input::Written { text: "I take over.".to_owned().into(), at: Some(5) });
    world.give(standing(true, false, 6));
    assert!(world.core.hold.by_person(), "the status has not moved");
    world.give(standing(true, true, 4));
    assert!(world.core.hold.by_person(), "that was before the person came");
    world.give(standing(false, true, 7));
    world.give(standing(true, true, 8));
    world.give(standing(false, true, 7));
    assert!(!world.core.hold.by_person(), "the last one came late");
    world.out.clear();
    world.writes("9", "hello again");
    world.news(SessionNews::Typing { on: false });
    world.pass(QUIET);
    assert_eq!(world.told(), ["hello again"]);
}

#[test]
fn an_assignment_silences_and_its_end_does_not() {
    let mut world = World::ready();
    let assigned =
        |assigned, at| Input::Standing { standing: Standing { bot: true, assigned, changed: false, at: Some(at) } };
    world.give(assigned(true, 1));
    assert!(world.core.hold.by_person());
    world.give(assigned(false, 2));
    assert!(!world.core.hold.by_person());
}

#[test]
fn a_transfer_leaves_behind_the_last_words_and_ends_the_session() {
    let mut world = World::ready();
    world.pass(QUIET);
    world.news(SessionNews::Text { text: "I'll get somebody.".to_owned().into() });
    world.news(SessionNews::Transfer);
    assert_eq!(world.sent(), ["I'll get somebody."]);
    assert!(!world.has(&Effect::Post { post: Post::HandOver }), "one at a time");
    world.posted(Delivery::Done);
    assert!(world.has(&Effect::Post { post: Post::HandOver }));
    let run = world.core.run;
    world.posted(Delivery::Done);
    assert!(world.has(&Effect::Transferred { run, done: true }));
    // News from before the hand-over come after it.
    world.give(standing(true, false, 1));
    world.writes("2", "hurry");
    world.pass(QUIET * 4);
    assert_eq!(world.told(), ["hello"], "a person has it");
}

#[test]
fn a_transfer_that_the_channel_cannot_take_for_long_goes_back_to_the_bot() {
    let mut world = World::ready();
    world.pass(QUIET);
    let run = world.core.run;
    world.news(SessionNews::Transfer);
    let asked = world.now;
    while !world.has(&Effect::Transferred { run, done: false }) {
        world.posted(Delivery::Later);
        world.pass(Duration::from_secs(16));
    }
    assert!(world.now < asked + Duration::from_secs(120), "its session waits for it");
}

#[test]
fn a_transfer_that_fails_goes_back_to_the_bot() {
    let mut world = World::ready();
    world.pass(QUIET);
    let run = world.core.run;
    world.news(SessionNews::Transfer);
    world.posted(Delivery::Failed);
    assert!(world.has(&Effect::Transferred { run, done: false }));
    world.says("Nobody is there.");
    assert_eq!(world.sent(), ["Nobody is there."]);
}

/// Chatwoot's jobs run beside each other: what a person's first reply changes in the conversation may be told before the reply.
#[test]
fn a_person_whose_message_comes_after_newer_news_has_the_conversation() {
    let mut world = World::ready();
    world.pass(QUIET);
    world.give(standing(true, false, 2));
    let run = world.core.run;
    world.give(standing(true, false, 1));
    world.give(Input::Written { text: "I take over.".to_owned().into(), at: Some(1) });
    assert!(world.has(&Effect::End { run, person: true }));
    world.says("Over the person.");
    world.writes("2", "thank you");
    world.pass(QUIET * 10);
    assert!(world.sent().is_empty(), "a person answers it");
}

#[test]
fn a_person_who_wrote_before_the_bot_came_back_has_left() {
    let mut world = World::ready();
    world.give(standing(false, true, 2));
    world.give(standing(true, true, 3));
    world.give(standing(true, false, 1));
    world.give(Input::Written { text: "I take over.".to_owned().into(), at: Some(1) });
    world.writes("2", "hello again");
    world.news(SessionNews::Typing { on: false });
    world.pass(QUIET);
    assert_eq!(world.told(), ["hello again"]);
}

proptest! {
    /// However the news overtake each other, at any moment the conversation is whose it is by what has come so far.
    #[test]
    fn who_has_the_conversation_does_not_depend_on_the_order_of_news(
        happens in prop::collection::vec(0..5_u8, 1..32), picks in prop::collection::vec(any::<prop::sample::Index>(), 32),
    ) {
        let (mut story, mut hold) = (Story::new(), Hold::default());
        for happening in &happens {
            match happening {
                0 => story.status_changes(),
                1 => story.assignment_changes(),
                2 => story.something_changes(),
                _ => story.person_writes(),
            }
        }
        for pick in &picks[..happens.len()] {
            for input in story.comes(pick.index(story.under_way())) {
                match input {
                    Input::Standing { standing } => _ = hold.stands(standing),
                    Input::Written { at, .. } => _ = hold.taken(at),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert_eq!(hold.by_person(), story.by_person());
        }
    }
}
