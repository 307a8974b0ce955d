//! What a scenario file may say, and what it means. Pure. `docs/evals.md` describes it for those who write one.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use tandem_contract::BotName;
use tandem_contract::leg::LegEnd;
use tandem_contract::record::TimelineEvent;

use super::words::Words;

/// What is expected is waited for this long, unless the file says otherwise: longer than any bot should think.
const WITHIN: Duration = Duration::from_secs(10);
/// Longest time that a file may ask for: a scenario is a conversation, not a night.
const LONGEST: Duration = Duration::from_secs(120);

/// Keys of one step: as many as the door takes at once.
const KEYS_MAX: usize = 20;

/// One file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Of all scenarios that name none.
    pub bot: Option<BotName>,
    #[serde(default)]
    pub mode: Mode,
    /// The caller's: slt, rms, awb or kal.
    pub voice: Option<String>,
    pub scenarios: Vec<Spanned<Scenario>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Text,
    Audio,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        if self == Self::Text { "text" } else { "audio" }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    pub bot: Option<BotName>,
    pub mode: Option<Mode>,
    pub voice: Option<String>,
    pub steps: Vec<Spanned<Step>>,
}

/// Something that the caller does, and what is expected of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "WrittenStep")]
pub struct Step {
    /// None: only looks at what the act before has brought.
    pub act: Option<Act>,
    /// Into the agent's next speech, instead of after it.
    pub interrupts: Option<Duration>,
    pub expect: Vec<Expect>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Say(String),
    Play(PathBuf),
    Press(String),
    Wait(Duration),
    HangUp,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Say(text) => write!(f, "say {text:?}"),
            Self::Play(path) => write!(f, "play {}", path.display()),
            Self::Press(keys) => write!(f, "press {keys}"),
            Self::Wait(wait) => write!(f, "wait {:.1} s", wait.as_secs_f64()),
            Self::HangUp => f.write_str("hang up"),
        }
    }
}

/// Conditions that hold together, or not.
#[derive(Clone, Debug)]
pub struct Expect {
    pub wanted: Vec<Wanted>,
    /// What may not happen before the caller's next act.
    pub unwanted: Vec<Wanted>,
    /// For a language model to say yes or no to.
    pub judge: Option<String>,
    /// Both from the end of the caller's line.
    pub after: Duration,
    pub within: Duration,
}

/// One thing that may happen.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The agent begins to say, or writes.
    Text(Words),
    /// This was heard of the agent, by the ledger.
    Heard(Words),
    /// This was understood of the caller, by the ledger.
    Understood(Words),
    Tool(Tool),
    State(String),
    Event(Happening),
    Outcome(LegEnd),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(words) => write!(f, "text {words}"),
            Self::Heard(words) => write!(f, "heard {words}"),
            Self::Understood(words) => write!(f, "understood {words}"),
            Self::Tool(tool) => write!(f, "tool {tool}"),
            Self::State(state) => write!(f, "state {state}"),
            Self::Event(event) => write!(f, "event {}", event.as_str()),
            Self::Outcome(end) => write!(f, "outcome {}", outcome_label(*end)),
        }
    }
}

pub fn outcome_label(end: LegEnd) -> &'static str {
    tandem_contract::record::Outcome::Ended(end).label()
}

/// A tool call that has its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    pub name: String,
    /// None: either way.
    pub ok: Option<bool>,
    /// These are among its arguments.
    pub arguments: Option<Value>,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(arguments) = &self.arguments {
            write!(f, " with {arguments}")?;
        }
        match self.ok {
            None => Ok(()),
            Some(true) => f.write_str(" that works"),
            Some(false) => f.write_str(" that fails"),
        }
    }
}

impl Tool {
    /// `arguments`: None: the node did not tell them.
    pub fn fits(&self, name: &str, ok: bool, arguments: Option<&Value>) -> bool {
        let called = self.name == name && self.ok.is_none_or(|wanted| wanted == ok);
        called && self.arguments.as_ref().is_none_or(|part| arguments.is_some_and(|whole| holds(whole, part)))
    }
}

/// Whether the whole has each key of the part, and in it what the part has. Lists are as long as each other; a number is a
/// number, however it is written.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| holds(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
        }
        (Value::Number(whole), Value::Number(part)) => whole == part || whole.as_f64() == part.as_f64(),
        (whole, part) => whole == part,
    }
}

/// Events of the timeline that are no tool, no state and nobody's speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    Paused,
    Resumed,
    BargeIn,
    Dtmf,
    NoInput,
    NoMatch,
    NotHeard,
    LimitReached,
    Transfer,
    Escalation,
}

