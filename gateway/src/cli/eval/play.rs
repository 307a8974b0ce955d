//! A scenario as it is played. Pure: it is told what the node says and when, and asked what the caller does next.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_saphyr::Spanned;
use tandem_contract::record::{LedgerEntry, Outcome, Speaker, TimelineEvent};
use tandem_contract::{Private, SessionId};
use tandem_media::Time;
use tandem_signaling::stream::ServerMessage;

use super::super::floor::Floor;
use super::scenario::{Act, Happening, Mode, Step};
use super::window::{Fact, Finding, Verdict, Window};
use super::words::Caught;

/// The agent has finished after this much quiet: longer than the pauses between its sentences.
const QUIET: Duration = Duration::from_millis(900);
/// In writing: its reply may be several messages.
const QUIET_WRITING: Duration = Duration::from_millis(400);
/// Longest conversation: a bot that never stops talking ends some time.
const LIMIT: Duration = Duration::from_secs(300);

/// What the caller does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    Say(String),
    Play(PathBuf),
    Press(String),
    HangUp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// It counts as begun; [`Play::line_done`] is its end.
    Do(Line),
    /// Nothing before this time, unless something happens.
    Wait(Time),
    /// The scenario is through.
    Done,
}

pub struct Play {
    mode: Mode,
    steps: VecDeque<Spanned<Step>>,
    floor: Floor,
    window: Window,
    found: Vec<Finding>,
    caught: Caught,
    /// A line each, as the ledger has it.
    transcript: String,
    session: Option<SessionId>,
    resting_until: Option<Time>,
    /// Why nothing more will happen.
    over: Option<String>,
    limit: Time,
}

/// A scenario that was played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    pub session: Option<SessionId>,
    pub findings: Vec<Finding>,
}

impl Play {
    pub fn new(now: Time, mode: Mode, steps: Vec<Spanned<Step>>) -> Self {
        let mut window = Window::open(now);
        window.line_done(now);
        Self {
            mode,
            steps: steps.into(),
            floor: Floor::new(now),
            window,
            found: Vec::new(),
            caught: Caught::new(),
            transcript: String::new(),
            session: None,
            resting_until: None,
            over: None,
            limit: now + LIMIT,
        }
    }

    /// What the node says.
    pub fn handle(&mut self, now: Time, message: ServerMessage) {
        match message {
            ServerMessage::Started(started) => self.session = Some(started.session),
            ServerMessage::AgentUtterance { utterance, text, .. } => {
                self.window.note(now, Fact::Said { utterance, text: text.into_inner() });
            }
            ServerMessage::Text { .. } => {
                self.floor.agent_started(now);
                self.floor.agent_stopped(now);
            }
            ServerMessage::Typing { on } => self.floor.agent_works(now, on),
            ServerMessage::Committed { entry } => self.committed(now, entry),
            ServerMessage::Timeline { entry } => self.happened(now, entry.what),
            ServerMessage::Ended { outcome } => self.ended(now, outcome),
            ServerMessage::Error { code, message, fatal: true } => self.lost(now, &format!("{code}: {message}")),
            ServerMessage::Error { code, message, fatal: false } => {
                self.fault("the node complains".into(), &format!("{code}: {message}"));
            }
            ServerMessage::AgentProgress { .. }
            | ServerMessage::Clear { .. }
            | ServerMessage::Turn { .. }
            | ServerMessage::TextPart { .. }
            | ServerMessage::Pong {} => {}
        }
    }

    fn committed(&mut self, now: Time, entry: LedgerEntry) {
        let heard = entry.heard.into_inner();
        let who = if entry.speaker == Speaker::Agent { "agent" } else { "caller" };
        let _ = writeln!(self.transcript, "{who}: {heard}");
        let fact = if entry.speaker == Speaker::Agent { Fact::Heard(heard) } else { Fact::Understood(heard) };
        self.window.note(now, fact);
    }

    fn happened(&mut self, now: Time, event: TimelineEvent) {
        if self.mode == Mode::Audio {
            match event {
                TimelineEvent::AgentStartedSpeaking { .. } | TimelineEvent::Resumed { .. } => {
                    self.floor.agent_started(now)
                }
                TimelineEvent::AgentStoppedSpeaking { .. }
                | TimelineEvent::Paused { .. }
                | TimelineEvent::BargeIn { .. } => self.floor.agent_stopped(now),
                _ => {}
            }
        }
        let fact = match event {
            TimelineEvent::FlowState { state } => Some(Fact::State(state)),
            TimelineEvent::Tool { name, ok, arguments } => {
                Some(Fact::Tool { name, ok, arguments: arguments.map(Private::into_inner) })
            }
            event => Happening::of(&event).map(Fact::Event),
        };
        if let Some(fact) = fact {
            self.window.note(now, fact);
        }
    }

