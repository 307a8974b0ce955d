//! What the recognizer and the keypad are to listen for in a state.

use tandem_contract::bot::flow::{Ask, Flow};
use tandem_speech::Grammar;

use super::understand::{NO, YES};
use crate::brain::{DigitCollection, Listen};
use crate::turn::Silence;

/// A caller who reads a code from paper pauses between the keys; longer than this and they are done.
const INTER_DIGIT_MS: u32 = 3_000;

/// Nothing counts: a tool runs, a transfer rings.
pub(super) const NOTHING: Listen = Listen { grammar: None, digits: None, silence: Silence::Policy };

/// Only the key that ends it counts, and nobody is waited for.
pub(super) const ECHO: Listen = Listen { silence: Silence::Unlimited, ..NOTHING };

/// `after_ms`: silence before it counts, where the script says it.
pub(super) fn listen(flow: &Flow, ask: &Ask, after_ms: Option<u32>) -> Listen {
    let mut digits = None;
    let grammar = match ask {
        Ask::YesNo => phrases(flow, YES.iter().chain(&NO).copied()),
        Ask::Digits(count) => {
            let (min, max) = count.range();
            let inter_digit_ms = count.inter_digit_ms.unwrap_or(INTER_DIGIT_MS);
            digits = Some(DigitCollection { min, max, inter_digit_ms });
            Grammar::Digits { min, max }
        }
        Ask::Choice(options) => {
            phrases(flow, options.values().flat_map(|option| option.say.as_slice()).map(String::as_str))
        }
        Ask::Phrases(list) => phrases(flow, list.iter().map(String::as_str)),
        Ask::Jsgf(source) => Grammar::Jsgf { source: source.clone() },
        Ask::Open => Grammar::Open,
    };
    let silence = after_ms.map_or(Silence::Policy, |ms| Silence::Limit { ms });
    Listen { grammar: Some(grammar), digits, silence }
}

fn phrases<'a>(flow: &'a Flow, own: impl Iterator<Item = &'a str>) -> Grammar {
    let everywhere = flow.commands().flat_map(|(_, command)| command.say.as_slice()).map(String::as_str);
    let mut phrases: Vec<String> = Vec::new();
    for phrase in own.chain(everywhere).map(str::to_lowercase) {
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    }
    Grammar::Phrases { phrases }
}
