//! Conversations in virtual time, the races among them.

mod people;
mod pictures;
mod property;
mod story;
mod unanswered;

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
    let mut tries = 0;
    while world.sent() == ["Hello!"] {
        assert!(world.core.owes("1"), "the next start would answer it");
        tries += 1;
        world.posted(Delivery::Later);
        let has_session = matches!(world.core.talk, Talk::Ready { .. });
        assert_eq!(world.core.waits_for_caller(), has_session, "it keeps nobody out meanwhile");
        world.pass(Duration::from_secs(64));
    }
    assert!(world.now > Time::ZERO + TEXT_FOR, "{tries} tries");
    assert!((50..70).contains(&tries), "{tries}");
    assert!(!world.core.owes("1"), "it is given up");
}

#[test]
fn what_is_said_while_a_channel_is_down_leaves_in_order_when_it_is_back() {
    let mut world = World::ready();
    world.pass(QUIET);
    world.says("Hello!");
    world.sent();
    world.posted(Delivery::Later);
    world.writes("2", "and?");
    for _ in 0..20 {
        world.pass(Duration::from_secs(64));
        if world.told().contains(&"and?".to_owned()) {
            world.says("That is all.");
        }
        assert_eq!(world.sent(), ["Hello!"]);
        world.posted(Delivery::Later);
    }
    world.pass(Duration::from_secs(64));
    assert_eq!(world.sent(), ["Hello!"]);
    world.posted(Delivery::Done);
    assert!(world.core.owes("2"));
    assert_eq!(world.sent(), ["That is all."]);
    world.posted(Delivery::Done);
    assert!(!world.core.owes("1") && !world.core.owes("2"));
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
    assert!(world.sent().is_empty(), "there is no such bot: to come again would not help");
}

#[test]
fn who_gets_no_session_is_told_to_come_again() {
    let mut world = World::new();
    world.writes("1", "hello");
    for _ in 0..OPEN_TRIES {
        assert!(world.sent().is_empty());
        world.news(SessionNews::Refused { again: true });
        world.pass(OPEN_AGAIN);
    }
    assert_eq!(world.sent(), [ALL_BUSY]);
    world.posted(Delivery::Done);
    world.out.clear();
    world.writes("2", "and now?");
    assert_eq!(world.take(|effect| matches!(effect, Effect::Open { .. }).then_some(())).len(), 1);
}

#[test]
fn a_session_whose_place_is_gone_ends_once_it_has_answered() {
    for asked in [false, true] {
        let mut world = World::ready();
        world.pass(QUIET);
        if !asked {
            world.says("Hello!");
            assert!(!world.core.waits_for_caller(), "the answer is on its way");
            world.posted(Delivery::Done);
            assert!(world.core.waits_for_caller());
        }
        let run = world.core.run;
        world.news(SessionNews::Displaced);
        assert_eq!(world.has(&Effect::End { run, person: false }), !asked);
        if asked {
            // Its caller was quicker than the news of it.
            world.says("Hello!");
            assert_eq!(world.sent(), ["Hello!"]);
            assert!(world.has(&Effect::End { run, person: false }));
            world.posted(Delivery::Done);
        }
        world.out.clear();
        world.writes("2", "and?");
        let run = world.core.run;
        assert!(world.has(&Effect::Open { run }));
        world.news(SessionNews::Typing { on: false });
        world.pass(QUIET);
        assert_eq!(world.told(), ["and?"]);
        world.says("That is all.");
        assert!(!world.has(&Effect::End { run, person: false }), "this one has a place of its own");
    }
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
