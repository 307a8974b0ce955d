//! Validation of a bot file: everything that is wrong at once, each with its place (RFC 6901 JSON pointer) and its mend.
//!
//! A crate of its own, because the JSON Schema validator under it is heavy and only who reads bot files needs it.

mod beside;
mod escalation;
mod hearing;
mod script;
mod structure;
mod support;
mod tools;
mod twice;

use std::fmt;

use serde_json::Value;
use tandem_contract::bot::flow::Flow;
use tandem_contract::bot::turn::{
    BOUNDS, FILLER_CHARACTERS_MAX, PHRASE_CHARACTERS_MAX, PHRASES_MAX, SILENCE_PROMPTS_MAX,
};
use tandem_contract::bot::wording::WORDING_CHARACTERS_MAX;
use tandem_contract::bot::{BotConfig, TurnPolicy, strip_comments};

pub use hearing::Hearing;

/// What `check` found. `config` is there when nothing is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub config: Option<BotConfig>,
    /// Errors first, then what is not supported, then warnings.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// RFC 6901; empty for the whole file.
    pub pointer: String,
    /// What is wrong, and how to mend it.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The bot cannot run.
    Error,
    /// The bot runs, and Tandem does not act on this part.
    NotSupported,
    /// The bot runs, and this is probably not what was meant.
    Warning,
}

/// Reads a bot file and says all that is wrong with it.
///
/// `hearing`: what the recognizer knows, where one is installed; without it nothing is said about words.
pub fn check(text: &str, hearing: Option<&dyn Hearing>) -> Report {
    let mut findings = Findings::default();
    let config = read(text, hearing, &mut findings);
    let mut findings = findings.0;
    findings.sort_by_key(|finding| finding.severity);
    let config = config.filter(|_| findings.iter().all(|finding| finding.severity != Severity::Error));
    Report { config, findings }
}

fn read(text: &str, hearing: Option<&dyn Hearing>, findings: &mut Findings) -> Option<BotConfig> {
    let mut value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            findings.error("", format!("this is not JSON: {error}"));
            return None;
        }
    };
    twice::check(text, findings);
    strip_comments(&mut value);
    structure::check(&value, findings);
    let broken: Vec<String> = findings.0.iter().map(|finding| finding.pointer.clone()).collect();
    // Each block is looked at by itself, so that a slip in one hides nothing in the others.
    limits(&value, findings);
    flow(&value, &broken, hearing, findings);
    beside::check(&value, findings);
    support::check(&value, findings);
    tools::check(&value, findings);
    match serde_json::from_value(value) {
        Ok(config) => Some(config),
        Err(error) if broken.is_empty() => {
            findings.error("", error.to_string());
            None
        }
        // The structure said it already.
        Err(_) => None,
    }
}

fn flow(config: &Value, broken: &[String], hearing: Option<&dyn Hearing>, findings: &mut Findings) {
    let Some(value) = config.get("flow") else { return };
    let whole = !broken.iter().any(|place| place == "/flow" || place.starts_with("/flow/"));
    let Ok(flow) = serde_json::from_value::<Flow>(script::without_broken(value, broken)) else { return };
    script::check(&flow, whole, &tools::callable(config), findings);
    let recognizer = config.pointer("/livekit_config/stt_provider").and_then(Value::as_str);
    let chat_only = config.pointer("/config_metadata/product_type").and_then(Value::as_str) == Some("chatbot");
    if let Some(hearing) = hearing.filter(|_| recognizer != Some("none") && !chat_only) {
        hearing::check(&flow, hearing, findings);
    }
}

/// Where the seed says what a key of `turn` says, and how many of the key's units one of its own is.
const SEED_TURN: [(&str, &str, f64); 4] = [
    ("back_off_ms", "/voice_settings/stop_speaking_plan/back_off_seconds", 1000.0),
    ("interruption_words", "/voice_settings/stop_speaking_plan/number_of_words", 1.0),
    ("min_interruption_ms", "/voice_settings/stop_speaking_plan/voice_seconds", 1000.0),
    ("silence_timeout_ms", "/system_prompt/voice_specific/silence_timeout_ms", 1.0),
];

