//! From [`Grammar`] to JSGF and the words that it uses.
//!
//! JSGF: W3C note "JSpeech Grammar Format", June 2000, as far as sphinxbase reads it.

use std::collections::BTreeSet;

use tandem_speech_engines::pocketsphinx::Dictionary;

use super::ENGINE;
use crate::{Grammar, SpeechError};

/// Digits as callers say them; `oh` is a zero.
const DIGITS: [&str; 11] = ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
/// Longest string of digits; bounds the search.
const MOST_DIGITS: u8 = 32;
/// Bytes of JSGF; bounds the search that a bot file can ask for.
const MOST_BYTES: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compiled {
    pub(super) jsgf: String,
    /// Lower case, sorted, each once.
    pub(super) words: Vec<String>,
}

impl Compiled {
    pub(super) fn new(grammar: &Grammar, dictionary: &Dictionary) -> Result<Self, SpeechError> {
        let refuse = |what: String| SpeechError::NotSupported { engine: ENGINE.to_owned(), what };
        let known = known_phrases(grammar, dictionary);
        let grammar = known.as_ref().unwrap_or(grammar);
        let words = words_of(grammar);
        let missing: Vec<&str> = words.iter().map(String::as_str).filter(|word| !dictionary.contains(word)).collect();
        if !missing.is_empty() {
            return Err(refuse(format!("recognize {}", missing.join(", "))));
        }
        let jsgf = match grammar {
            Grammar::Phrases { phrases } => phrases_jsgf(phrases),
            Grammar::Digits { min, max } if (1..=MOST_DIGITS).contains(max) && min <= max => digits_jsgf(*min, *max),
            Grammar::Digits { min, max } => return Err(refuse(format!("recognize {min} to {max} digits"))),
            // Imports name files of the machine that the bot file's author has no business with.
            Grammar::Jsgf { source } if imports(source) => return Err(refuse("import into a grammar".to_owned())),
            Grammar::Jsgf { source } => source.to_lowercase().replace("#jsgf v1.0", "#JSGF V1.0"),
            Grammar::Open => return Err(refuse("recognize free speech".to_owned())),
        };
        if words.is_empty() {
            return Err(refuse("listen for nothing".to_owned()));
        }
        if jsgf.len() > MOST_BYTES {
            return Err(refuse(format!("use a grammar of more than {MOST_BYTES} bytes")));
        }
        Ok(Self { jsgf, words })
    }
}

/// The phrases that can be heard: one unknown word does not make a menu deaf to its other answers. None: all of them can,
/// or none of them, which is then refused as it is.
fn known_phrases(grammar: &Grammar, dictionary: &Dictionary) -> Option<Grammar> {
    let Grammar::Phrases { phrases } = grammar else { return None };
    let heard = |phrase: &&String| spoken(phrase).iter().all(|word| dictionary.contains(word));
    let known: Vec<String> = phrases.iter().filter(heard).cloned().collect();
    let some = known.len() < phrases.len() && known.iter().any(|phrase| !spoken(phrase).is_empty());
    some.then_some(Grammar::Phrases { phrases: known })
}

/// The words that a grammar listens for: lower case, sorted, each once.
pub fn words_of(grammar: &Grammar) -> Vec<String> {
    let words: BTreeSet<String> = match grammar {
        Grammar::Phrases { phrases } => phrases.iter().flat_map(|phrase| spoken(phrase)).collect(),
        Grammar::Digits { .. } => DIGITS.iter().map(|&digit| digit.to_owned()).collect(),
        Grammar::Jsgf { source } => jsgf_words(source),
        Grammar::Open => BTreeSet::new(),
    };
    words.into_iter().collect()
}

