//! The flow brain: walks a bot's script. It understands an answer (`understand`), fills slots, says prompts (`render`)
//! and says what to listen for (`listen`). Every path leads on or ends: silence and misunderstanding are counted, a
//! circle of states that ask nothing is cut, and an unknown target ends the conversation with an apology. Where a language
//! model is beside it, they meet in `handover`.

mod handover;
mod listen;
mod render;
mod retrying;
#[cfg(test)]
mod tests;
mod understand;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_contract::bot::Wording;
use tandem_contract::bot::flow::{Ask, Flow, State, Target, Texts, ToolUse, TransferTo};
use tandem_contract::call::Modality;
use tandem_contract::{Epoch, Private};
use tandem_media::Time;

pub use self::handover::Beside;
pub(super) use self::handover::Pass;
use self::render::{Filled, Slots};
use self::retrying::Retrying;
use self::understand::{Answer, Input};
use super::{Brain, BrainEffect, BrainEvent, ToolFailure};
use crate::wording::Words;

/// States entered, tools called and transfers tried since the last question. A script that needs more goes in a circle.
const UNASKED_MAX: u8 = 32;
/// Silences and misunderstandings in a row, over all states, before the conversation ends.
const MISSES_IN_A_ROW_MAX: u8 = 9;
/// Silences waited out while a tool works, or a transfer rings, before it counts as failed.
const WAITS_MAX: u8 = 5;

/// Key that ends the echo.
const ECHO_END: &str = "#";

/// A walk through a flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowBrain {
    flow: Arc<Flow>,
    modality: Modality,
    epoch: Epoch,
    phase: Phase,
    /// The question that was put last, if no tool has acted since.
    question: Option<Phase>,
    slots: Slots,
    misses: Misses,
    /// Tool calls so far; numbers the next one.
    calls: u32,
    beside: Beside,
    /// What it says where the script does not.
    #[serde(default)]
    words: Words,
    /// Callers can be transferred.
    reaches: bool,
    /// The conversation goes to the language model. Whoever gave the event takes it.
    pass: Option<Pass>,
}

/// Where the walk stands. `state` is a key of the flow's states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
enum Phase {
    /// Nobody has answered yet.
    Ready,
    Asking {
        state: String,
    },
    /// The answer was read back; yes or no?
    Confirming {
        state: String,
        answer: Answer,
    },
    Calling {
        state: String,
        call: u32,
        waits: u8,
    },
    Transferring {
        state: String,
        waits: u8,
    },
    /// The caller interrupted the announcement of the transfer, which has not begun.
    Interrupted {
        state: String,
    },
    Echoing {
        state: String,
    },
    /// The language model converses.
    Talking {
        state: String,
    },
    Ended,
}

/// What did not lead anywhere: since the question was first put, in a row over all questions, and states since the
/// last question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Misses {
    silent: u8,
    unmatched: u8,
    unheard: u8,
    in_a_row: u8,
    unasked: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Miss {
    Silent,
    Unmatched,
    /// Our own fault: there is no recognizer, or it failed.
    Unheard,
}

/// After entering a state: wait for an event, or go on.
enum Next {
    Wait,
    Go(Option<Target>),
}

impl Brain for FlowBrain {
    fn handle(&mut self, _now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        match event {
            BrainEvent::Started | BrainEvent::Continued => self.start(out),
            BrainEvent::Said { epoch, text } => {
                self.turn(epoch, out, |s, out| s.input(&Input::Text(text.reveal()), out))
            }
            BrainEvent::Digits { epoch, digits } => {
                self.turn(epoch, out, |s, out| s.input(&Input::Keys(digits.reveal()), out));
            }
            BrainEvent::NotUnderstood { epoch } => self.turn(epoch, out, |s, out| s.miss(Miss::Unmatched, out)),
            BrainEvent::NotHeard { epoch } => self.turn(epoch, out, |s, out| s.miss(Miss::Unheard, out)),
            BrainEvent::Silent { epoch } => self.turn(epoch, out, |s, out| s.miss(Miss::Silent, out)),
            BrainEvent::ToolDone { epoch, call, result } => self.tool_done(epoch, call, result, out),
            BrainEvent::TransferProgress { epoch, status } => {
                self.epoch = self.epoch.max(epoch);
                self.transfer_progress(status, out);
            }
            // What was heard changes the ledger, not the way through the script.
            BrainEvent::Heard { .. } | BrainEvent::ToolRuns { .. } | BrainEvent::FloorFree { .. } => {}
            BrainEvent::EndInterrupted => self.stay(),
            // A flow asks no model.
            BrainEvent::Model { .. } => {}
        }
    }

