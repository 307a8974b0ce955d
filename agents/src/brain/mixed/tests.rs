//! The example bot by hand, and both in any order by random events. With a session around it: `session/tests/mixed.rs`.

use proptest::prelude::*;
use serde_json::json;
use tandem_contract::bot::{BotConfig, strip_comments};
use tandem_models::{Finish, Message, ModelError};
use tandem_speech::Grammar;

use super::*;
use crate::brain::{Abilities, Prompt, from_config};

const RECEPTION: &str = include_str!("../../../../docs/examples/reception.json");

fn config() -> BotConfig {
    let mut value: Value = serde_json::from_str(RECEPTION).unwrap();
    strip_comments(&mut value);
    serde_json::from_value(value).unwrap()
}

struct Talk {
    brain: MixedBrain,
    epoch: Epoch,
    out: Vec<BrainEffect>,
}

impl Talk {
    fn of(config: &BotConfig) -> Self {
        let persona = Persona::new(config, Modality::Voice);
        let flow = config.flow.clone().unwrap();
        let brain = MixedBrain::new(flow, persona, Modality::Voice, config.begins_with_a_model());
        let mut talk = Self { brain, epoch: Epoch(0), out: Vec::new() };
        talk.give(BrainEvent::Started);
        talk
    }

    fn new() -> Self {
        Self::of(&config())
    }

    fn give(&mut self, event: BrainEvent) {
        self.out.clear();
        // A session may be handed over between any two events.
        let stored = serde_json::to_string(&self.brain).unwrap();
        self.brain = serde_json::from_str(&stored).unwrap();
        self.brain.handle(Time::ZERO, event, &mut self.out);
        let stamped = self.out.iter().filter_map(BrainEffect::epoch);
        assert!(stamped.into_iter().all(|epoch| epoch == self.epoch), "{:#?}", self.out);
    }

    fn says(&mut self, text: &str) {
        self.epoch = self.epoch.next();
        self.give(BrainEvent::Said { epoch: self.epoch, text: text.to_owned().into() });
    }

    fn silent(&mut self) {
        self.epoch = self.epoch.next();
        self.give(BrainEvent::Silent { epoch: self.epoch });
    }

    fn model(&mut self, event: ModelEvent) {
        self.give(BrainEvent::Model { epoch: self.epoch, event });
    }

    fn model_says(&mut self, text: &str) {
        self.model(ModelEvent::Text { text: text.to_owned().into() });
        self.model(ModelEvent::Done { finish: Finish::Stop });
    }

    /// All in one answer.
    fn model_calls(&mut self, calls: &[(&str, Value)]) {
        for (name, arguments) in calls {
            let arguments = arguments.clone().into();
            let call = ToolCall { id: format!("id-{name}"), name: (*name).to_owned(), arguments, signature: None };
            self.model(ModelEvent::ToolCall { call });
        }
        self.model(ModelEvent::Done { finish: Finish::ToolCalls });
    }

    fn said(&self) -> String {
        let said = self.out.iter().filter_map(|effect| match effect {
            BrainEffect::Say { text, .. } => Some(text.as_str()),
            _ => None,
        });
        said.collect::<Vec<_>>().join(" ")
    }

    fn prompt(&self) -> Option<&Prompt> {
        let mut asked = self.out.iter().filter_map(|effect| match effect {
            BrainEffect::Complete { prompt, .. } => Some(prompt),
            _ => None,
        });
        asked.next_back()
    }

    /// The result of the tool that the model called last.
    fn result(&self) -> Value {
        let prompt = self.prompt().expect("the model is asked");
        let Some(Message::Tool { result, .. }) = prompt.completion(&[]).messages.pop() else { panic!("no result") };
        serde_json::from_str(result.reveal()).unwrap()
    }

    /// All that the model is told of this tool.
    fn results(&self, tool: &str) -> Vec<&str> {
        let prompt = self.prompt().expect("the model is asked");
        let told = prompt.exchanges.iter().flat_map(|exchange| exchange.calls.iter().zip(&exchange.results));
        told.filter(|(call, _)| call.name == tool).map(|(_, result)| result.reveal().as_str()).collect()
    }

    fn tools(&self) -> Vec<&str> {
        let prompt = self.prompt().expect("the model is asked");
        prompt.persona.tools.iter().map(|tool| tool.name.as_str()).collect()
    }

