//! Performs the effects of the core.

use std::time::Duration;

use tandem_contract::SessionId;
use tandem_contract::event::SessionEvent;
use tandem_contract::record::CallRecord;
use tokio::sync::broadcast;

use super::engines::{Asker, Engines};
use super::wires::Wires;
use super::work::Work;
use crate::session::input::{Measure, SessionEffect, SessionInput};

/// Longest wait for worker and wire to take the last commands of a session.
const HAND_OVER_LIMIT: Duration = Duration::from_millis(500);

/// Everything that a session acts on.
pub(super) struct Outlets {
    session: SessionId,
    pub(super) wires: Wires,
    pub(super) engines: Engines,
    pub(super) work: Work,
    watch: broadcast::Sender<SessionEvent>,
}

impl Outlets {
    pub(super) fn new(
        session: SessionId,
        wires: Wires,
        engines: Engines,
        work: Work,
        watch: broadcast::Sender<SessionEvent>,
    ) -> Self {
        Self { session, wires, engines, work, watch }
    }

    /// Never waits. An input is what an engine answered at once.
    pub(super) fn perform(&mut self, effect: SessionEffect) -> Option<SessionInput> {
        match effect {
            SessionEffect::Media(command) => self.wires.media(command),
            SessionEffect::Leg(command) => self.wires.leg(command),
            SessionEffect::StartVoice { epoch, utterance, text } => return self.engines.speak(epoch, utterance, text),
            SessionEffect::CancelVoice => self.engines.cancel_voice(),
            SessionEffect::StartRecognizer { recognition, grammar } => {
                return self.engines.listen(recognition, grammar);
            }
            SessionEffect::PushAudio(samples) => self.engines.hear(samples),
            SessionEffect::FinishRecognizer => self.finish_recognizer(),
            SessionEffect::CancelRecognizer => self.engines.cancel_recognition(),
            SessionEffect::CallTool { call, tool, arguments } => self.work.call(self.session, call, tool, arguments),
            SessionEffect::StartModel { epoch, request } => return self.engines.ask(Asker::Reply(epoch), request),
            SessionEffect::AskAhead { ahead, request } => return self.engines.ask(Asker::Ahead(ahead), request),
            SessionEffect::CancelModel => self.engines.cancel_completion(),
            SessionEffect::MakeNotes { request } => {
                self.work.make_notes(self.engines.complete(request));
            }
            SessionEffect::Emit(event) => self.emit(event),
            SessionEffect::Store { record, first: true } => self.work.begin(record),
            SessionEffect::Store { record, first: false } => self.work.store(record),
            SessionEffect::Measure(measure) => record_measure(measure),
            // Taken by the loop before.
            SessionEffect::End(_) => {}
        }
        None
    }

    pub(super) fn emit(&self, event: SessionEvent) {
        // Nobody watches: nobody is told.
        let _ = self.watch.send(event);
    }

    pub(super) fn flush(&mut self) {
        self.wires.flush();
    }

    /// Gives the last commands to worker and wire.
    pub(super) async fn hand_over(&mut self) {
        let all = async {
            self.wires.flush();
            while !self.wires.is_flushed() {
                self.wires.room().await;
            }
        };
        // A ring that stays full belongs to a reader that is stuck; it will not be missed.
        let _ = tokio::time::timeout(HAND_OVER_LIMIT, all).await;
    }

    pub(super) async fn store_final(&mut self, record: &CallRecord) {
        self.work.store_final(record).await;
    }

    fn finish_recognizer(&mut self) {
        if let Some(engine) = self.engines.finish() {
            self.work.tell(engine);
        }
    }
}

fn record_measure(measure: Measure) {
    match measure {
        Measure::TurnGap(gap) => metrics::histogram!("tandem_turn_gap_seconds").record(gap),
        Measure::Stage(stage, span) => {
            metrics::histogram!("tandem_stage_seconds", "stage" => stage.as_str()).record(span);
        }
        Measure::BargeInPause(pause) => metrics::histogram!("tandem_barge_in_pause_seconds").record(pause),
        Measure::RecognizerFailed(reason) => {
            metrics::counter!("tandem_recognizer_failures_total", "reason" => reason).increment(1);
        }
        Measure::AskedAhead { used } => {
            metrics::counter!("tandem_asked_ahead_total", "outcome" => if used { "used" } else { "void" }).increment(1);
        }
        Measure::FalseInterruption => metrics::counter!("tandem_false_interruptions_total").increment(1),
    }
}
