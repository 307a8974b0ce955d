//! What is known of the conversation when the rules are asked.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_conditions::Facts;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::Modality;
use tandem_contract::{Epoch, Private};
use tandem_media::Time;

use crate::brain::BrainEvent;
use crate::turn::lexicon::{Phrase, phrases};
use crate::words::plain;

/// A negation so many words before a request takes it back: "I don't want to talk to a human".
const TAKEN_BACK_WITHIN: usize = 3;

/// English and Spanish. A "no" is none: "No, let me talk to a human" is what people say who were not understood.
const NEGATIONS: [&str; 6] = ["don't", "dont", "never", "not", "nunca", "without"];

struct Lists {
    requests: Vec<Phrase>,
    emergencies: Vec<Phrase>,
}

macro_rules! lists {
    ($language:literal) => {
        LazyLock::new(|| Lists {
            requests: phrases(include_str!(concat!("requests/", $language, ".txt"))),
            emergencies: phrases(include_str!(concat!("emergencies/", $language, ".txt"))),
        })
    };
}

static ENGLISH: LazyLock<Lists> = lists!("en");
static SPANISH: LazyLock<Lists> = lists!("es");

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Known {
    modality: Modality,
    language: String,
    began: Option<Time>,
    text: Private<String>,
    state: String,
    turns: u32,
    not_understood: u32,
    silences: u32,
    interruptions: u32,
    tool_failures: u32,
    wants_a_person: bool,
    emergency: bool,
}

impl Known {
    pub(super) fn new(config: &BotConfig, modality: Modality) -> Self {
        Self {
            modality,
            language: config.language().to_owned(),
            began: None,
            text: Private::default(),
            state: String::new(),
            turns: 0,
            not_understood: 0,
            silences: 0,
            interruptions: 0,
            tool_failures: 0,
            wants_a_person: false,
            emergency: false,
        }
    }

    /// The epoch of the reply to come, where the event is one after which the rules are asked.
    pub(super) fn learn(&mut self, now: Time, event: &BrainEvent) -> Option<Epoch> {
        match event {
            BrainEvent::Started | BrainEvent::Continued => {
                self.began = Some(now);
                None
            }
            BrainEvent::Said { epoch, text } => {
                self.understood(text.reveal());
                Some(*epoch)
            }
            BrainEvent::Digits { epoch, digits } => {
                self.understood(digits.reveal());
                Some(*epoch)
            }
            BrainEvent::NotUnderstood { epoch } | BrainEvent::NotHeard { epoch } => {
                self.says_nothing();
                self.not_understood = self.not_understood.saturating_add(1);
                Some(*epoch)
            }
            BrainEvent::Silent { epoch } => {
                self.says_nothing();
                self.silences = self.silences.saturating_add(1);
                Some(*epoch)
            }
            BrainEvent::ToolDone { epoch, result: Err(failure), .. } if failure.failed => {
                self.tool_failures = self.tool_failures.saturating_add(1);
                Some(*epoch)
            }
            BrainEvent::Heard { interrupted, .. } => {
                self.interruptions = self.interruptions.saturating_add(u32::from(*interrupted));
                None
            }
            BrainEvent::ToolDone { .. }
            | BrainEvent::ToolRuns { .. }
            | BrainEvent::FloorFree { .. }
            | BrainEvent::Model { .. }
            | BrainEvent::EndInterrupted
            | BrainEvent::TransferProgress { .. } => None,
        }
    }

    /// The name of a flow's state; that of the model beside it is none.
    pub(super) fn entered(&mut self, state: &str) {
        self.state = if state.starts_with('@') { String::new() } else { state.to_owned() };
    }

    fn understood(&mut self, text: &str) {
        self.turns = self.turns.saturating_add(1);
        self.not_understood = 0;
        let said = plain(text);
        self.wants_a_person = lists(&self.language).iter().any(|lists| requests(&said, &lists.requests));
        self.emergency = lists(&self.language).iter().any(|lists| holds(&said, &lists.emergencies));
        self.text = text.to_owned().into();
    }

    /// What the caller said last is done with.
    pub(super) fn says_nothing(&mut self) {
        self.text = Private::default();
        (self.wants_a_person, self.emergency) = (false, false);
    }

    pub(super) fn facts<'a>(&'a self, now: Time, slots: &'a Value) -> Facts<'a> {
        Facts {
            channel: if self.modality == Modality::Voice { "voice" } else { "chat" },
            duration_s: self.began.map_or(0, |began| now.since(began).as_secs()),
            emergency_keywords_detected: self.emergency,
            interruptions: self.interruptions,
            language: &self.language,
            not_understood_in_a_row: self.not_understood,
            silence_count: self.silences,
            slots,
            state: &self.state,
            text: self.text.reveal(),
            tool_failures: self.tool_failures,
            turn_count: self.turns,
            user_requests_human: self.wants_a_person,
        }
    }
}

/// Of the bot's language; of both where it has another, or many: a caller in need is not asked for the right one.
fn lists(language: &str) -> Vec<&'static Lists> {
    match language.split(['-', '_']).next().unwrap_or_default().to_lowercase().as_str() {
        "en" => vec![&ENGLISH],
        "es" => vec![&SPANISH],
        _ => vec![&ENGLISH, &SPANISH],
    }
}

fn found<'w>(said: &'w [String], phrase: &Phrase) -> impl Iterator<Item = usize> + use<'w> {
    let (phrase, length) = (phrase.clone(), phrase.len().max(1));
    said.windows(length).enumerate().filter(move |(_, part)| *part == phrase).map(|(at, _)| at)
}

fn holds(said: &[String], list: &[Phrase]) -> bool {
    list.iter().any(|phrase| found(said, phrase).next().is_some())
}

fn requests(said: &[String], list: &[Phrase]) -> bool {
    let taken_back = |at: usize| {
        let before = &said[at.saturating_sub(TAKEN_BACK_WITHIN)..at];
        before.iter().any(|word| NEGATIONS.contains(&word.as_str()))
    };
    list.iter().any(|phrase| found(said, phrase).any(|at| !taken_back(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(language: &str, text: &str) -> (bool, bool) {
        let text_of = serde_json::json!({ "livekit_config": { "stt_language": language } });
        let mut known = Known::new(&serde_json::from_value(text_of).unwrap(), Modality::Voice);
        known.learn(Time::ZERO, &BrainEvent::Said { epoch: Epoch(1), text: text.to_owned().into() });
        (known.wants_a_person, known.emergency)
    }

    #[test]
    fn people_who_want_a_person_are_known_by_their_words() {
        for text in [
            "Let me talk to a human!",
            "could I speak with somebody, please",
            "I WANT A PERSON",
            "No, let me talk to an agent",
        ] {
            assert_eq!(known("en-US", text), (true, false), "{text}");
        }
        for text in [
            "I don't want to talk to a human",
            "I do not want to speak to a person",
            "a personal question",
            "",
            "human",
        ] {
            assert_eq!(known("en-US", text), (false, false), "{text}");
        }
        assert_eq!(known("es-MX", "quiero hablar con una persona"), (true, false));
        assert_eq!(known("es-MX", "talk to a human"), (false, false));
        assert_eq!(known("multi", "talk to a human"), (true, false));
    }

    #[test]
    fn emergencies_are_known_by_their_words() {
        for text in ["He has chest pain", "I can\u{2019}t breathe", "this is an emergency, talk to me"] {
            assert!(known("en-US", text).1, "{text}");
        }
        assert!(known("es", "mi padre no respira").1 && !known("en-US", "a stroke of luck").1);
    }
}
