//! The machine by table and by random events. Whole conversations of the demo bot are in `tests/demo.rs`.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::turn::Silence;
use crate::wording::english;

fn brain(flow: Value) -> FlowBrain {
    FlowBrain::new(serde_json::from_value(flow).unwrap(), Modality::Voice)
}

fn give(brain: &mut FlowBrain, event: BrainEvent) -> Vec<BrainEffect> {
    let mut out = Vec::new();
    brain.handle(Time::ZERO, event, &mut out);
    out
}

fn said(epoch: u32, text: &str) -> BrainEvent {
    BrainEvent::Said { epoch: Epoch(epoch), text: text.to_owned().into() }
}

fn entered(effects: &[BrainEffect]) -> Vec<&str> {
    let states = effects.iter().filter_map(|effect| match effect {
        BrainEffect::EnteredState { state } => Some(state.as_str()),
        _ => None,
    });
    states.collect()
}

/// A script with every kind of state, and every mistake that may slip through.
fn everything() -> Value {
    json!({
        "start": "hello",
        "anywhere": { "desk": { "say": "operator", "key": "0", "goto": "desk" }, "again": { "say": "repeat", "goto": "@repeat" } },
        "no_match": { "max": 1 },
        "states": {
            "hello": { "say": "Hello", "goto": "menu" },
            "menu": { "say": "Menu", "slot": "what", "ask": { "choice": {
                "a": { "say": "alpha", "goto": "code" }, "b": { "say": "bravo", "goto": "tool" },
                "c": { "say": "charlie", "goto": "loop" }, "d": { "say": "delta", "goto": "nowhere" },
                "e": { "say": "echo", "goto": "echo" }, "f": { "say": "foxtrot" } } } },
            "code": { "say": "Code", "slot": "code", "ask": { "digits": { "min": 3, "max": 5 } },
                      "confirm": { "say": "{code}?" }, "goto": "tool" },
            "tool": { "tool": { "name": "t", "on_ok": "sure", "on_refused": { "no": "menu" }, "on_failed": "tool" } },
            "sure": { "say": "Sure", "ask": "yes_no", "on": { "yes": "desk", "no": "menu" },
                      "no_input": { "max": 0, "goto": "menu" } },
            "loop": { "say": "round", "goto": "loop" },
            "echo": { "echo": true, "goto": "menu" },
            "desk": { "say": "Hold on", "transfer": { "target": "sip:a@b", "on_failed": "sure" } },
        }
    })
}

#[test]
fn impossible_events_change_nothing() {
    let mut brain = brain(everything());
    let early = [said(1, "alpha"), BrainEvent::TransferProgress { epoch: Epoch(0), status: 500 }];
    for event in early {
        assert!(give(&mut brain, event).is_empty());
    }
    give(&mut brain, BrainEvent::Started);
    let before = brain.clone();
    let done = BrainEvent::ToolDone { epoch: Epoch(1), call: 1, result: Ok(Value::Null) };
    let heard = BrainEvent::Heard { utterance: Default::default(), heard: String::new().into(), interrupted: true };
    for event in [
        BrainEvent::Started,
        said(0, "alpha"),
        done,
        heard,
        BrainEvent::TransferProgress { epoch: Epoch(0), status: 200 },
    ] {
        assert!(give(&mut brain, event).is_empty());
    }
    assert_eq!(brain, before);
}

fn spoken(effects: &[BrainEffect]) -> Vec<&str> {
    let said = effects.iter().filter_map(|effect| match effect {
        BrainEffect::Say { text, .. } => Some(text.as_str()),
        _ => None,
    });
    said.collect()
}

#[test]
fn who_interrupts_the_way_out_is_asked_again_what_they_were_asked() {
    let mut brain = brain(everything());
    give(&mut brain, BrainEvent::Started);
    let leaves = give(&mut brain, said(1, "operator"));
    assert!(leaves.iter().any(|effect| matches!(effect, BrainEffect::Transfer { .. })));
    assert!(give(&mut brain, BrainEvent::EndInterrupted).is_empty());
    let asked = give(&mut brain, BrainEvent::NotUnderstood { epoch: Epoch(2) });
    assert_eq!(spoken(&asked), ["Sorry, I didn't get that.", "Menu"]);
    assert_eq!(entered(&give(&mut brain, said(3, "operator"))), ["desk"]);
}

