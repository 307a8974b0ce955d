//! Where a flow and a language model pass the conversation to each other: the entries of a flow, and its `model` states.

use std::ops::RangeInclusive;

use serde_json::Value;
use tandem_contract::bot::blocks::FieldType;
use tandem_contract::bot::flow::{Collected, Talk, Target};

use super::script::Script;
use super::{Findings, did_you_mean, token};

/// The argument of the model's tool that names the exit: no slot may be called that.
const EXIT: &str = "exit";

/// What a caller may say in a `model` state: less is no conversation, more is one that leads nowhere.
const TURNS: RangeInclusive<u8> = 1..=100;

/// Characters of an entry's name. Vendors allow 64 of a tool, which is `start_` and the name.
const NAME_MOST: usize = 50;

/// Words that a model is to choose by.
const NO_DESCRIPTION: &str = "says nothing; the model has to know when to take it";

impl Script<'_> {
    pub(super) fn entries(&mut self) {
        let flow = self.flow;
        if flow.entries.as_ref().is_some_and(|entries| entries.is_empty()) {
            self.findings.error("/flow/entries", "the model could enter nowhere; add an entry, or remove it");
        }
        for (name, entry) in flow.entries.iter().flatten() {
            let at = format!("/flow/entries/{}", token(name));
            if name.is_empty() || name.len() > NAME_MOST || !name.bytes().all(is_plain) {
                let message = format!("an entry is named by a to z, 0 to 9, - and _, {NAME_MOST} at most; rename it");
                self.findings.error(&at, message);
            }
            self.described(&format!("{at}/description"), &entry.description);
            self.target(&format!("{at}/state"), &Target::State(entry.state.clone()), false);
        }
    }

    /// Where its exits lead is looked at with the other targets.
    pub(super) fn talk(&mut self, at: &str, talk: &Talk) {
        self.described(&format!("{at}/instructions"), &talk.instructions);
        self.template(&format!("{at}/instructions"), &talk.instructions);
        if talk.exits.is_empty() {
            self.findings.error(format!("{at}/exits"), "no way out of this state; add an exit");
        }
        let slots = || talk.collect.iter().flatten().map(|(slot, _)| slot.as_str());
        for (name, exit) in &talk.exits {
            let at = format!("{at}/exits/{}", token(name));
            self.described(&format!("{at}/description"), &exit.description);
            for (index, slot) in exit.needs.iter().flatten().enumerate() {
                if !slots().any(|known| known == slot) {
                    let message = format!("collect has no slot {slot:?}{}", did_you_mean(slot, slots()));
                    self.findings.error(format!("{at}/needs/{index}"), message);
                }
            }
        }
        for (slot, collected) in talk.collect.iter().flatten() {
            self.collected(&format!("{at}/collect/{}", token(slot)), slot, collected);
        }
        if let Some(turns) = talk.max_turns.filter(|turns| !TURNS.contains(turns)) {
            let (least, most) = TURNS.into_inner();
            let message = format!("{turns} is not sensible here; write {least} to {most}");
            self.findings.error(format!("{at}/max_turns"), message);
        }
        if talk.on_failed.is_none() && !self.flow.is_entered() {
            let message = "without on_failed the agent apologises and hangs up where no language model answers";
            self.findings.warning(at, message);
        }
    }

    fn collected(&mut self, at: &str, slot: &str, collected: &Collected) {
        if slot == EXIT {
            self.findings.error(at, "this name means the exit; choose another");
        }
        match &collected.one_of {
            Some(_) if collected.r#type != FieldType::String => {
                self.findings.error(format!("{at}/one_of"), "only a text is one of several; make its type string");
            }
            Some(values) if values.is_empty() => {
                self.findings.error(format!("{at}/one_of"), "nothing would fit; add values, or remove it");
            }
            _ => {}
        }
    }

    fn described(&mut self, at: &str, text: &str) {
        if text.trim().is_empty() {
            self.findings.error(at, NO_DESCRIPTION);
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
}

/// Whether a language model answers beside the flow.
pub(super) fn is_mixed(config: &Value) -> bool {
    let states = config.pointer("/flow/states").and_then(Value::as_object);
    let talks = states.into_iter().flatten().any(|(_, state)| state.get("model").is_some());
    talks || is_entered(config)
}

/// Whether the model has the conversation, and hands it to the flow.
pub(super) fn is_entered(config: &Value) -> bool {
    let entries = config.pointer("/flow/entries").and_then(Value::as_object);
    entries.is_some_and(|entries| !entries.is_empty())
}

/// What a flow and the rest of the config have to say to each other.
pub(super) fn check(config: &Value, findings: &mut Findings) {
    let told = ["system_prompt", "llm_config"].iter().any(|key| config.get(key).is_some());
    if is_entered(config) && !told {
        let message =
            "no language model begins this conversation; add a system_prompt or an llm_config, or remove entries";
        findings.error("/flow/entries", message);
    }
    let tools = config.get("tools_available").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, tool) in tools.iter().enumerate() {
        let name = tool.get("tool_name").and_then(Value::as_str).unwrap_or_default();
        let entry = name.strip_prefix("start_").and_then(|entry| config.pointer("/flow/entries")?.get(entry));
        if is_mixed(config) && (name == "leave" || entry.is_some()) {
            let message = format!("{name} is how the model passes the conversation to the flow; rename the tool");
            findings.error(format!("/tools_available/{index}/tool_name"), message);
        }
    }
}
