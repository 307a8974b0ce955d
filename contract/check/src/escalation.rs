//! The rules by which a caller goes to a person: conditions that can be asked, and actions that can be done.

use serde_json::Value;
use tandem_conditions::{Action, Condition, Facts, QUEUE_CALLBACK, RULES_MAX, Undecided, VARIABLES};

use super::{Findings, did_you_mean};

const PLACE: &str = "/workflow_features/human_escalation";

pub(super) fn is_on(config: &Value) -> bool {
    config.pointer(PLACE).and_then(|block| block.get("enabled")) == Some(&Value::Bool(true))
}

pub(super) fn check(config: &Value, findings: &mut Findings) {
    let Some(block) = config.pointer(PLACE).filter(|_| is_on(config)) else { return };
    let triggers = block.get("triggers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if triggers.len() > RULES_MAX {
        let message = format!("{} are too many; leave {RULES_MAX}", triggers.len());
        findings.error(format!("{PLACE}/triggers"), message);
    }
    for (index, trigger) in triggers.iter().enumerate() {
        let text = |key: &str| trigger.get(key).and_then(Value::as_str);
        if let Some(source) = text("condition") {
            condition(&format!("{PLACE}/triggers/{index}/condition"), source, findings);
        }
        if let Some(action) = text("action").filter(|action| Action::from_name(action).is_none()) {
            let names = Action::NAMES.map(|(name, _)| name);
            let known = names.join(", ");
            let message = format!("{action} is not known here ({known} are){}", did_you_mean(action, names));
            findings.not_supported(format!("{PLACE}/triggers/{index}/action"), message);
        }
    }
    let place = format!("{PLACE}/unavailable_action");
    if let Some(action) = config.pointer(&place).and_then(Value::as_str).filter(|action| *action != QUEUE_CALLBACK) {
        let message = format!("{action} is not known here ({QUEUE_CALLBACK} is); callers are told that nobody is free");
        findings.not_supported(place, message);
    }
    destinations(config, triggers, findings);
}

fn condition(at: &str, source: &str, findings: &mut Findings) {
    let condition = match Condition::new(source) {
        Ok(condition) => condition,
        Err(error) => return findings.error(at, format!("{error}; conditions are CEL, such as turn_count > 5")),
    };
    let unknown = condition.unknown();
    if !unknown.is_empty() {
        let (names, known) = (unknown.join(", "), VARIABLES.join(", "));
        let hint = did_you_mean(&unknown[0], VARIABLES);
        let message =
            format!("variable {names}: not known here, and so the rule never acts{hint} Variables are {known}");
        return findings.not_supported(at, message);
    }
    match condition.holds(&Facts::NONE) {
        // A slot may be filled later.
        Ok(_) | Err(Undecided::NoSuchKey(_)) => {}
        Err(error) => findings.error(at, format!("{error}; write what is true or false, such as turn_count > 5")),
    }
}

/// On a call somebody has to be named. A chat has its own people.
fn destinations(config: &Value, triggers: &[Value], findings: &mut Findings) {
    let transfer = config.pointer("/workflow_features/call_transfer");
    let transfer = transfer.filter(|transfer| transfer.get("enabled") == Some(&Value::Bool(true)));
    let named = transfer.and_then(|transfer| transfer.get("transfer_destinations")?.as_array());
    let chat_only = config.pointer("/config_metadata/product_type").and_then(Value::as_str) == Some("chatbot");
    if !triggers.is_empty() && !chat_only && named.is_none_or(Vec::is_empty) {
        let message = "no destination is named: callers are told that nobody is free; \
            add workflow_features.call_transfer with transfer_destinations";
        findings.warning(PLACE, message);
    }
}
