//! What the language model is asked, and when.

use tandem_contract::Epoch;
use tandem_media::Time;
use tandem_models::{ModelError, ModelEvent};

use super::core::SessionCore;
use super::farewell::Life;
use super::input::{AheadId, SessionEffect};
use super::patience::Patience;
use crate::brain::{BrainEvent, Prompt};
use crate::turn::{TurnInput, TurnState};

/// What the model is to answer.
#[derive(Debug)]
pub(super) enum Question {
    /// What was heard of the agent's last words is not known yet, and the model must not be told more than that. `since`: the
    /// agent has the floor.
    Waiting { epoch: Epoch, prompt: Box<Prompt>, since: Option<Time> },
    /// `ahead`: it was asked before the caller had finished.
    Asked { epoch: Epoch, ahead: Option<AheadId>, patience: Patience },
}

impl SessionCore {
    pub(super) fn ask_model(&mut self, now: Time, epoch: Epoch, prompt: Prompt) {
        self.forget_question();
        // The prompt was made just now, of all that is known.
        self.floor.late = false;
        self.floor.question = Some(Question::Waiting { epoch, prompt: Box::new(prompt), since: None });
        self.settle_question(now);
    }

    /// Asks as soon as the agent has the floor (a tool may have worked while the caller spoke: what is said next belongs to
    /// the question) and every line of the ledger is final. The far end says so within `REPORT_LIMIT`; it was told to be
    /// silent when the caller began to speak, so that this wait has passed by the time the caller has finished.
    pub(super) fn settle_question(&mut self, now: Time) {
        let caller_speaks = matches!(
            self.turn.state(),
            TurnState::Listening { .. } | TurnState::CallerSpeaking { .. } | TurnState::EndpointPending { .. }
        );
        let Some(Question::Waiting { since, .. }) = &mut self.floor.question else { return };
        if caller_speaks {
            return;
        }
        let since = *since.get_or_insert(now);
        if !self.output.closing.is_empty() {
            return;
        }
        if let Some(Question::Waiting { epoch, prompt, .. }) = &self.floor.question {
            let epoch = *epoch;
            let shown = self.letters.album.attached();
            let request = prompt.completion_after(self.notes(), &self.conversation(), &shown);
            let adopted = self.adopt_ahead(&request);
            let ahead = adopted.as_ref().map(|adopted| adopted.ahead);
            let patience = Patience::new(since, adopted.is_some_and(|adopted| adopted.rerouted));
            self.floor.question = Some(Question::Asked { epoch, ahead, patience });
            if ahead.is_none() {
                self.out(SessionEffect::StartModel { epoch, request });
            }
        }
    }

    /// The answer is not wanted any more.
    pub(super) fn forget_question(&mut self) {
        if let Some(Question::Asked { .. }) = self.floor.question.take() {
            self.ahead.drop_released();
            self.out(SessionEffect::CancelModel);
        }
    }

    pub(super) fn model_event(&mut self, now: Time, epoch: Epoch, event: ModelEvent) {
        // Late words of a reply that is over.
        let wanted =
            matches!(&self.floor.question, Some(Question::Asked { epoch: asked, ahead: None, .. }) if *asked == epoch);
        if wanted {
            self.answer(now, epoch, event);
        }
    }

    /// A piece of the answer to the question that is asked.
    pub(super) fn answer(&mut self, now: Time, epoch: Epoch, event: ModelEvent) {
        if self.life != Life::Running {
            return;
        }
        let at_once = self.patience_saw(&event);
        if event.is_last() {
            self.floor.question = None;
        }
        // However long the answer takes: the model is at work.
        if let TurnState::Thinking { .. } = self.turn.state() {
            self.drive(now, TurnInput::BrainWorks);
        }
        if let ModelEvent::Failed { error: ModelError::Refused { .. } } = &event {
            self.letters.album.forget_pictures();
        }
        let last = event.is_last();
        if at_once {
            self.think(now, BrainEvent::Model { epoch, event });
        }
        if last {
            self.make_notes();
        }
    }
}
