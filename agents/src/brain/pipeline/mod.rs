//! The brain that is a language model: the caller's words go to it, its answer is spoken clause by clause, its tools are
//! called, and it is told of the conversation what the ledger holds.
//!
//! It keeps no transcript: the session builds the context from the ledger when the model is asked (`context`).

mod abbreviations;
mod chunker;
pub mod context;
mod exchanges;
mod filler;
mod handover;
mod keys;
mod prompt;
pub mod summary;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_contract::bot::Wording;
use tandem_contract::call::Modality;
use tandem_contract::record::LedgerEntry;
use tandem_contract::{Epoch, Private};
use tandem_media::Time;
use tandem_models::{Completion, Finish, ModelError, ModelEvent, ToolCall};
use tandem_speech::Grammar;

use super::{Brain, BrainEffect, BrainEvent, Listen, ToolFailure};
use crate::turn::Silence;
use chunker::Chunker;
use context::{Attached, Room};
pub use exchanges::Exchange;
pub use prompt::Persona;

/// Rounds of tools in one reply. A model that still calls tools after that goes in circles.
const ROUNDS_MAX: u8 = 8;
/// Failures or unheard utterances in a row after which the agent gives up.
const GIVE_UP_AFTER: u8 = 3;

/// The model ends the conversation by this tool.
pub(super) const HANG_UP: &str = "hang_up";
/// The model hands the caller to a person by this tool.
const TRANSFER: &str = "transfer";

/// What the model is told of a tool that has not answered when the caller goes on.
const RUNNING: &str = "it has not answered yet, and the caller went on: answer them without it. Its result follows by itself; do not \
    call it again for the same wish";

/// What it is told of a hang-up or a transfer that the caller did not want, or not yet.
const INTERRUPTED: &str =
    "the caller interrupted you, so it was not done: answer them, and call it again if it is still wanted";

/// What the model is asked, but for the conversation itself, which the ledger tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    pub persona: Arc<Persona>,
    pub exchanges: Vec<Exchange>,
}

impl Prompt {
    /// The whole question, with the conversation as the ledger holds it.
    pub fn completion(&self, entries: &[LedgerEntry]) -> Completion {
        self.completion_after(None, entries, &[], Room::Wide)
    }

