//! Whole conversations with the bundled bots, in virtual time: events in, effects out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that stumbles fails")]

use serde_json::{Value, json};
use tandem_agents::brain::{Abilities, Brain, BrainEffect, BrainEvent, ToolFailure, from_config};
use tandem_contract::Epoch;
use tandem_contract::bot::{BotConfig, strip_comments};
use tandem_contract::call::Modality;
use tandem_media::Time;
use tandem_speech::Grammar;

const DEMO: &str = include_str!("../../gateway/bots/demo.json");
const ECHO: &str = include_str!("../../gateway/bots/echo.json");

/// The other end of a brain.
struct Caller {
    brain: Box<dyn Brain>,
    now: Time,
    epoch: Epoch,
    last: Vec<BrainEffect>,
}

impl Caller {
    fn new(bot: &str, modality: Modality) -> Self {
        let mut value: Value = serde_json::from_str(bot).unwrap();
        strip_comments(&mut value);
        let config: BotConfig = serde_json::from_value(value).unwrap();
        let brain = from_config(&config, modality, Abilities { people: true, ..Abilities::default() }).unwrap();
        let mut caller = Self { brain, now: Time::ZERO, epoch: Epoch(0), last: Vec::new() };
        caller.give(BrainEvent::Started);
        caller
    }

    fn give(&mut self, event: BrainEvent) -> String {
        self.now += std::time::Duration::from_secs(2);
        self.last.clear();
        self.brain.handle(self.now, event, &mut self.last);
        let said = self.last.iter().filter_map(|effect| match effect {
            BrainEffect::Say { text, epoch, .. } => {
                assert_eq!(*epoch, self.epoch);
                Some(text.as_str())
            }
            _ => None,
        });
        said.collect::<Vec<_>>().join(" ")
    }

    fn turn(&mut self, event: impl FnOnce(Epoch) -> BrainEvent) -> String {
        self.epoch = self.epoch.next();
        let event = event(self.epoch);
        self.give(event)
    }

    fn says(&mut self, text: &str) -> String {
        self.turn(|epoch| BrainEvent::Said { epoch, text: text.to_owned().into() })
    }

    fn presses(&mut self, digits: &str) -> String {
        self.turn(|epoch| BrainEvent::Digits { epoch, digits: digits.to_owned().into() })
    }

    fn is_silent(&mut self) -> String {
        self.turn(|epoch| BrainEvent::Silent { epoch })
    }

    fn tool(&self) -> (u32, &str, &Value) {
        let mut calls = self.last.iter().filter_map(|effect| match effect {
            BrainEffect::CallTool { call, tool, arguments, .. } => Some((*call, tool.as_str(), arguments)),
            _ => None,
        });
        calls.next_back().expect("a tool is called")
    }

    fn tool_answers(&mut self, result: Result<Value, &str>) -> String {
        let result = result.map_err(|code| ToolFailure {
            code: code.to_owned(),
            detail: String::new(),
            failed: code == "failed",
        });
        let (call, ..) = self.tool();
        self.give(BrainEvent::ToolDone { epoch: self.epoch, call, result })
    }

    #[track_caller]
    fn is_in(&self, state: &str) {
        let mut entered = self.last.iter().filter_map(|effect| match effect {
            BrainEffect::EnteredState { state } => Some(state.as_str()),
            _ => None,
        });
        assert_eq!(entered.next_back(), Some(state), "{:#?}", self.last);
    }

    fn hung_up(&self) -> bool {
        self.last.contains(&BrainEffect::HangUp)
    }

    fn grammar(&self) -> Grammar {
        let mut listens = self.last.iter().filter_map(|effect| match effect {
            BrainEffect::Listen(listen) => listen.grammar.clone(),
            _ => None,
        });
        listens.next_back().expect("it listens")
    }
}

fn booked(time: &str) -> Value {
    json!({ "reference": "4071", "day": "Tuesday", "date": "2026-11-24", "time": time })
}

