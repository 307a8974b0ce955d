//! Where the flow and a language model meet: the model talks in a `model` state, and a flow that the model has entered hands
//! the conversation back. Who is in charge is `mixed`'s to say; here is what the flow does about it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tandem_contract::bot::flow::{State, Talk, Target};
use tandem_contract::call::Modality;
use tandem_contract::{Epoch, Private};

use super::render::{self, Filled};
use super::understand::{self, Input};
use super::{FlowBrain, Misses, Next, Phase};
use crate::brain::{BrainEffect, BrainEvent};

/// The language model beside a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beside {
    /// There is none: a `model` state fails, and `@model` leads to the start.
    #[default]
    Nobody,
    /// It talks in the flow's `model` states.
    States,
    /// It does, and the conversation is its own: the flow is entered by it and hands back.
    Whole,
}

/// The flow gives the conversation to the language model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "pass", rename_all = "snake_case")]
pub(in crate::brain) enum Pass {
    /// For the state that the flow is in. `speaks`: the model has the next word, not the caller.
    Talk { speaks: bool },
    /// Back to whom it came from. `finished`: the script came to its end, and was not given up.
    Back { finished: bool },
}

impl FlowBrain {
    /// The caller interrupted what leads out of the conversation. They are asked once more what they were asked last; if that is
    /// not known, or has been acted on, they are let finish, and then led out.
    pub(super) fn stay(&mut self) {
        match (self.question.clone(), self.phase.clone()) {
            (Some(question), Phase::Ended | Phase::Transferring { .. }) => self.phase = question,
            (None, Phase::Transferring { state, .. }) => self.phase = Phase::Interrupted { state },
            _ => {}
        }
    }

    pub fn beside(self, beside: Beside) -> Self {
        Self { beside, ..self }
    }

    /// Whether the conversation went to the model in the last event; and how.
    pub(in crate::brain) fn passed(&mut self) -> Option<Pass> {
        self.pass.take()
    }

    /// Of the reply that the flow makes, or made last.
    pub(in crate::brain) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The model hands the conversation over, to begin in this state.
    pub(in crate::brain) fn enter_at(&mut self, epoch: Epoch, state: &str, out: &mut Vec<BrainEffect>) {
        self.epoch = self.epoch.max(epoch);
        self.go(Some(Target::State(state.to_owned())), out);
    }

    /// The caller said something that a person understood, or a model: what went wrong before it is over.
    pub(in crate::brain) fn caller_spoke(&mut self) {
        self.misses = Misses::default();
    }

    /// In a `model` state: whether the caller gave one of the commands that hold everywhere. It is obeyed, then.
    pub(in crate::brain) fn commanded(&mut self, event: &BrainEvent, out: &mut Vec<BrainEffect>) -> bool {
        let (epoch, input) = match event {
            BrainEvent::Said { epoch, text } => (*epoch, Input::Text(text.reveal())),
            BrainEvent::Digits { epoch, digits } => (*epoch, Input::Keys(digits.reveal())),
            _ => return false,
        };
        // What was said last is the model's to say again.
        let command = understand::command(&self.flow, &input, true).filter(|target| *target != Target::Repeat);
        let Some(target) = command else { return false };
        self.epoch = self.epoch.max(epoch);
        self.obey(target, out);
        true
    }

    /// The state that the model talks in.
    pub(in crate::brain) fn talking(&self) -> Option<&Talk> {
        let Phase::Talking { state } = &self.phase else { return None };
        self.flow.states.get(state)?.model.as_ref()
    }

    /// A text with its slots filled, for a model to read.
    pub(in crate::brain) fn filled_in(&self, template: &str) -> String {
        render::prompt(template, &self.slots, Modality::Text)
    }

    pub(in crate::brain) fn is_filled(&self, slot: &str) -> bool {
        self.slots.contains_key(slot)
    }

    /// All slots, as JSON.
    pub(in crate::brain) fn filled(&self) -> Value {
        let slots = self.slots.iter().map(|(slot, filled)| (slot.clone(), filled.value.reveal().clone()));
        Value::Object(slots.collect::<Map<_, _>>())
    }

    /// The model leaves its state with these slots. The flow goes on.
    pub(in crate::brain) fn leave_for(
        &mut self,
        epoch: Epoch,
        target: Option<Target>,
        slots: Vec<(String, Value)>,
        out: &mut Vec<BrainEffect>,
    ) {
        self.epoch = self.epoch.max(epoch);
        let fill = |(slot, value)| (slot, Filled { value: Private::new(value), label: None });
        self.slots.extend(slots.into_iter().map(fill));
        self.go(target, out);
    }

    pub(super) fn talk(&mut self, name: String, state: &State, talk: &Talk, out: &mut Vec<BrainEffect>) -> Next {
        if self.beside == Beside::Nobody {
            return Next::Go(talk.on_failed.clone());
        }
        self.say(state.say.as_ref(), state.interruptible.unwrap_or(true), out);
        self.pass = Some(Pass::Talk { speaks: state.say.is_none() });
        self.phase = Phase::Talking { state: name };
        Next::Wait
    }

    /// `@model`: back to whoever has the conversation outside of the script; without a model that is its own start.
    pub(super) fn lead_to_model(&mut self) -> Next {
        match self.beside {
            Beside::Whole => self.back(true),
            Beside::Nobody | Beside::States => Next::Go(Some(Target::State(self.flow.start.clone()))),
        }
    }

    pub(super) fn back(&mut self, finished: bool) -> Next {
        self.phase = Phase::Ready;
        self.pass = Some(Pass::Back { finished });
        Next::Wait
    }

    /// Where a state leads that names no target.
    pub(super) fn end_of_script(&self) -> Option<Target> {
        self.flow.is_entered().then_some(Target::Model)
    }
}
