//! The model is asked ahead of the caller's end (`turn.preemptive_generation`): once their words have stood still in a
//! silence, or the recognizer holds the turn for probably over.
//!
//! The answer is held back here, and nothing else knows of it: neither brain nor ledger nor voice, and no tool is called. When
//! the turn is over and the brain asks, its question decides: if it is the one that was asked ahead, to the letter, what has
//! come of the answer is released; if not, it is given up. So the caller hears what they would have heard anyway, sooner.
//!
//! Only text is made ahead. Speech would be paid for by the character in each turn that goes on, it would want a line of its
//! own beside the ledger's, and it saves less: a voice begins in a fraction of the time of a model.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_contract::record::{LedgerEntry, Speaker};
use tandem_contract::{Private, UtteranceId};
use tandem_media::Time;
use tandem_models::{Completion, ModelEvent};

use super::core::SessionCore;
use super::farewell::Life;
use super::input::{AheadId, Measure, SessionEffect};
use super::model::Question;
use crate::turn::{Ending, TurnState};

/// Questions ahead in one turn of the caller. Bounds what a slow speaker's pauses cost; the last one is asked in time as ever.
const TIMES_MAX: u8 = 3;

/// So long the words must have stood still in a silence. Recognizers send the rest of an utterance in this time, most of it.
const STABLE: Duration = Duration::from_millis(100);

/// Events of one answer that are held. Bounds the memory of an answer without end; no answer in a conversation is as long.
const EVENTS_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Of the caller's turn, as far as it may have come to its end with them.
    words: Option<Words>,
    /// Asked in this turn.
    times: u8,
    last: AheadId,
    /// The question that runs ahead, or did.
    held: Option<Held>,
    /// Of an answer that proved to be wanted; the brain is about to be told.
    released: VecDeque<ModelEvent>,
}

#[derive(Debug)]
struct Words {
    text: Private<String>,
    /// They stand since.
    since: Time,
    /// The recognizer holds the turn for probably over: nothing more is waited for.
    eager: bool,
}

#[derive(Debug)]
struct Held {
    request: Box<Completion>,
    /// At most `EVENTS_MAX`.
    events: Vec<ModelEvent>,
    /// Another model is asked than the first.
    rerouted: bool,
}

/// What was asked ahead proved to be the question.
#[derive(Debug)]
pub(super) struct Adopted {
    pub(super) ahead: AheadId,
    /// Another model is asked than the first, and the caller, who did not wait until now, may yet have to.
    pub(super) rerouted: bool,
}

impl Held {
    fn is_complete(&self) -> bool {
        self.events.last().is_some_and(ModelEvent::is_last)
    }
}

impl Ahead {
    /// The recognizer begins anew.
    pub(super) fn new_utterance(&mut self) {
        self.words = None;
    }

    /// The brain is asked. What runs ahead is held until it has said what it wants to know.
    pub(super) fn turn_over(&mut self) {
        self.words = None;
        self.times = 0;
    }

    pub(super) fn drop_released(&mut self) {
        self.released.clear();
    }
}

impl SessionCore {
    /// The recognizer has these words by now. Some endings say that more will follow.
    pub(super) fn ahead_words(&mut self, now: Time, text: &str, ending: Ending) {
        let may_be_all = matches!(ending, Ending::Complete | Ending::Unknown) && !text.trim().is_empty();
        let same = self.ahead.words.as_ref().is_some_and(|words| words.text.reveal() == text);
        if !same || !may_be_all {
            self.forget_ahead();
            let words = || Words { text: text.to_owned().into(), since: now, eager: false };
            self.ahead.words = may_be_all.then(words);
        }
    }

    pub(super) fn ahead_eager(&mut self, now: Time, text: &str) {
        self.ahead_words(now, text, Ending::Complete);
        if let Some(words) = &mut self.ahead.words {
            words.eager = true;
        }
    }

    /// The recognizer was wrong: the caller goes on. It sends more words when it has them.
    pub(super) fn ahead_resumed(&mut self) {
        self.forget_ahead();
        self.ahead.words = None;
    }