    /// The same where notes stand for what was said before, and something is attached to the lines since.
    pub fn completion_after(
        &self,
        notes: Option<&Private<String>>,
        entries: &[LedgerEntry],
        attached: &[Attached],
        room: Room,
    ) -> Completion {
        let persona = &self.persona;
        let mut messages = context::messages(&persona.system, entries, &self.exchanges, attached, room);
        if let Some(notes) = notes {
            messages.insert(1, summary::told(notes));
        }
        Completion {
            messages,
            tools: persona.tools.clone(),
            max_tokens: persona.max_tokens,
            temperature: persona.temperature,
            top_p: persona.top_p,
            ..Completion::default()
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PipelineBrain {
    persona: Arc<Persona>,
    modality: Modality,
    reply: Reply,
    exchanges: Vec<Exchange>,
    /// Number of the tool call made last.
    last_call: u32,
    /// Numbers of calls that still run though the caller went on.
    running: Vec<u32>,
    /// Of those that have answered since the model was asked last.
    late: Vec<u32>,
    misses: Misses,
}

/// The reply that is being made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Reply {
    epoch: Epoch,
    /// Text of the model that is not said yet.
    chunker: Chunker,
    /// The same for a chat, which reads an answer whole.
    written: String,
    /// Bytes of it that the reader has seen.
    shown: usize,
    said: bool,
    /// The caller was told that it takes a moment: by a tool, or because another model is asked.
    filled: bool,
    /// Utterances in the present epoch.
    utterances: usize,
    /// When the tools of this round were called: the epoch, and how many utterances it had.
    called: (Epoch, usize),
    rounds: u8,
    /// Of the present round, in the model's order.
    calls: Vec<Called>,
    ending: Option<Ending>,
    /// The model has called for the end, and believes that it happened.
    ended: bool,
    /// The caller has said nothing that it answers: it may be empty.
    unasked: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Called {
    call: ToolCall,
    number: u32,
    /// The session performs it.
    sent: bool,
    result: Option<Private<String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Ending {
    HangUp,
    Transfer { target: Private<String> },
}

/// In a row.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Misses {
    failed: u8,
    silent: u8,
    unheard: u8,
}

impl Brain for PipelineBrain {
    fn handle(&mut self, _now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        match event {
            BrainEvent::Started => self.start(out),
            BrainEvent::Continued => self.listen(out),
            BrainEvent::Said { epoch, .. } | BrainEvent::Digits { epoch, .. } => self.question(epoch, out),
            BrainEvent::Model { epoch, event } if epoch == self.reply.epoch => self.model(event, out),
            BrainEvent::ToolDone { epoch, call, result } => self.tool_done(epoch, call, result, out),
            BrainEvent::FloorFree { epoch } => self.tell_late(epoch, out),
            BrainEvent::ToolRuns { epoch, call } => self.tool_runs(epoch, call, out),
            BrainEvent::Silent { epoch } => self.silent(epoch, out),
            BrainEvent::NotHeard { epoch } => self.unheard(epoch, out),
            BrainEvent::EndInterrupted => self.stay(),
            BrainEvent::TransferProgress { epoch, status } if status >= 300 => self.stays(epoch, out),
            // A noise; an answer that is not wanted any more; what was heard is in the ledger.
            BrainEvent::NotUnderstood { .. }
            | BrainEvent::Model { .. }
            | BrainEvent::TransferProgress { .. }
            | BrainEvent::Heard { .. } => {}
        }
    }

    /// The model is told that they still run, and answers the caller meanwhile.
    fn waits_for_tools(&self) -> bool {
        false
    }

    fn foresee(&self, _said: &str) -> Option<Prompt> {
        Some(self.prompt())
    }
}

impl PipelineBrain {
    pub fn new(persona: Persona, modality: Modality) -> Self {
        let reply = Reply { chunker: persona.chunker(), ..Reply::default() };
        Self {
            persona: Arc::new(persona),
            modality,
            reply,
            exchanges: Vec::new(),
            last_call: 0,
            running: Vec::new(),
            late: Vec::new(),
            misses: Misses::default(),
        }
    }

    fn start(&mut self, out: &mut Vec<BrainEffect>) {
        self.listen(out);
        if let Some(greeting) = self.persona.greeting.clone() {
            self.begin(Epoch::default());
            self.utter(&greeting, self.persona.greeting_interruptible, out);
            self.done(out);
        }
    }

    fn listen(&self, out: &mut Vec<BrainEffect>) {
        let silence = if self.modality == Modality::Text { Silence::Unlimited } else { Silence::Policy };
        out.push(BrainEffect::Listen(Listen { grammar: Some(Grammar::Open), digits: None, silence }));
    }

    fn question(&mut self, epoch: Epoch, out: &mut Vec<BrainEffect>) {
        self.misses = Misses { failed: self.misses.failed, ..Misses::default() };
        self.begin(epoch);
        self.ask(out);
    }

    /// A new reply; what an older one still wanted is forgotten.
    fn begin(&mut self, epoch: Epoch) {
        self.leave_running();
        self.reply = Reply { epoch, chunker: self.persona.chunker(), ..Reply::default() };
    }

    fn ask(&mut self, out: &mut Vec<BrainEffect>) {
        self.late.clear();
        out.push(BrainEffect::Complete { epoch: self.reply.epoch, prompt: self.prompt() });
    }

    fn prompt(&self) -> Prompt {
        Prompt { persona: self.persona.clone(), exchanges: self.exchanges.clone() }
    }

    fn model(&mut self, event: ModelEvent, out: &mut Vec<BrainEffect>) {
        match event {
            ModelEvent::Text { text } if self.modality == Modality::Text => self.write(text.reveal(), out),
            ModelEvent::Text { text } => {
                for clause in self.reply.chunker.push(text.reveal()) {
                    self.say(&clause, out);
                }
            }
            ModelEvent::ToolCall { call } => {
                self.last_call += 1;
                self.reply.calls.push(Called { call, number: self.last_call, sent: false, result: None });
            }
            // Counted where it was paid.
            ModelEvent::Usage { .. } | ModelEvent::Progress => {}
            ModelEvent::Rerouted => self.fill(out),
            ModelEvent::Done { finish } => self.answered(finish, out),
            ModelEvent::Failed { error } => self.failed(is_for_good(&error), out),
        }
    }

    /// A chat shows a reply while it is made, clause by clause; what counts is the whole.
    fn write(&mut self, text: &str, out: &mut Vec<BrainEffect>) {
        self.reply.written.push_str(text);
        let unshown = &self.reply.written[self.reply.shown..];
        let Some(end) = clauses(unshown) else { return };
        let text = unshown[..end].to_owned().into();
        self.reply.shown += end;
        out.push(BrainEffect::Write { epoch: self.reply.epoch, text });
    }

    fn answered(&mut self, finish: Finish, out: &mut Vec<BrainEffect>) {
        let written = std::mem::take(&mut self.reply.written);
        if self.reply.shown > 0 && self.reply.shown < written.len() {
            let text = written[self.reply.shown..].to_owned().into();
            out.push(BrainEffect::Write { epoch: self.reply.epoch, text });
        }
        self.reply.shown = 0;
        let rest = self.reply.chunker.finish().or(Some(written).filter(|text| !text.trim().is_empty()));
        if let Some(rest) = rest {
            self.say(rest.trim(), out);
        }
        // An empty answer is no better than none.
        let is_empty = self.reply.calls.is_empty() && !self.reply.said && !self.reply.unasked;
        if is_empty && finish != Finish::Filtered {
            return self.failed(false, out);
        }
        self.misses.failed = 0;
        if !self.reply.calls.is_empty() {
            return self.call_tools(out);
        }
        if is_empty {
            self.word(Wording::CannotHelp, out);
        }
        self.done(out);
    }

    /// A sentence that broke off is not said: half of one may mean the opposite.
    fn failed(&mut self, for_good: bool, out: &mut Vec<BrainEffect>) {
        self.misses.failed += 1;
        if self.misses.failed >= GIVE_UP_AFTER {
            return self.give_up(out);
        }
        self.word(
            match self.reply.said {
                true => Wording::LostThread,
                false if for_good => Wording::Unavailable,
                false => Wording::SayAgain,
            },
            out,
        );
        self.done(out);
    }

    fn call_tools(&mut self, out: &mut Vec<BrainEffect>) {
        self.fill_the_silence(out);
        let epoch = self.reply.epoch;
        self.reply.called = (epoch, self.reply.utterances);
        for at in 0..self.reply.calls.len() {
            let Called { call, number, .. } = self.reply.calls[at].clone();
            match self.own_tool(&call) {
                Some(result) => self.reply.calls[at].result = Some(result.to_string().into()),
                None => {
                    self.reply.calls[at].sent = true;
                    out.push(keys::press(epoch, number, &call).unwrap_or_else(|| {
                        let (tool, arguments) = (call.name.clone(), call.arguments.reveal().clone());
                        BrainEffect::CallTool { epoch, call: number, tool, arguments }
                    }));
                    self.watch(number, &call.name, out);
                }
            }
        }
        self.go_on_when_called(out);
    }

    /// Tools that are about the conversation itself, and tools that the bot does not have.
    fn own_tool(&mut self, call: &ToolCall) -> Option<Value> {
        let offered = self.persona.tools.iter().any(|tool| tool.name == call.name);
        let destination = call.arguments.reveal().get("destination").and_then(Value::as_str).unwrap_or_default();
        match call.name.as_str() {
            _ if !offered => {
                Some(json!({ "error": "unknown_tool", "detail": "use only the tools that you were given" }))
            }
            keys::SEND_DTMF => keys::refusal(call),
            HANG_UP => {
                self.reply.ending = Some(Ending::HangUp);
                Some(json!({ "ok": true }))
            }
            TRANSFER => Some(match self.persona.target(destination) {
                Some(target) => {
                    self.reply.ending = Some(Ending::Transfer { target });
                    json!({ "ok": true })
                }
                None => json!({ "error": "unknown_destination", "detail": "name one of the tool's destinations" }),
            }),
            _ => None,
        }
    }

    fn tool_done(&mut self, epoch: Epoch, call: u32, result: Result<Value, ToolFailure>, out: &mut Vec<BrainEffect>) {
        let result = result.unwrap_or_else(|failure| json!({ "error": failure.code, "detail": failure.detail }));
        let Some(called) = self.reply.calls.iter_mut().find(|called| called.number == call) else {
            return self.done_late(call, &result);
        };
        called.result = Some(result.to_string().into());
        if self.reply.epoch != epoch {
            self.reply.epoch = epoch;
            self.reply.utterances = 0;
        }
        self.go_on_when_called(out);
    }

    fn go_on_when_called(&mut self, out: &mut Vec<BrainEffect>) {
        if self.reply.calls.iter().any(|called| called.result.is_none()) {
            return;
        }
        let called = self.reply.calls.drain(..).collect();
        self.remember(called);
        self.reply.rounds += 1;
        if self.reply.ending.is_some() {
            self.reply.ended = true;
            return self.end(out);
        }
        match self.reply.rounds < ROUNDS_MAX {
            true => self.ask(out),
            false => {
                self.word(Wording::SayAgain, out);
                self.done(out);
            }
        }
    }

    /// What was called and what came of it, for later questions.
    fn remember(&mut self, called: Vec<Called>) {
        let (mut calls, mut numbers, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for Called { call, number, result, .. } in called {
            calls.push(call);
            numbers.push(number);
            results
                .push(result.unwrap_or_else(|| json!({ "status": "running", "detail": RUNNING }).to_string().into()));
        }
        let (epoch, after) = self.reply.called;
        self.keep(Exchange { epoch, after, calls, numbers, results });
    }

    /// The newest, as many as any later question has room for.
    fn keep(&mut self, exchange: Exchange) {
        self.exchanges.push(exchange);
        self.exchanges = exchanges::within(Room::Wide.tools(), &self.exchanges);
    }

    /// The caller went on before the tools had answered. They act all the same: a model that did not know would call them again.
    pub(in crate::brain) fn leave_running(&mut self) {
        let sent: Vec<Called> = self.reply.calls.drain(..).filter(|called| called.sent).collect();
        if !sent.is_empty() {
            let running = sent.iter().filter(|called| called.result.is_none());
            self.running.extend(running.map(|called| called.number));
            self.remember(sent);
        }
    }

    /// The next question tells it, whether the caller asks something or the floor is free.
    fn done_late(&mut self, call: u32, result: &Value) {
        let Some(at) = self.running.iter().position(|number| *number == call) else { return };
        self.running.remove(at);
        let known = self.exchanges.iter_mut().find_map(|exchange| {
            let place = exchange.numbers.iter().position(|number| *number == call)?;
            exchange.results.get_mut(place)
        });
        if let Some(known) = known {
            *known = result.to_string().into();
            self.late.push(call);
        }
    }

    /// The caller has heard all that was said, and the model does not know yet what came of tools: it goes on with that. What they
    /// were called for stands behind what was said since, as if they were called now: a model is asked about what it reads last.
    fn tell_late(&mut self, epoch: Epoch, out: &mut Vec<BrainEffect>) {
        let is_late = |exchange: &Exchange| exchange.numbers.iter().any(|number| self.late.contains(number));
        let (late, known): (Vec<_>, Vec<_>) = self.exchanges.iter().cloned().partition(is_late);
        self.exchanges = known;
        if late.is_empty() {
            return;
        }
        self.begin(epoch);
        self.exchanges.extend(late.into_iter().map(|exchange| Exchange { epoch, after: 0, ..exchange }));
        self.reply.unasked = true;
        self.ask(out);
    }

    fn end(&mut self, out: &mut Vec<BrainEffect>) {
        match self.reply.ending.take() {
            Some(Ending::HangUp) => {
                if !self.reply.said {
                    self.word(Wording::Goodbye, out);
                }
                out.push(BrainEffect::HangUp);
            }
            Some(Ending::Transfer { target }) => out.push(BrainEffect::Transfer { target }),
            None => {}
        }
        self.done(out);
    }

    /// The caller has cut the goodbye short, or the announcement of a transfer. A model that did not know would believe that it
    /// has hung up.
    fn stay(&mut self) {
        if !std::mem::take(&mut self.reply.ended) {
            return;
        }
        let Some(Exchange { calls, results, .. }) = self.exchanges.last_mut() else { return };
        for (call, result) in calls.iter().zip(results) {
            if [HANG_UP, TRANSFER].contains(&call.name.as_str()) {
                *result = json!({ "error": "interrupted", "detail": INTERRUPTED }).to_string().into();
            }
        }
    }

    fn silent(&mut self, epoch: Epoch, out: &mut Vec<BrainEffect>) {
        let prompt = self.persona.silence_prompts.get(usize::from(self.misses.silent)).cloned();
        self.misses.silent = self.misses.silent.saturating_add(1);
        if let Some(prompt) = prompt {
            return self.alone(epoch, &prompt, out);
        }
        self.begin(epoch);
        self.reply.ending = Some(Ending::HangUp);
        self.end(out);
    }

    fn unheard(&mut self, epoch: Epoch, out: &mut Vec<BrainEffect>) {
        self.misses.unheard += 1;
        if self.misses.unheard >= GIVE_UP_AFTER {
            self.begin(epoch);
            return self.give_up(out);
        }
        self.begin(epoch);
        self.word(Wording::NotHeard, out);
        self.done(out);
    }

    fn give_up(&mut self, out: &mut Vec<BrainEffect>) {
        self.word(Wording::Difficulties, out);
        self.reply.ending = Some(Ending::HangUp);
        self.end(out);
    }

    /// The transfer failed.
    fn stays(&mut self, epoch: Epoch, out: &mut Vec<BrainEffect>) {
        self.begin(epoch);
        self.word(Wording::NobodyFree, out);
        self.word(Wording::HowElse, out);
        self.done(out);
    }

    /// A reply of one sentence that the model is not asked for.
    fn alone(&mut self, epoch: Epoch, text: &str, out: &mut Vec<BrainEffect>) {
        self.begin(epoch);
        self.say(text, out);
        self.done(out);
    }

    fn say(&mut self, text: &str, out: &mut Vec<BrainEffect>) {
        self.utter(text, true, out);
    }

    fn word(&mut self, when: Wording, out: &mut Vec<BrainEffect>) {
        let persona = Arc::clone(&self.persona);
        self.say(persona.words.of(when), out);
    }

    fn utter(&mut self, text: &str, interruptible: bool, out: &mut Vec<BrainEffect>) {
        self.reply.said = true;
        self.reply.utterances += 1;
        out.push(BrainEffect::Say { epoch: self.reply.epoch, text: text.to_owned(), interruptible });
    }

    fn done(&self, out: &mut Vec<BrainEffect>) {
        out.push(BrainEffect::Done { epoch: self.reply.epoch });
    }
}

/// Whether the model fails the next time, too: whoever asks again waits in vain.
fn is_for_good(error: &ModelError) -> bool {
    matches!(
        error,
        ModelError::Unauthorized { .. }
            | ModelError::Refused { .. }
            | ModelError::Spent { .. }
            | ModelError::OutOfBudget { .. }
    )
}

/// Where the last clause of a text ends that is followed by something; none while its first is not whole.
fn clauses(text: &str) -> Option<usize> {
    let ends = |(at, end): (usize, char)| {
        let next = at + end.len_utf8();
        let over = matches!(end, '.' | '!' | '?' | ',' | ';' | ':') && text[next..].starts_with(char::is_whitespace);
        (over || end == '\n').then_some(next)
    };
    text.char_indices().rev().find_map(ends)
}

#[cfg(test)]
mod tests;