    fn slots(&self) -> Value {
        self.filled()
    }
}

impl FlowBrain {
    /// `modality`: a voice gets numbers in words, a chat gets the options listed.
    pub fn new(flow: Flow, modality: Modality) -> Self {
        Self {
            flow: Arc::new(flow),
            modality,
            epoch: Epoch::default(),
            phase: Phase::Ready,
            question: None,
            slots: Slots::new(),
            misses: Misses::default(),
            calls: 0,
            beside: Beside::default(),
            words: Words::default(),
            reaches: true,
            pass: None,
        }
    }

    #[must_use]
    pub fn speaking(self, words: Words) -> Self {
        Self { words, ..self }
    }

    /// Whether callers can be transferred from where they are. If not, a transfer fails before a word of it is said.
    #[must_use]
    pub fn reaching(self, reaches: bool) -> Self {
        Self { reaches, ..self }
    }

    fn start(&mut self, out: &mut Vec<BrainEffect>) {
        if self.phase == Phase::Ready {
            let start = Target::State(self.flow.start.clone());
            self.go(Some(start), out);
        }
    }

    /// A turn of the caller. One of an epoch that is over is ignored: its reply would be dropped anyway.
    fn turn(&mut self, epoch: Epoch, out: &mut Vec<BrainEffect>, act: impl FnOnce(&mut Self, &mut Vec<BrainEffect>)) {
        if epoch >= self.epoch {
            self.epoch = epoch;
            act(self, out);
        }
    }

    fn input(&mut self, input: &Input<'_>, out: &mut Vec<BrainEffect>) {
        match self.phase.clone() {
            Phase::Asking { .. } | Phase::Confirming { .. } if input.is_blank() => self.unseen(out),
            Phase::Asking { state } => self.answered(&state, input, out),
            Phase::Confirming { state, answer } => self.confirmed(&state, answer, input, out),
            Phase::Echoing { state } => self.echoed(&state, input, out),
            Phase::Calling { .. } => self.call_again(out),
            // The phone rings elsewhere; whatever the caller says meanwhile changes nothing.
            Phase::Transferring { .. } => out.push(BrainEffect::Done { epoch: self.epoch }),
            Phase::Interrupted { state } => self.go(Some(Target::State(state)), out),
            Phase::Ended => out.push(BrainEffect::HangUp),
            Phase::Ready | Phase::Talking { .. } => {}
        }
    }

    /// Something was attached, and not a word said: a flow has no eyes.
    fn unseen(&mut self, out: &mut Vec<BrainEffect>) {
        if self.one_too_many() {
            return self.give_up(out);
        }
        self.word(Wording::NoEyes, true, out);
        self.put_question(true, out);
    }

    fn answered(&mut self, name: &str, input: &Input<'_>, out: &mut Vec<BrainEffect>) {
        let flow = Arc::clone(&self.flow);
        let Some((state, ask)) = flow.states.get(name).and_then(|state| Some((state, state.ask.as_ref()?))) else {
            return self.give_up(out);
        };
        // Free text would swallow every command, so there a command must stand alone and goes first.
        let free = matches!(ask, Ask::Jsgf(_) | Ask::Open);
        if let Some(target) = understand::command(&flow, input, true).filter(|_| free) {
            return self.obey(target, out);
        }
        let Some(answer) = understand::answer(&flow, ask, input) else {
            return match understand::command(&flow, input, free) {
                Some(target) => self.obey(target, out),
                None => self.miss(Miss::Unmatched, out),
            };
        };
        if next(state, &answer).is_none() {
            return self.miss(Miss::Unmatched, out);
        }
        if state.confirm.is_some() {
            self.phase = Phase::Confirming { state: name.to_owned(), answer };
            return self.put_question(false, out);
        }
        self.accept(state, answer, out);
    }

