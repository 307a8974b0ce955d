//! A scripted conversation: states, prompts, what the caller may answer, and where each answer leads. The guide is
//! `docs/bots.md`; the meaning lives in `agents::brain::flow`.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::block::block;
use super::blocks::FieldType;

/// Tools that Tandem brings along. A flow may call these by name.
pub const BUILTIN_TOOLS: [&str; 4] = ["opening_hours", "check_availability", "book_appointment", "cancel_appointment"];

block! {
    /// The whole script.
    Flow {
        /// The state that a conversation begins in.
        start: String,
        states: IndexMap<String, State>;
        /// What the caller may say or press in every state, by name ("operator", "repeat").
        anywhere: IndexMap<String, Command>,
        /// When the caller is silent, for states that don't say it themselves.
        no_input: Retry,
        /// When the caller is not understood, for states that don't say it themselves.
        no_match: Retry,
        /// Where the language model may hand the conversation to the script, by name. With these, the model begins.
        entries: IndexMap<String, Entry>,
    }

    /// A way from the language model into the script.
    Entry {
        /// When to take it, for the model.
        description: String,
        state: String;
    }

    /// One step: it speaks, then does one of `ask`, `tool`, `transfer`, `hang_up`, `echo`, `model`, or goes on to `goto`.
    #[derive(Default)]
    State {
        ;
        /// Spoken on entering. `{slot}` stands for what a slot holds. A list is spoken in order.
        say: Texts,
        /// Spoken instead of `say` when the question is put again.
        again: Texts,
        /// Whether the caller may talk over it. Default: no before a tool, a transfer and hanging up.
        interruptible: bool,
        ask: Ask,
        /// The slot that takes the answer.
        slot: String,
        /// Read the answer back and ask for a yes before it counts.
        confirm: Confirm,
        /// Where an answer leads, by its value; before `goto`.
        on: IndexMap<String, Target>,
        /// Where everything else leads.
        goto: Target,
        no_input: Retry,
        no_match: Retry,
        tool: ToolUse,
        transfer: TransferTo,
        /// End the conversation after `say`.
        hang_up: bool,
        /// Loop the caller's audio (or chat text) back until `#` is pressed.
        echo: bool,
        model: Talk,
    }

    /// The language model converses until one of `exits` is reached. With a `say` the caller has the next word, without
    /// one the model has.
    Talk {
        /// What the model is told besides the bot's `system_prompt`; `{slot}` stands for what a slot holds.
        instructions: String,
        exits: IndexMap<String, Exit>;
        /// The slots that the model is to fill, by name.
        collect: IndexMap<String, Collected>,
        /// What the caller may say here before it leads to `on_failed`. Default 20.
        max_turns: u8,
        /// Where it leads when no model answers, or the caller is not heard any more. Default: apologise and hang up.
        on_failed: Target,
    }

    /// A way out of a `model` state.
    Exit {
        /// When to take it, for the model.
        description: String,
        goto: Target;
        /// Slots of `collect` without which it is closed.
        needs: Vec<String>,
    }

    Collected {
        r#type: FieldType;
        description: String,
        /// The values that there are, of a text.
        one_of: Vec<String>,
    }

    /// A fixed number of digits (`length`), or from `min` to `max`; 1 to 20.
    DigitCount {
        ;
        length: u8,
        min: u8,
        max: u8,
        /// After this long without a further key the answer is complete. Milliseconds, default 3000.
        inter_digit_ms: u32,
    }

    /// One answer of a choice.
    ChoiceOption {
        /// Phrases that mean it; the first is how the agent names it.
        say: Texts;
        /// The key that means it. Default: the next free of 1 to 9.
        key: char,
        goto: Target,
    }

    /// "You said {day}. Is that right?"
    Confirm {
        say: Texts;
        /// Where a no leads. Default: the question is put again.
        no: Target,
    }

    /// Putting the question again, and what follows when that did not help either.
    Retry {
        ;
        /// Spoken before the question is put again.
        say: Texts,
        /// How often the question is put again. Default 2.
        max: u8,
        /// Then. Default: the agent apologises and hangs up.
        goto: Target,
        /// For `no_input`: silence before it counts, in milliseconds. Default: the bot's `turn.silence_timeout_ms`.
        after_ms: u32,
    }

    /// A phrase or key that works in every state.
    Command {
        say: Texts,
        goto: Target;
        key: char,
    }

    /// A call of a tool, while the caller waits.
    ToolUse {
        name: String;
        /// JSON; `{slot}` in a text stands for what the slot holds.
        arguments: IndexMap<String, Value>,
        /// Slot <- field of the result.
        fills: IndexMap<String, String>,
        on_ok: Target,
        /// Where a refusal leads, by its code.
        on_refused: IndexMap<String, Target>,
        /// Where a failure, or a refusal that `on_refused` does not list, leads.
        on_failed: Target,
    }

    /// A blind transfer to a person.
    TransferTo {
        /// SIP or tel URI.
        target: String;
        /// Where it leads when nobody takes the call. Default: the agent apologises and hangs up.
        on_failed: Target,
    }
}

