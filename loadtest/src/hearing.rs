//! What one caller hears, measured frame by frame. Time is milliseconds since the caller's first frame.

use crate::plan::CallPlan;

/// Mean absolute sample above which a frame is voice: -36 dBFS. Comfort noise and G.711's own noise lie far below.
const LOUD: i32 = 500;
/// Pauses between words are shorter than this; the agent is silent when it was quiet for so long.
const SILENCE_MS: f64 = 250.0;
/// An answer that takes longer is missed.
const ANSWER_LIMIT_MS: f64 = 8_000.0;
/// A frame that comes this much after the one before left a hole for a player without jitter buffer.
const LATE_MS: f64 = 40.0;

/// Figures of one caller; all times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Last sound of a line sent to first voice of the answer received, endpointing wait included.
    pub gaps: Vec<f64>,
    /// First sound of an interruption sent to the last voice of the interrupted answer received.
    pub barge_ins: Vec<f64>,
    /// Lines that were never answered.
    pub missed: u64,
    pub frames: u64,
    pub late_frames: u64,
}

/// What the caller waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Waiting {
    Nothing,
    /// The caller spoke into the agent's voice at `since`.
    Silence {
        since: f64,
    },
    /// The caller finished at `since`.
    Answer {
        since: f64,
    },
}

/// Follows one call.
#[derive(Debug)]
pub struct Hearing {
    waiting: Waiting,
    last_voice: Option<f64>,
    last_frame: Option<f64>,
    heard: Heard,
}

impl Hearing {
    pub fn new() -> Self {
        Self { waiting: Waiting::Nothing, last_voice: None, last_frame: None, heard: Heard::default() }
    }

    /// A frame was sent.
    pub fn sent(&mut self, plan: &CallPlan, frame: u64, now: f64) {
        let Some(line) = plan.line_at(frame) else { return };
        if frame == line.voice_first && self.speaks(now) {
            self.waiting = Waiting::Silence { since: now };
        }
        if frame == line.voice_last {
            self.settle(now);
            self.waiting = Waiting::Answer { since: now };
        }
    }

    /// 20 ms of mu-law were received.
    pub fn received(&mut self, payload: &[u8], now: f64) {
        self.heard.frames += 1;
        if self.last_frame.replace(now).is_some_and(|last| now - last > LATE_MS) {
            self.heard.late_frames += 1;
        }
        self.settle(now);
        if !is_loud(payload) {
            return;
        }
        if let Waiting::Answer { since } = self.waiting {
            self.heard.gaps.push(now - since);
            self.waiting = Waiting::Nothing;
        }
        self.last_voice = Some(now);
    }

    /// The call is over.
    pub fn finish(mut self, now: f64) -> Heard {
        self.settle(now);
        self.heard
    }

    fn speaks(&self, now: f64) -> bool {
        self.last_voice.is_some_and(|last| now - last < SILENCE_MS)
    }

    fn settle(&mut self, now: f64) {
        match self.waiting {
            Waiting::Silence { since } if !self.speaks(now) => {
                self.heard.barge_ins.push(self.last_voice.map_or(0.0, |last| (last + 20.0 - since).max(0.0)));
                self.waiting = Waiting::Nothing;
            }
            Waiting::Answer { since } if now - since > ANSWER_LIMIT_MS => {
                self.heard.missed += 1;
                self.waiting = Waiting::Nothing;
            }
            _ => {}
        }
    }
}

/// Whether a mu-law frame carries voice.
pub fn is_loud(payload: &[u8]) -> bool {
    let sum: i32 = payload.iter().map(|code| magnitude(*code)).sum();
    !payload.is_empty() && sum / payload.len() as i32 > LOUD
}

/// Absolute value of a mu-law sample (ITU-T G.711).
fn magnitude(code: u8) -> i32 {
    let code = !code;
    (((i32::from(code & 0x0f) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
}

/// A percentile (0 to 100) of unsorted figures, nearest rank; none when there are none.
pub fn percentile(figures: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Line;

    const VOICE: [u8; 160] = [0x20; 160];
    const QUIET: [u8; 160] = [0xff; 160];

    fn plan() -> CallPlan {
        let line = |first| Line { first, frames: 50, clip: 0, voice_first: first, voice_last: first + 49 };
        CallPlan { ssrc: 0, first_sequence: 0, first_timestamp: 0, lines: vec![line(100), line(300)], frames: 500 }
    }

    /// Plays a call in which the agent speaks in these spans of frames.
    fn listen(agent: &[std::ops::Range<u64>]) -> Heard {
        let plan = plan();
        let mut hearing = Hearing::new();
        for frame in 0..plan.frames {
            let now = frame as f64 * 20.0;
            hearing.sent(&plan, frame, now);
            let speaks = agent.iter().any(|span| span.contains(&frame));
            hearing.received(if speaks { &VOICE } else { &QUIET }, now + 5.0);
        }
        hearing.finish(plan.frames as f64 * 20.0)
    }

    #[test]
    fn a_gap_is_from_the_last_word_to_the_first_of_the_answer() {
        let heard = listen(&[175..250, 380..400]);
        assert_eq!(heard.gaps.iter().map(|gap| gap.round()).collect::<Vec<_>>(), [525.0, 625.0]);
        assert_eq!((heard.barge_ins.len(), heard.missed, heard.late_frames), (0, 0, 0));
    }

    #[test]
    fn a_barge_in_is_from_the_first_word_to_silence() {
        let heard = listen(&[175..311, 380..400]);
        assert_eq!(heard.barge_ins, [225.0]);
    }

    #[test]
    fn a_line_without_answer_is_missed() {
        let mut hearing = Hearing::new();
        let plan = plan();
        for frame in 0..160 {
            hearing.sent(&plan, frame, frame as f64 * 20.0);
        }
        assert_eq!(hearing.finish(20_000.0).missed, 1);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let figures = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(
            (percentile(&figures, 50.0), percentile(&figures, 99.0), percentile(&[], 50.0)),
            (Some(3.0), Some(5.0), None)
        );
    }
}
