//! Where the time of a turn goes: intervals on the critical path, which sum to the gap that the caller felt.

use tandem_contract::Epoch;
use tandem_contract::record::{Stage, StageSpan, TurnRecord};
use tandem_media::Time;

/// The marks of the turn that is going on.
#[derive(Clone, Debug, Default)]
pub(super) struct Stages {
    /// The caller's utterance ended.
    stopped: Option<Time>,
    /// The brain was asked: the reply's first sample ends the turn.
    asked: bool,
    /// First end of each stage.
    ends: Vec<(Stage, Time)>,
    /// The caller said something more while the reply was awaited.
    later: Option<Time>,
}

impl Stages {
    /// The caller's utterance ended: a turn begins, at the latest when the awaited reply is void.
    pub(super) fn caller_stopped(&mut self, at: Time) {
        if self.asked {
            self.later = Some(at);
        } else {
            *self = Self { stopped: Some(at), ..Self::default() };
        }
    }

    /// The brain was asked to reply to the caller.
    pub(super) fn asked(&mut self, now: Time) {
        self.stopped.get_or_insert(now);
        self.asked = true;
    }

    /// The reply is not awaited any more.
    pub(super) fn void(&mut self) {
        if self.asked {
            *self = Self { stopped: self.later, ..Self::default() };
        }
    }

    pub(super) fn end(&mut self, stage: Stage, at: Time) {
        if self.stopped.is_some() && !self.ends.iter().any(|(other, _)| *other == stage) {
            self.ends.push((stage, at));
        }
    }

    /// The first sample of the reply is on the wire. None when it answers nothing.
    pub(super) fn agent_started(
        &mut self,
        at: Time,
        epoch: Epoch,
        since_start: impl Fn(Time) -> u64,
    ) -> Option<TurnRecord> {
        let Self { stopped, asked, mut ends, later } = std::mem::take(self);
        self.stopped = later;
        let stopped = stopped.filter(|_| asked)?;
        ends.push((Stage::Playout, at));
        ends.sort_by_key(|(stage, _)| *stage);
        let mut latest = stopped;
        let mut spans = Vec::with_capacity(ends.len());
        for (stage, end) in ends {
            // A mark beyond the first sample (a clock read twice) is not on the path.
            let end = end.min(at);
            spans.push(StageSpan { stage, us: micros(latest, end) });
            latest = latest.max(end);
        }
        Some(TurnRecord {
            epoch,
            caller_stopped_ms: since_start(stopped),
            agent_started_ms: since_start(at),
            gap_us: micros(stopped, at),
            stages: spans,
        })
    }
}

fn micros(from: Time, to: Time) -> u64 {
    to.as_micros().saturating_sub(from.as_micros())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Stage; 6] = [
        Stage::EndpointingWait,
        Stage::Transcript,
        Stage::Knowledge,
        Stage::ModelFirstToken,
        Stage::FirstClause,
        Stage::VoiceFirstAudio,
    ];

    proptest! {
        #[test]
        fn the_stages_sum_to_the_gap(
            stopped in 0..1_000_000_u64,
            marks in prop::collection::vec((0..ALL.len(), 0..3_000_000_u64), 0..12),
            started in 0..3_000_000_u64,
        ) {
            let mut stages = Stages::default();
            stages.caller_stopped(Time::from_micros(stopped));
            for (stage, at) in marks {
                stages.end(ALL[stage], Time::from_micros(at));
            }
            stages.asked(Time::from_micros(stopped));
            let turn = stages.agent_started(Time::from_micros(started), Epoch(1), Time::as_millis).unwrap();
            prop_assert_eq!(turn.stages.iter().map(|span| span.us).sum::<u64>(), turn.gap_us);
        }
    }

    #[test]
    fn a_cough_during_the_reply_starts_no_turn() {
        let mut stages = Stages::default();
        stages.caller_stopped(Time::from_millis(10));
        assert_eq!(stages.agent_started(Time::from_millis(20), Epoch(1), Time::as_millis), None);
    }

    #[test]
    fn a_stage_counts_from_the_latest_earlier_end() {
        let mut stages = Stages::default();
        stages.caller_stopped(Time::from_millis(100));
        stages.end(Stage::EndpointingWait, Time::from_millis(600));
        stages.end(Stage::Transcript, Time::from_millis(650));
        stages.asked(Time::from_millis(650));
        stages.end(Stage::VoiceFirstAudio, Time::from_millis(640));
        let turn = stages.agent_started(Time::from_millis(670), Epoch(1), Time::as_millis).unwrap();
        let spans: Vec<u64> = turn.stages.iter().map(|span| span.us / 1000).collect();
        assert_eq!((spans, turn.gap_us), (vec![500, 50, 0, 20], 570_000));
    }
}
