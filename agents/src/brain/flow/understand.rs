//! What did the caller answer? The same for a recognizer's words, a chat message and keys.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_contract::bot::flow::{Ask, ChoiceOption, Flow, Target};

use crate::words;

/// Phrases of a yes and a no, for the recognizer; all are in the English dictionary of pocketsphinx.
pub(super) const YES: [&str; 9] =
    ["yes", "yeah", "yep", "yes please", "sure", "correct", "right", "that's right", "okay"];
pub(super) const NO: [&str; 8] =
    ["no", "nope", "no thanks", "no thank you", "wrong", "that's wrong", "not right", "incorrect"];
/// What people type on top of that.
const YES_TYPED: [&str; 6] = ["y", "ok", "yup", "of course", "please do", "that is right"];
const NO_TYPED: [&str; 9] = [
    "n",
    "nah",
    "not really",
    "that is wrong",
    "of course not",
    "not correct",
    "please do not",
    "please dont",
    "not at all",
];
/// With one of these in it a text is no yes, and a no only by a phrase that says no itself: "not wrong" is neither.
const NEGATIONS: [&str; 20] = [
    "not", "never", "cannot", "dont", "doesnt", "didnt", "isnt", "arent", "wasnt", "werent", "aint", "cant", "couldnt",
    "wont", "wouldnt", "shouldnt", "havent", "hasnt", "hadnt", "mustnt",
];
/// Words that are a no by themselves.
const NOES: [&str; 4] = ["no", "nope", "nah", "n"];

/// Keys of a yes-or-no question.
pub(super) const YES_KEY: char = '1';
pub(super) const NO_KEY: char = '2';

/// What the caller sent.
pub(super) enum Input<'a> {
    Text(&'a str),
    Keys(&'a str),
}

impl Input<'_> {
    /// No words came, but something that was attached.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }
}

/// What it means to the question that was put.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub value: Private<String>,
    /// How the agent says it, where that is not the value itself.
    pub label: Option<Private<String>>,
    /// Where this very answer leads.
    pub goto: Option<Target>,
}

impl Answer {
    fn plain(value: impl Into<String>) -> Self {
        Self { value: Private::new(value.into()), label: None, goto: None }
    }

    fn option((value, option): (&String, &ChoiceOption)) -> Self {
        let label = option.say.as_slice().first().cloned().map(Private::new);
        Self { value: Private::new(value.clone()), label, goto: option.goto.clone() }
    }
}

/// None: it is no answer to this question.
pub(super) fn answer(flow: &Flow, ask: &Ask, input: &Input<'_>) -> Option<Answer> {
    match ask {
        Ask::YesNo => yes_no(input).map(|yes| Answer::plain(if yes { "yes" } else { "no" })),
        Ask::Digits(count) => digits(count.range(), input),
        Ask::Choice(options) => choice(flow, options, input),
        Ask::Phrases(phrases) => phrase(phrases, input),
        Ask::Jsgf(_) | Ask::Open => free(input),
    }
}

pub(super) fn yes_no(input: &Input<'_>) -> Option<bool> {
    match input {
        Input::Keys(keys) => match single(keys)? {
            YES_KEY => Some(true),
            NO_KEY => Some(false),
            _ => None,
        },
        Input::Text(text) => {
            let text = words::tokens(text);
            if let [one] = text.as_slice() {
                match one.as_str() {
                    "one" => return Some(true),
                    "two" | "dont" => return Some(false),
                    _ => {}
                }
            }
            let yes = YES.iter().chain(&YES_TYPED).map(|phrase| (true, *phrase));
            let no = NO.iter().chain(&NO_TYPED).map(|phrase| (false, *phrase));
            let negates = |word: &str| NEGATIONS.contains(&word);
            let negated = text.iter().any(|word| negates(word));
            let denies = |phrase: &str| phrase.split(' ').any(|word| negates(word) || NOES.contains(&word));
            closest(&text, yes.chain(no).filter(|(_, phrase)| !negated || denies(phrase)))
        }
    }
}

fn digits((min, max): (u8, u8), input: &Input<'_>) -> Option<Answer> {
    let digits = match input {
        Input::Keys(keys) => keys.trim_end_matches('#').to_owned(),
        Input::Text(text) => words::digits(text)?,
    };
    let fits = (usize::from(min)..=usize::from(max)).contains(&digits.len());
    (fits && digits.bytes().all(|b| b.is_ascii_digit())).then(|| Answer::plain(digits))
}

fn choice(flow: &Flow, options: &IndexMap<String, ChoiceOption>, input: &Input<'_>) -> Option<Answer> {
    let (Input::Keys(text) | Input::Text(text)) = input;
    if let Some(key) = single(text) {
        let by_key = flow.keys(options).into_iter().find(|(_, k)| *k == Some(key));
        if let Some((value, _)) = by_key {
            return options.get_key_value(value).map(Answer::option);
        }
    }
    let Input::Text(text) = input else { return None };
    let phrases = options.iter().enumerate().flat_map(|(index, (value, option))| {
        let said = option.say.as_slice().iter().map(String::as_str);
        said.chain([value.as_str()]).map(move |phrase| (index, phrase))
    });
    let index = closest(&words::tokens(text), phrases)?;
    options.get_index(index).map(Answer::option)
}

