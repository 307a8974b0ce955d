//! When the caller goes to a person: the rules of a bot, around whatever brain it has.
//!
//! After each thing that the caller does the rules are asked. One that comes true acts: the caller is transferred, and the
//! brain hears nothing of what was said; or the agent offers it, beside the brain's own answer. A transfer that fails, and
//! one for which nobody is there, leave the brain in charge.

mod facts;
mod rules;

use std::collections::VecDeque;
use std::sync::Arc;

use tandem_conditions::{Action, QUEUE_CALLBACK};
use tandem_contract::bot::blocks::{HumanEscalation, TransferDestination};
use tandem_contract::bot::{BotConfig, Wording};
use tandem_contract::call::Modality;
use tandem_contract::{Epoch, Private};
use tandem_media::Time;
use tandem_models::ModelEvent;

use self::facts::Known;
use self::rules::Rules;
use super::{Abilities, Brain, BrainEffect, BrainEvent, Persona, Prompt};
use crate::wording::Words;

/// Results of tools that come while the caller is put through. More than a reply ever waits for; further ones are given to
/// the brain at once.
const DEFERRED_MAX: usize = 16;

/// Silences waited out while the phone rings elsewhere, before nobody is there.
const WAITS_MAX: u8 = 5;

/// What a model is told, for one answer.
const TO_OFFER: &str = "In this answer, offer the caller to speak with a person, in one short sentence.";

/// A brain with rules around it.
pub struct Escalating {
    inner: Box<dyn Brain>,
    rules: Rules,
    /// Whom there is; empty: nobody.
    people: Vec<TransferDestination>,
    words: Words,
    /// What is done where nobody is.
    callback: bool,
    known: Known,
    /// The caller is being put through.
    leaving: Option<Leaving>,
    offer: Option<Offer>,
    tools: Tools,
}

/// The brain's tools, as far as they run: a failure of one that was left running is nothing that the caller waits to hear of.
#[derive(Debug, Default)]
struct Tools {
    awaited: Vec<u32>,
    left: Vec<u32>,
    /// One of those has failed since the rules were asked.
    failed: bool,
}

/// A person is offered, in the answer of this epoch. Until somebody has heard it, nobody was offered anything.
#[derive(Debug)]
struct Offer {
    rule: usize,
    epoch: Epoch,
    /// The model was told to.
    told: bool,
    /// The agent's words with it, as far as nobody has heard them: an answer's.
    left: VecDeque<String>,
    /// There are no more.
    whole: bool,
}

#[derive(Debug, Default)]
struct Leaving {
    waits: u8,
    /// For the brain, when it is in charge again.
    deferred: Vec<BrainEvent>,
}

impl Escalating {
    /// The brain itself, where the bot has no rules that could come true.
    pub fn around(
        inner: Box<dyn Brain>,
        config: &BotConfig,
        modality: Modality,
        abilities: Abilities,
    ) -> Box<dyn Brain> {
        let features = config.workflow_features.as_ref();
        let escalation = features.and_then(|features| features.human_escalation.as_ref());
        let Some(escalation) = escalation.filter(|escalation| escalation.enabled) else { return inner };
        let rules = Rules::new(escalation);
        if rules.is_empty() {
            return inner;
        }
        let people = people(config, modality, abilities);
        let callback = promises_callback(escalation);
        let known = Known::new(config, modality);
        let words = Words::new(config);
        let (leaving, offer, tools) = (None, None, Tools::default());
        Box::new(Self { inner, rules, people, words, callback, known, leaving, offer, tools })
    }

    /// The brain's turn.
    fn inner(&mut self, now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        if let BrainEvent::Model { epoch, event: ModelEvent::Failed { .. } } = &event
            && self.offer.as_ref().is_some_and(|offer| offer.epoch == *epoch)
        {
            self.withdraw();
        }
        let from = out.len();
        self.inner.handle(now, event, out);
        for effect in &mut out[from..] {
            match effect {
                BrainEffect::EnteredState { state } => self.known.entered(state),
                BrainEffect::CallTool { call, .. } => self.tools.awaited.push(*call),
                _ => {}
            }
            if let Some(offer) = self.offer.as_mut().filter(|offer| effect.epoch() == Some(offer.epoch)) {
                offer.beside(effect);
            }
        }
        self.settle_offer(out);
    }

    /// To a person, or to the next best thing. The brain does not hear why.
    fn escalate(&mut self, now: Time, (rule, epoch): (usize, Epoch), event: BrainEvent, out: &mut Vec<BrainEffect>) {
        let is_result = matches!(event, BrainEvent::ToolDone { .. });
        let person = self.rules.destination(rule, &self.people).map(|person| person.phone.clone());
        let Some(target) = person else {
            self.nobody(Wording::NoTransfer, epoch, out);
            match is_result {
                // The brain waits for this, and goes on with it.
                true => self.inner(now, event, out),
                false => out.push(BrainEffect::Done { epoch }),
            }
            return;
        };
        let mut leaving = Leaving::default();
        leaving.deferred.extend(is_result.then_some(event));
        self.leaving = Some(leaving);
        out.push(BrainEffect::Escalated { action: self.rules.name(rule).to_owned() });
        self.say(epoch, Wording::PuttingThrough, out);
        out.extend([BrainEffect::Transfer { target }, BrainEffect::Done { epoch }]);
    }

