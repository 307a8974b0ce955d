//! Prompts and tool arguments from templates, and values as a voice or a chat window should give them.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_contract::Private;
use tandem_contract::bot::flow::{Ask, Flow};
use tandem_contract::call::Modality;

use crate::words;

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Filled {
    pub value: Private<Value>,
    /// How the agent says it, where the value itself is not for ears.
    pub label: Option<Private<String>>,
}

pub(super) type Slots = BTreeMap<String, Filled>;

/// A prompt with its slots filled. An empty slot is silent.
pub(super) fn prompt(template: &str, slots: &Slots, modality: Modality) -> String {
    fill(template, slots, |filled| match (&filled.label, modality) {
        (Some(label), _) => label.reveal().clone(),
        (None, Modality::Voice) => spoken(filled.value.reveal()),
        (None, Modality::Text) => written(filled.value.reveal()),
    })
}

/// Tool arguments with their slots filled. An argument that is nothing but one slot keeps the slot's JSON type.
pub(super) fn arguments(templates: Option<&IndexMap<String, Value>>, slots: &Slots) -> Value {
    let filled = templates.into_iter().flatten().map(|(name, template)| {
        let value = match template {
            Value::String(text) => match whole_slot(text) {
                Some(slot) => slots.get(slot).map_or(Value::Null, |filled| filled.value.reveal().clone()),
                None => Value::String(fill(text, slots, |filled| written(filled.value.reveal()))),
            },
            other => other.clone(),
        };
        (name.clone(), value)
    });
    Value::Object(filled.collect())
}

fn whole_slot(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix('}').filter(|name| !name.contains(['{', '}']))
}

fn fill(template: &str, slots: &Slots, show: impl Fn(&Filled) -> String) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((slot, tail)) = after.split_once('}') else {
            text.push_str(after);
            return text;
        };
        if let Some(filled) = slots.get(slot) {
            text.push_str(&show(filled));
        }
        rest = tail;
    }
    text + rest
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Codes digit by digit, `09:30` as "nine thirty a m", `2026-11-23` as "November twenty third", the rest as it is.
fn spoken(value: &Value) -> String {
    let Value::String(text) = value else { return written(value) };
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return words::digit_by_digit(text);
    }
    time(text).or_else(|| date(text)).unwrap_or_else(|| text.clone())
}

fn time(text: &str) -> Option<String> {
    let (hour, minute) = text.split_once(':').filter(|_| text.len() == 5)?;
    let (hour, minute): (u8, u8) = (hour.parse().ok().filter(|h| *h < 24)?, minute.parse().ok().filter(|m| *m < 60)?);
    let half = if hour < 12 { "a m" } else { "p m" };
    let hour = words::number(if hour % 12 == 0 { 12 } else { hour % 12 });
    Some(match minute {
        0 => format!("{hour} {half}"),
        1..10 => format!("{hour} oh {} {half}", words::number(minute)),
        _ => format!("{hour} {} {half}", words::number(minute)),
    })
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn date(text: &str) -> Option<String> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let plain = year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit());
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?).filter(|_| plain)?;
    let day: u8 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    Some(format!("{month} {}", words::ordinal(day)))
}

/// What a reader may type: the options by number. A caller hears them in the prompt.
pub(super) fn hint(flow: &Flow, ask: &Ask) -> Option<String> {
    match ask {
        Ask::YesNo => Some("(yes or no)".to_owned()),
        Ask::Digits(count) => Some(match count.range() {
            (min, max) if min == max => format!("({min} digits)"),
            (min, max) => format!("({min} to {max} digits)"),
        }),
        Ask::Choice(options) => {
            let named = flow.keys(options).into_iter().map(|(value, key)| {
                let name = options.get(value).and_then(|option| option.say.as_slice().first());
                let name = name.map_or(value, String::as_str);
                key.map_or_else(|| name.to_owned(), |key| format!("{key} {name}"))
            });
            Some(format!("({})", named.collect::<Vec<_>>().join(", ")))
        }
        Ask::Phrases(phrases) => Some(format!("({})", phrases.join(", "))),
        Ask::Jsgf(_) | Ask::Open => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(value: Value) -> Slots {
        [("x".to_owned(), Filled { value: Private::new(value), label: None })].into()
    }

    #[test]
    fn values_are_spoken_as_people_do() {
        for (value, voice) in [
            ("4712", "four, seven, one, two"),
            ("09:30", "nine thirty a m"),
            ("14:05", "two oh five p m"),
            ("00:00", "twelve a m"),
            ("11:00", "eleven a m"),
            ("2026-11-23", "November twenty third"),
            ("Monday", "Monday"),
            ("25:00", "25:00"),
            ("2026-13-01", "2026-13-01"),
        ] {
            assert_eq!(prompt("{x}", &slots(value.into()), Modality::Voice), voice);
            assert_eq!(prompt("{x}", &slots(value.into()), Modality::Text), value);
        }
        assert_eq!(prompt("a {x} b", &slots(3.into()), Modality::Voice), "a 3 b");
    }

    #[test]
    fn templates_are_total() {
        let slots = slots("v".into());
        for (template, text) in [("{x}{x}", "vv"), ("{y}.", "."), ("{x", "x"), ("}{", "}"), ("", "")] {
            assert_eq!(prompt(template, &slots, Modality::Text), text, "{template}");
        }
    }

    #[test]
    fn a_whole_slot_keeps_its_type() {
        let templates: IndexMap<String, Value> =
            serde_json::from_str(r#"{"a": "{x}", "b": "n{x}", "c": 1, "d": "{none}"}"#).unwrap();
        let expected = serde_json::json!({"a": 7, "b": "n7", "c": 1, "d": null});
        assert_eq!(arguments(Some(&templates), &slots(7.into())), expected);
    }
}