fn phrase(phrases: &[String], input: &Input<'_>) -> Option<Answer> {
    let index = match input {
        Input::Keys(keys) => single(keys)?.to_digit(10)?.checked_sub(1)? as usize,
        Input::Text(text) => closest(&words::tokens(text), phrases.iter().map(String::as_str).enumerate())?,
    };
    phrases.get(index).map(Answer::plain)
}

fn free(input: &Input<'_>) -> Option<Answer> {
    match input {
        Input::Text(text) if !text.trim().is_empty() => Some(Answer::plain(text.trim())),
        _ => None,
    }
}

/// The command that holds everywhere, if this is one. `whole`: only when the caller said nothing else.
pub(super) fn command(flow: &Flow, input: &Input<'_>, whole: bool) -> Option<Target> {
    let (Input::Keys(text) | Input::Text(text)) = input;
    if let Some(key) = single(text)
        && let Some((_, command)) = flow.commands().find(|(_, command)| command.key == Some(key))
    {
        return Some(command.goto.clone());
    }
    let Input::Text(text) = input else { return None };
    let text = words::tokens(text);
    let phrases = flow
        .commands()
        .enumerate()
        .flat_map(|(index, (_, command))| command.say.as_slice().iter().map(move |phrase| (index, phrase.as_str())));
    let mut fitting = phrases.filter(|(_, phrase)| !whole || words::tokens(phrase) == text).peekable();
    fitting.peek()?;
    let index = closest(&text, fitting)?;
    flow.commands().nth(index).map(|(_, command)| command.goto.clone())
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.trim().chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// The meaning whose phrase is in the text: the longest phrase wins, two meanings of the same length are no answer.
/// A phrase with one letter wrong counts when no phrase fits as it is.
fn closest<'a, M: Copy + PartialEq>(text: &[String], phrases: impl Iterator<Item = (M, &'a str)>) -> Option<M> {
    let phrases: Vec<(M, Vec<String>)> = phrases.map(|(meaning, phrase)| (meaning, words::tokens(phrase))).collect();
    match longest(text, &phrases, |a, b| a == b) {
        Found::One(meaning) => Some(meaning),
        Found::Several => None,
        Found::None => match longest(text, &phrases, nearly) {
            Found::One(meaning) => Some(meaning),
            Found::Several | Found::None => None,
        },
    }
}

enum Found<M> {
    None,
    One(M),
    Several,
}

fn longest<M: Copy + PartialEq>(
    text: &[String],
    phrases: &[(M, Vec<String>)],
    same: impl Fn(&str, &str) -> bool,
) -> Found<M> {
    let mut best = 0;
    let mut found = Found::None;
    for (meaning, phrase) in phrases {
        let fits = |window: &[String]| window.iter().zip(phrase).all(|(a, b)| same(a, b));
        if phrase.is_empty() || phrase.len() < best || !text.windows(phrase.len()).any(fits) {
            continue;
        }
        found = match found {
            Found::One(other) if phrase.len() == best && other != *meaning => Found::Several,
            Found::Several if phrase.len() == best => Found::Several,
            _ => Found::One(*meaning),
        };
        best = phrase.len();
    }
    found
}

/// Shortest word that may have a letter wrong: in shorter ones that makes another word.
const TYPO_WORD: usize = 5;

fn nearly(a: &str, b: &str) -> bool {
    a == b || (b.chars().count() >= TYPO_WORD && strsim::osa_distance(a, b) <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> Option<bool> {
        yes_no(&Input::Text(text))
    }

    #[test]
    fn yes_and_no_in_many_words() {
        for yes in ["Yes!", "yeah sure", "y", "OK", "that's right", "Yes, please.", "1", "corect"] {
            assert_eq!(say(yes), Some(true), "{yes}");
        }
        for no in ["no", "Nope.", "no, that's not right", "that is wrong", "no thank you", "2"] {
            assert_eq!(say(no), Some(false), "{no}");
        }
        for neither in ["", "perhaps", "yes and no", "three"] {
            assert_eq!(say(neither), None, "{neither}");
        }
        for no in [
            "of course not",
            "please do not",
            "Please don't.",
            "that's not correct",
            "that is not right",
            "No, that isn\u{2019}t correct",
            "don't",
            "no, never",
            "not right now",
        ] {
            assert_eq!(say(no), Some(false), "{no}");
        }
        for neither in [
            "I'm not sure",
            "I don't know",
            "that isn't right",
            "I do not think that's right",
            "never okay",
            "I can't do that, sure",
            "that's not wrong",
            "I wouldn't say yes",
        ] {
            assert_eq!(say(neither), None, "{neither}");
        }
        assert_eq!(yes_no(&Input::Keys("1")), Some(true));
        assert_eq!(yes_no(&Input::Keys("2")), Some(false));
        assert_eq!(yes_no(&Input::Keys("12")), None);
    }

    #[test]
    fn a_choice_is_found_in_a_sentence() {
        let days = [(0, "monday"), (1, "tuesday"), (2, "next tuesday"), (3, "nine thirty"), (4, "nine")];
        let find = |text: &str| closest(&words::tokens(text), days.into_iter());
        assert_eq!(find("On Monday, please"), Some(0));
        assert_eq!(find("next tuesday works"), Some(2));
        assert_eq!(find("tusday"), Some(1));
        assert_eq!(find("9:30"), Some(3));
        assert_eq!(find("at 9"), Some(4));
        assert_eq!(find("monday or tuesday"), None);
        assert_eq!(find("mondays"), Some(0));
        assert_eq!(find("friday"), None);
    }
}