#[test]
fn who_interrupts_the_way_out_and_was_asked_nothing_is_led_out_when_they_have_finished() {
    let flow = |states: Value| json!({ "start": "first", "states": states });
    let transfer = json!({ "target": "sip:a@b" });
    // A tool has acted since the question: the answer to it is not wanted a second time.
    let after_tool = json!({ "first": { "say": "Book?", "ask": "yes_no", "goto": "tool" },
        "tool": { "tool": { "name": "t", "on_ok": "desk" } }, "desk": { "say": "Hold on", "transfer": transfer } });
    let at_once = json!({ "first": { "say": "Hold on", "transfer": transfer } });
    for (states, asked) in [(after_tool, true), (at_once, false)] {
        let mut brain = brain(flow(states));
        give(&mut brain, BrainEvent::Started);
        if asked {
            give(&mut brain, said(1, "yes"));
            give(&mut brain, BrainEvent::ToolDone { epoch: Epoch(1), call: 1, result: Ok(Value::Null) });
        }
        assert!(matches!(brain.phase, Phase::Transferring { .. }));
        assert!(give(&mut brain, BrainEvent::EndInterrupted).is_empty());
        let out = give(&mut brain, BrainEvent::NotUnderstood { epoch: Epoch(2) });
        assert_eq!(spoken(&out), ["Hold on"]);
        assert!(out.iter().any(|effect| matches!(effect, BrainEffect::Transfer { .. })));
    }
}

#[test]
fn a_circle_without_a_question_is_cut() {
    let mut brain = brain(everything());
    give(&mut brain, BrainEvent::Started);
    let out = give(&mut brain, said(2, "charlie"));
    assert!(out.contains(&BrainEffect::HangUp) && entered(&out).len() <= usize::from(UNASKED_MAX), "{out:#?}");
}

#[test]
fn a_tool_that_always_fails_is_given_up() {
    let mut brain = brain(everything());
    give(&mut brain, BrainEvent::Started);
    let mut out = give(&mut brain, said(2, "bravo"));
    for call in 1..=u32::from(UNASKED_MAX) {
        let failure = ToolFailure { code: "failed".to_owned(), detail: String::new(), failed: true };
        out = give(&mut brain, BrainEvent::ToolDone { epoch: Epoch(2), call, result: Err(failure) });
        if out.contains(&BrainEffect::HangUp) {
            return;
        }
    }
    panic!("{out:#?}");
}

#[test]
fn a_target_that_is_not_there_ends_with_an_apology() {
    let mut brain = brain(everything());
    give(&mut brain, BrainEvent::Started);
    assert!(give(&mut brain, said(2, "delta")).contains(&BrainEffect::HangUp));
}

#[test]
fn an_unconfirmed_answer_fills_no_slot() {
    let mut brain = brain(everything());
    give(&mut brain, BrainEvent::Started);
    give(&mut brain, said(2, "alpha"));
    let out = give(&mut brain, said(3, "one two three"));
    let read_back = BrainEffect::Say { epoch: Epoch(3), text: "one, two, three?".to_owned(), interruptible: true };
    assert!(out.contains(&read_back), "{out:#?}");
    assert!(!brain.slots.contains_key("code"));
    give(&mut brain, said(4, "yes"));
    assert_eq!(brain.slots["code"].value.reveal(), "123");
}