    fn calls(&self) -> Vec<(u32, &str, &Value)> {
        let calls = self.out.iter().filter_map(|effect| match effect {
            BrainEffect::CallTool { call, tool, arguments, .. } => Some((*call, tool.as_str(), arguments)),
            _ => None,
        });
        calls.collect()
    }

    fn listens_to_anything(&self) -> Option<bool> {
        let mut listens = self.out.iter().filter_map(|effect| match effect {
            BrainEffect::Listen(listen) => Some(matches!(listen.grammar, Some(Grammar::Open))),
            _ => None,
        });
        listens.next_back()
    }

    fn state(&self) -> Option<&str> {
        let mut states = self.out.iter().filter_map(|effect| match effect {
            BrainEffect::EnteredState { state } => Some(state.as_str()),
            _ => None,
        });
        states.next_back()
    }

    fn hangs_up(&self) -> bool {
        self.out.contains(&BrainEffect::HangUp)
    }

    /// As far as the state in which the model talks for the flow.
    fn at_reason() -> Self {
        let mut talk = Self::new();
        talk.says("I need an appointment");
        talk.model_calls(&[("start_booking", json!({}))]);
        talk.says("Monday");
        talk
    }
}

#[test]
fn the_model_gives_the_caller_to_the_flow_and_is_told_what_came_of_it() {
    let mut talk = Talk::new();
    assert_eq!(
        (talk.said().as_str(), talk.listens_to_anything()),
        ("Clinic, good morning. How can I help you?", Some(true))
    );
    talk.says("I need an appointment");
    assert_eq!(talk.tools(), ["opening_hours", "hang_up", "start_booking"]);
    talk.model_calls(&[("start_booking", json!({}))]);
    assert_eq!(
        (talk.said().as_str(), talk.listens_to_anything()),
        ("Which day suits you, Monday or Tuesday?", Some(false))
    );
    assert!(talk.calls().is_empty(), "{:?}", talk.out);
    talk.says("Monday");
    assert_eq!((talk.said().as_str(), talk.listens_to_anything()), ("And what is it about?", Some(true)));
    assert!(talk.prompt().is_none(), "the caller was asked");
    talk.says("My tooth aches");
    assert_eq!(talk.tools(), ["opening_hours", "leave"]);
    assert!(talk.prompt().unwrap().persona.system.contains("the appointment on Monday is about"));
    talk.model_calls(&[("leave", json!({ "exit": "known", "about": "pain" }))]);
    let [(call, "book_appointment", arguments)] = talk.calls()[..] else { panic!("{:?}", talk.out) };
    assert_eq!(arguments["day"], "monday");
    talk.give(BrainEvent::ToolDone { epoch: talk.epoch, call, result: Ok(json!({ "reference": "4711" })) });
    assert!(talk.said().starts_with("You are booked for Monday, at nine thirty. Your code is four"), "{}", talk.said());
    assert_eq!((talk.state(), talk.listens_to_anything()), (Some(MODEL), Some(true)));
    let result = json!({ "finished": true, "slots": { "about": "pain", "day": "monday", "reference": "4711" } });
    assert_eq!(talk.result(), result);
    assert_eq!(talk.tools(), ["opening_hours", "hang_up", "start_booking"]);
    talk.model_says("Anything else?");
    assert_eq!(talk.said(), "Anything else?");
}

#[test]
fn an_exit_is_open_to_those_who_have_what_it_needs() {
    for (arguments, code) in [
        (json!({ "exit": "home" }), "unknown_exit"),
        (json!({}), "unknown_exit"),
        (json!({ "exit": "known" }), "missing_slot"),
        (json!({ "exit": "known", "about": null }), "missing_slot"),
        (json!({ "exit": "known", "about": "the weather" }), "bad_slot"),
        (json!({ "exit": "known", "about": "pain", "new": "yes" }), "bad_slot"),
    ] {
        let mut talk = Talk::at_reason();
        talk.says("My tooth");
        talk.model_calls(&[("leave", arguments.clone())]);
        assert_eq!(talk.result()["error"], code, "{arguments}");
        talk.model_calls(&[("leave", json!({ "exit": "known", "about": "pain", "new": true }))]);
        assert_eq!(talk.state(), Some("book"));
    }
}