    fn ended(&mut self, now: Time, outcome: Outcome) {
        self.floor.agent_stopped(now);
        self.over = Some(format!("the conversation was over: {}", outcome.label()));
        if let Outcome::Ended(end) = outcome {
            self.window.note(now, Fact::Outcome(end));
        }
    }

    /// The node is gone, or does not want this caller.
    pub fn lost(&mut self, now: Time, why: &str) {
        if self.over.is_none() {
            self.floor.agent_stopped(now);
            self.fault("a conversation".into(), why);
            self.over = Some(why.to_owned());
        }
    }

    /// Whether the node has said its last.
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// The caller's line is over.
    pub fn line_done(&mut self, now: Time) {
        self.floor.line_done(now);
        self.window.line_done(now);
    }

    fn fault(&mut self, what: String, why: &str) {
        let line = self.steps.front().map_or(0, |step| step.referenced.line());
        self.found.push(Finding { line, what, verdict: Verdict::Missed(why.to_owned()) });
    }

    /// What to do now.
    pub fn poll(&mut self, now: Time) -> Due {
        if now >= self.limit {
            self.lost(now, "the conversation took too long");
        }
        if self.over.is_some() && self.floor.is_caller_talking() {
            self.line_done(now);
        }
        loop {
            if self.floor.is_caller_talking() {
                return Due::Wait(self.limit);
            }
            if let Some(deadline) = self.window.settle(now, self.over.is_some()) {
                return Due::Wait(deadline.min(self.limit));
            }
            match self.resting_until.take().filter(|_| self.over.is_none()) {
                Some(until) if until > now => {
                    self.resting_until = Some(until);
                    return Due::Wait(until.min(self.limit));
                }
                _ => {}
            }
            if let Some(due) = self.step(now) {
                return due;
            }
        }
    }

    /// The next step. None: it is one that needs nothing of the caller, go on.
    fn step(&mut self, now: Time) -> Option<Due> {
        let Some(step) = self.steps.front() else { return Some(self.last(now)) };
        match step.value.act {
            None => {
                let step = self.steps.pop_front()?;
                self.window.expect(step.referenced.line(), step.value.expect);
                None
            }
            Some(Act::Wait(wait)) => {
                let step = self.steps.pop_front()?;
                self.window.line_done(now + wait);
                self.window.expect(step.referenced.line(), step.value.expect);
                self.resting_until = Some(now + wait);
                None
            }
            Some(_) if self.over.is_some() => {
                let what = step.value.act.as_ref().map(ToString::to_string).unwrap_or_default();
                let why = self.over.clone().unwrap_or_default();
                self.fault(what, &why);
                self.steps.clear();
                None
            }
            Some(_) => {
                let due = match step.value.interrupts {
                    Some(after) => Some(self.floor.in_reply(after)),
                    None => self.floor.quiet_for(self.quiet()),
                };
                match due {
                    Some(due) if due <= now => self.begin(now),
                    due => Some(Due::Wait(due.unwrap_or(self.limit).min(self.limit))),
                }
            }
        }
    }

    fn begin(&mut self, now: Time) -> Option<Due> {
        self.close(now);
        let Spanned { value: step, referenced, .. } = self.steps.pop_front()?;
        self.window.expect(referenced.line(), step.expect);
        self.floor.line_begins();
        Some(Due::Do(match step.act? {
            Act::Say(text) => Line::Say(self.filled(text)),
            Act::Play(path) => Line::Play(path),
            Act::Press(keys) => Line::Press(keys),
            Act::HangUp | Act::Wait(_) => Line::HangUp,
        }))
    }

    fn last(&mut self, now: Time) -> Due {
        let due = if self.over.is_some() { Some(now) } else { self.floor.quiet_for(self.quiet()) };
        match due {
            Some(due) if due <= now => {
                self.close(now);
                Due::Done
            }
            due => Due::Wait(due.unwrap_or(self.limit).min(self.limit)),
        }
    }

    fn close(&mut self, now: Time) {
        let window = std::mem::replace(&mut self.window, Window::open(now));
        let (found, caught) = window.close(&self.transcript);
        self.found.extend(found);
        self.caught.extend(caught);
    }

    fn filled(&self, text: String) -> String {
        self.caught.iter().fold(text, |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    fn quiet(&self) -> Duration {
        if self.mode == Mode::Text { QUIET_WRITING } else { QUIET }
    }

    /// What came of it.
    pub fn played(self) -> Played {
        let mut findings = self.found;
        if self.session.is_none() {
            let missed = findings.iter().any(|finding| matches!(finding.verdict, Verdict::Missed(_)));
            if !missed {
                let verdict = Verdict::Missed("the node has not begun one".into());
                findings.push(Finding { line: 0, what: "a conversation".into(), verdict });
            }
        }
        Played { session: self.session, findings }
    }
}

#[cfg(test)]
#[path = "play_tests.rs"]
mod tests;
