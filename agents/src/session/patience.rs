//! A caller who waits for the model while another is asked in its place: the brain may fill the silence.
//!
//! What counts is how long the caller has waited, not the model: a question may have been asked, and have failed, ahead of the
//! end of their turn.

use std::time::Duration;

use tandem_media::Time;
use tandem_models::ModelEvent;

use super::core::SessionCore;
use super::model::Question;
use crate::brain::BrainEvent;

/// A shorter silence needs no words: the answer, which may come any moment, would queue behind them.
const PATIENCE: Duration = Duration::from_millis(700);

/// For so long a sign of life of the model is taken for work. One that then has no word yet is given up when the turn machine's
/// own patience (20 s) is over: somewhat later than whoever asks it gives it up for another (`first_word` of the models).
const WORKS: Duration = Duration::from_secs(15);

/// Of a question that is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The caller has heard nothing since: their turn was over, a tool had answered, or the agent had said what it said before.
    since: Time,
    /// The model was asked, or another in its place.
    asked: Time,
    /// Another model is asked, no word of the answer is there yet, and the brain was not told.
    rerouted: bool,
}

impl Patience {
    pub(super) fn new(now: Time, since: Time, rerouted: bool) -> Self {
        Self { since, asked: now, rerouted }
    }

    /// What came of the answer. True: it is for the brain at once.
    fn saw(&mut self, event: &ModelEvent) -> bool {
        match event {
            ModelEvent::Rerouted => self.rerouted = true,
            ModelEvent::Text { .. } | ModelEvent::ToolCall { .. } => self.rerouted = false,
            ModelEvent::Usage { .. } | ModelEvent::Progress | ModelEvent::Done { .. } | ModelEvent::Failed { .. } => {}
        }
        *event != ModelEvent::Rerouted
    }
}

impl SessionCore {
    fn patience(&mut self) -> Option<&mut Patience> {
        match &mut self.floor.question {
            Some(Question::Asked { patience, .. }) => Some(patience),
            _ => None,
        }
    }

    /// Whether this tells that the answer is being made.
    pub(super) fn is_work(&mut self, now: Time, event: &ModelEvent) -> bool {
        let Some(patience) = self.patience() else { return true };
        match event {
            ModelEvent::Progress => now < patience.asked + WORKS,
            ModelEvent::Rerouted => {
                patience.asked = now;
                true
            }
            _ => true,
        }
    }

    /// A piece of the answer. True: it is for the brain at once.
    pub(super) fn patience_saw(&mut self, event: &ModelEvent) -> bool {
        self.patience().is_none_or(|patience| patience.saw(event))
    }

    /// The agent has said all that it had to say before the answer.
    pub(super) fn patience_begins(&mut self, now: Time) {
        if self.output.is_silent()
            && let Some(patience) = self.patience()
        {
            patience.since = now;
        }
    }

    /// When the brain is told that another model is asked, unless a word of the answer comes before. A caller on hold hears
    /// nothing, and one who speaks, or whose words are still being recognized, is not talked over.
    pub(super) fn patience_due(&self) -> Option<Time> {
        let Some(Question::Asked { patience, .. }) = &self.floor.question else { return None };
        let hears = self.output.is_silent() && !self.turn.is_held() && !self.turn.hears_caller();
        (patience.rerouted && hears).then(|| patience.since + PATIENCE)
    }

    /// True: the brain was told.
    pub(super) fn settle_patience(&mut self, now: Time) -> bool {
        if self.patience_due().is_none_or(|due| due > now) {
            return false;
        }
        let Some(Question::Asked { epoch, patience, .. }) = &mut self.floor.question else { return false };
        patience.rerouted = false;
        let epoch = *epoch;
        self.think(now, BrainEvent::Model { epoch, event: ModelEvent::Rerouted });
        true
    }
}