    fn confirmed(&mut self, name: &str, answer: Answer, input: &Input<'_>, out: &mut Vec<BrainEffect>) {
        let flow = Arc::clone(&self.flow);
        let Some(state) = flow.states.get(name) else { return self.give_up(out) };
        match understand::yes_no(input) {
            Some(true) => self.accept(state, answer, out),
            Some(false) => {
                if let Some(target) = state.confirm.as_ref().and_then(|confirm| confirm.no.clone()) {
                    return self.obey(target, out);
                }
                // Misheard: the question again, and it counts, so that two who never agree come to an end.
                self.phase = Phase::Asking { state: name.to_owned() };
                self.miss(Miss::Unmatched, out);
            }
            None => match understand::command(&flow, input, false) {
                Some(target) => self.obey(target, out),
                None => self.miss(Miss::Unmatched, out),
            },
        }
    }

    fn accept(&mut self, state: &State, answer: Answer, out: &mut Vec<BrainEffect>) {
        self.misses = Misses::default();
        let target = next(state, &answer);
        if let Some(slot) = &state.slot {
            let value = Private::new(Value::String(answer.value.into_inner()));
            self.slots.insert(slot.clone(), Filled { value, label: answer.label });
        }
        self.go(target, out);
    }

    fn obey(&mut self, target: Target, out: &mut Vec<BrainEffect>) {
        self.misses = Misses::default();
        self.go(Some(target), out);
    }

    /// Silence, or something that means nothing here.
    fn miss(&mut self, miss: Miss, out: &mut Vec<BrainEffect>) {
        let state = match self.phase.clone() {
            Phase::Asking { state } | Phase::Confirming { state, .. } => state,
            Phase::Calling { state, call, waits } => return self.wait_for_tool(state, call, waits, miss, out),
            Phase::Transferring { state, waits } => return self.wait_for_transfer(state, waits, miss, out),
            Phase::Echoing { .. } => return out.push(BrainEffect::Done { epoch: self.epoch }),
            Phase::Interrupted { state } => return self.go(Some(Target::State(state)), out),
            Phase::Ended => return out.push(BrainEffect::HangUp),
            Phase::Ready | Phase::Talking { .. } => return,
        };
        let count = match miss {
            Miss::Silent => &mut self.misses.silent,
            Miss::Unmatched => &mut self.misses.unmatched,
            Miss::Unheard => &mut self.misses.unheard,
        };
        *count = count.saturating_add(1);
        let count = *count;
        if self.one_too_many() {
            return self.give_up(out);
        }
        let flow = Arc::clone(&self.flow);
        let ours = Texts::One(self.words.of(miss.wording()).to_owned());
        let retry = Retrying::of(&flow, flow.states.get(&state), miss, &ours);
        if count > retry.max {
            return self.go(retry.goto.cloned(), out);
        }
        self.say(retry.say, true, out);
        self.put_question(true, out);
    }

    fn one_too_many(&mut self) -> bool {
        self.misses.in_a_row = self.misses.in_a_row.saturating_add(1);
        self.misses.in_a_row >= MISSES_IN_A_ROW_MAX
    }