/// What the caller is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Answers `yes` and `no`; keys 1 and 2.
    YesNo,
    /// A string of digits, spoken or pressed.
    Digits(DigitCount),
    /// One of these, by value.
    Choice(IndexMap<String, ChoiceOption>),
    /// One of these phrases; keys by position.
    Phrases(Vec<String>),
    /// What a JSGF grammar holds.
    Jsgf(String),
    /// Any text. Chat only: no embedded recognizer takes dictation.
    Open,
}

/// One text or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// Where the conversation goes: a state's name, `@repeat` (put the question again), `@model` (back to the language model) or
/// `@hang_up`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Target {
    State(String),
    Repeat,
    Model,
    HangUp,
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        match text.as_str() {
            "@repeat" => Self::Repeat,
            "@model" => Self::Model,
            "@hang_up" => Self::HangUp,
            _ => Self::State(text),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State(name) => name,
            Self::Repeat => "@repeat",
            Self::Model => "@model",
            Self::HangUp => "@hang_up",
        })
    }
}

impl DigitCount {
    /// Most digits of an answer: a card number has 19, and a spoken string longer than that fails anyway.
    pub const MOST: u8 = 20;

    /// Fewest and most digits of an answer.
    pub fn range(&self) -> (u8, u8) {
        let min = self.length.or(self.min).unwrap_or(1).clamp(1, Self::MOST);
        let max = self.length.or(self.max).unwrap_or(Self::MOST).clamp(min, Self::MOST);
        (min, max)
    }
}

impl Flow {
    /// A flow that says one thing and hangs up.
    pub fn only_says(text: &str) -> Self {
        let goodbye = State { say: Some(Texts::One(text.to_owned())), hang_up: Some(true), ..State::default() };
        let states = IndexMap::from([("goodbye".to_owned(), goodbye)]);
        Self { start: "goodbye".to_owned(), states, anywhere: None, no_input: None, no_match: None, entries: None }
    }

    /// Whether a language model has the conversation and hands it to this script.
    pub fn is_entered(&self) -> bool {
        self.entries.as_ref().is_some_and(|entries| !entries.is_empty())
    }

    /// The key of each option of a choice: its own, or the next of 1 to 9 that neither an option nor `anywhere` uses.
    pub fn keys<'a>(&self, options: &'a IndexMap<String, ChoiceOption>) -> Vec<(&'a str, Option<char>)> {
        let taken: Vec<char> = options.values().filter_map(|option| option.key).chain(self.command_keys()).collect();
        let mut free = ('1'..='9').filter(|key| !taken.contains(key));
        options.iter().map(|(value, option)| (value.as_str(), option.key.or_else(|| free.next()))).collect()
    }

    /// The keys that mean something in every state.
    pub fn command_keys(&self) -> impl Iterator<Item = char> {
        self.commands().filter_map(|(_, command)| command.key)
    }

    pub fn commands(&self) -> impl Iterator<Item = (&str, &Command)> {
        self.anywhere.iter().flatten().map(|(name, command)| (name.as_str(), command))
    }
}
