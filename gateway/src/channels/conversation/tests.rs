//! Conversations in virtual time, the races among them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tandem_agents::turn::GATHER_MAX;
use tandem_contract::attachment::{Picture, PictureFormat};

use super::bench::QUIET;
use super::*;
use crate::channels::attached::Kind;

const LIMIT: Limit = Limit::utf16(40);
const SOON: Duration = Duration::from_millis(300);

/// A conversation, its clock, and all that came of it.
struct World {
    now: Time,
    core: Conversation,
    out: Vec<Effect>,
}

impl World {
    fn new() -> Self {
        Self { now: Time::ZERO, core: Conversation::new(Time::ZERO, LIMIT), out: Vec::new() }
    }

    /// A session that has greeted nobody and listens.
    fn ready() -> Self {
        let mut world = Self::new();
        world.writes("1", "hello");
        world.news(SessionNews::Typing { on: false });
        world
    }

    fn give(&mut self, input: Input) {
        // The core is serialised between any two inputs: a conversation may be handed over.
        let stored = serde_json::to_string(&self.core).unwrap();
        self.core = serde_json::from_str(&stored).unwrap();
        self.core.handle(self.now, input, &mut self.out);
    }

    fn writes(&mut self, id: &str, text: &str) {
        self.give(Input::Message { message: inbound(id, None, text) });
    }

    fn shows(&mut self, id: &str, text: &str, links: std::ops::Range<usize>) {
        let message = Inbound { links: links.map(link).collect(), ..inbound(id, None, text) };
        self.give(Input::Message { message });
    }

    /// The words and how many links are to be fetched.
    fn wanted(&mut self) -> Vec<(String, usize)> {
        self.take(|effect| match effect {
            Effect::Fetch { text, links, .. } => Some((text.reveal().clone(), links.len())),
            _ => None,
        })
    }

    fn fetched(&mut self, text: &str, attachments: &[Attachment]) {
        let (run, text, attachments) = (self.core.run, text.to_owned().into(), attachments.to_vec());
        self.give(Input::Fetched { run, text, attachments });
    }

    fn news(&mut self, news: SessionNews) {
        let run = self.core.run;
        self.give(Input::Session { run, news });
    }

    fn says(&mut self, text: &str) {
        self.news(SessionNews::Text { text: text.to_owned().into() });
        self.news(SessionNews::Typing { on: false });
    }

    fn posted(&mut self, delivery: Delivery) {
        self.give(Input::Posted { delivery });
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.core.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now, &mut self.out);
        }
        self.now = end;
    }

    fn told(&mut self) -> Vec<String> {
        self.take(|effect| match effect {
            Effect::Tell { text, .. } => Some(text.reveal().clone()),
            _ => None,
        })
    }

    fn sent(&mut self) -> Vec<String> {
        self.take(|effect| match effect {
            Effect::Post { post: Post::Text { text } } => Some(text.reveal().clone()),
            _ => None,
        })
    }

    fn take<T>(&mut self, wanted: impl Fn(&Effect) -> Option<T>) -> Vec<T> {
        let found = self.out.iter().filter_map(&wanted).collect();
        self.out.retain(|effect| wanted(effect).is_none());
        found
    }

    fn has(&self, effect: &Effect) -> bool {
        self.out.contains(effect)
    }
}

fn inbound(id: &str, order: Option<u64>, text: &str) -> Inbound {
    Inbound { id: id.to_owned(), order, text: text.to_owned().into(), links: Vec::new() }
}

fn link(number: usize) -> Link {
    Link { kind: Kind::Image, media_type: None, url: format!("https://files.example/{number}").into() }
}

fn image(name: &str) -> Attachment {
    let picture = Picture { format: PictureFormat::Png, base64: Private::new("AAAA".into()) };
    Attachment::Image { name: name.to_owned().into(), picture }
}

fn standing(bot: bool, changed: bool, at: u64) -> Input {
    Input::Standing { standing: Standing { bot, assigned: false, changed, at: Some(at) } }
}

fn person_writes() -> Input {
    Input::Written { text: "I take over.".to_owned().into(), at: None }
}

#[test]
fn messages_in_quick_succession_are_one_question() {
    let mut world = World::new();
    world.writes("1", "I want to know about Botox");
    world.news(SessionNews::Typing { on: false });
    world.pass(SOON);
    world.writes("2", "for my forehead");
    world.pass(QUIET - SOON);
    assert!(world.told().is_empty(), "the caller may go on");
    world.writes("3", "?");
    world.pass(QUIET);
    assert_eq!(world.told(), ["I want to know about Botox\nfor my forehead\n?"]);
}

