//! Rules around each kind of brain.

use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_models::{Finish, ModelError, ModelEvent, ToolCall};

use super::*;
use crate::brain::{ToolFailure, from_config};
use crate::wording::english;

fn bot(flow: bool, triggers: &Value) -> BotConfig {
    let mut bot = json!({
        "system_prompt": { "role": "You are a clinic." },
        "tools_available": [{ "tool_name": "opening_hours", "status": "implemented" }],
        "workflow_features": {
            "human_escalation": { "enabled": true, "triggers": triggers, "unavailable_action": "queue_callback" },
            "call_transfer": { "enabled": true, "transfer_destinations": [
                { "name": "front_desk", "phone": "sip:desk@192.0.2.7" },
                { "name": "emergency_line", "phone": "sip:help@192.0.2.7" },
            ] },
        },
    });
    if flow {
        bot["flow"] = json!({ "start": "menu", "states": {
            "menu": { "say": "Hours?", "ask": "yes_no", "slot": "wish", "on": { "yes": "hours", "no": "menu" } },
            "hours": { "say": "Wait.", "tool": { "name": "opening_hours", "on_ok": "menu", "on_failed": "menu" } },
        } });
    }
    serde_json::from_value(bot).unwrap()
}

/// The rules of both seeds, word by word.
fn seeds() -> Value {
    json!([
        { "condition": "sentiment_score < 0.3", "action": "immediate_handoff" },
        { "condition": "user_requests_human", "action": "immediate_handoff" },
        { "condition": "ai_confidence < 0.5", "action": "suggest_handoff" },
        { "condition": "patient_requests_doctor", "action": "immediate_transfer" },
        { "condition": "emergency_keywords_detected", "action": "immediate_transfer" },
        { "condition": "ai_confidence < 0.4", "action": "suggest_transfer" },
    ])
}

struct Call {
    brain: Box<dyn Brain>,
    epoch: Epoch,
    now: Time,
    out: Vec<BrainEffect>,
}

impl Call {
    fn of(config: &BotConfig, modality: Modality, people: bool) -> Self {
        let brain = from_config(config, modality, Abilities { model: true, people, keys: false }).unwrap();
        let mut call = Self { brain, epoch: Epoch(0), now: Time::ZERO, out: Vec::new() };
        call.give(BrainEvent::Started);
        call
    }

    fn new(flow: bool, triggers: &Value) -> Self {
        Self::of(&bot(flow, triggers), Modality::Voice, true)
    }

    fn give(&mut self, event: BrainEvent) {
        self.out.clear();
        self.now += std::time::Duration::from_secs(2);
        self.brain.handle(self.now, event, &mut self.out);
    }

    fn turn(&mut self, event: impl FnOnce(Epoch) -> BrainEvent) {
        self.epoch = self.epoch.next();
        self.give(event(self.epoch));
    }

    fn says(&mut self, text: &str) {
        self.turn(|epoch| BrainEvent::Said { epoch, text: text.to_owned().into() });
    }

    fn said(&self) -> Vec<&str> {
        let said = self
            .out
            .iter()
            .filter_map(|e| if let BrainEffect::Say { text, .. } = e { Some(text.as_str()) } else { None });
        said.collect()
    }

    fn target(&self) -> Option<&str> {
        self.out.iter().find_map(|effect| match effect {
            BrainEffect::Transfer { target } => Some(target.reveal().as_str()),
            _ => None,
        })
    }

    fn system(&self) -> Option<&str> {
        self.out.iter().find_map(|effect| match effect {
            BrainEffect::Complete { prompt, .. } => Some(prompt.persona.system.as_str()),
            _ => None,
        })
    }

    fn actions(&self) -> Vec<&str> {
        let actions = self
            .out
            .iter()
            .filter_map(|e| if let BrainEffect::Escalated { action } = e { Some(action.as_str()) } else { None });
        actions.collect()
    }

    fn model_says(&mut self, text: &str) {
        let epoch = self.epoch;
        self.give(BrainEvent::Model { epoch, event: ModelEvent::Text { text: text.to_owned().into() } });
        self.give(BrainEvent::Model { epoch, event: ModelEvent::Done { finish: Finish::Stop } });
    }

