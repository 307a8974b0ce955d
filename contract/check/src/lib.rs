//! Validation of a bot file: everything that is wrong at once, each with its place (RFC 6901 JSON pointer) and its mend.
//!
//! A crate of its own, because the JSON Schema validator under it is heavy and only who reads bot files needs it.

mod script;
mod structure;
mod support;

use std::fmt;

use serde_json::Value;
use tandem_contract::bot::{BotConfig, strip_comments};

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
pub fn check(text: &str) -> Report {
    let mut findings = Findings::default();
    let config = read(text, &mut findings);
    let mut findings = findings.0;
    findings.sort_by_key(|finding| finding.severity);
    let config = config.filter(|_| findings.iter().all(|finding| finding.severity != Severity::Error));
    Report { config, findings }
}

fn read(text: &str, findings: &mut Findings) -> Option<BotConfig> {
    let mut value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            findings.error("", format!("this is not JSON: {error}"));
            return None;
        }
    };
    strip_comments(&mut value);
    structure::check(&value, findings);
    if !findings.0.is_empty() {
        return None;
    }
    let config: BotConfig = match serde_json::from_value(value.clone()) {
        Ok(config) => config,
        Err(error) => {
            findings.error("", error.to_string());
            return None;
        }
    };
    limits(&config, findings);
    if let Some(flow) = &config.flow {
        script::check(flow, findings);
    }
    support::check(&value, findings);
    Some(config)
}

fn limits(config: &BotConfig, findings: &mut Findings) {
    if config.limits.max_sessions == 0 {
        findings.error("/limits/max_sessions", "nobody could call this bot; allow at least 1 session");
    }
    if config.turn.min_endpointing_ms > config.turn.max_endpointing_ms {
        findings.error("/turn/min_endpointing_ms", "must not be more than max_endpointing_ms; lower it");
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
        write!(f, "{errors} errors, {unsupported} not supported, {} warnings", count(Severity::Warning))
    }
}