#[test]
fn who_was_not_heard_is_not_blamed_and_led_where_help_is() {
    let mut flow = everything();
    flow["no_match"] = json!({ "say": "What?", "max": 1, "goto": "desk" });
    let mut brain = brain(flow);
    give(&mut brain, BrainEvent::Started);
    let out = give(&mut brain, BrainEvent::NotHeard { epoch: Epoch(1) });
    let said: Vec<_> = out
        .iter()
        .filter_map(|e| if let BrainEffect::Say { text, .. } = e { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!(said, [english(Wording::PressKeys), "Menu"]);
    assert_eq!(entered(&give(&mut brain, BrainEvent::NotHeard { epoch: Epoch(2) })), ["desk"]);
}

#[test]
fn the_flows_silence_counts_where_a_state_has_none_and_an_echo_has_no_end() {
    let mut flow = everything();
    flow["no_input"] = json!({ "after_ms": 9000 });
    flow["states"]["menu"]["no_input"] = json!({ "max": 1 });
    let mut brain = brain(flow);
    let silences = |out: &[BrainEffect]| {
        let listens =
            out.iter().filter_map(|e| if let BrainEffect::Listen(listen) = e { Some(listen.silence) } else { None });
        listens.collect::<Vec<_>>()
    };
    assert_eq!(silences(&give(&mut brain, BrainEvent::Started)), [Silence::Limit { ms: 9000 }]);
    assert_eq!(silences(&give(&mut brain, said(1, "echo"))), [Silence::Unlimited]);
}

fn events() -> impl Strategy<Value = BrainEvent> {
    let words = prop::sample::select(vec![
        "alpha",
        "bravo",
        "charlie",
        "delta",
        "echo",
        "foxtrot",
        "yes",
        "no",
        "operator",
        "repeat",
        "one two three",
        "nonsense",
        "",
    ]);
    let keys = prop::sample::select(vec!["1", "2", "3", "0", "#", "*", "1234", "12", "123456789", ""]);
    let epoch = (0..40_u32).prop_map(Epoch);
    let result = prop_oneof![
        Just(Ok(json!({ "x": 1 }))),
        prop::sample::select(vec!["no", "failed", "other"]).prop_map(|code| Err(ToolFailure {
            code: code.to_owned(),
            detail: String::new(),
            failed: code == "failed"
        })),
    ];
    prop_oneof![
        Just(BrainEvent::Started),
        Just(BrainEvent::EndInterrupted),
        (epoch.clone(), words).prop_map(|(epoch, text)| BrainEvent::Said { epoch, text: text.to_owned().into() }),
        (epoch.clone(), keys).prop_map(|(epoch, keys)| BrainEvent::Digits { epoch, digits: keys.to_owned().into() }),
        epoch.clone().prop_map(|epoch| BrainEvent::NotUnderstood { epoch }),
        epoch.clone().prop_map(|epoch| BrainEvent::NotHeard { epoch }),
        epoch.clone().prop_map(|epoch| BrainEvent::Silent { epoch }),
        (epoch.clone(), 0..6_u32, result).prop_map(|(epoch, call, result)| BrainEvent::ToolDone {
            epoch,
            call,
            result
        }),
        (epoch, prop::sample::select(vec![100_u16, 180, 200, 404, 603]))
            .prop_map(|(epoch, status)| BrainEvent::TransferProgress { epoch, status }),
    ]
}

proptest! {
    /// Whatever came before, a caller who then stays silent is hung up on or put through; nothing panics, the state
    /// survives a round trip, and no reply carries an old epoch.
    #[test]
    fn every_walk_comes_to_an_end(soup in prop::collection::vec(events(), 0..60)) {
        let mut brain = brain(everything());
        give(&mut brain, BrainEvent::Started);
        for event in soup {
            let mut copy: FlowBrain = serde_json::from_value(serde_json::to_value(&brain).unwrap()).unwrap();
            prop_assert_eq!(&copy, &brain);
            let out = give(&mut brain, event.clone());
            prop_assert_eq!(&give(&mut copy, event), &out);
            for effect in &out {
                if let BrainEffect::Say { epoch, .. } | BrainEffect::Done { epoch } = effect {
                    prop_assert_eq!(*epoch, brain.epoch);
                }
            }
        }
        if matches!(brain.phase, Phase::Echoing { .. }) {
            let epoch = brain.epoch.next();
            give(&mut brain, BrainEvent::Digits { epoch, digits: "#".to_owned().into() });
        }
        for _ in 0..100 {
            let epoch = brain.epoch.next();
            let out = give(&mut brain, BrainEvent::Silent { epoch });
            if out.contains(&BrainEffect::HangUp) {
                return Ok(());
            }
        }
        prop_assert!(false, "still in {:?}", brain.phase);
    }
}

#[test]
fn a_transfer_that_cannot_be_is_not_announced() {
    let script = json!({ "start": "desk", "states": {
        "desk": { "say": "I'll put you through.", "transfer": { "target": "sip:desk@192.0.2.7", "on_failed": "menu" } },
        "menu": { "say": "Hours?", "ask": "yes_no", "on": { "yes": "menu", "no": "menu" } },
    } });
    for reaches in [true, false] {
        let flow: Flow = serde_json::from_value(script.clone()).unwrap();
        let mut brain = FlowBrain::new(flow, Modality::Voice).reaching(reaches);
        let mut out = Vec::new();
        brain.handle(Time::ZERO, BrainEvent::Started, &mut out);
        let says =
            |effect: &BrainEffect| if let BrainEffect::Say { text, .. } = effect { Some(text.clone()) } else { None };
        let said: Vec<String> = out.iter().filter_map(says).collect();
        let transfers = out.iter().any(|effect| matches!(effect, BrainEffect::Transfer { .. }));
        let wanted = if reaches { vec!["I'll put you through."] } else { vec![english(Wording::NoTransfer), "Hours?"] };
        assert_eq!((said, transfers), (wanted.into_iter().map(str::to_owned).collect(), reaches));
    }
}