    fn heard(&mut self, heard: &str, interrupted: bool) {
        let heard = heard.to_owned().into();
        self.give(BrainEvent::Heard { utterance: Default::default(), heard, interrupted });
    }

    fn transfer(&mut self, status: u16) {
        self.give(BrainEvent::TransferProgress { epoch: self.epoch, status });
    }
}

#[test]
fn the_rules_of_the_seeds_put_callers_through() {
    for flow in [false, true] {
        for (text, target) in [
            ("Let me talk to a human", Some("sip:desk@192.0.2.7")),
            ("My father has chest pain", Some("sip:help@192.0.2.7")),
            ("yes", None),
        ] {
            let mut call = Call::new(flow, &seeds());
            call.says(text);
            assert_eq!(call.target(), target, "{text}");
            let asked = call.system().is_some() || call.said().contains(&"Wait.");
            assert_eq!(asked, target.is_none(), "the brain hears what the rules leave: {:?}", call.out);
            if target.is_some() {
                assert_eq!(call.said(), [english(Wording::PuttingThrough)]);
            }
        }
    }
}

#[test]
fn a_transfer_that_fails_gives_the_brain_the_caller_back() {
    for flow in [false, true] {
        let mut call = Call::new(flow, &seeds());
        call.says("I want a human");
        call.transfer(180);
        call.says("hello?");
        assert_eq!(call.out, [BrainEffect::Done { epoch: call.epoch }], "it rings elsewhere");
        call.transfer(486);
        assert_eq!(call.said(), [english(Wording::NobodyFree), english(Wording::CallBack), english(Wording::HowElse)]);
        assert_eq!(call.actions(), ["queue_callback"]);
        call.says("yes");
        assert!(call.system().is_some() || call.said() == ["Wait."], "{:?}", call.out);
        call.says("I want a human");
        assert!(call.target().is_some(), "asked anew");
    }
}

#[test]
fn a_phone_that_nobody_answers_is_not_waited_for_for_ever() {
    let mut call = Call::new(true, &seeds());
    call.says("I want a human");
    for _ in 0..=WAITS_MAX {
        call.turn(|epoch| BrainEvent::Silent { epoch });
    }
    assert_eq!(call.said(), [english(Wording::NobodyFree), english(Wording::CallBack), english(Wording::HowElse)]);
}

#[test]
fn where_nobody_is_the_caller_is_told_and_stays() {
    let mut config = bot(false, &seeds());
    for people in [false, true] {
        let mut chat = Call::of(&config, Modality::Text, people);
        chat.says("I want a human");
        let wanted = if people {
            vec![english(Wording::PuttingThrough)]
        } else {
            vec![english(Wording::NoTransfer), english(Wording::CallBack), english(Wording::HowElse)]
        };
        assert_eq!((chat.said(), chat.target().is_some()), (wanted, people));
    }
    config.workflow_features.as_mut().unwrap().call_transfer = None;
    let mut chat = Call::of(&config, Modality::Text, true);
    chat.says("I want a human");
    assert!(chat.target().is_some(), "a chat has its own people");
    config.workflow_features.as_mut().unwrap().human_escalation.as_mut().unwrap().unavailable_action = None;
    let mut call = Call::of(&config, Modality::Voice, false);
    call.says("I want a human");
    assert_eq!((call.said(), call.actions()), (vec![english(Wording::NoTransfer), english(Wording::HowElse)], vec![]));
    call.says("I want a human!");
    assert!(call.system().is_some(), "who insists is answered by the brain");
}

#[test]
fn a_person_is_offered_once_by_the_model_or_before_what_the_flow_says() {
    let rules = json!([{ "condition": "turn_count >= 2", "action": "suggest_handoff" }]);
    let mut call = Call::new(false, &rules);
    for (turn, offers) in [(1, false), (2, true), (3, false)] {
        call.says("Open?");
        assert_eq!(call.system().unwrap().contains(TO_OFFER), offers, "turn {turn}");
        call.model_says("Well.");
        call.heard("Well.", false);
        assert_eq!(call.actions().len(), usize::from(offers));
    }
    let mut call = Call::new(true, &rules);
    for (turn, said) in [(1, vec!["Hours?"]), (2, vec![english(Wording::OfferPerson), "Hours?"]), (3, vec!["Hours?"])] {
        call.says("no");
        assert_eq!(call.said(), said, "turn {turn}");
        call.heard(said[0], false);
    }
}