    /// Walks on until something has to be waited for.
    fn go(&mut self, target: Option<Target>, out: &mut Vec<BrainEffect>) {
        let flow = Arc::clone(&self.flow);
        let mut target = target;
        while self.misses.unasked < UNASKED_MAX {
            let next = match target {
                Some(Target::State(name)) => match flow.states.get(&name) {
                    Some(state) => self.enter(&name, state, out),
                    None => break,
                },
                Some(Target::HangUp) => return self.hang_up(out),
                Some(Target::Repeat) => return self.put_question(false, out),
                Some(Target::Model) => self.lead_to_model(),
                None if self.beside == Beside::Whole => self.back(false),
                None => break,
            };
            match next {
                Next::Wait => return,
                Next::Go(on) => target = on,
            }
        }
        self.give_up(out);
    }

    fn enter(&mut self, name: &str, state: &State, out: &mut Vec<BrainEffect>) -> Next {
        out.push(BrainEffect::EnteredState { state: name.to_owned() });
        self.misses = Misses { silent: 0, unmatched: 0, unheard: 0, unasked: self.misses.unasked + 1, ..self.misses };
        let name = name.to_owned();
        if state.ask.is_some() {
            self.phase = Phase::Asking { state: name };
            self.put_question(false, out);
        } else if let Some(tool) = &state.tool {
            self.calls += 1;
            self.question = None;
            self.phase = Phase::Calling { state: name, call: self.calls, waits: 0 };
            out.push(BrainEffect::Listen(listen::NOTHING));
            self.say(state.say.as_ref(), state.interruptible.unwrap_or(false), out);
            self.call_tool(tool, out);
        } else if let Some(transfer) = &state.transfer {
            if !self.reaches {
                return Next::Go(self.unreachable(transfer, out));
            }
            self.transfer(name, state, transfer, out);
        } else if let Some(talk) = &state.model {
            return self.talk(name, state, talk, out);
        } else if state.hang_up == Some(true) {
            self.say(state.say.as_ref(), state.interruptible.unwrap_or(false), out);
            self.hang_up(out);
        } else if state.echo == Some(true) {
            self.phase = Phase::Echoing { state: name };
            out.push(BrainEffect::Listen(listen::ECHO));
            self.say(state.say.as_ref(), state.interruptible.unwrap_or(true), out);
            out.extend([BrainEffect::Echo { on: true }, BrainEffect::Done { epoch: self.epoch }]);
        } else {
            self.say(state.say.as_ref(), state.interruptible.unwrap_or(true), out);
            return Next::Go(state.goto.clone().or_else(|| self.end_of_script()));
        }
        Next::Wait
    }

    /// Puts the question of the phase and gives the caller the floor.
    fn put_question(&mut self, again: bool, out: &mut Vec<BrainEffect>) {
        let flow = Arc::clone(&self.flow);
        let (name, confirming) = match self.phase.clone() {
            Phase::Asking { state } => (state, None),
            Phase::Confirming { state, answer } => (state, Some(answer)),
            _ => return self.give_up(out),
        };
        let Some((state, ask)) = flow.states.get(&name).and_then(|state| Some((state, state.ask.as_ref()?))) else {
            return self.give_up(out);
        };
        let (texts, ask) = match &confirming {
            Some(_) => (state.confirm.as_ref().map(|confirm| &confirm.say), &Ask::YesNo),
            None => (state.again.as_ref().filter(|_| again).or(state.say.as_ref()), ask),
        };
        let after_ms = [&state.no_input, &flow.no_input].into_iter().flatten().find_map(|retry| retry.after_ms);
        self.misses.unasked = 0;
        self.question = Some(self.phase.clone());
        out.push(BrainEffect::Listen(listen::listen(&flow, ask, after_ms)));
        let mut lines = match confirming {
            Some(answer) => self.with_answer(state, answer, |s| s.lines(texts)),
            None => self.lines(texts),
        };
        if self.modality == Modality::Text
            && let Some(hint) = render::hint(&flow, ask)
        {
            match lines.last_mut() {
                Some(last) => *last = format!("{last} {hint}"),
                None => lines.push(hint),
            }
        }
        self.say_lines(lines, state.interruptible.unwrap_or(true), out);
        out.push(BrainEffect::Done { epoch: self.epoch });
    }