#[test]
fn who_writes_on_and_on_is_answered_meanwhile() {
    let mut world = World::ready();
    let mut number = 10;
    while world.told().is_empty() {
        assert!(world.now < Time::ZERO + GATHER_MAX + SOON, "nobody answers");
        world.writes(&number.to_string(), "and");
        number += 1;
        world.pass(SOON);
    }
}

#[test]
fn what_comes_during_an_answer_waits_and_is_answered_after_it() {
    let mut world = World::ready();
    world.pass(QUIET);
    assert_eq!(world.told(), ["hello"]);
    world.writes("2", "?");
    world.pass(QUIET * 4);
    world.writes("3", "are you there");
    assert!(world.told().is_empty(), "one question at a time");
    world.says("Hello!");
    assert_eq!(world.sent(), ["Hello!"]);
    world.pass(QUIET);
    assert_eq!(world.told(), ["?\nare you there"]);
}

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

#[test]
fn a_redelivery_is_not_answered_again_and_late_ones_find_their_place() {
    let mut world = World::new();
    world.give(Input::Message { message: inbound("b", Some(2), "second") });
    world.give(Input::Message { message: inbound("a", Some(1), "first") });
    world.give(Input::Message { message: inbound("b", Some(2), "second") });
    world.news(SessionNews::Typing { on: false });
    world.pass(QUIET);
    assert_eq!(world.told(), ["first\nsecond"]);
    world.says("Yes.");
    world.give(Input::Message { message: inbound("a", Some(1), "first") });
    world.pass(QUIET * 10);
    assert!(world.told().is_empty());
}

#[test]
fn a_long_answer_leaves_part_by_part() {
    let mut world = World::ready();
    world.pass(QUIET);
    world.says("This is the first sentence of it. And this is the second one.");
    assert_eq!(world.sent(), ["This is the first sentence of it."]);
    assert!(world.sent().is_empty(), "one at a time");
    world.posted(Delivery::Done);
    assert_eq!(world.sent(), ["And this is the second one."]);
    world.posted(Delivery::Done);
    assert!(world.sent().is_empty());
}

#[test]
fn a_channel_that_is_down_gets_the_same_part_again() {
    let mut world = World::ready();
    world.pass(QUIET);
    world.says("Hello!");
    for _ in 0..4 {
        assert_eq!(world.sent(), ["Hello!"]);
        world.posted(Delivery::Later);
        world.pass(Duration::from_secs(16));
    }
    assert_eq!(world.sent(), ["Hello!"]);
    world.posted(Delivery::Later);
    world.pass(Duration::from_secs(600));
    assert!(world.sent().is_empty(), "it is given up");
}

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

#[test]
fn a_full_node_is_asked_again_until_the_caller_has_waited_enough() {
    let mut world = World::new();
    world.writes("1", "hello");
    for _ in 0..3 {
        world.news(SessionNews::Refused { again: true });
        world.pass(OPEN_AGAIN);
    }
    assert_eq!(world.take(|effect| matches!(effect, Effect::Open { .. }).then_some(())).len(), 4);
    world.news(SessionNews::Refused { again: false });
    world.pass(OPEN_AGAIN * 10);
    assert!(world.take(|effect| matches!(effect, Effect::Open { .. }).then_some(())).is_empty());
}

#[test]
fn a_session_that_ends_before_it_listens_is_not_opened_for_ever() {
    let mut world = World::new();
    world.writes("1", "hello");
    world.news(SessionNews::Text { text: "We are closed.".to_owned().into() });
    world.news(SessionNews::HungUp);
    assert_eq!(world.sent(), ["We are closed."]);
    world.posted(Delivery::Done);
    world.pass(QUIET * 10);
    assert_eq!(world.take(|effect| matches!(effect, Effect::Open { .. }).then_some(())).len(), 1);
}

#[test]
fn an_idle_session_ends_and_an_old_conversation_is_forgotten() {
    let mut world = World::ready();
    world.pass(QUIET);
    world.says("Hello!");
    world.posted(Delivery::Done);
    let run = world.core.run;
    world.pass(SESSION_IDLE);
    assert!(world.has(&Effect::End { run, person: false }));
    assert!(!world.has(&Effect::Forget));
    world.pass(FORGET_AFTER);
    assert!(world.has(&Effect::Forget));
}