/// The words of a phrase as the dictionary writes them: "Book an appointment!" is book, an, appointment.
fn spoken(phrase: &str) -> Vec<String> {
    phrase
        .to_lowercase()
        .replace('\u{2019}', "'")
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .map(|word| word.trim_matches('\'').to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

fn phrases_jsgf(phrases: &[String]) -> String {
    let phrases: Vec<String> =
        phrases.iter().map(|phrase| spoken(phrase).join(" ")).filter(|phrase| !phrase.is_empty()).collect();
    format!("#JSGF V1.0; grammar tandem; public <tandem> = {};", phrases.join(" | "))
}

fn digits_jsgf(min: u8, max: u8) -> String {
    let mut rule = vec!["<digit>"; usize::from(min.max(1))].join(" ");
    for _ in min.max(1)..max {
        rule.push_str(" [<digit>");
    }
    rule.push_str(&"]".repeat(usize::from(max - min.max(1))));
    format!("#JSGF V1.0; grammar tandem; public <tandem> = {rule}; <digit> = {};", DIGITS.join(" | "))
}

fn imports(source: &str) -> bool {
    without_comments(source).split(';').any(|statement| statement.trim_start().starts_with("import"))
}

/// The terminals of a JSGF source. What is malformed is found by the engine.
fn jsgf_words(source: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for statement in without_comments(source).split(';') {
        if let Some((_, expansion)) = statement.split_once('=') {
            collect_terminals(expansion, &mut words);
        }
    }
    words
}

fn collect_terminals(expansion: &str, words: &mut BTreeSet<String>) {
    let mut word = String::new();
    // The character that ends what is being skipped: a rule name, a tag or a weight.
    let mut until = None;
    for c in expansion.chars().chain(std::iter::once(' ')) {
        if let Some(end) = until {
            if c == end {
                until = None;
            }
            continue;
        }
        if c.is_alphanumeric() || matches!(c, '\'' | '-' | '_' | '.') {
            word.extend(c.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            words.insert(std::mem::take(&mut word));
        }
        until = match c {
            '<' => Some('>'),
            '{' => Some('}'),
            '/' => Some('/'),
            _ => None,
        };
    }
}

fn without_comments(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        out.push_str(&rest[..at]);
        let end = if rest[at..].starts_with("//") { "\n" } else { "*/" };
        rest = rest[at + 2..].split_once(end).map_or("", |(_, after)| after);
        out.push(' ');
    }
    out.push_str(rest);
    out.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrases(phrases: &[&str]) -> Grammar {
        Grammar::Phrases { phrases: phrases.iter().map(|&phrase| phrase.to_owned()).collect() }
    }

    #[test]
    fn phrases_lose_their_punctuation() {
        let grammar = phrases(&["Book an appointment!", "I don\u{2019}t know", "..."]);
        assert_eq!(words_of(&grammar), ["an", "appointment", "book", "don't", "i", "know"]);
        let Grammar::Phrases { phrases } = &grammar else { unreachable!() };
        let jsgf = "#JSGF V1.0; grammar tandem; public <tandem> = book an appointment | i don't know;";
        assert_eq!(phrases_jsgf(phrases), jsgf);
    }

    #[test]
    fn digits_are_counted() {
        assert!(digits_jsgf(2, 4).contains("<tandem> = <digit> <digit> [<digit> [<digit>]];"));
        assert!(digits_jsgf(5, 5).contains("<tandem> = <digit> <digit> <digit> <digit> <digit>;"));
    }

    #[test]
    fn terminals_of_a_jsgf_source() {
        let source = "#JSGF V1.0; // words\n grammar cards; /* not = this; */ \
                      public <play> = /2/ I WANT [a | the] <card> {tag=x}; <card> = don't+ (ace | ten)*;";
        let grammar = Grammar::Jsgf { source: source.to_owned() };
        assert_eq!(words_of(&grammar), ["a", "ace", "don't", "i", "ten", "the", "want"]);
        assert!(!imports(source) && imports("#JSGF V1.0; grammar g; /**/ IMPORT <x.y>;"));
    }

    #[test]
    fn refuses_what_cannot_be_heard() {
        let Ok(engine) = tandem_speech_engines::pocketsphinx::Pocketsphinx::load() else {
            println!("SKIPPED-PEER pocketsphinx");
            return;
        };
        let compile = |grammar: &Grammar| Compiled::new(grammar, engine.dictionary());
        let mixed = compile(&phrases(&["yes", "qxzzy please", "no"])).unwrap();
        assert_eq!(mixed.words, ["no", "yes"]);
        assert!(!mixed.jsgf.contains("please"));
        let bad = [
            Grammar::Open,
            phrases(&[]),
            phrases(&["qxzzy"]),
            Grammar::Digits { min: 3, max: 2 },
            Grammar::Digits { min: 1, max: 200 },
            Grammar::Jsgf { source: "#JSGF V1.0; grammar g; import <x>; public <g> = yes;".to_owned() },
        ];
        for grammar in bad {
            assert!(matches!(compile(&grammar), Err(SpeechError::NotSupported { .. })), "{grammar:?}");
        }
        assert!(compile(&phrases(&["yes", "No thanks"])).is_ok());
    }
}
