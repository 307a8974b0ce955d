//! The model presses keys on the caller's line: a menu of another machine, an extension, a door.

use serde_json::{Value, json};
use tandem_contract::{Epoch, Private};
use tandem_models::{ToolCall, ToolSpec};

use super::Persona;
use crate::brain::{BrainEffect, Key};

/// The model presses keys by this tool.
pub(super) const SEND_DTMF: &str = "send_dtmf";

/// Keys and pauses of one call: longer than any number, and with pauses alone shorter than the turn machine's patience.
const KEYS_MAX: usize = 32;

/// What stands for a pause. Dialling strings have a comma or a w.
const PAUSES: [char; 2] = ['w', ','];

impl Persona {
    /// A line on which keys can be pressed.
    #[must_use]
    pub fn with_keys(mut self) -> Self {
        self.tools.push(ToolSpec {
            name: SEND_DTMF.to_owned(),
            description:
                "Presses telephone keys (DTMF) on this call, after what you say before was heard. For menus of other \
                machines, extensions and doors; not to tell a person a number."
                    .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": { "digits": {
                    "type": "string",
                    "description": "0-9, *, #, A-D; w waits for half a second. At most 32.",
                } },
                "required": ["digits"],
                "additionalProperties": false,
            }),
        });
        self
    }
}

/// The answer to a call that cannot be.
pub(super) fn refusal(call: &ToolCall) -> Option<Value> {
    match keys(call) {
        Some(keys) if (1..=KEYS_MAX).contains(&keys.len()) && keys.iter().any(|key| *key != Key::Pause) => None,
        Some(_) => Some(json!({ "error": "bad_digits", "detail": "1 to 32 keys, at least one that is no pause" })),
        None => Some(json!({ "error": "bad_digits", "detail": "write digits as a string of 0-9, *, #, A-D and w" })),
    }
}

/// What the session is to do of it. None: it is another tool.
pub(super) fn press(epoch: Epoch, number: u32, call: &ToolCall) -> Option<BrainEffect> {
    let keys = Some(call).filter(|call| call.name == SEND_DTMF).and_then(keys)?;
    Some(BrainEffect::PressKeys { epoch, call: number, keys: Private::new(keys) })
}

/// Spaces and hyphens are for readers. None: something in it is no key.
fn keys(call: &ToolCall) -> Option<Vec<Key>> {
    let digits = call.arguments.reveal().get("digits")?.as_str()?;
    let keys = digits.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase());
    keys.map(|c| match c {
        '0'..='9' | '*' | '#' | 'A'..='D' => Some(Key::Digit { digit: c }),
        _ if PAUSES.contains(&c.to_ascii_lowercase()) => Some(Key::Pause),
        _ => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(digits: Value) -> ToolCall {
        let arguments = json!({ "digits": digits }).into();
        ToolCall { id: "c".into(), name: SEND_DTMF.into(), arguments, signature: None }
    }

    #[test]
    fn keys_are_read_as_people_write_them() {
        let keys = keys(&call("1-2 w*#,d".into())).unwrap();
        let digits: String = keys.iter().map(|key| if let Key::Digit { digit } = key { *digit } else { '_' }).collect();
        assert_eq!(digits, "12_*#_D");
        assert_eq!(refusal(&call("1".into())), None);
        let long = "1".repeat(33);
        for digits in [json!(""), json!("ww"), json!("12x"), json!(12), json!(null), json!(long)] {
            assert_eq!(refusal(&call(digits.clone())).unwrap()["error"], "bad_digits", "{digits}");
        }
    }

    #[test]
    fn the_digits_of_a_caller_are_not_logged() {
        let effect = press(Epoch(1), 1, &call("4711".into())).unwrap();
        assert!(!format!("{effect:?}").contains('4'), "{effect:?}");
        let other = ToolCall { name: "opening_hours".into(), ..call("1".into()) };
        assert_eq!(press(Epoch(1), 1, &other), None);
    }
}
