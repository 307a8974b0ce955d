//! What `check` says of the rules by which a caller goes to a person.

use serde_json::{Value, json};
use tandem_check::{Report, Severity};

fn check(escalation: &Value) -> Report {
    let bot = json!({ "system_prompt": {}, "workflow_features": {
        "human_escalation": escalation,
        "call_transfer": { "enabled": true, "transfer_destinations": [{ "name": "desk", "phone": "sip:desk@192.0.2.7" }] },
    } });
    tandem_check::check(&bot.to_string(), None)
}

fn of(condition: &str, action: &str) -> Report {
    check(&json!({ "enabled": true, "triggers": [{ "condition": condition, "action": action }] }))
}

#[track_caller]
fn one(report: &Report, severity: Severity, place: &str, part: &str) {
    let [finding] = report.findings.as_slice() else { panic!("{report}") };
    assert_eq!((finding.severity, finding.pointer.as_str()), (severity, place), "{report}");
    assert!(finding.message.contains(part), "{report}");
}

const CONDITION: &str = "/workflow_features/human_escalation/triggers/0/condition";

#[test]
fn conditions_that_can_be_asked_are_fine() {
    for condition in [
        "user_requests_human",
        "emergency_keywords_detected || tool_failures > 2",
        "slots.age > 70",
        "text.contains('lawyer') && channel == 'chat'",
    ] {
        let report = of(condition, "immediate_handoff");
        assert!(report.findings.is_empty(), "{condition}: {report}");
    }
}

#[test]
fn what_nobody_knows_here_is_not_supported() {
    for condition in ["sentiment_score < 0.3", "ai_confidence < 0.5", "patient_requests_doctor"] {
        let report = of(condition, "immediate_transfer");
        let name = condition.split(' ').next().unwrap();
        one(&report, Severity::NotSupported, CONDITION, &format!("variable {name}: not known here"));
        assert!(report.config.is_some() && report.findings[0].message.contains("user_requests_human"), "{report}");
    }
    one(&of("turn_cuont > 3", "suggest_handoff"), Severity::NotSupported, CONDITION, "did you mean \"turn_count\"");
    let place = "/workflow_features/human_escalation/triggers/0/action";
    one(&of("turn_count > 3", "sugest_handoff"), Severity::NotSupported, place, "did you mean \"suggest_handoff\"");
    let message = check(&json!({ "enabled": true, "unavailable_action": "take_message" }));
    let place = "/workflow_features/human_escalation/unavailable_action";
    one(&message, Severity::NotSupported, place, "queue_callback is");
}

#[test]
fn what_is_no_condition_is_an_error() {
    for (condition, part) in [
        ("turn_count >", "line 1, column 13"),
        ("turn_count", "neither true nor false"),
        ("text > 3", "does not fit"),
        ("shout(text)", "there is no shout()"),
    ] {
        one(&of(condition, "suggest_transfer"), Severity::Error, CONDITION, part);
    }
    let many: Vec<Value> =
        (0..51).map(|n| json!({ "condition": format!("turn_count > {n}"), "action": "suggest_handoff" })).collect();
    let report = check(&json!({ "enabled": true, "triggers": many }));
    one(&report, Severity::Error, "/workflow_features/human_escalation/triggers", "leave 50");
}

#[test]
fn rules_that_are_off_say_nothing_and_a_call_needs_somebody() {
    let off = check(&json!({ "enabled": false, "triggers": [{ "condition": "sentiment_score <", "action": "x" }] }));
    assert!(off.findings.is_empty(), "{off}");
    let nobody = json!({ "system_prompt": {}, "workflow_features": { "human_escalation":
        { "enabled": true, "triggers": [{ "condition": "user_requests_human", "action": "immediate_handoff" }] } } });
    let report = tandem_check::check(&nobody.to_string(), None);
    one(&report, Severity::Warning, "/workflow_features/human_escalation", "no destination");
}