#[test]
fn a_closing_node_answers_what_was_asked() {
    let mut world = World::ready();
    world.give(Input::Closing);
    world.pass(QUIET);
    assert_eq!(world.told(), ["hello"]);
    world.says("Hello!");
    assert!(!world.has(&Effect::Forget), "the answer is on its way");
    world.posted(Delivery::Done);
    assert!(world.has(&Effect::Forget));
}

/// The numbers in what waits, message by message, and in what is being fetched.
fn kept(core: &Conversation) -> (Vec<Vec<u32>>, Vec<u32>) {
    let core = serde_json::to_value(core).unwrap();
    let of = |piece: &serde_json::Value| numbers(piece["message"]["text"].as_str().unwrap());
    let asking = core["fetching"]["messages"].as_array().into_iter().flatten();
    (core["bench"]["waiting"].as_array().unwrap().iter().map(of).collect(), asking.flat_map(of).collect())
}

fn numbers(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// What may happen, in any order. More often than the rest: pictures, and sessions that listen, for the time that it takes to be
/// asked.
fn event() -> impl Strategy<Value = u8> {
    prop_oneof![8 => 0..16_u8, 2 => Just(14), 2 => Just(5), 5 => Just(13)]
}

proptest! {
    /// Whatever comes in whatever order, with pictures or without: one question at a time, each message answered at most once and in order, one post at a
    /// time, and silence while a person has the conversation. No message is lost but what a person reads, what is too much, and what sessions that end
    /// before they are asked leave behind: all of one that only greets, and what has come back from an earlier one.
    #[test]
    fn nothing_is_said_twice_or_over_a_person(events in prop::collection::vec(event(), 1..120)) {
        let mut world = World::new();
        let (mut written, mut at, mut told, mut leaving) = (0_u32, 0_u64, Vec::new(), false);
        let (mut fetching, mut owed, mut returned) = (None, BTreeSet::new(), BTreeSet::new());
        for event in events {
            at += 1;
            let (waiting, asking) = kept(&world.core);
            let opening = world.core.talk == Talk::Opening;
            match event {
                0..=2 => {
                    written += 1;
                    world.writes(&written.to_string(), &written.to_string());
                }
                3 => world.writes(&written.to_string(), &written.to_string()),
                4 => world.news(SessionNews::Text { text: "A first sentence comes here. A second sentence too.".to_owned().into() }),
                5 | 6 => world.news(SessionNews::Typing { on: false }),
                7 => world.give(person_writes()),
                8 => world.give(standing(true, true, at)),
                9 => world.give(standing(false, true, at)),
                10 => world.news(SessionNews::Transfer),
                11 => world.news(SessionNews::Gone),
                14 => {
                    written += 1;
                    world.shows(&written.to_string(), &written.to_string(), 0..1);
                }
                15 => if let Some((run, text)) = fetching.take() {
                    world.give(Input::Fetched { run, text, attachments: vec![image("a")] });
                }
                12 if leaving => { leaving = false; world.posted(Delivery::Done); }
                _ => world.pass(SOON * 2),
            }
            let person = world.core.hold.by_person();
            match event {
                0..=2 | 14 if waiting.len() < 32 => _ = owed.insert(written),
                11 if opening => owed.clear(),
                // What comes back for the second time.
                11 => for number in asking.into_iter().filter(|number| !returned.insert(*number)) {
                    owed.remove(&number);
                }
                _ => {}
            }
            if person {
                owed.clear();
            }
            for effect in std::mem::take(&mut world.out) {
                match effect {
                    Effect::Fetch { run, text, .. } => {
                        prop_assert!(!person, "fetched over a person");
                        fetching = Some((run, text));
                    }
                    // The room drops what it fetches.
                    Effect::End { .. } => fetching = None,
                    Effect::Tell { text, .. } => {
                        prop_assert!(!person, "asked over a person");
                        prop_assert!(fetching.is_none(), "told before what was attached had come");
                        // Beside the words it may say that too much was attached.
                        let numbers: Vec<u32> = numbers(text.reveal());
                        owed.retain(|number| !numbers.contains(number));
                        told.extend(numbers);
                    }
                    Effect::Post { .. } => {
                        prop_assert!(!leaving && !person, "sent over a person, or two at once");
                        leaving = true;
                    }
                    _ => {}
                }
            }
            let (waiting, asking) = kept(&world.core);
            let kept: BTreeSet<u32> = waiting.iter().flatten().chain(&asking).copied().collect();
            prop_assert!(owed.is_subset(&kept), "{owed:?} are owed, {kept:?} are there");
        }
        prop_assert!(told.windows(2).all(|two| two[0] < two[1]), "{told:?}");
    }
}