impl Happening {
    pub fn of(event: &TimelineEvent) -> Option<Self> {
        Some(match event {
            TimelineEvent::Paused { .. } => Self::Paused,
            TimelineEvent::Resumed { .. } => Self::Resumed,
            TimelineEvent::BargeIn { .. } => Self::BargeIn,
            TimelineEvent::Dtmf => Self::Dtmf,
            TimelineEvent::NoInput => Self::NoInput,
            TimelineEvent::NoMatch => Self::NoMatch,
            TimelineEvent::NotHeard => Self::NotHeard,
            TimelineEvent::LimitReached => Self::LimitReached,
            TimelineEvent::Transfer { .. } => Self::Transfer,
            TimelineEvent::Escalation { .. } => Self::Escalation,
            TimelineEvent::CallerStartedSpeaking
            | TimelineEvent::CallerStoppedSpeaking
            | TimelineEvent::AgentStartedSpeaking { .. }
            | TimelineEvent::AgentStoppedSpeaking { .. }
            | TimelineEvent::FlowState { .. }
            | TimelineEvent::Tool { .. } => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::BargeIn => "barge_in",
            Self::Dtmf => "dtmf",
            Self::NoInput => "no_input",
            Self::NoMatch => "no_match",
            Self::NotHeard => "not_heard",
            Self::LimitReached => "limit_reached",
            Self::Transfer => "transfer",
            Self::Escalation => "escalation",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    say: Option<String>,
    play: Option<PathBuf>,
    press: Option<String>,
    wait: Option<Span>,
    interrupt: Option<WrittenInterrupt>,
    hang_up: Option<bool>,
    expect: Option<OneOrMany<Expect>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenInterrupt {
    after: Span,
    say: Option<String>,
    play: Option<PathBuf>,
}

impl TryFrom<WrittenStep> for Step {
    type Error = String;

    fn try_from(written: WrittenStep) -> Result<Self, String> {
        let WrittenStep { say, play, press, wait, interrupt, hang_up, expect } = written;
        let mut interrupts = None;
        let mut acts = Vec::new();
        acts.extend(say.map(Act::Say));
        acts.extend(play.map(Act::Play));
        acts.extend(press.map(keys).transpose()?);
        acts.extend(wait.map(|Span(wait)| Act::Wait(wait)));
        if let Some(WrittenInterrupt { after: Span(after), say, play }) = interrupt {
            interrupts = Some(after);
            acts.push(match (say, play) {
                (Some(text), None) => Act::Say(text),
                (None, Some(path)) => Act::Play(path),
                _ => return Err("interrupt wants exactly one of say, play beside after".into()),
            });
        }
        match hang_up {
            Some(false) => return Err("hang_up is true or is left out".into()),
            Some(true) => acts.push(Act::HangUp),
            None => {}
        }
        let expect = expect.map(|OneOrMany(expect)| expect).unwrap_or_default();
        if acts.len() > 1 {
            return Err("a step does one thing: make a step each of say, play, press, wait, interrupt, hang_up".into());
        }
        if acts.is_empty() && expect.is_empty() {
            return Err("a step has one of say, play, press, wait, interrupt, hang_up, or expects something".into());
        }
        let act = acts.pop();
        if act.as_ref().is_some_and(|act| matches!(act, Act::Say(text) if text.trim().is_empty())) {
            return Err("there is nothing to say; `wait: 2s` is silence".into());
        }
        Ok(Self { act, interrupts, expect })
    }
}

fn keys(text: String) -> Result<Act, String> {
    let known = |c: char| c.is_ascii_digit() || "*#ABCD".contains(c);
    match text.chars().all(known) && !text.is_empty() {
        true if text.len() <= KEYS_MAX => Ok(Act::Press(text)),
        true => Err(format!("a step presses {KEYS_MAX} keys at most: make several")),
        false => Err(format!("{text:?} are no keys: those of a telephone are 0-9, *, #, A-D")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExpect {
    text: Option<OneOrMany<Words>>,
    heard: Option<OneOrMany<Words>>,
    understood: Option<OneOrMany<Words>>,
    tool: Option<OneOrMany<Tool>>,
    state: Option<OneOrMany<String>>,
    event: Option<OneOrMany<Happening>>,
    outcome: Option<LegEnd>,
    judge: Option<String>,
    after: Option<Span>,
    within: Option<Span>,
    not: Option<Box<WrittenExpect>>,
}

impl WrittenExpect {
    fn wanted(&mut self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        wanted.extend(OneOrMany::taken(&mut self.text).map(Wanted::Text));
        wanted.extend(OneOrMany::taken(&mut self.heard).map(Wanted::Heard));
        wanted.extend(OneOrMany::taken(&mut self.understood).map(Wanted::Understood));
        wanted.extend(OneOrMany::taken(&mut self.tool).map(Wanted::Tool));
        wanted.extend(OneOrMany::taken(&mut self.state).map(Wanted::State));
        wanted.extend(OneOrMany::taken(&mut self.event).map(Wanted::Event));
        wanted.extend(self.outcome.take().map(Wanted::Outcome));
        wanted
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = WrittenExpect::deserialize(from)?;
        Self::try_from(written).map_err(serde::de::Error::custom)
    }
}

impl TryFrom<WrittenExpect> for Expect {
    type Error = String;

    fn try_from(mut written: WrittenExpect) -> Result<Self, String> {
        let wanted = written.wanted();
        let mut unwanted = Vec::new();
        if let Some(mut not) = written.not {
            unwanted = not.wanted();
            if not.not.is_some() || not.judge.is_some() || not.after.is_some() || not.within.is_some() {
                return Err("`not` takes text, heard, understood, tool, state, event, outcome".into());
            }
        }
        if wanted.is_empty() && unwanted.is_empty() && written.judge.is_none() {
            return Err(
                "expect text, heard, understood, tool, state, event, outcome, judge, or one of them in `not`".into()
            );
        }
        let timed = written.within.is_some() || written.after.is_some();
        if timed && wanted.is_empty() {
            return Err("within and after are for what is to happen; `not` lasts until the caller's next act".into());
        }
        let after = written.after.map_or(Duration::ZERO, |Span(after)| after);
        let within = written.within.map_or(WITHIN.max(after * 2), |Span(within)| within);
        if after >= within {
            return Err("after has to be shorter than within".into());
        }
        Ok(Self { wanted, unwanted, judge: written.judge, after, within })
    }
}

/// A list, or its only element.
struct OneOrMany<T>(Vec<T>);

impl<T> OneOrMany<T> {
    fn taken(from: &mut Option<Self>) -> impl Iterator<Item = T> + use<T> {
        from.take().map(|Self(all)| all).unwrap_or_default().into_iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrManyVisitor(std::marker::PhantomData))
    }
}

struct OneOrManyVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of them, or a list")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let one = T::deserialize(serde::de::value::StrDeserializer::new(text))?;
        Ok(OneOrMany(vec![one]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(OneOrMany(vec![T::deserialize(MapAccessDeserializer::new(map))?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany)
    }
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ToolVisitor)
    }
}

struct ToolVisitor;

impl<'de> Visitor<'de> for ToolVisitor {
    type Value = Tool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tool's name, or {name: ..., ok: true, arguments: {...}}")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Tool, E> {
        Ok(Tool { name: name.to_owned(), ok: None, arguments: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tool, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            name: String,
            ok: Option<bool>,
            arguments: Option<Map<String, Value>>,
        }
        let Written { name, ok, arguments } = Written::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Tool { name, ok, arguments: arguments.map(Value::Object) })
    }
}

/// A time such as `2s`, `1.5s`, `800ms`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Span(Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let seconds = |number: &str, factor: f64| number.trim().parse::<f64>().ok().map(|number| number * factor);
        let seconds = match text.strip_suffix("ms") {
            Some(number) => seconds(number, 1e-3),
            None => text.strip_suffix('s').and_then(|number| seconds(number, 1.0)),
        };
        let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match span {
            Some(span) if span > LONGEST => Err(format!("{text} is longer than {} seconds", LONGEST.as_secs())),
            Some(span) => Ok(Self(span)),
            None => Err(format!("{text:?} is no time; one looks like 2s, 1.5s or 800ms")),
        }
    }
}

/// Reads a file. The error names line and column.
///
/// # Errors
/// What is wrong with it, for its author.
pub fn read(text: &str) -> Result<File, String> {
    let file: File =
        serde_saphyr::from_str(text).map_err(|error| error.to_string().trim_start_matches("error: ").to_owned())?;
    let mut names = BTreeSet::new();
    if file.scenarios.is_empty() {
        return Err("there is no scenario in `scenarios`".into());
    }
    for Spanned { value: scenario, referenced, .. } in &file.scenarios {
        let line = referenced.line();
        if scenario.steps.is_empty() {
            return Err(format!("line {line}: scenario {:?} has no steps", scenario.name));
        }
        if scenario.name.trim().is_empty() || !names.insert(&scenario.name) {
            return Err(format!("line {line}: a scenario has a name of its own; {:?} is none", scenario.name));
        }
        check(scenario, scenario.mode.unwrap_or(file.mode))?;
    }
    Ok(file)
}

fn check(scenario: &Scenario, mode: Mode) -> Result<(), String> {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for Spanned { value: step, referenced, .. } in &scenario.steps {
        let line = referenced.line();
        let sounds = matches!(step.act, Some(Act::Play(_))) || step.interrupts.is_some();
        if mode == Mode::Text && sounds {
            return Err(format!("line {line}: play and interrupt are for `mode: audio`"));
        }
        if let Some(Act::Say(text)) = &step.act
            && let Some(name) = slots(text).find(|name| !known.contains(name))
        {
            return Err(format!("line {line}: nothing before catches {{{name}}}; (?<{name}>...) of a regex would"));
        }
        for expect in &step.expect {
            for wanted in &expect.wanted {
                if let Wanted::Text(words) | Wanted::Heard(words) | Wanted::Understood(words) = wanted {
                    known.extend(words.names());
                }
            }
        }
    }
    Ok(())
}

/// The names in braces of a line.
pub fn slots(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
