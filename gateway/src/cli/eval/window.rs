//! What happened since the caller's last act, and what of it was expected. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use tandem_contract::leg::LegEnd;
use tandem_media::Time;

use super::scenario::{Expect, Happening, Tool, Wanted, outcome_label};
use super::words::Caught;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The agent begins an utterance. Told again when it has grown.
    Said {
        utterance: u32,
        text: String,
    },
    Heard(String),
    Understood(String),
    Tool {
        name: String,
        ok: bool,
        /// None: the node did not tell them.
        arguments: Option<Value>,
    },
    State(String),
    Event(Happening),
    Outcome(LegEnd),
}

/// What became of an expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Met,
    /// With what there was instead.
    Missed(String),
    /// A language model is to say it: of this conversation, a line each.
    Question {
        statement: String,
        transcript: String,
    },
    /// Nobody could say it.
    Skipped(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of the file.
    pub line: u64,
    pub what: String,
    pub verdict: Verdict,
}

/// From one act of the caller to the next.
#[derive(Clone, Debug)]
pub struct Window {
    opened: Time,
    /// End of the caller's line; what is expected is waited for from here. None: the caller still talks.
    done: Option<Time>,
    facts: Vec<(Time, Fact)>,
    open: Vec<Open>,
    unwanted: Vec<(u64, Wanted)>,
    questions: Vec<(u64, String)>,
    found: Vec<Finding>,
    caught: Caught,
}

/// An expectation that may still be met.
#[derive(Clone, Debug)]
struct Open {
    line: u64,
    wanted: Wanted,
    after: Duration,
    within: Duration,
}

impl Window {
    pub fn open(now: Time) -> Self {
        Self {
            opened: now,
            done: None,
            facts: Vec::new(),
            open: Vec::new(),
            unwanted: Vec::new(),
            questions: Vec::new(),
            found: Vec::new(),
            caught: Caught::new(),
        }
    }

    /// The caller's line ends, or a wait will end, here.
    pub fn line_done(&mut self, at: Time) {
        self.done = Some(at);
    }

    pub fn expect(&mut self, line: u64, expect: Vec<Expect>) {
        for Expect { wanted, unwanted, judge, after, within } in expect {
            self.open.extend(wanted.into_iter().map(|wanted| Open { line, wanted, after, within }));
            self.unwanted.extend(unwanted.into_iter().map(|wanted| (line, wanted)));
            self.questions.extend(judge.map(|statement| (line, statement)));
        }
    }

    pub fn note(&mut self, now: Time, fact: Fact) {
        if let Fact::Said { utterance, text } = &fact {
            let again =
                |known: &&mut (Time, Fact)| matches!(&known.1, Fact::Said { utterance: of, .. } if of == utterance);
            if let Some((_, Fact::Said { text: known, .. })) = self.facts.iter_mut().find(again) {
                known.clone_from(text);
                return;
            }
        }
        self.facts.push((now, fact));
    }

    /// Settles what can be: met, or too late. `over`: nothing more will happen. What is left says until when at the latest.
    pub fn settle(&mut self, now: Time, over: bool) -> Option<Time> {
        let mut earliest: Option<Time> = None;
        for open in std::mem::take(&mut self.open) {
            let deadline = self.done.map(|done| done + open.within);
            let verdict = match self.holds(&open) {
                Some(caught) => {
                    self.caught.extend(caught);
                    Verdict::Met
                }
                None if over || deadline.is_some_and(|deadline| deadline <= now) => {
                    Verdict::Missed(self.instead(&open.wanted))
                }
                None => {
                    earliest = earliest.into_iter().chain(deadline).min();
                    self.open.push(open);
                    continue;
                }
            };
            self.found.push(Finding { line: open.line, what: what(&open), verdict });
        }
        earliest
    }

    fn holds(&self, open: &Open) -> Option<Caught> {
        let from = match self.done {
            _ if open.after.is_zero() => self.opened,
            Some(done) => done + open.after,
            None => return None,
        };
        let in_time = |at: Time| at >= from && self.done.is_none_or(|done| at <= done + open.within);
        let facts: Vec<&Fact> = self.facts.iter().filter(|(at, _)| in_time(*at)).map(|(_, fact)| fact).collect();
        fits(&open.wanted, &facts)
    }