    /// Renders with the unconfirmed answer in its slot, which takes it only once it is confirmed.
    fn with_answer<T>(&mut self, state: &State, answer: Answer, render: impl FnOnce(&Self) -> T) -> T {
        let Some(slot) = &state.slot else { return render(self) };
        let value = Private::new(Value::String(answer.value.into_inner()));
        let before = self.slots.insert(slot.clone(), Filled { value, label: answer.label });
        let rendered = render(self);
        match before {
            Some(before) => self.slots.insert(slot.clone(), before),
            None => self.slots.remove(slot),
        };
        rendered
    }

    fn lines(&self, texts: Option<&Texts>) -> Vec<String> {
        let templates = texts.map_or(&[][..], Texts::as_slice).iter();
        templates.map(|template| render::prompt(template, &self.slots, self.modality)).collect()
    }

    fn say(&self, texts: Option<&Texts>, interruptible: bool, out: &mut Vec<BrainEffect>) {
        self.say_lines(self.lines(texts), interruptible, out);
    }

    fn word(&self, when: Wording, interruptible: bool, out: &mut Vec<BrainEffect>) {
        self.say_lines(vec![self.words.of(when).to_owned()], interruptible, out);
    }

    fn say_lines(&self, lines: Vec<String>, interruptible: bool, out: &mut Vec<BrainEffect>) {
        let spoken = lines.into_iter().filter(|line| !line.trim().is_empty());
        out.extend(spoken.map(|text| BrainEffect::Say { epoch: self.epoch, text, interruptible }));
    }

    fn call_tool(&self, tool: &ToolUse, out: &mut Vec<BrainEffect>) {
        let arguments = render::arguments(tool.arguments.as_ref(), &self.slots);
        out.push(BrainEffect::CallTool { epoch: self.epoch, call: self.calls, tool: tool.name.clone(), arguments });
    }

    /// The caller spoke while a tool works, so its result belongs to an old epoch and may be dropped on the way. The
    /// same call again is the same wish: the tool acts once and answers twice.
    fn call_again(&mut self, out: &mut Vec<BrainEffect>) {
        let Phase::Calling { state, .. } = &self.phase else { return };
        let flow = Arc::clone(&self.flow);
        if let Some(tool) = flow.states.get(state).and_then(|state| state.tool.as_ref()) {
            self.word(Wording::OneMoment, false, out);
            self.call_tool(tool, out);
        }
    }

    fn wait_for_tool(&mut self, state: String, call: u32, waits: u8, miss: Miss, out: &mut Vec<BrainEffect>) {
        if waits >= WAITS_MAX {
            if self.one_too_many() {
                return self.give_up(out);
            }
            let detail = format!("no answer after {WAITS_MAX} silences");
            return self.tool_done(
                self.epoch,
                call,
                Err(ToolFailure { code: "failed".to_owned(), detail, failed: true }),
                out,
            );
        }
        let waits = waits + u8::from(miss == Miss::Silent);
        self.phase = Phase::Calling { state, call, waits };
        self.call_again(out);
    }

    /// The epoch may be older than ours when the caller spoke meanwhile; the number of the call is what counts.
    fn tool_done(&mut self, epoch: Epoch, done: u32, result: Result<Value, ToolFailure>, out: &mut Vec<BrainEffect>) {
        let Phase::Calling { state, call, .. } = self.phase.clone() else { return };
        let flow = Arc::clone(&self.flow);
        let Some(tool) = flow.states.get(&state).and_then(|state| state.tool.as_ref()).filter(|_| call == done) else {
            return;
        };
        self.epoch = self.epoch.max(epoch);
        let target = match result {
            Ok(value) => {
                for (slot, field) in tool.fills.iter().flatten() {
                    self.fill(slot, value.get(field));
                }
                tool.on_ok.as_ref()
            }
            Err(failure) => {
                let refused = tool.on_refused.as_ref().and_then(|codes| codes.get(&failure.code));
                refused.or(tool.on_failed.as_ref())
            }
        };
        self.go(target.cloned(), out);
    }

