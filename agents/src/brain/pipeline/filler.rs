//! What a caller hears while another model is asked in place of one that failed.

use tandem_contract::call::Modality;

use super::PipelineBrain;
use crate::brain::BrainEffect;

impl PipelineBrain {
    /// Once in a reply, and it is none: a model that then says nothing is as silent as if the filler had not been said.
    pub(super) fn fill(&mut self, out: &mut Vec<BrainEffect>) {
        let Some(filler) = &self.persona.failover_filler else { return };
        if self.reply.filled || self.modality == Modality::Text {
            return;
        }
        self.reply.filled = true;
        self.reply.utterances += 1;
        out.push(BrainEffect::Say { epoch: self.reply.epoch, text: filler.clone(), interruptible: true });
    }
}