#[test]
fn what_hands_over_is_called_alone() {
    let mut talk = Talk::new();
    talk.says("I need an appointment, when are you open?");
    talk.model_calls(&[("opening_hours", json!({})), ("start_booking", json!({}))]);
    let [(call, "opening_hours", _)] = talk.calls()[..] else { panic!("{:?}", talk.out) };
    assert!(talk.state().is_none());
    talk.give(BrainEvent::ToolDone { epoch: talk.epoch, call, result: Ok(json!({})) });
    assert_eq!(talk.result()["error"], "not_alone");
    talk.model_calls(&[("hang_up", json!({})), ("start_booking", json!({}))]);
    assert!(talk.hangs_up() && talk.state().is_none());
}

#[test]
fn a_hand_over_beside_keys_is_not_alone_whether_they_are_pressed_or_not() {
    for (digits, pressed) in [("5", 1), ("five", 0)] {
        let config = config();
        let persona = Persona::new(&config, Modality::Voice).with_keys();
        let mut talk = Talk::new();
        talk.brain = MixedBrain::new(config.flow.clone().unwrap(), persona, Modality::Voice, true);
        talk.says("I need an appointment");
        talk.model_calls(&[("send_dtmf", json!({ "digits": digits })), ("start_booking", json!({}))]);
        assert_eq!(talk.state(), None, "{:?}", talk.out);
        let keys = |effect: &BrainEffect| match effect {
            BrainEffect::PressKeys { call, .. } => Some(*call),
            _ => None,
        };
        let calls: Vec<u32> = talk.out.iter().filter_map(keys).collect();
        assert_eq!(calls.len(), pressed);
        for call in calls {
            talk.give(BrainEvent::ToolDone { epoch: talk.epoch, call, result: Ok(json!({ "ok": true })) });
        }
        assert_eq!(talk.result()["error"], "not_alone");
        talk.model_calls(&[("start_booking", json!({}))]);
        assert_eq!(talk.state(), Some("day"));
    }
}

