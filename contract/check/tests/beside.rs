//! What `check` says of bots whose flow and language model pass the conversation to each other.
#![allow(clippy::unwrap_used, reason = "a test that stumbles fails")]

use serde_json::{Value, json};
use tandem_check::Severity;

fn reception() -> Value {
    serde_json::from_str(include_str!("../../../docs/examples/reception.json")).unwrap()
}

/// Every pair (pointer, part of the message) is found of the changed example, and no other.
#[track_caller]
fn expect(change: impl FnOnce(&mut Value), severity: Severity, expected: &[(&str, &str)]) {
    let mut bot = reception();
    change(&mut bot);
    let report = tandem_check::check(&bot.to_string(), None);
    let found: Vec<_> = report.findings.iter().filter(|finding| finding.severity == severity).collect();
    for (pointer, part) in expected {
        let there = found.iter().any(|finding| finding.pointer == *pointer && finding.message.contains(part));
        assert!(there, "{pointer} {part}: {report}");
    }
    assert_eq!(found.len(), expected.len(), "{report}");
}

#[test]
fn entries_are_named_described_and_lead_somewhere() {
    let change = |bot: &mut Value| {
        bot["flow"]["entries"] = json!({
            "Book!": { "description": "The caller wants to book.", "state": "day" },
            "cancel": { "description": " ", "state": "dya" },
        });
        bot["tools_available"] = json!([{ "tool_name": "start_cancel", "status": "missing" }]);
    };
    let found = [
        ("/flow/entries/Book!", "a to z"),
        ("/flow/entries/cancel/description", "says nothing"),
        ("/flow/entries/cancel/state", "did you mean \"day\""),
        ("/tools_available/0/tool_name", "rename the tool"),
    ];
    expect(change, Severity::Error, &found);
    let nobody = |bot: &mut Value| drop(bot.as_object_mut().unwrap().remove("system_prompt"));
    expect(nobody, Severity::Error, &[("/flow/entries", "add a system_prompt")]);
    let none = |bot: &mut Value| bot["flow"]["entries"] = json!({});
    let back = "give the flow entries";
    expect(
        none,
        Severity::Error,
        &[
            ("/flow/entries", "add an entry"),
            ("/flow/states/reason/model/exits/nothing/goto", back),
            ("/flow/states/book/tool/on_failed", back),
            ("/flow/states/desk/transfer/on_failed", back),
            ("/flow/states/booked", "no way out"),
        ],
    );
}

#[test]
fn a_model_state_has_exits_that_can_be_reached() {
    let change = |bot: &mut Value| {
        let state = &mut bot["flow"]["states"]["reason"];
        state["goto"] = json!("book");
        state["model"]["instructions"] = json!("Ask about {dya}.");
        state["model"]["max_turns"] = json!(0);
        state["model"]["exits"]["known"]["needs"] = json!(["abuot"]);
        state["model"]["exits"]["nothing"]["goto"] = json!("@repeat");
        state["model"]["exits"]["lost"] = json!({ "description": "", "goto": "nowhere" });
        state["model"]["collect"]["exit"] = json!({ "type": "string", "one_of": [] });
        state["model"]["collect"]["age"] = json!({ "type": "integer", "one_of": ["1"] });
    };
    let at = "/flow/states/reason/model";
    let found = [
        ("/instructions", "did you mean \"day\""),
        ("/max_turns", "write 1 to 100"),
        ("/exits/known/needs/0", "did you mean \"about\""),
        ("/exits/nothing/goto", "no question to repeat"),
        ("/exits/lost/description", "says nothing"),
        ("/exits/lost/goto", "no state \"nowhere\""),
        ("/collect/exit", "choose another"),
        ("/collect/exit/one_of", "nothing would fit"),
        ("/collect/age/one_of", "make its type string"),
    ];
    let found: Vec<_> = found.iter().map(|(place, message)| (format!("{at}{place}"), *message)).collect();
    let found: Vec<_> = found.iter().map(|(place, message)| (place.as_str(), *message)).collect();
    expect(change, Severity::Error, &found);
    expect(change, Severity::Warning, &[("/flow/states/reason/goto", "no effect")]);
    let none = |bot: &mut Value| bot["flow"]["states"]["reason"]["model"]["exits"] = json!({});
    expect(none, Severity::Error, &[("/flow/states/reason/model/exits", "add an exit")]);
    let both = |bot: &mut Value| bot["flow"]["states"]["reason"]["hang_up"] = json!(true);
    expect(both, Severity::Error, &[("/flow/states/reason", "hang_up and model at once")]);
}

#[test]
fn a_node_without_a_model_is_thought_of() {
    let alone = |bot: &mut Value| {
        *bot = json!({
            "system_prompt": { "greeting": "Hello." },
            "flow": { "start": "a", "states": {
                "a": { "model": { "instructions": "Talk.", "exits": { "done": { "description": "Enough.", "goto": "b" } } } },
                "b": { "say": "Goodbye.", "hang_up": true },
            } },
        });
    };
    expect(alone, Severity::Error, &[]);
    expect(alone, Severity::Warning, &[("/flow/states/a/model", "where no language model answers")]);
    expect(alone, Severity::NotSupported, &[("/system_prompt/greeting", "the flow begins")]);
}