#[test]
fn where_nobody_can_be_reached_nobody_is_offered() {
    let rules = json!([{ "condition": "turn_count >= 1", "action": "suggest_handoff" }]);
    for flow in [false, true] {
        let mut call = Call::of(&bot(flow, &rules), Modality::Voice, false);
        call.says("no");
        assert!(call.system().is_none_or(|system| !system.contains(TO_OFFER)), "{flow}");
        assert!(call.said().iter().all(|said| *said == "Hours?"), "{:?}", call.said());
    }
}

#[test]
fn an_offer_that_nobody_heard_is_made_again() {
    let rules = json!([{ "condition": "turn_count >= 2", "action": "suggest_handoff" }]);
    let mut call = Call::new(false, &rules);
    call.says("Open?");
    let offers = |call: &mut Call| {
        call.says("Open?");
        call.system().unwrap().contains(TO_OFFER)
    };
    assert!(offers(&mut call) && call.actions().is_empty());
    let error = ModelError::Timeout { vendor: "x".into(), limit_ms: 1 };
    call.give(BrainEvent::Model { epoch: call.epoch, event: ModelEvent::Failed { error } });
    call.heard(call.said()[0].to_owned().as_str(), false);
    assert!(offers(&mut call), "the model failed");
    call.model_says("At nine. A person?");
    call.heard("At nine.", true);
    assert!(call.actions().is_empty() && offers(&mut call), "the caller interrupted it");
    call.model_says("A person?");
    assert!(call.actions().is_empty());
    call.heard("A person?", false);
    assert_eq!(call.actions(), ["suggest_handoff"]);
    assert!(!offers(&mut call));

    let mut call = Call::new(true, &rules);
    call.says("no");
    for cut in [true, true, false] {
        call.says("no");
        assert_eq!((call.said(), call.actions().len()), (vec![english(Wording::OfferPerson), "Hours?"], 0));
        call.heard(if cut { "If you" } else { english(Wording::OfferPerson) }, cut);
    }
    assert_eq!(call.actions(), ["suggest_handoff"]);
    call.says("no");
    assert_eq!(call.said(), ["Hours?"]);
}

#[test]
fn who_pleads_again_after_a_transfer_that_failed_is_put_through_again() {
    for text in ["I want a human", "My father has chest pain"] {
        let mut call = Call::new(true, &seeds());
        call.says(text);
        call.transfer(486);
        let failure = ToolFailure { code: "failed".to_owned(), detail: String::new(), failed: true };
        call.give(BrainEvent::ToolDone { epoch: call.epoch, call: 1, result: Err(failure) });
        assert!(call.target().is_none(), "nobody has said it again");
        call.says(text);
        assert!(call.target().is_some(), "{:?}", call.out);
    }
}

#[test]
fn rules_see_misses_silences_failures_states_and_slots() {
    let rule = |condition: &str| json!([{ "condition": condition, "action": "immediate_handoff" }]);
    let mut call = Call::new(true, &rule("not_understood_in_a_row >= 2"));
    call.turn(|epoch| BrainEvent::NotUnderstood { epoch });
    assert!(call.target().is_none());
    call.turn(|epoch| BrainEvent::NotHeard { epoch });
    assert!(call.target().is_some());

    let mut call = Call::new(true, &rule("silence_count == 1 && state == 'menu' && duration_s >= 2"));
    call.turn(|epoch| BrainEvent::Silent { epoch });
    assert!(call.target().is_some());

    let mut call = Call::new(true, &rule("has(slots.wish) && slots.wish == 'no' && turn_count > 1"));
    call.says("no");
    assert!(call.target().is_none());
    call.says("no");
    assert!(call.target().is_some());

    let mut call = Call::new(true, &rule("interruptions > 0"));
    let heard = BrainEvent::Heard { utterance: Default::default(), heard: String::new().into(), interrupted: true };
    call.give(heard);
    call.says("no");
    assert!(call.target().is_some());
}

