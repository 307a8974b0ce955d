//! What the language model is asked, and when.

use tandem_contract::Epoch;
use tandem_contract::record::Stage;
use tandem_media::Time;
use tandem_models::{Completion, ModelError, ModelEvent};
use tracing::warn;

use super::core::SessionCore;
use super::farewell::Life;
use super::input::{AheadId, SessionEffect};
use super::narrow::Narrow;
use super::patience::Patience;
use crate::brain::pipeline::context::{Attached, Room};
use crate::brain::{BrainEvent, Prompt};
use crate::turn::{TurnInput, TurnState};

/// What the model is to answer.
#[derive(Debug)]
pub(super) enum Question {
    /// What was heard of the agent's last words is not known yet, and the model must not be told more than that. `since`: the
    /// agent has the floor.
    Waiting { epoch: Epoch, prompt: Box<Prompt>, since: Option<Time> },
    /// `ahead`: it was asked before the caller had finished. `showing`: pictures were shown, and nothing of the answer has come.
    Asked { epoch: Epoch, ahead: Option<AheadId>, patience: Patience, showing: Option<Showing>, narrow: Narrow },
}

/// The pictures of a question.
#[derive(Debug)]
pub(super) struct Showing {
    /// In the album.
    numbers: Vec<u32>,
    /// The same question in words alone, of the moment when it was asked: what is said meanwhile (a filler) does not belong to
    /// it. None: now it is this that is asked.
    in_words: Option<Box<Completion>>,
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
            let (lines, shown) = (self.conversation(), self.letters.album.attached());
            let asked = |shown: &[Attached], room| prompt.completion_after(self.notes(), &lines, shown, room);
            let request = asked(&shown, self.floor.room);
            let unseen = |attached: Attached| Attached { known: attached.known.in_words(), ..attached };
            let unseen: Vec<Attached> = shown.into_iter().map(unseen).collect();
            let showing = request.shows_pictures().then(|| {
                let in_words = Some(Box::new(asked(&unseen, self.floor.room)));
                Showing { numbers: self.letters.album.shown_by(&request), in_words }
            });
            let narrow = Narrow::of(&request, || asked(&unseen, Room::Narrow));
            let adopted = self.adopt_ahead(&request);
            let ahead = adopted.as_ref().map(|adopted| adopted.ahead);
            let patience = Patience::new(now, since, adopted.is_some_and(|adopted| adopted.rerouted));
            self.floor.question = Some(Question::Asked { epoch, ahead, patience, showing, narrow });
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
        if let ModelEvent::Text { .. } = event {
            self.stages.end(Stage::ModelFirstToken, now);
        }
        let at_work = self.is_work(now, &event);
        let at_once = self.patience_saw(&event);
        self.judge_pictures(&event);
        let asked_again = self.ask_in_words(&event) || self.ask_for_less(&event);
        if event.is_last() && !asked_again {
            self.floor.question = None;
        }
        // However long the answer takes: the model is at work.
        if let TurnState::Thinking { .. } = self.turn.state()
            && at_work
        {
            self.drive(now, TurnInput::BrainWorks);
        }
        if asked_again {
            return;
        }
        let last = event.is_last();
        if at_once {
            self.think(now, BrainEvent::Model { epoch, event });
        }
        if last {
            self.make_notes();
        }
    }

    /// The first of the answer says whether the model sees the pictures that it was shown.
    fn judge_pictures(&mut self, event: &ModelEvent) {
        if !matches!(event, ModelEvent::Text { .. } | ModelEvent::ToolCall { .. }) {
            return;
        }
        let Some(Question::Asked { showing, .. }) = &mut self.floor.question else { return };
        match showing.take() {
            Some(Showing { numbers, in_words: Some(_) }) => self.letters.album.are_seen(&numbers),
            Some(Showing { numbers, in_words: None }) => self.letters.album.are_not_seen(&numbers),
            None => {}
        }
    }

    /// A question that showed pictures has failed before its first word: the model may be one that does not see. It is asked the
    /// same in words alone, once. True: this has happened.
    fn ask_in_words(&mut self, event: &ModelEvent) -> bool {
        let Some(Question::Asked { epoch, ahead, showing: Some(showing), .. }) = &mut self.floor.question else {
            return false;
        };
        let request = match event {
            ModelEvent::Failed { error } if may_be_blind(error) => showing.in_words.take(),
            _ => None,
        };
        let Some(request) = request else { return false };
        // What was asked ahead has ended.
        *ahead = None;
        let epoch = *epoch;
        warn!("a question with pictures failed; it is asked without them");
        self.out(SessionEffect::StartModel { epoch, request: *request });
        true
    }
}

/// Whether a model that is shown pictures and does not see may answer so. Some say that they refuse, some (llama.cpp) that they
/// failed; where several models are asked, the last may be one that is not asked at present.
fn may_be_blind(error: &ModelError) -> bool {
    match error {
        ModelError::Refused { .. }
        | ModelError::Failed { .. }
        | ModelError::Resting { .. }
        | ModelError::Busy { .. }
        | ModelError::RateLimited { .. } => true,
        ModelError::Unauthorized { .. }
        | ModelError::Spent { .. }
        | ModelError::Timeout { .. }
        | ModelError::Malformed { .. }
        | ModelError::OutOfBudget { .. } => false,
    }
}
