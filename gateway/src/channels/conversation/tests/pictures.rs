//! Pictures that wait, are fetched, and come back.

use super::*;

#[test]
fn a_picture_is_fetched_once_and_holds_back_what_comes_later() {
    let mut world = World::new();
    world.shows("1", "What is", 0..1);
    world.shows("2", "", 1..2);
    world.shows("1", "What is", 0..1);
    world.news(SessionNews::Typing { on: false });
    assert!(world.wanted().is_empty(), "the caller may go on");
    world.pass(QUIET);
    assert_eq!(world.wanted(), [("What is".to_owned(), 2)]);
    world.shows("2", "", 1..2);
    world.writes("3", "this?");
    // The session says something of its own accord.
    world.says("One moment.");
    assert_eq!(world.sent(), ["One moment."]);
    world.pass(QUIET * 4);
    assert!(world.told().is_empty() && world.wanted().is_empty(), "one question at a time");
    let run = world.core.run;
    world.give(Input::Fetched { run: Run(run.0 - 1), text: "x".to_owned().into(), attachments: Vec::new() });
    assert!(world.told().is_empty(), "that was for another session");
    world.fetched("What is", &[image("a"), image("b")]);
    let told = Effect::Tell { run, text: "What is".to_owned().into(), attachments: vec![image("a"), image("b")] };
    assert!(world.has(&told));
    world.out.clear();
    world.fetched("What is", &[image("a")]);
    assert!(world.told().is_empty(), "it has been told");
    world.posted(Delivery::Done);
    world.says("A door.");
    world.pass(QUIET);
    assert_eq!(world.told(), ["this?"]);
}

#[test]
fn of_many_pictures_the_newest_are_fetched() {
    let mut world = World::ready();
    world.shows("2", "These", 0..3);
    world.shows("3", "", 3..6);
    world.pass(QUIET);
    let text = "hello\nThese\n[2 more attachments before the last 4: not read, too many]".to_owned();
    let run = world.core.run;
    assert!(world.has(&Effect::Fetch { run, text: text.into(), links: (2..6).map(link).collect() }));
}

#[test]
fn a_person_who_comes_while_a_picture_is_fetched_silences_what_it_would_ask() {
    let mut world = World::ready();
    world.shows("2", "Look", 0..1);
    world.pass(QUIET);
    let run = world.core.run;
    assert_eq!(world.wanted().len(), 1);
    world.give(person_writes());
    assert!(world.has(&Effect::End { run, person: true }));
    world.give(Input::Fetched { run, text: "Look".to_owned().into(), attachments: vec![image("a")] });
    world.shows("3", "And this", 1..2);
    world.pass(QUIET * 10);
    assert!(world.told().is_empty() && world.wanted().is_empty(), "a person looks at them");
}

#[test]
fn a_session_that_ends_while_a_picture_is_fetched_leaves_the_question_to_the_next() {
    for end in [SessionNews::Gone, SessionNews::HungUp] {
        let mut world = World::ready();
        world.shows("2", "Look", 0..1);
        world.pass(QUIET);
        assert_eq!(world.wanted(), [("hello\nLook".to_owned(), 1)]);
        let (old, before) = (world.core.run, vec![image("a")]);
        world.writes("3", "please");
        world.out.clear();
        world.news(end.clone());
        let run = world.core.run;
        assert!(world.has(&Effect::End { run: old, person: false }) && world.has(&Effect::Open { run }), "{end:?}");
        world.give(Input::Fetched { run: old, text: "hello\nLook".to_owned().into(), attachments: before.clone() });
        world.news(SessionNews::Typing { on: false });
        world.pass(QUIET);
        assert_eq!(world.wanted(), [("hello\nLook\nplease".to_owned(), 1)]);
        assert!(world.told().is_empty(), "one question at a time");
        world.fetched("hello\nLook\nplease", &before);
        assert_eq!(world.told(), ["hello\nLook\nplease"]);
        // Asked and answered: the next question may come back again.
        world.says("A door.");
        world.posted(Delivery::Done);
        world.shows("4", "", 1..2);
        for opened in [1, 0] {
            world.pass(QUIET);
            assert_eq!(world.wanted().len(), 1);
            world.out.clear();
            world.news(end.clone());
            let opens = world.take(|effect| matches!(effect, Effect::Open { .. }).then_some(()));
            assert_eq!(opens.len(), opened, "a bot that never waits is not opened for ever");
            world.news(SessionNews::Typing { on: false });
        }
    }
}

#[test]
fn a_second_early_end_drops_only_what_came_back_before() {
    let mut world = World::ready();
    world.shows("2", "Look", 0..1);
    world.pass(QUIET);
    world.writes("3", "please");
    for (asked, links) in [("hello\nLook", 1), ("hello\nLook\nplease\nand this", 2)] {
        assert_eq!(world.wanted(), [(asked.to_owned(), links)]);
        world.news(SessionNews::Gone);
        world.shows("4", "and this", 1..2);
        world.news(SessionNews::Typing { on: false });
        world.pass(QUIET);
    }
    assert_eq!(world.wanted(), [("please\nand this".to_owned(), 1)]);
}

#[test]
fn a_closing_node_asks_what_it_is_fetching() {
    let mut world = World::ready();
    world.shows("2", "Look", 0..1);
    world.pass(QUIET);
    world.give(Input::Closing);
    world.pass(SESSION_IDLE * 2);
    assert!(!world.has(&Effect::Forget));
    world.fetched("hello\nLook", &[image("a")]);
    assert_eq!(world.told(), ["hello\nLook"]);
    world.says("A door.");
    world.posted(Delivery::Done);
    assert!(world.has(&Effect::Forget));
}
