//! What a caller hears while they wait: for a tool, or for another model in place of one that failed. Once in a reply, and it is
//! none: a model that then says nothing is as silent as if the filler had not been said.

use tandem_contract::Epoch;
use tandem_contract::call::Modality;

use super::PipelineBrain;
use super::prompt::Filler;
use crate::brain::BrainEffect;

impl PipelineBrain {
    /// A reader sees that somebody types.
    fn may_fill(&self) -> bool {
        !self.reply.filled && self.modality == Modality::Voice
    }

    /// Another model is asked, and the caller has waited.
    pub(super) fn fill(&mut self, out: &mut Vec<BrainEffect>) {
        if let Some(filler) = self.persona.failover_filler.clone().filter(|_| self.may_fill()) {
            self.say_filler(filler, out);
        }
    }

    /// Tools are about to be called: says that this takes its time, where that is to be said at once and the model has said
    /// nothing itself.
    pub(super) fn fill_the_silence(&mut self, out: &mut Vec<BrainEffect>) {
        let calls = self.reply.calls.iter().filter_map(|called| self.persona.fillers.get(&called.call.name));
        let filler = calls.filter(|filler| filler.after_ms == 0).map(|filler| filler.text.clone()).next();
        if let Some(text) = filler.filter(|_| !self.reply.said && self.may_fill()) {
            self.say_filler(text, out);
        }
    }

    /// A tool was called: it is said later, if it is to be said then.
    pub(super) fn watch(&self, call: u32, tool: &str, out: &mut Vec<BrainEffect>) {
        if let Some(&Filler { after_ms: after_ms @ 1.., .. }) = self.persona.fillers.get(tool)
            && !self.reply.said
            && self.may_fill()
        {
            out.push(BrainEffect::Watch { epoch: self.reply.epoch, call, after_ms });
        }
    }

    /// A tool still runs. In another epoch the caller has spoken since: they do not wait in silence.
    pub(super) fn tool_runs(&mut self, epoch: Epoch, call: u32, out: &mut Vec<BrainEffect>) {
        let runs = self.reply.calls.iter().find(|called| called.number == call && called.result.is_none());
        let filler =
            runs.and_then(|called| self.persona.fillers.get(&called.call.name)).map(|filler| filler.text.clone());
        if let Some(text) = filler.filter(|_| epoch == self.reply.epoch && !self.reply.said && self.may_fill()) {
            self.say_filler(text, out);
            // As if it had been said when they were called: what the model reads last is what came of its tools.
            self.reply.called = (epoch, self.reply.utterances);
        }
    }

    fn say_filler(&mut self, text: String, out: &mut Vec<BrainEffect>) {
        self.reply.filled = true;
        self.reply.utterances += 1;
        out.push(BrainEffect::Say { epoch: self.reply.epoch, text, interruptible: true });
    }
}
