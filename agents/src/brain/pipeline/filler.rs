//! What a caller hears while another model is asked in place of one that failed.

use tandem_contract::call::Modality;

use super::PipelineBrain;
use crate::brain::BrainEffect;

/// A shorter silence needs no words: the answer, which may come any moment, would queue behind them.
const WAITED_LEAST_MS: u64 = 700;

impl PipelineBrain {
    /// Once in a reply, and it is none: a model that then says nothing is as silent as if the filler had not been said.
    pub(super) fn fill(&mut self, waited_ms: u64, out: &mut Vec<BrainEffect>) {
        let Some(filler) = &self.persona.failover_filler else { return };
        if self.reply.filled || waited_ms < WAITED_LEAST_MS || self.modality == Modality::Text {
            return;
        }
        self.reply.filled = true;
        self.reply.utterances += 1;
        out.push(BrainEffect::Say { epoch: self.reply.epoch, text: filler.clone(), interruptible: true });
    }
}
