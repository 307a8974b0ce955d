//! A question that is too long for its model: it is asked again with less of what was said before, and so are those after it.
//!
//! Vendors tell that in many ways, of which a status (400, 413) is the only one that they have in common.

use tandem_models::{Completion, ModelError, ModelEvent};
use tracing::warn;

use super::core::SessionCore;
use super::input::SessionEffect;
use super::model::Question;
use crate::brain::pipeline::context::Room;

/// The same question with less of what was said before.
#[derive(Debug)]
pub(super) enum Narrow {
    /// It would be the same.
    Same,
    /// It can be asked if the model refuses.
    Ready(Box<Completion>),
    /// It is what was asked, and nothing of the answer has come.
    Asked,
}

impl Narrow {
    pub(super) fn of(request: &Completion, narrow: impl FnOnce() -> Completion) -> Self {
        if !Room::Narrow.is_exceeded(&request.messages) {
            return Self::Same;
        }
        let narrow = narrow();
        if narrow.messages == request.messages { Self::Same } else { Self::Ready(Box::new(narrow)) }
    }
}

impl SessionCore {
    /// A long question was refused before its first word: it is asked for less, once. True: this has happened.
    pub(super) fn ask_for_less(&mut self, event: &ModelEvent) -> bool {
        let Some(Question::Asked { epoch, ahead, showing, narrow, .. }) = &mut self.floor.question else {
            return false;
        };
        match event {
            ModelEvent::Text { .. } | ModelEvent::ToolCall { .. } => {
                if matches!(std::mem::replace(narrow, Narrow::Same), Narrow::Asked) {
                    self.floor.room = Room::Narrow;
                }
                false
            }
            ModelEvent::Failed { error: ModelError::Refused { .. } } => {
                let Narrow::Ready(request) = std::mem::replace(narrow, Narrow::Asked) else { return false };
                // It has no pictures, and says nothing of whether the model sees. What was asked ahead has ended.
                (*ahead, *showing) = (None, None);
                let epoch = *epoch;
                warn!("a long question was refused; it is asked with less of the conversation");
                self.out(SessionEffect::StartModel { epoch, request: *request });
                true
            }
            _ => false,
        }
    }
}