    fn say(&self, epoch: Epoch, when: Wording, out: &mut Vec<BrainEffect>) {
        let text = self.words.of(when).to_owned();
        out.push(BrainEffect::Say { epoch, text, interruptible: false });
    }

    fn nobody(&self, why: Wording, epoch: Epoch, out: &mut Vec<BrainEffect>) {
        self.say(epoch, why, out);
        if self.callback {
            out.push(BrainEffect::Escalated { action: QUEUE_CALLBACK.to_owned() });
            self.say(epoch, Wording::CallBack, out);
        }
        self.say(epoch, Wording::HowElse, out);
    }

    /// The phone rings elsewhere: what the caller does meanwhile changes nothing.
    fn while_leaving(&mut self, now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        let Some(leaving) = &mut self.leaving else { return };
        match event {
            // RFC 3515 section 2.4.5: 1xx is news, and after a 2xx the leg ends.
            BrainEvent::TransferProgress { epoch, status } if status >= 300 => self.stay(now, epoch, out),
            BrainEvent::Silent { epoch } if leaving.waits >= WAITS_MAX => self.stay(now, epoch, out),
            BrainEvent::Silent { epoch } => {
                leaving.waits += 1;
                out.push(BrainEffect::Done { epoch });
            }
            BrainEvent::Said { epoch, .. }
            | BrainEvent::Digits { epoch, .. }
            | BrainEvent::NotUnderstood { epoch }
            | BrainEvent::NotHeard { epoch } => out.push(BrainEffect::Done { epoch }),
            BrainEvent::ToolDone { .. } if leaving.deferred.len() < DEFERRED_MAX => leaving.deferred.push(event),
            BrainEvent::ToolDone { .. } | BrainEvent::Heard { .. } => self.inner(now, event, out),
            // The question was given up when the rule came true.
            BrainEvent::Model { .. }
            | BrainEvent::ToolRuns { .. }
            | BrainEvent::FloorFree { .. }
            | BrainEvent::TransferProgress { .. }
            | BrainEvent::Started
            | BrainEvent::Continued
            // Not by the rules' own transfer, which may not be interrupted.
            | BrainEvent::EndInterrupted => {}
        }
    }

    /// Nobody took the call: the brain is in charge again.
    fn stay(&mut self, now: Time, epoch: Epoch, out: &mut Vec<BrainEffect>) {
        let deferred = self.leaving.take().map(|leaving| leaving.deferred).unwrap_or_default();
        // Who pleads again is put through again.
        self.known.says_nothing();
        self.rules.let_go(&self.known.facts(now, &self.inner.slots()));
        self.nobody(Wording::NobodyFree, epoch, out);
        out.push(BrainEffect::Done { epoch });
        for event in deferred {
            if let BrainEvent::ToolDone { call, result, .. } = event {
                self.inner(now, BrainEvent::ToolDone { epoch, call, result }, out);
            }
        }
    }

    /// A person is offered beside the brain's answer: by the model itself, or before what a flow says. One at a time.
    fn suggest(&mut self, now: Time, (rule, epoch): (usize, Epoch), event: BrainEvent, out: &mut Vec<BrainEffect>) {
        // Where nobody can be reached nobody is offered.
        if self.offer.is_some() || self.people.is_empty() {
            self.rules.offered(rule, false);
            return self.inner(now, event, out);
        }
        let from = out.len();
        self.offer = Some(Offer { rule, epoch, told: false, left: VecDeque::new(), whole: false });
        self.inner(now, event, out);
        let ends = out[from..].iter().any(|e| matches!(e, BrainEffect::HangUp | BrainEffect::Transfer { .. }));
        let says = out[from..].iter().position(|e| matches!(e, BrainEffect::Say { .. }));
        match (&mut self.offer, says) {
            (Some(Offer { told: true, .. }), _) => {}
            (Some(offer), Some(at)) if !ends => {
                let text = self.words.of(Wording::OfferPerson).to_owned();
                offer.left.push_back(text.clone());
                offer.whole = true;
                out.insert(from + at, BrainEffect::Say { epoch, text, interruptible: true });
            }
            _ => self.withdraw(),
        }
    }

    /// The offer was not heard: the next answer may make it.
    fn withdraw(&mut self) {
        if let Some(offer) = self.offer.take() {
            self.rules.offered(offer.rule, false);
        }
    }