fn limits(config: &Value, findings: &mut Findings) {
    if config.pointer("/limits/max_sessions").and_then(Value::as_u64) == Some(0) {
        findings.error("/limits/max_sessions", "nobody could call this bot; allow at least 1 session");
    }
    let budgets = ["budget_usd_per_day", "budget_usd_per_month"].map(|key| format!("/limits/{key}"));
    let amounts = budgets.each_ref().map(|place| config.pointer(place).and_then(Value::as_f64));
    for (place, amount) in budgets.iter().zip(amounts) {
        if amount.is_some_and(|dollars| dollars <= 0.0) {
            findings
                .error(place, "nothing could be asked; write an amount of US dollars, or leave it out for no limit");
        }
    }
    if amounts.iter().all(Option::is_some) {
        findings.error(&budgets[0], "a bot has one budget; leave out this or budget_usd_per_month");
    }
    for (key, range) in BOUNDS {
        let seed = SEED_TURN.iter().filter(|(counterpart, ..)| *counterpart == key);
        let places = seed.map(|(_, place, unit)| ((*place).to_owned(), *unit)).chain([(format!("/turn/{key}"), 1.0)]);
        for (place, unit) in places {
            let (least, most) = (f64::from(*range.start()) / unit, f64::from(*range.end()) / unit);
            let found = config.pointer(&place).and_then(Value::as_f64);
            if let Some(found) = found.filter(|found| !(least..=most).contains(found)) {
                findings.error(place, format!("{found} is not sensible here; write {least} to {most}"));
            }
        }
    }
    let default = TurnPolicy::default();
    let key = |key: &str| config.pointer(&format!("/turn/{key}")).and_then(Value::as_u64);
    let least = key("min_endpointing_ms").unwrap_or(default.min_endpointing_ms.into());
    if least > key("max_endpointing_ms").unwrap_or(default.max_endpointing_ms.into()) {
        findings.error("/turn/min_endpointing_ms", "must not be more than max_endpointing_ms; lower it");
    }
    if let Some(filler) = config.pointer("/turn/failover_filler").and_then(Value::as_str) {
        phrase("/turn/failover_filler".to_owned(), filler, FILLER_CHARACTERS_MAX, findings);
    }
    for (when, said) in config.pointer("/wording").and_then(Value::as_object).into_iter().flatten() {
        let Some(said) = said.as_str() else { continue };
        phrase(format!("/wording/{}", token(when)), said, WORDING_CHARACTERS_MAX, findings);
    }
    for (list, most) in
        [("backchannels", PHRASES_MAX), ("interrupting_phrases", PHRASES_MAX), ("silence_prompts", SILENCE_PROMPTS_MAX)]
    {
        phrases(&format!("/turn/{list}"), most, config, findings);
    }
}

/// A list of what people say: not too long, and each with something to say in it. A prompt may be as long as any other.
fn phrases(place: &str, most: usize, config: &Value, findings: &mut Findings) {
    let phrases = config.pointer(place).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if phrases.len() > most {
        findings.error(place, format!("{} are too many; leave {most}", phrases.len()));
    }
    let longest = if most == PHRASES_MAX { PHRASE_CHARACTERS_MAX } else { usize::MAX };
    for (index, said) in phrases.iter().enumerate() {
        let Some(said) = said.as_str() else { continue };
        phrase(format!("{place}/{index}"), said, longest, findings);
    }
}

fn phrase(place: String, phrase: &str, longest: usize, findings: &mut Findings) {
    if !phrase.contains(char::is_alphanumeric) {
        findings.error(place, "nothing can be said of this; write words, or remove it");
    } else if phrase.chars().count() > longest {
        findings.error(place, format!("is longer than {longest} characters; shorten it"));
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Error, pointer, message);
    }

    fn warning(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Warning, pointer, message);
    }

    fn not_supported(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::NotSupported, pointer, message);
    }

    fn add(&mut self, severity: Severity, pointer: impl Into<String>, message: impl Into<String>) {
        let finding = Finding { severity, pointer: pointer.into(), message: message.into() };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }
}

/// A key as a token of a JSON pointer (RFC 6901 section 3).
fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// `; did you mean "goto"?` when one of the known names is close, else nothing.
fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known.into_iter().map(|known| (strsim::osa_distance(name, known), known));
    let best = near.filter(|(distance, known)| *distance <= 1 + known.len() / 4).min_by_key(|(distance, _)| *distance);
    best.map(|(_, known)| format!("; did you mean {known:?}?")).unwrap_or_default()
}

impl Report {
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::NotSupported => "not supported",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "(file)" } else { &self.pointer };
        write!(f, "{:<13}  {place}\n{:15}{}", self.severity, "", self.message)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, unsupported) = (count(Severity::Error), count(Severity::NotSupported));
        let verdict = if errors == 0 { "the bot runs" } else { "the bot cannot run" };
        write!(f, "{errors} errors, {unsupported} not supported, {} warnings: {verdict}", count(Severity::Warning))
    }
}
