//! A flow and a language model in one conversation. Exactly one of them is in charge: it gets what the caller does, says what
//! to listen for, and speaks. They pass the conversation on by tools that the model calls (`tools`): the entries of a flow
//! that the model has, and the exits of a flow's `model` state.
//!
//! What each said is in the ledger, from which the model is told it; here nothing of it is kept.

mod tools;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_contract::Epoch;
use tandem_contract::bot::flow::{Flow, Target};
use tandem_contract::call::Modality;
use tandem_media::Time;
use tandem_models::{ModelEvent, ToolCall};

use super::flow::{Beside, FlowBrain, Pass};
use super::pipeline::{Persona, PipelineBrain};
use super::{Brain, BrainEffect, BrainEvent, Prompt, ToolFailure};

/// What a caller may say in a `model` state that does not say it.
const TURNS: u8 = 20;

/// For the timeline: the model has the conversation again.
const MODEL: &str = "@model";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MixedBrain {
    flow: FlowBrain,
    model: PipelineBrain,
    /// The bot, as the flow's `model` states begin with it.
    persona: Arc<Persona>,
    /// The same with the flow's entries.
    host: Arc<Persona>,
    entries: Arc<Flow>,
    charge: Charge,
    /// The call by which the model gave the conversation to the flow. Its result is what the flow comes to.
    entered: Option<ToolCall>,
    /// Utterances of this epoch.
    said: (Epoch, usize),
}

/// Who has the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "charge", rename_all = "snake_case")]
enum Charge {
    Flow,
    Model,
    /// The model, for a state of the flow: so often has the caller spoken in it.
    State {
        turns: u8,
    },
}

impl Brain for MixedBrain {
    fn handle(&mut self, now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        match event {
            BrainEvent::ToolDone { epoch, call, result } => {
                return self.of_tool(now, call, BrainEvent::ToolDone { epoch, call: call / 2, result }, out);
            }
            BrainEvent::ToolRuns { epoch, call } => {
                return self.of_tool(now, call, BrainEvent::ToolRuns { epoch, call: call / 2 }, out);
            }
            _ => {}
        }
        match self.charge {
            Charge::Flow => self.by_flow(now, event, out),
            Charge::Model => {
                if let BrainEvent::Said { .. } | BrainEvent::Digits { .. } = event {
                    self.flow.caller_spoke();
                }
                self.by_model(now, event, out);
            }
            Charge::State { turns } => self.in_state(now, turns, event, out),
        }
    }

    fn foresee(&self, said: &str) -> Option<Prompt> {
        match self.charge {
            Charge::Flow => None,
            Charge::Model | Charge::State { .. } => self.model.foresee(said),
        }
    }

    fn waits_for_tools(&self) -> bool {
        self.charge == Charge::Flow || self.model.waits_for_tools()
    }

    fn slots(&self) -> Value {
        self.flow.filled()
    }
}

impl MixedBrain {
    /// `hosts`: the conversation is the model's, and the flow is entered by it; else it begins in the flow.
    pub fn new(flow: Flow, persona: Persona, modality: Modality, hosts: bool) -> Self {
        let (entries, persona) = (Arc::new(flow.clone()), Arc::new(persona));
        let host = Arc::new(tools::host(&persona, &flow));
        let beside = if hosts { Beside::Whole } else { Beside::States };
        Self {
            flow: FlowBrain::new(flow, modality).beside(beside).speaking(persona.words.clone()),
            model: PipelineBrain::new(Persona::clone(&host), modality),
            persona,
            host,
            entries,
            charge: if hosts { Charge::Model } else { Charge::Flow },
            entered: None,
            said: (Epoch::default(), 0),
        }
    }

    /// Whether callers can be transferred from where they are.
    #[must_use]
    pub fn reaching(self, reaches: bool) -> Self {
        Self { flow: self.flow.reaching(reaches), ..self }
    }

