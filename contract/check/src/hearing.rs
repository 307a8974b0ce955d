//! Can the recognizer hear what the callers are asked to say? One unknown word would make it deaf to a phrase, or to a
//! whole grammar.

use tandem_contract::bot::flow::{Ask, Flow, Texts};

use super::{Findings, token};

/// What a recognizer knows. A trait, because only the machine where the bot runs knows its own.
pub trait Hearing {
    /// The words of a phrase that its dictionary lacks.
    fn unknown_words(&self, phrase: &str) -> Vec<String>;

    /// # Errors
    /// Why it cannot use this JSGF grammar.
    fn accepts_jsgf(&self, source: &str) -> Result<(), String>;
}

pub(super) fn check(flow: &Flow, hearing: &dyn Hearing, findings: &mut Findings) {
    let mut heard = Heard { hearing, findings };
    for (name, command) in flow.commands() {
        heard.texts(&format!("/flow/anywhere/{}/say", token(name)), &command.say);
    }
    for (name, state) in &flow.states {
        let at = format!("/flow/states/{}/ask", token(name));
        match &state.ask {
            Some(Ask::Choice(options)) => {
                for (value, option) in options {
                    heard.texts(&format!("{at}/choice/{}/say", token(value)), &option.say);
                }
            }
            Some(Ask::Phrases(phrases)) => heard.phrases(&format!("{at}/phrases"), phrases),
            Some(Ask::Jsgf(source)) => {
                if let Err(why) = hearing.accepts_jsgf(source) {
                    heard.findings.error(format!("{at}/jsgf"), format!("{why}; callers could not answer"));
                }
            }
            // The words of yes, no and the digits are ours; free text is not for recognizers.
            Some(Ask::YesNo | Ask::Digits(_) | Ask::Open) | None => {}
        }
    }
}

struct Heard<'a> {
    hearing: &'a dyn Hearing,
    findings: &'a mut Findings,
}

impl Heard<'_> {
    fn texts(&mut self, at: &str, texts: &Texts) {
        match texts {
            Texts::One(phrase) => self.phrase(at.to_owned(), phrase),
            Texts::Many(phrases) => self.phrases(at, phrases),
        }
    }

    fn phrases(&mut self, at: &str, phrases: &[String]) {
        for (index, phrase) in phrases.iter().enumerate() {
            self.phrase(format!("{at}/{index}"), phrase);
        }
    }

    fn phrase(&mut self, at: String, phrase: &str) {
        let unknown = self.hearing.unknown_words(phrase);
        if !unknown.is_empty() {
            let words = unknown.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
            let message = format!(
                "the recognizer's dictionary has no word {words}: callers who say this are not understood; write it in other words"
            );
            self.findings.warning(at, message);
        }
    }
}
