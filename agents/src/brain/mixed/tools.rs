//! The tools by which a language model passes the conversation to a flow, and what it is told of them.

use serde_json::{Map, Value, json};
use tandem_contract::bot::blocks::FieldType;
use tandem_contract::bot::flow::{Collected, Entry, Flow, Talk, Target};
use tandem_models::ToolSpec;

use crate::brain::ToolFailure;
use crate::brain::flow::FlowBrain;
use crate::brain::pipeline::{HANG_UP, Persona};

/// The model leaves a `model` state by this tool.
pub(super) const LEAVE: &str = "leave";
/// The argument that names the exit.
const EXIT: &str = "exit";
/// The model enters the flow by `start_` and the entry's name.
const START: &str = "start_";

/// The bot with the flow's entries.
pub(super) fn host(persona: &Persona, flow: &Flow) -> Persona {
    let mut host = persona.clone();
    let entries = flow.entries.iter().flatten();
    host.tools.extend(entries.map(|(name, entry)| ToolSpec {
        name: format!("{START}{name}"),
        description: format!(
            "{} Hands the conversation to a script, which talks with the caller itself and answers with what it found out. \
             Call it alone, and announce nothing.",
            entry.description
        ),
        parameters: json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    }));
    host
}

/// The bot in a `model` state. It cannot hang up: where the conversation leads from here, the flow says.
pub(super) fn guest(persona: &Persona, talk: &Talk, flow: &FlowBrain) -> Persona {
    let mut guest = persona.clone();
    let instructions = flow.filled_in(&talk.instructions);
    guest.system = [persona.system.as_str(), &instructions].join("\n\n").trim().to_owned();
    guest.tools.retain(|tool| tool.name != HANG_UP);
    guest.tools.push(leave(talk));
    guest
}

fn leave(talk: &Talk) -> ToolSpec {
    let mut description =
        "Ends this part of the conversation. Call it alone, as soon as one of these is so:".to_owned();
    for (name, exit) in &talk.exits {
        let needs = exit.needs.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let needs = if needs.is_empty() { needs } else { format!(" (with {needs})") };
        description.push_str(&format!("\n- {name}{needs}: {}", exit.description));
    }
    let names: Vec<&str> = talk.exits.keys().map(String::as_str).collect();
    let mut properties = Map::from_iter([(EXIT.to_owned(), json!({ "type": "string", "enum": names }))]);
    for (slot, collected) in talk.collect.iter().flatten() {
        let mut schema = Map::from_iter([("type".to_owned(), json!(collected.r#type))]);
        schema.extend(collected.description.iter().map(|text| ("description".to_owned(), json!(text))));
        schema.extend(collected.one_of.iter().map(|values| ("enum".to_owned(), json!(values))));
        properties.insert(slot.clone(), Value::Object(schema));
    }
    let parameters =
        json!({ "type": "object", "properties": properties, "required": [EXIT], "additionalProperties": false });
    ToolSpec { name: LEAVE.to_owned(), description, parameters }
}

/// The entry that a tool stands for.
pub(super) fn entry<'a>(flow: &'a Flow, tool: &str) -> Option<&'a Entry> {
    flow.entries.as_ref()?.get(tool.strip_prefix(START)?)
}

/// Where a call of `leave` leads, and the slots that it fills.
///
/// # Errors
/// What the model has to mend: there is no such exit, a slot is missing or does not fit.
pub(super) fn exit(
    talk: &Talk,
    arguments: &Value,
    is_filled: impl Fn(&str) -> bool,
) -> Result<(Target, Vec<(String, Value)>), ToolFailure> {
    let refused = |code: &str, detail: String| ToolFailure { code: code.to_owned(), detail, failed: false };
    let named = arguments.get(EXIT).and_then(Value::as_str).unwrap_or_default();
    let Some(exit) = talk.exits.get(named) else {
        let known = talk.exits.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(refused("unknown_exit", format!("exit has to be one of {known}")));
    };
    let mut slots = Vec::new();
    for (slot, collected) in talk.collect.iter().flatten() {
        let Some(value) = arguments.get(slot).filter(|value| !value.is_null()) else { continue };
        if !fits(collected, value) {
            return Err(refused("bad_slot", format!("{slot} has to be {}", wanted(collected))));
        }
        slots.push((slot.clone(), value.clone()));
    }
    let missing = |slot: &&String| !slots.iter().any(|(filled, _)| filled == *slot) && !is_filled(slot);
    match exit.needs.iter().flatten().find(missing) {
        Some(slot) => Err(refused("missing_slot", format!("ask the caller for {slot} first"))),
        None => Ok((exit.goto.clone(), slots)),
    }
}

fn fits(collected: &Collected, value: &Value) -> bool {
    match collected.r#type {
        FieldType::String => value.as_str().is_some_and(|text| {
            !text.trim().is_empty() && collected.one_of.as_ref().is_none_or(|values| values.iter().any(|v| v == text))
        }),
        FieldType::Number => value.is_number(),
        FieldType::Integer => value.is_i64() || value.is_u64(),
        FieldType::Boolean => value.is_boolean(),
        FieldType::Array => value.is_array(),
        FieldType::Object => value.is_object(),
    }
}

fn wanted(collected: &Collected) -> String {
    match (&collected.one_of, collected.r#type) {
        (Some(values), _) => format!("one of {}", values.join(", ")),
        (None, FieldType::String) => "a text".to_owned(),
        (None, FieldType::Number) => "a number".to_owned(),
        (None, FieldType::Integer) => "a whole number".to_owned(),
        (None, FieldType::Boolean) => "true or false".to_owned(),
        (None, FieldType::Array) => "a list".to_owned(),
        (None, FieldType::Object) => "an object".to_owned(),
    }
}