    fn fill(&mut self, slot: &str, value: Option<&Value>) {
        match value.filter(|value| !value.is_null()) {
            Some(value) => {
                let value = Private::new(value.clone());
                self.slots.insert(slot.to_owned(), Filled { value, label: None });
            }
            None => {
                self.slots.remove(slot);
            }
        }
    }

    fn transfer(&mut self, name: String, state: &State, transfer: &TransferTo, out: &mut Vec<BrainEffect>) {
        let target = render::prompt(&transfer.target, &self.slots, Modality::Text);
        self.phase = Phase::Transferring { state: name, waits: 0 };
        out.push(BrainEffect::Listen(listen::NOTHING));
        self.say(state.say.as_ref(), state.interruptible.unwrap_or(false), out);
        out.push(BrainEffect::Transfer { target: Private::new(target) });
        out.push(BrainEffect::Done { epoch: self.epoch });
    }

    /// Nobody is promised what cannot be.
    fn unreachable(&self, transfer: &TransferTo, out: &mut Vec<BrainEffect>) -> Option<Target> {
        self.word(Wording::NoTransfer, false, out);
        transfer.on_failed.clone()
    }

    /// SIP status: below 200 it rings, below 300 somebody took the call, above nobody did.
    fn transfer_progress(&mut self, status: u16, out: &mut Vec<BrainEffect>) {
        let Phase::Transferring { state, .. } = self.phase.clone() else { return };
        match status {
            0..200 => {}
            200..300 => self.phase = Phase::Ended,
            _ => {
                let flow = Arc::clone(&self.flow);
                let transfer = flow.states.get(&state).and_then(|state| state.transfer.as_ref());
                self.go(transfer.and_then(|transfer| transfer.on_failed.clone()), out);
            }
        }
    }

    fn wait_for_transfer(&mut self, state: String, waits: u8, miss: Miss, out: &mut Vec<BrainEffect>) {
        if waits >= WAITS_MAX {
            if self.one_too_many() {
                return self.give_up(out);
            }
            // RFC 3261 section 21.4.9: nobody answered in time.
            return self.transfer_progress(408, out);
        }
        let waits = waits + u8::from(miss == Miss::Silent);
        self.phase = Phase::Transferring { state, waits };
        out.push(BrainEffect::Done { epoch: self.epoch });
    }

    fn echoed(&mut self, name: &str, input: &Input<'_>, out: &mut Vec<BrainEffect>) {
        match input {
            Input::Keys(ECHO_END) => {
                out.push(BrainEffect::Echo { on: false });
                let target = self.flow.states.get(name).and_then(|state| state.goto.clone());
                self.go(Some(target.unwrap_or(Target::HangUp)), out);
            }
            Input::Text(text) if self.modality == Modality::Text => {
                self.say_lines(vec![(*text).to_owned()], true, out);
                out.push(BrainEffect::Done { epoch: self.epoch });
            }
            Input::Keys(_) | Input::Text(_) => out.push(BrainEffect::Done { epoch: self.epoch }),
        }
    }

    fn hang_up(&mut self, out: &mut Vec<BrainEffect>) {
        self.phase = Phase::Ended;
        out.extend([
            BrainEffect::Listen(listen::NOTHING),
            BrainEffect::HangUp,
            BrainEffect::Done { epoch: self.epoch },
        ]);
    }

    fn give_up(&mut self, out: &mut Vec<BrainEffect>) {
        self.word(Wording::GivingUp, false, out);
        self.hang_up(out);
    }
}

/// Where an answer leads: by its value, by its option, or with all others.
fn next(state: &State, answer: &Answer) -> Option<Target> {
    let by_value = state.on.as_ref().and_then(|on| on.get(answer.value.reveal()));
    by_value.or(answer.goto.as_ref()).or(state.goto.as_ref()).cloned()
}