#[test]
fn a_caller_books_by_voice() {
    let mut caller = Caller::new(DEMO, Modality::Voice);
    caller.is_in("menu");
    let Grammar::Phrases { phrases } = caller.grammar() else { panic!("a menu is phrases") };
    assert!(phrases.contains(&"book an appointment".to_owned()) && phrases.contains(&"operator".to_owned()));
    assert!(caller.says("book an appointment").contains("Which day"));
    assert!(caller.says("tuesday").starts_with("On Tuesday we see patients"));
    assert_eq!(caller.says("nine thirty"), "Tuesday at nine thirty. Shall I book that for you?");
    assert_eq!(caller.says("yes please"), "One moment.");
    assert_eq!(caller.tool(), (1, "book_appointment", &json!({ "day": "tuesday", "time": "09:30" })));
    let said = caller.tool_answers(Ok(booked("09:30")));
    assert!(said.contains("You are booked for Tuesday, November twenty fourth, at nine thirty."), "{said}");
    assert!(said.contains("Your code is four, zero, seven, one."), "{said}");
    assert!(caller.says("no thank you").contains("Goodbye"));
    assert!(caller.hung_up());
}

#[test]
fn a_caller_books_by_keys() {
    let mut caller = Caller::new(DEMO, Modality::Voice);
    for (key, state) in [("2", "day"), ("5", "time"), ("4", "sure"), ("1", "book")] {
        caller.presses(key);
        caller.is_in(state);
    }
    assert_eq!(caller.tool().2, &json!({ "day": "friday", "time": "11:00" }));
}

#[test]
fn a_taken_time_leads_to_the_nearest_free_one() {
    let mut caller = Caller::new(DEMO, Modality::Voice);
    for word in ["book", "tuesday", "nine", "yes"] {
        caller.says(word);
    }
    assert!(caller.tool_answers(Err("slot_taken")).contains("just gone"));
    assert_eq!(caller.tool().1, "check_availability");
    let said = caller.tool_answers(Ok(json!({ "nearest": "10:30" })));
    assert_eq!(said, "The nearest free time on Tuesday is ten thirty a m. Would you like that one?");
    caller.says("yes");
    assert_eq!(caller.tool(), (3, "book_appointment", &json!({ "day": "tuesday", "time": "10:30" })));
    assert!(caller.tool_answers(Ok(booked("10:30"))).contains("Your code is"));
    caller.is_in("anything_else");
}

#[test]
fn a_caller_cancels_with_a_code_that_was_misheard_first() {
    let mut caller = Caller::new(DEMO, Modality::Voice);
    caller.says("cancel");
    assert_eq!(caller.grammar(), Grammar::Digits { min: 4, max: 4 });
    assert!(caller.says("four zero seven nine").contains("code four, zero, seven, nine. Is that right?"));
    assert!(caller.says("no").contains("four digits"));
    assert!(caller.presses("4071").contains("code four, zero, seven, one."));
    caller.presses("1");
    assert_eq!(caller.tool(), (1, "cancel_appointment", &json!({ "reference": "4071" })));
    let said = caller.tool_answers(Ok(booked("09:30")));
    assert!(said.starts_with("Done. Your appointment on Tuesday at nine thirty a m is cancelled."), "{said}");
    caller.says("no");
    assert!(caller.hung_up());
}

#[test]
fn an_unknown_code_can_be_tried_again() {
    let mut caller = Caller::new(DEMO, Modality::Voice);
    caller.says("cancel");
    caller.says("one two three four");
    caller.says("correct");
    assert!(caller.tool_answers(Err("not_found")).contains("another code"));
    caller.says("yes");
    caller.is_in("code");
}