    /// The caller has heard this, to its end.
    fn heard(&mut self, heard: &str, out: &mut Vec<BrainEffect>) {
        if let Some(offer) = &mut self.offer {
            offer.heard(heard);
        }
        self.settle_offer(out);
    }

    /// An offer that was heard is made, and not made again.
    fn settle_offer(&mut self, out: &mut Vec<BrainEffect>) {
        if let Some(offer) = self.offer.take_if(|offer| offer.whole && offer.left.is_empty()) {
            self.rules.offered(offer.rule, true);
            out.push(BrainEffect::Escalated { action: self.rules.name(offer.rule).to_owned() });
        }
    }
}

impl Tools {
    /// For which epoch the rules are asked, where they would be for this one. Of a tool that was left running the caller is to
    /// hear nothing while they speak, or are answered.
    fn weigh(&mut self, event: &BrainEvent, epoch: Option<Epoch>, waits: bool) -> Option<Epoch> {
        let epoch = match event {
            BrainEvent::ToolDone { call, .. } => {
                self.awaited.retain(|awaited| awaited != call);
                let was_left = self.left.iter().position(|left| left == call).map(|at| self.left.remove(at));
                self.failed |= was_left.is_some() && epoch.is_some();
                epoch.filter(|_| was_left.is_none())
            }
            BrainEvent::FloorFree { epoch } => Some(*epoch).filter(|_| self.failed),
            BrainEvent::Said { .. } | BrainEvent::Digits { .. } if !waits => {
                self.left.append(&mut self.awaited);
                epoch
            }
            _ => epoch,
        };
        self.failed &= epoch.is_none();
        epoch
    }
}

impl Offer {
    /// The brain does this in the answer.
    fn beside(&mut self, effect: &mut BrainEffect) {
        match effect {
            BrainEffect::Complete { prompt, .. } => {
                self.told = true;
                tell_to_offer(prompt);
            }
            BrainEffect::Say { text, .. } if self.told => self.left.push_back(text.clone()),
            BrainEffect::Done { .. } if self.told => self.whole = true,
            _ => {}
        }
    }

    fn heard(&mut self, heard: &str) {
        let heard = heard.trim();
        if let Some(at) = self.left.iter().position(|text| !heard.is_empty() && text.trim().starts_with(heard)) {
            self.left.remove(at);
        }
    }
}

impl Brain for Escalating {
    fn handle(&mut self, now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        if self.leaving.is_some() {
            return self.while_leaving(now, event, out);
        }
        if let BrainEvent::Heard { heard, interrupted: false, .. } = &event {
            self.heard(heard.reveal(), out);
        }
        let weighed = self.tools.weigh(&event, self.known.learn(now, &event), self.inner.waits_for_tools());
        let Some(epoch) = weighed else { return self.inner(now, event, out) };
        if self.offer.as_ref().is_some_and(|offer| offer.epoch != epoch) {
            self.withdraw();
        }
        let slots = self.inner.slots();
        match self.rules.come_true(&self.known.facts(now, &slots)) {
            Some((rule, Action::Immediate)) => self.escalate(now, (rule, epoch), event, out),
            Some((rule, Action::Suggest)) => self.suggest(now, (rule, epoch), event, out),
            None => self.inner(now, event, out),
        }
    }

    fn waits_for_tools(&self) -> bool {
        self.inner.waits_for_tools()
    }

    fn foresee(&self, said: &str) -> Option<Prompt> {
        if self.leaving.is_some() { None } else { self.inner.foresee(said) }
    }

    fn slots(&self) -> serde_json::Value {
        self.inner.slots()
    }
}

/// Whom a caller can be given to: the bot's destinations, or those who sit behind a chat.
fn people(config: &BotConfig, modality: Modality, abilities: Abilities) -> Vec<TransferDestination> {
    if !abilities.people {
        return Vec::new();
    }
    let features = config.workflow_features.as_ref();
    let transfer = features.and_then(|features| features.call_transfer.as_ref()).filter(|transfer| transfer.enabled);
    let named = transfer.and_then(|transfer| transfer.transfer_destinations.clone()).unwrap_or_default();
    if modality == Modality::Text && named.is_empty() {
        // A chat is handed to its people whatever the address.
        let phone = Private::new("people".to_owned());
        return vec![TransferDestination { name: "people".to_owned(), phone }];
    }
    named
}

fn promises_callback(escalation: &HumanEscalation) -> bool {
    escalation.unavailable_action.as_deref() == Some(QUEUE_CALLBACK)
}

fn tell_to_offer(prompt: &mut Prompt) {
    let mut persona = Persona::clone(&prompt.persona);
    persona.system = [persona.system.as_str(), TO_OFFER].join("\n\n");
    prompt.persona = Arc::new(persona);
}

#[cfg(test)]
mod tests;