#[test]
fn the_flows_commands_hold_while_the_model_talks() {
    let mut talk = Talk::at_reason();
    talk.says("Hm, I would like to speak to a person about that");
    assert!(talk.prompt().is_some(), "a command stands alone in free speech");
    talk.model(ModelEvent::ToolCall {
        call: ToolCall { id: "x".into(), name: "opening_hours".into(), arguments: json!({}).into(), signature: None },
    });
    talk.model(ModelEvent::Done { finish: Finish::ToolCalls });
    let [(call, ..)] = talk.calls()[..] else { panic!("{:?}", talk.out) };
    talk.epoch = talk.epoch.next();
    talk.give(BrainEvent::Digits { epoch: talk.epoch, digits: "0".to_owned().into() });
    assert_eq!(talk.state(), Some("desk"));
    let target = "sip:desk@192.0.2.7".to_owned().into();
    assert!(talk.out.contains(&BrainEffect::Transfer { target }));
    talk.give(BrainEvent::ToolDone { epoch: talk.epoch, call, result: Ok(json!({ "text": "nine to five" })) });
    assert!(talk.out.is_empty(), "nobody waits for it now: {:?}", talk.out);
    talk.give(BrainEvent::TransferProgress { epoch: talk.epoch, status: 486 });
    assert_eq!((talk.state(), &talk.result()["slots"]["day"]), (Some(MODEL), &json!("monday")));
    assert_eq!(talk.results("opening_hours"), [r#"{"text":"nine to five"}"#], "the model need not call it again");
}

#[test]
fn a_tool_that_runs_when_the_model_has_had_its_turns_is_not_forgotten() {
    let mut talk = Talk::at_reason();
    for _ in 0..5 {
        talk.says("I wonder");
        talk.model_says("Yes?");
    }
    talk.says("When are you open?");
    talk.model_calls(&[("opening_hours", json!({}))]);
    let [(hours, ..)] = talk.calls()[..] else { panic!("{:?}", talk.out) };
    talk.says("Hello?");
    assert_eq!(talk.state(), Some("book"));
    let [(book, "book_appointment", _)] = talk.calls()[..] else { panic!("{:?}", talk.out) };
    talk.give(BrainEvent::ToolDone { epoch: talk.epoch, call: book, result: Ok(json!({ "reference": "4711" })) });
    let told = talk.results("opening_hours");
    assert!(told.len() == 1 && told[0].contains("\"running\""), "{told:?}");
    talk.give(BrainEvent::ToolDone { epoch: talk.epoch, call: hours, result: Ok(json!({ "text": "nine to five" })) });
    talk.says("Thanks. And?");
    assert_eq!(talk.results("opening_hours"), [r#"{"text":"nine to five"}"#]);
}

#[test]
fn a_state_whose_model_fails_or_whose_caller_is_gone_goes_on_by_script() {
    let mut talk = Talk::at_reason();
    talk.says("My tooth aches");
    talk.model(ModelEvent::Failed { error: ModelError::Timeout { vendor: "x".into(), limit_ms: 1 } });
    assert_eq!((talk.state(), talk.said().as_str()), (Some("book"), "One moment."));

    let mut talk = Talk::at_reason();
    (0..2).for_each(|_| talk.silent());
    assert_eq!(talk.state(), None);
    talk.silent();
    assert_eq!((talk.state(), talk.hangs_up()), (Some("book"), false));

    let mut talk = Talk::at_reason();
    for _ in 0..6 {
        talk.says("I wonder");
        talk.model_says("Yes?");
    }
    talk.says("I wonder");
    assert_eq!(talk.state(), Some("book"));
}

#[test]
fn a_flow_that_is_given_up_gives_the_model_the_conversation_back() {
    let mut talk = Talk::new();
    talk.says("an appointment");
    talk.model_calls(&[("start_booking", json!({}))]);
    talk.says("flurb");
    talk.says("flurb");
    assert_eq!(talk.result(), json!({ "finished": false, "slots": {} }));
    assert!(!talk.hangs_up());
}

#[test]
fn a_model_and_a_flow_that_only_pass_it_on_are_cut() {
    let mut config = config();
    let flow = config.flow.as_mut().unwrap();
    flow.states.get_mut("bye").unwrap().hang_up = None;
    flow.entries.as_mut().unwrap()["booking"].state = "bye".to_owned();
    let mut talk = Talk::of(&config);
    talk.says("hello");
    for _ in 0..20 {
        talk.model_calls(&[("start_booking", json!({}))]);
        if talk.prompt().is_none() {
            return;
        }
    }
    panic!("it goes round and round");
}

#[test]
fn who_begins_is_said_by_the_config_and_the_node() {
    let begins = |config: &BotConfig, model: bool| {
        let mut brain = from_config(config, Modality::Voice, Abilities { model, people: true, keys: false }).unwrap();
        let mut out = Vec::new();
        brain.handle(Time::ZERO, BrainEvent::Started, &mut out);
        let first = out.iter().find_map(|effect| match effect {
            BrainEffect::Say { text, .. } => Some(text.split_whitespace().next().unwrap().to_owned()),
            _ => None,
        });
        first.unwrap()
    };
    let both = config();
    assert_eq!((begins(&both, true).as_str(), begins(&both, false).as_str()), ("Clinic,", "Would"));
    let mut states = both.clone();
    states.flow.as_mut().unwrap().entries = None;
    assert_eq!((begins(&states, true).as_str(), begins(&states, false).as_str()), ("Would", "Would"));
    let mut alone = both;
    alone.flow = None;
    assert_eq!(begins(&alone, true), "Clinic,");
}

#[test]
fn without_a_model_the_script_goes_on_alone() {
    let mut brain = from_config(&config(), Modality::Voice, Abilities::default()).unwrap();
    let mut give = |event| {
        let mut out = Vec::new();
        brain.handle(Time::ZERO, event, &mut out);
        out
    };
    let said = |epoch, text: &str| BrainEvent::Said { epoch: Epoch(epoch), text: text.to_owned().into() };
    give(BrainEvent::Started);
    give(said(1, "yes"));
    let out = give(said(2, "tuesday"));
    assert!(out.iter().any(|effect| matches!(effect, BrainEffect::CallTool { .. })), "on_failed: {out:?}");
    let out = give(BrainEvent::ToolDone { epoch: Epoch(2), call: 1, result: Ok(json!({ "reference": "1" })) });
    let menu = BrainEffect::EnteredState { state: "menu".to_owned() };
    assert!(out.contains(&menu), "@model is the start: {out:?}");
}

/// What the world may do; the calls of the present round are answered by `Answer`.
#[derive(Clone, Debug)]
enum Act {
    Says(&'static str),
    Keys(&'static str),
    Silent,
    Unheard,
    Unmatched,
    ModelSays,
    ModelCalls(&'static str, Value),
    ModelFails,
    Answer(bool),
    Transfer(u16),
}

fn acts() -> impl Strategy<Value = Act> {
    let words = vec!["hello", "monday", "yes", "no", "operator", "a person please", "nonsense", ""];
    let calls = vec![
        ("start_booking", json!({})),
        ("start_nothing", json!({})),
        ("leave", json!({ "exit": "known", "about": "pain" })),
        ("leave", json!({ "exit": "nothing" })),
        ("leave", json!(7)),
        ("opening_hours", json!({})),
        ("hang_up", json!({})),
    ];
    prop_oneof![
        prop::sample::select(words).prop_map(Act::Says),
        prop::sample::select(vec!["0", "1", "12", "#"]).prop_map(Act::Keys),
        Just(Act::Silent),
        Just(Act::Unheard),
        Just(Act::Unmatched),
        Just(Act::ModelSays),
        prop::sample::select(calls).prop_map(|(name, arguments)| Act::ModelCalls(name, arguments)),
        Just(Act::ModelFails),
        any::<bool>().prop_map(Act::Answer),
        prop::sample::select(vec![180, 200, 486]).prop_map(Act::Transfer),
    ]
}

impl Talk {
    fn act(&mut self, act: &Act) {
        let epoch = self.epoch.next();
        let running: Vec<u32> = self.calls().into_iter().map(|(call, ..)| call).collect();
        match act {
            Act::Says(text) => self.says(text),
            Act::Silent => self.silent(),
            Act::Keys(keys) => self.new_turn(BrainEvent::Digits { epoch, digits: (*keys).to_owned().into() }),
            Act::Unheard => self.new_turn(BrainEvent::NotHeard { epoch }),
            Act::Unmatched => self.new_turn(BrainEvent::NotUnderstood { epoch }),
            Act::ModelSays => self.model_says("Well. Perhaps."),
            Act::ModelCalls(name, arguments) => self.model_calls(&[(name, arguments.clone())]),
            Act::ModelFails => {
                self.model(ModelEvent::Failed { error: ModelError::Timeout { vendor: "x".into(), limit_ms: 1 } });
            }
            Act::Answer(ok) => {
                let failure = ToolFailure { code: "slot_taken".to_owned(), detail: String::new(), failed: false };
                let call = running.first().copied().unwrap_or(2);
                let result = if *ok { Ok(json!({ "reference": "1" })) } else { Err(failure) };
                self.give(BrainEvent::ToolDone { epoch: self.epoch, call, result });
            }
            Act::Transfer(status) => {
                self.give(BrainEvent::TransferProgress { epoch: self.epoch, status: *status });
            }
        }
    }

    fn new_turn(&mut self, event: BrainEvent) {
        self.epoch = self.epoch.next();
        self.give(event);
    }

    /// The flow stands where the one in charge says that it does, and the ears are those of the one in charge.
    fn assert_one_in_charge(&self) -> Result<(), TestCaseError> {
        let talking = self.brain.flow.talking().is_some();
        prop_assert_eq!(talking, matches!(self.brain.charge, Charge::State { .. }), "{:?}", self.brain);
        prop_assert!(self.brain.charge != Charge::Model || self.brain.entered.is_none(), "{:?}", self.brain);
        prop_assert!(self.prompt().is_none() || self.brain.charge != Charge::Flow, "{:?}", self.out);
        if let Some(anything) = self.listens_to_anything() {
            prop_assert_eq!(anything, self.brain.charge != Charge::Flow, "{:?}", self.out);
        }
        Ok(())
    }
}

proptest! {
    // Each walk stores and reads its brain two hundred times.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever came before, exactly one is in charge, no call of one is answered to the other, and a caller who then stays
    /// silent is let go.
    #[test]
    fn one_is_in_charge_and_every_path_leads_out(hosted in any::<bool>(), soup in prop::collection::vec(acts(), 0..60)) {
        let mut config = config();
        if !hosted {
            config.flow.as_mut().unwrap().entries = None;
        }
        let mut talk = Talk::of(&config);
        talk.assert_one_in_charge()?;
        for act in soup {
            talk.act(&act);
            talk.assert_one_in_charge()?;
        }
        for _ in 0..100 {
            talk.silent();
            talk.assert_one_in_charge()?;
            if talk.hangs_up() {
                return Ok(());
            }
        }
        prop_assert!(false, "still here: {:?}", talk.brain);
    }
}
