//! What a condition may ask.

use std::collections::HashMap;

use cel::Value;

/// Longest text of a caller or a slot that a condition sees, bytes: an utterance has a hundred, and an expression may put
/// several in a row.
const TEXT_MAX: usize = 4_000;

/// Every variable, as `docs/bots.md` explains it.
pub const VARIABLES: [&str; 13] = [
    "channel",
    "duration_s",
    "emergency_keywords_detected",
    "interruptions",
    "language",
    "not_understood_in_a_row",
    "silence_count",
    "slots",
    "state",
    "text",
    "tool_failures",
    "turn_count",
    "user_requests_human",
];

/// What is known of a conversation when a condition is asked.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `voice` or `chat`.
    pub channel: &'a str,
    pub duration_s: u64,
    pub emergency_keywords_detected: bool,
    pub interruptions: u32,
    /// BCP 47.
    pub language: &'a str,
    pub not_understood_in_a_row: u32,
    pub silence_count: u32,
    /// An object; else there are none.
    pub slots: &'a serde_json::Value,
    /// Of the flow; empty without one.
    pub state: &'a str,
    /// What the caller said last.
    pub text: &'a str,
    pub tool_failures: u32,
    pub turn_count: u32,
    pub user_requests_human: bool,
}

impl Facts<'_> {
    /// Of a conversation that has just begun.
    pub const NONE: Facts<'static> = Facts {
        channel: "voice",
        duration_s: 0,
        emergency_keywords_detected: false,
        interruptions: 0,
        language: "en-US",
        not_understood_in_a_row: 0,
        silence_count: 0,
        slots: &serde_json::Value::Null,
        state: "",
        text: "",
        tool_failures: 0,
        turn_count: 0,
        user_requests_human: false,
    };

    pub(crate) fn values(&self) -> [(&'static str, Value); VARIABLES.len()] {
        let count = |count: u32| Value::Int(count.into());
        [
            ("channel", text(self.channel)),
            ("duration_s", Value::Int(i64::try_from(self.duration_s).unwrap_or(i64::MAX))),
            ("emergency_keywords_detected", Value::Bool(self.emergency_keywords_detected)),
            ("interruptions", count(self.interruptions)),
            ("language", text(self.language)),
            ("not_understood_in_a_row", count(self.not_understood_in_a_row)),
            ("silence_count", count(self.silence_count)),
            ("slots", slots(self.slots)),
            ("state", text(self.state)),
            ("text", text(self.text)),
            ("tool_failures", count(self.tool_failures)),
            ("turn_count", count(self.turn_count)),
            ("user_requests_human", Value::Bool(self.user_requests_human)),
        ]
    }
}

fn slots(slots: &serde_json::Value) -> Value {
    let slots = slots.as_object().into_iter().flatten();
    Value::from(slots.map(|(name, slot)| (name.clone(), value(slot))).collect::<HashMap<String, Value>>())
}

/// Lists and objects are texts here: nothing is computed over them.
fn value(slot: &serde_json::Value) -> Value {
    match slot {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, number) => Value::Float(number.unwrap_or_default()),
        },
        serde_json::Value::String(string) => text(string),
        other => text(&other.to_string()),
    }
}

fn text(text: &str) -> Value {
    Value::from(&text[..text.floor_char_boundary(TEXT_MAX)])
}