    /// What there was of the kind that was wanted.
    fn instead(&self, wanted: &Wanted) -> String {
        let facts = self.facts.iter().map(|(_, fact)| fact);
        let seen: Vec<String> = facts.filter_map(|fact| shown(wanted, fact)).collect();
        if seen.is_empty() { "there was none".to_owned() } else { format!("there was {}", seen.join(", ")) }
    }

    /// The caller's next act begins, or the conversation is over: what did not happen until now did not happen.
    pub fn close(mut self, transcript: &str) -> (Vec<Finding>, Caught) {
        for open in std::mem::take(&mut self.open) {
            let verdict = Verdict::Missed(self.instead(&open.wanted));
            self.found.push(Finding { line: open.line, what: what(&open), verdict });
        }
        let facts: Vec<&Fact> = self.facts.iter().map(|(_, fact)| fact).collect();
        for (line, wanted) in &self.unwanted {
            let verdict = match fits(wanted, &facts) {
                Some(_) => Verdict::Missed(self.instead(wanted)),
                None => Verdict::Met,
            };
            self.found.push(Finding { line: *line, what: format!("not: {wanted}"), verdict });
        }
        for (line, statement) in self.questions {
            let verdict = Verdict::Question { statement: statement.clone(), transcript: transcript.to_owned() };
            self.found.push(Finding { line, what: format!("judge: {statement}"), verdict });
        }
        (self.found, self.caught)
    }
}

fn what(open: &Open) -> String {
    let mut text = format!("{} within {:.1} s", open.wanted, open.within.as_secs_f64());
    if !open.after.is_zero() {
        let _ = write!(text, ", not before {:.1} s", open.after.as_secs_f64());
    }
    text
}

fn fits(wanted: &Wanted, facts: &[&Fact]) -> Option<Caught> {
    let words = match wanted {
        Wanted::Text(words) | Wanted::Heard(words) | Wanted::Understood(words) => words,
        _ => return facts.iter().any(|fact| same(wanted, fact)).then(Caught::new),
    };
    let lines: Vec<&str> = facts.iter().filter_map(|fact| line(wanted, fact)).collect();
    words.fit(&lines)
}

/// The words of a fact, if they are of the kind that is wanted.
fn line<'a>(wanted: &Wanted, fact: &'a Fact) -> Option<&'a str> {
    match (wanted, fact) {
        (Wanted::Text(_), Fact::Said { text, .. })
        | (Wanted::Heard(_), Fact::Heard(text))
        | (Wanted::Understood(_), Fact::Understood(text)) => Some(text),
        _ => None,
    }
}

fn same(wanted: &Wanted, fact: &Fact) -> bool {
    match (wanted, fact) {
        (Wanted::Tool(wanted), Fact::Tool { name, ok, arguments }) => wanted.fits(name, *ok, arguments.as_ref()),
        (Wanted::State(wanted), Fact::State(state)) => wanted == state,
        (Wanted::Event(wanted), Fact::Event(event)) => wanted == event,
        (Wanted::Outcome(wanted), Fact::Outcome(end)) => wanted == end,
        _ => false,
    }
}

/// The arguments of a call, where some were wanted.
fn called_with(wanted: &Tool, arguments: Option<&Value>) -> String {
    match (&wanted.arguments, arguments) {
        (None, _) => String::new(),
        (Some(_), Some(arguments)) => format!(" with {arguments}"),
        (Some(_), None) => " with arguments that the node did not tell (are they long? is --key given?)".to_owned(),
    }
}

/// For people. None: a fact of another kind.
fn shown(wanted: &Wanted, fact: &Fact) -> Option<String> {
    match (wanted, fact) {
        (Wanted::Tool(wanted), Fact::Tool { name, ok, arguments }) => {
            Some(format!("{name}{}{}", called_with(wanted, arguments.as_ref()), if *ok { "" } else { " (failed)" }))
        }
        (Wanted::State(_), Fact::State(state)) => Some(state.clone()),
        (Wanted::Event(_), Fact::Event(event)) => Some(event.as_str().to_owned()),
        (Wanted::Outcome(_), Fact::Outcome(end)) => Some(outcome_label(*end).to_owned()),
        _ => line(wanted, fact).map(|text| format!("{text:?}")),
    }
}