    /// News of a tool for the one who called it. One that has let go since does not wait for it any more.
    fn of_tool(&mut self, now: Time, call: u32, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        match Caller::of(call) {
            Caller::Flow => self.by_flow(now, event, out),
            Caller::Model => self.by_model(now, event, out),
        }
    }

    fn by_flow(&mut self, now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        let mut effects = Vec::new();
        self.flow.handle(now, event, &mut effects);
        self.after_flow(effects, out);
    }

    fn by_model(&mut self, now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        let mut effects = Vec::new();
        self.model.handle(now, event, &mut effects);
        self.after_model(now, effects, out);
    }

    /// The model talks in a state: the flow's commands hold, and what would end the conversation for want of a model or of a
    /// caller leads to the state's `on_failed`.
    fn in_state(&mut self, now: Time, turns: u8, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        let (spoke, epoch) = match &event {
            BrainEvent::Said { epoch, .. } | BrainEvent::Digits { epoch, .. } => (true, *epoch),
            BrainEvent::Silent { epoch } | BrainEvent::NotHeard { epoch } | BrainEvent::Model { epoch, .. } => {
                (false, *epoch)
            }
            _ => return self.by_model(now, event, out),
        };
        let talk = self.flow.talking();
        let turns_max = talk.and_then(|talk| talk.max_turns).unwrap_or(TURNS);
        let goes_on = talk.is_some_and(|talk| talk.on_failed.is_some());
        if spoke {
            // Whoever answers the caller: what the model called acts, and it hears of it when it has the conversation again.
            self.model.leave_running();
            let mut effects = Vec::new();
            if self.flow.commanded(&event, &mut effects) {
                return self.give_to_flow(effects, out);
            }
            if turns >= turns_max {
                return self.fail(epoch, out);
            }
            self.flow.caller_spoke();
            self.charge = Charge::State { turns: turns.saturating_add(1) };
        }
        if let BrainEvent::Model { event: ModelEvent::Failed { .. }, .. } = &event
            && goes_on
            && self.model.answers(epoch)
        {
            return self.fail(epoch, out);
        }
        let mut effects = Vec::new();
        self.model.handle(now, event, &mut effects);
        // Nobody is there to answer, or to be answered; the model itself is given no tool to hang up by.
        if goes_on && effects.contains(&BrainEffect::HangUp) {
            return self.fail(epoch, out);
        }
        self.after_model(now, effects, out);
    }

    fn fail(&mut self, epoch: Epoch, out: &mut Vec<BrainEffect>) {
        let target = self.flow.talking().and_then(|talk| talk.on_failed.clone());
        self.leave(epoch, target, Vec::new(), out);
    }

    fn leave(&mut self, epoch: Epoch, target: Option<Target>, slots: Vec<(String, Value)>, out: &mut Vec<BrainEffect>) {
        let mut effects = Vec::new();
        self.flow.leave_for(epoch, target, slots, &mut effects);
        self.give_to_flow(effects, out);
    }

    /// The flow is in charge, and has these effects already.
    fn give_to_flow(&mut self, effects: Vec<BrainEffect>, out: &mut Vec<BrainEffect>) {
        self.model.let_go();
        self.charge = Charge::Flow;
        self.after_flow(effects, out);
    }

    fn after_flow(&mut self, effects: Vec<BrainEffect>, out: &mut Vec<BrainEffect>) {
        let epoch = self.flow.epoch();
        self.pass_on(Caller::Flow, effects, out);
        let Some(pass) = self.flow.passed() else { return };
        let (mut effects, so_far) = (Vec::new(), self.so_far(epoch));
        match pass {
            Pass::Talk { speaks } => {
                self.charge = Charge::State { turns: 0 };
                let persona = self.flow.talking().map(|talk| tools::guest(&self.persona, talk, &self.flow));
                let persona = persona.map_or_else(|| Arc::clone(&self.persona), Arc::new);
                self.model.take_over(so_far, persona, speaks, &mut effects);
            }
            Pass::Back { finished } => {
                self.charge = Charge::Model;
                effects.push(BrainEffect::EnteredState { state: MODEL.to_owned() });
                let host = Arc::clone(&self.host);
                match self.entered.take() {
                    Some(call) => {
                        let result = json!({ "finished": finished, "slots": self.flow.filled() });
                        self.model.take_back(so_far, host, (call, &result), &mut effects);
                    }
                    None => self.model.take_over(so_far, host, true, &mut effects),
                }
            }
        }
        self.pass_on(Caller::Model, effects, out);
    }