    /// When the model may be asked, if nothing else happens before.
    pub(super) fn ahead_due(&self) -> Option<Time> {
        let may = self.turn.policy().preemptive_generation
            && self.ahead.held.is_none()
            && self.ahead.times < TIMES_MAX
            && self.life == Life::Running
            && !self.turn.is_held()
            && self.floor.is_free()
            // What was heard of the agent's last words is known.
            && self.output.is_idle()
            && self.output.closing.is_empty();
        let words = self.ahead.words.as_ref().filter(|_| may)?;
        match self.turn.state() {
            TurnState::CallerSpeaking { .. } | TurnState::EndpointPending { .. } if words.eager => Some(words.since),
            TurnState::EndpointPending { ended, .. } => Some(words.since.max(*ended) + STABLE),
            _ => None,
        }
    }

    /// Asks when it is time, and gives up what nobody will ask for.
    pub(super) fn settle_ahead(&mut self, now: Time) {
        let may_be_wanted =
            matches!(self.turn.state(), TurnState::CallerSpeaking { .. } | TurnState::EndpointPending { .. })
                || matches!(self.floor.question, Some(Question::Waiting { .. }));
        if !may_be_wanted {
            self.forget_ahead();
        }
        if self.ahead_due().is_some_and(|due| due <= now) {
            self.ask_ahead();
        }
    }

    fn ask_ahead(&mut self) {
        let Some(text) = self.ahead.words.as_ref().map(|words| words.text.clone()) else { return };
        let Some(prompt) = self.brain.foresee(text.reveal()) else {
            // It will not know more of the same words.
            self.ahead.words = None;
            return;
        };
        let mut entries = self.conversation();
        entries.push(self.line_to_come(text));
        let request = prompt.completion_after(self.notes(), &entries, &self.letters.album.attached(), self.floor.room);
        self.ahead.last.0 += 1;
        self.ahead.times += 1;
        self.ahead.held = Some(Held { request: Box::new(request.clone()), events: Vec::new(), rerouted: false });
        let ahead = self.ahead.last;
        self.out(SessionEffect::AskAhead { ahead, request });
    }

    /// The ledger's line of the caller's turn, were it over.
    fn line_to_come(&self, text: Private<String>) -> LedgerEntry {
        LedgerEntry {
            utterance: UtteranceId::default(),
            epoch: self.epoch.next(),
            speaker: Speaker::Caller,
            at_ms: 0,
            heard: text.clone(),
            text,
            heard_samples: 0,
            rate: 0,
            interrupted: false,
        }
    }

    pub(super) fn ahead_event(&mut self, now: Time, ahead: AheadId, event: ModelEvent) {
        if let Some(Question::Asked { epoch, ahead: Some(asked), .. }) = self.floor.question
            && asked == ahead
        {
            return self.answer(now, epoch, event);
        }
        let Some(held) = self.ahead.held.as_mut().filter(|held| ahead == self.ahead.last && !held.is_complete()) else {
            return;
        };
        match event {
            // The question itself may fare better, and if not, the brain is told then.
            ModelEvent::Failed { .. } => {
                self.ahead.held = None;
                self.ahead.words = None;
                self.measure(Measure::AskedAhead { used: false });
            }
            // Nobody waits yet.
            ModelEvent::Rerouted => held.rerouted = true,
            event => {
                held.events.push(event);
                if held.events.len() > EVENTS_MAX {
                    self.forget_ahead();
                }
            }
        }
    }

    /// The question that is asked now, if it was asked ahead. What was asked ahead and is another is given up.
    pub(super) fn adopt_ahead(&mut self, request: &Completion) -> Option<Adopted> {
        match self.ahead.held.take_if(|held| *held.request == *request) {
            Some(held) => {
                self.ahead.released = held.events.into();
                self.measure(Measure::AskedAhead { used: true });
                Some(Adopted { ahead: self.ahead.last, rerouted: held.rerouted })
            }
            None => {
                self.forget_ahead();
                None
            }
        }
    }

    /// Tells the brain what was held of the answer. False: nothing.
    pub(super) fn release_answer(&mut self, now: Time) -> bool {
        let any = !self.ahead.released.is_empty();
        while let Some(event) = self.ahead.released.pop_front() {
            if let Some(Question::Asked { epoch, ahead: Some(_), .. }) = self.floor.question {
                self.answer(now, epoch, event);
            }
        }
        any
    }

    /// The caller goes on, or says something else: the answer to come is none.
    pub(super) fn forget_ahead(&mut self) {
        if let Some(held) = self.ahead.held.take() {
            if !held.is_complete() {
                self.out(SessionEffect::CancelModel);
            }
            self.measure(Measure::AskedAhead { used: false });
        }
        // An eager end that was taken back.
        if let Some(words) = &mut self.ahead.words {
            words.eager = false;
        }
    }
}