#[test]
fn a_tool_that_fails_can_put_the_caller_through_and_its_result_is_not_lost() {
    let rules = json!([{ "condition": "tool_failures > 0", "action": "immediate_transfer" }]);
    let mut call = Call::new(true, &rules);
    call.says("yes");
    let failure = ToolFailure { code: "timeout".to_owned(), detail: String::new(), failed: true };
    call.give(BrainEvent::ToolDone { epoch: call.epoch, call: 1, result: Err(failure) });
    assert!(call.target().is_some());
    call.transfer(603);
    assert_eq!(
        call.said(),
        [english(Wording::NobodyFree), english(Wording::CallBack), english(Wording::HowElse), "Hours?"]
    );
}

#[test]
fn a_tool_that_was_left_running_and_fails_puts_nobody_through_while_they_speak() {
    let rules = json!([{ "condition": "tool_failures > 0", "action": "immediate_transfer" }]);
    let called = || {
        let mut call = Call::new(false, &rules);
        call.says("Open?");
        let (epoch, arguments) = (call.epoch, json!({}).into());
        let tool = ToolCall { id: "c".into(), name: "opening_hours".into(), arguments, signature: None };
        call.give(BrainEvent::Model { epoch, event: ModelEvent::ToolCall { call: tool } });
        call.give(BrainEvent::Model { epoch, event: ModelEvent::Done { finish: Finish::ToolCalls } });
        call
    };
    let fails = |call: &mut Call| {
        let failure = ToolFailure { code: "timeout".to_owned(), detail: String::new(), failed: true };
        call.give(BrainEvent::ToolDone { epoch: call.epoch, call: 1, result: Err(failure) });
        call.target().is_some()
    };
    assert!(fails(&mut called()), "the caller waits for it");
    let left = || {
        let mut call = called();
        call.says("Hello?");
        call.turn(|epoch| BrainEvent::FloorFree { epoch });
        assert!(call.target().is_none() && !fails(&mut call), "{:?}", call.out);
        call
    };
    let mut call = left();
    call.turn(|epoch| BrainEvent::FloorFree { epoch });
    assert!(call.target().is_some(), "nobody speaks");
    let mut call = left();
    call.says("And on Sunday?");
    assert!(call.target().is_some(), "they have finished");
}

#[test]
fn a_bot_without_rules_that_could_act_is_as_it_was() {
    let rules = json!([{ "condition": "sentiment_score < 0.3", "action": "immediate_handoff" }, { "condition": "(", "action": "x" }]);
    let mut call = Call::new(false, &rules);
    call.says("I want a human");
    assert!(call.target().is_none() && call.system().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is said and whatever the wires do: whoever is not put through is let go when they fall silent.
    #[test]
    fn rules_keep_nobody_on_the_line(
        flow in any::<bool>(),
        soup in prop::collection::vec((0..7_u8, "\\PC{0,20}"), 0..40),
    ) {
        let mut rules = seeds();
        rules.as_array_mut().unwrap().push(json!({ "condition": "not_understood_in_a_row > 1 || text.contains('a')", "action": "suggest_handoff" }));
        let mut call = Call::new(flow, &rules);
        for (what, text) in soup {
            match what {
                0 => call.says(&text),
                1 => call.says("I want a human"),
                2 => call.says("chest pain"),
                3 => call.turn(|epoch| BrainEvent::NotUnderstood { epoch }),
                4 => call.turn(|epoch| BrainEvent::Silent { epoch }),
                5 => call.transfer(486),
                _ => call.transfer(180),
            }
            for epoch in call.out.iter().filter_map(BrainEffect::epoch) {
                prop_assert_eq!(epoch, call.epoch);
            }
        }
        for _ in 0..40 {
            call.turn(|epoch| BrainEvent::Silent { epoch });
            if call.out.contains(&BrainEffect::HangUp) {
                return Ok(());
            }
        }
        prop_assert!(false, "still on the line");
    }
}
