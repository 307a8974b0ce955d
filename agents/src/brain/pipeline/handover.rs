//! How the model takes a conversation over from a flow, and lets go of it. Who is in charge is `mixed`'s to say.

use std::sync::Arc;

use serde_json::Value;
use tandem_contract::Epoch;
use tandem_contract::bot::Wording;
use tandem_models::ToolCall;

use super::{Exchange, Misses, Persona, PipelineBrain, ROUNDS_MAX};
use crate::brain::BrainEffect;

impl PipelineBrain {
    /// Whether this is the epoch of the reply that is being made.
    pub(in crate::brain) fn answers(&self, epoch: Epoch) -> bool {
        self.reply.epoch == epoch
    }

    /// The answer calls one tool and no other, whoever performs it, and be it refused.
    pub(in crate::brain) fn calls_one(&self) -> bool {
        self.reply.calls.len() == 1
    }

    /// The call of this number, if the reply waits for it.
    pub(in crate::brain) fn called(&self, number: u32) -> Option<ToolCall> {
        self.reply.calls.iter().find(|called| called.number == number).map(|called| called.call.clone())
    }

    /// The conversation is another's from now on: what the reply waited for is forgotten.
    pub(in crate::brain) fn let_go(&mut self) {
        self.reply.calls.clear();
    }

    /// The model converses as this persona, in a reply of which so much is said. `speaks`: it has the next word.
    pub(in crate::brain) fn take_over(
        &mut self,
        (epoch, said): (Epoch, usize),
        persona: Arc<Persona>,
        speaks: bool,
        out: &mut Vec<BrainEffect>,
    ) {
        self.persona = persona;
        self.misses = Misses::default();
        self.go_on_in(epoch, said);
        self.listen(out);
        match speaks {
            true => self.ask_again(out),
            false => self.done(out),
        }
    }

    /// The conversation comes back to where it was let go by a call: this is its result.
    pub(in crate::brain) fn take_back(
        &mut self,
        (epoch, said): (Epoch, usize),
        persona: Arc<Persona>,
        (call, result): (ToolCall, &Value),
        out: &mut Vec<BrainEffect>,
    ) {
        // Behind what the other said, and so the last that the model reads.
        let results = vec![result.to_string().into()];
        self.keep(Exchange { epoch, after: said, calls: vec![call], numbers: Vec::new(), results });
        self.take_over((epoch, said), persona, true, out);
    }

    /// Rounds of one reply are counted on, whoever spoke in between: a model that only passes the conversation back and
    /// forth comes to an end.
    fn go_on_in(&mut self, epoch: Epoch, said: usize) {
        let rounds = if self.answers(epoch) { self.reply.rounds.saturating_add(1) } else { 0 };
        self.begin(epoch);
        self.reply.rounds = rounds;
        self.reply.utterances = said;
    }

    fn ask_again(&mut self, out: &mut Vec<BrainEffect>) {
        if self.reply.rounds < ROUNDS_MAX {
            return self.ask(out);
        }
        self.word(Wording::SayAgain, out);
        self.done(out);
    }
}