    fn after_model(&mut self, now: Time, effects: Vec<BrainEffect>, out: &mut Vec<BrainEffect>) {
        let (handovers, effects): (Vec<_>, Vec<_>) = effects.into_iter().partition(|effect| match effect {
            BrainEffect::CallTool { tool, .. } => self.hands_over(tool),
            _ => false,
        });
        self.pass_on(Caller::Model, effects, out);
        for handover in handovers {
            let BrainEffect::CallTool { epoch, call, tool, arguments } = handover else { continue };
            if let Err(failure) = self.hand_over((epoch, call), &tool, &arguments, out) {
                let event = BrainEvent::ToolDone { epoch, call, result: Err(failure) };
                let mut effects = Vec::new();
                self.model.handle(now, event, &mut effects);
                self.pass_on(Caller::Model, effects, out);
            }
        }
    }

    fn hands_over(&self, tool: &str) -> bool {
        match self.charge {
            Charge::Flow => false,
            Charge::Model => tools::entry(&self.entries, tool).is_some(),
            Charge::State { .. } => tool == tools::LEAVE,
        }
    }

    /// The model gives the conversation to the flow, if it calls nothing else in the same breath.
    fn hand_over(
        &mut self,
        (epoch, call): (Epoch, u32),
        tool: &str,
        arguments: &Value,
        out: &mut Vec<BrainEffect>,
    ) -> Result<(), ToolFailure> {
        if !self.model.calls_one() {
            let detail = "call this alone, once the results of other tools are there".to_owned();
            return Err(ToolFailure { code: "not_alone".to_owned(), detail, failed: false });
        }
        if let Some(talk) = self.flow.talking() {
            let (target, slots) = tools::exit(talk, arguments, |slot| self.flow.is_filled(slot))?;
            self.leave(epoch, Some(target), slots, out);
            return Ok(());
        }
        let entries = Arc::clone(&self.entries);
        if let Some(entry) = tools::entry(&entries, tool) {
            self.entered = self.model.called(call);
            let mut effects = Vec::new();
            self.flow.enter_at(epoch, &entry.state, &mut effects);
            self.give_to_flow(effects, out);
        }
        Ok(())
    }

    fn pass_on(&mut self, caller: Caller, effects: Vec<BrainEffect>, out: &mut Vec<BrainEffect>) {
        for mut effect in effects {
            match &mut effect {
                BrainEffect::Say { epoch, .. } => self.said = (*epoch, self.so_far(*epoch).1 + 1),
                BrainEffect::CallTool { call, .. }
                | BrainEffect::Watch { call, .. }
                | BrainEffect::PressKeys { call, .. } => {
                    *call = caller.number(*call);
                }
                _ => {}
            }
            out.push(effect);
        }
    }

    /// How many utterances the reply has.
    fn so_far(&self, epoch: Epoch) -> (Epoch, usize) {
        (epoch, if self.said.0 == epoch { self.said.1 } else { 0 })
    }
}

/// Who called a tool. Each counts its own calls; a session, and whoever acts once for a number, sees both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Flow,
    Model,
}

impl Caller {
    fn number(self, call: u32) -> u32 {
        call * 2 + u32::from(self == Self::Model)
    }

    fn of(number: u32) -> Self {
        if number.is_multiple_of(2) { Self::Flow } else { Self::Model }
    }
}

#[cfg(test)]
mod tests;
