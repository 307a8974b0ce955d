//! Until when a message is owed an answer.

use super::*;

#[test]
fn a_message_is_owed_until_its_answer_has_left() {
    let mut world = World::ready();
    assert!(world.core.owes("1"), "it waits");
    world.pass(QUIET);
    assert!(world.core.owes("1"), "it is being answered");
    world.writes("2", "and?");
    world.says("Hello!");
    assert!(world.core.owes("1"), "the answer is leaving");
    world.posted(Delivery::Later);
    assert!(world.core.owes("1"), "it leaves once more");
    world.pass(Duration::from_secs(2));
    world.posted(Delivery::Done);
    assert!(!world.core.owes("1") && world.core.owes("2"));
    world.writes("1", "hello");
    assert!(!world.core.owes("1"), "a redelivery is owed nothing");
}

#[test]
fn a_picture_is_owed_while_it_is_fetched() {
    let mut world = World::ready();
    world.shows("2", "Look", 0..1);
    world.pass(QUIET);
    assert!(world.core.owes("1") && world.core.owes("2"));
    world.fetched("hello\nLook", &[image("a")]);
    assert!(world.core.owes("1") && world.core.owes("2"));
    world.says("A door.");
    world.posted(Delivery::Done);
    assert!(!world.core.owes("1") && !world.core.owes("2"));
}

#[test]
fn what_a_person_reads_is_owed_nothing_and_that_they_wrote_is_remembered() {
    let mut world = World::ready();
    world.pass(QUIET);
    world.writes("2", "and?");
    world.give(person_writes());
    assert!(!world.core.owes("1") && !world.core.owes("2") && world.core.is_taken());
    world.writes("3", "hello?");
    assert!(!world.core.owes("3"));
    world.give(standing(false, true, 7));
    world.give(standing(true, true, 8));
    assert!(!world.core.is_taken());
}

#[test]
fn what_nobody_will_answer_is_owed_nothing() {
    let mut world = World::ready();
    world.pass(QUIET);
    world.news(SessionNews::Gone);
    assert!(!world.core.owes("1"), "it was asked, and the session had nothing to say");
    world.writes("2", "hello?");
    world.news(SessionNews::Refused { again: false });
    assert!(!world.core.owes("2"));
}

#[test]
fn a_node_that_ends_owes_what_it_has_not_answered() {
    for fetching in [false, true] {
        let mut world = World::ready();
        if fetching {
            world.shows("1b", "", 0..1);
        }
        world.pass(QUIET);
        world.give(Input::Closing);
        world.writes("2", "and?");
        // It is given no more time.
        world.news(SessionNews::HungUp);
        assert!(world.has(&Effect::Forget));
        assert!(world.core.owes("1") && world.core.owes("2"), "{fetching}");
        world.out.clear();
        world.pass(OPEN_AGAIN);
        assert!(!world.has(&Effect::Open { run: world.core.run }));
    }
    let mut world = World::new();
    world.writes("1", "hello");
    world.give(Input::Closing);
    world.news(SessionNews::Refused { again: true });
    assert!(world.has(&Effect::Forget) && world.core.owes("1"));
}

#[test]
fn what_is_cut_off_in_the_middle_of_its_answer_stays_owed_and_half_an_answer_does_not_leave() {
    for news in [SessionNews::CutOff, SessionNews::Gone] {
        let mut world = World::ready();
        world.pass(QUIET);
        // The room may hear of the end of its session before it hears of the node's.
        if news != SessionNews::CutOff {
            world.give(Input::Closing);
        }
        world.news(SessionNews::Text { text: "It costs".to_owned().into() });
        world.news(news.clone());
        assert!(world.sent().is_empty() && world.has(&Effect::Forget), "{news:?}");
        assert!(world.core.owes("1"), "{news:?}");
    }
    let mut world = World::ready();
    world.pass(QUIET);
    world.give(Input::Closing);
    world.news(SessionNews::Text { text: "Goodbye.".to_owned().into() });
    world.news(SessionNews::HungUp);
    assert_eq!(world.sent(), ["Goodbye."], "its own end is an answer");
    world.posted(Delivery::Done);
    assert!(!world.core.owes("1"));
}

#[test]
fn what_is_cut_off_before_it_is_asked_stays_owed() {
    // While its session begins; while what came along is fetched, also for the second time.
    let mut world = World::new();
    world.writes("1", "hello");
    world.news(SessionNews::CutOff);
    assert!(world.core.owes("1") && world.has(&Effect::Forget));
    let mut world = World::ready();
    world.shows("2", "Look", 0..1);
    world.pass(QUIET);
    world.news(SessionNews::Gone);
    world.news(SessionNews::Typing { on: false });
    world.pass(QUIET);
    world.news(SessionNews::CutOff);
    assert!(world.core.owes("1") && world.core.owes("2"));
}