#[test]
fn a_person_is_one_word_away_and_may_not_be_there() {
    let mut caller = Caller::new(DEMO, Modality::Voice);
    caller.says("book");
    caller.says("operator");
    caller.is_in("person");
    let target = "sip:reception@127.0.0.1:5070".to_owned().into();
    assert!(caller.last.contains(&BrainEffect::Transfer { target }));
    assert_eq!(caller.give(BrainEvent::TransferProgress { epoch: caller.epoch, status: 180 }), "");
    assert!(
        caller
            .give(BrainEvent::TransferProgress { epoch: caller.epoch, status: 486 })
            .contains("nobody can take your call")
    );
    assert!(caller.hung_up());
}

#[test]
fn silence_is_asked_about_twice_and_then_put_through() {
    let mut caller = Caller::new(DEMO, Modality::Voice);
    for _ in 0..2 {
        let said = caller.is_silent();
        assert!(said.starts_with("Sorry, I didn't hear you. Please say opening hours"), "{said}");
    }
    caller.is_silent();
    caller.is_in("person");
}

#[test]
fn speech_during_a_tool_does_not_lose_its_answer() {
    let mut caller = Caller::new(DEMO, Modality::Voice);
    for word in ["book", "tuesday", "nine", "yes"] {
        caller.says(word);
    }
    let first = caller.tool().0;
    assert_eq!(caller.turn(|epoch| BrainEvent::NotUnderstood { epoch }), "One moment, please.");
    assert_eq!(caller.tool().0, first, "the same wish");
    assert!(caller.tool_answers(Ok(booked("09:00"))).contains("Your code"));
    let late = BrainEvent::ToolDone { epoch: caller.epoch, call: first, result: Ok(booked("09:00")) };
    assert_eq!(caller.give(late), "", "the second answer of one call says nothing");
}

#[test]
fn the_same_bot_in_chat_lists_what_one_may_type() {
    let mut caller = Caller::new(DEMO, Modality::Text);
    assert!(
        caller
            .says("What can you do?")
            .ends_with("(1 opening hours, 2 book an appointment, 3 cancel an appointment, 4 a person)")
    );
    caller.says("I'd like to BOOK an appointment, please!");
    caller.is_in("day");
    caller.says("on tusday maybe");
    caller.is_in("time");
    assert_eq!(caller.says("9:30 would be fine"), "Tuesday at nine thirty. Shall I book that for you? (yes or no)");
    caller.says("ok");
    assert_eq!(caller.tool().2, &json!({ "day": "tuesday", "time": "09:30" }));
    assert!(caller.tool_answers(Ok(booked("09:30"))).contains("Your code is 4071."));
    caller.says("y");
    caller.says("3");
    assert!(caller.says("it's 4071").contains("with code 4071. Is that right? (yes or no)"));
}

#[test]
fn the_opening_hours_come_from_the_tool() {
    let mut caller = Caller::new(DEMO, Modality::Voice);
    caller.presses("1");
    assert!(
        caller.tool_answers(Ok(json!({ "text": "From eight to six." }))).starts_with("From eight to six. Is there")
    );
    assert_eq!(caller.says("say that again"), "Is there anything else I can do for you?");
}

#[test]
fn echo_loops_until_the_hash_key() {
    let mut caller = Caller::new(ECHO, Modality::Voice);
    assert!(caller.last.contains(&BrainEffect::Echo { on: true }));
    assert_eq!(caller.says("hello"), "");
    caller.presses("5");
    assert!(!caller.hung_up());
    caller.presses("#");
    assert!(caller.last.contains(&BrainEffect::Echo { on: false }) && caller.hung_up());
    let mut writer = Caller::new(ECHO, Modality::Text);
    assert_eq!(writer.says("hello"), "hello");
}

#[test]
fn a_bot_without_a_flow_says_so() {
    let caller = Caller::new("{}", Modality::Voice);
    assert!(caller.hung_up() && matches!(&caller.last[1], BrainEffect::Say { text, .. } if text.contains("Goodbye")));
}
