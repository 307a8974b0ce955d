//! The caller's audio on its way to the session: voice activity, and the audio itself while the session wants it.

use std::collections::VecDeque;

use super::{CaptureId, Effects, LegId, MediaEvent, VadSettings};
use crate::Time;
use crate::resample::ResampleError;
use crate::vad::{EarshotDetector, VadEdge, VoiceDetector};

/// Caller audio kept for a capture that begins later, as a fraction of a second (600 ms): the detector reports voice some
/// 120 ms after its onset, and a recognizer wants to hear the line's own noise before a word. Measured with flite's slt and
/// awb: pocketsphinx mistakes "a person" with less than 240 ms of it, and never with 300 to 650 ms.
const PREROLL_NUMERATOR: usize = 3;
const PREROLL_DENOMINATOR: usize = 5;

#[derive(Debug)]
pub(super) struct Listening {
    detector: Option<EarshotDetector>,
    capture: Option<CaptureId>,
    /// The latest audio, whether captured or not.
    recent: VecDeque<i16>,
    /// Most samples in `recent`.
    keep: usize,
}

impl Listening {
    pub(super) fn new(rate: u32, vad: Option<VadSettings>) -> Result<Self, ResampleError> {
        let detector = vad.map(|settings| EarshotDetector::new(rate, settings)).transpose()?;
        let keep = rate as usize * PREROLL_NUMERATOR / PREROLL_DENOMINATOR;
        Ok(Self { detector, capture: None, recent: VecDeque::new(), keep })
    }

    /// From now on the session hears the caller: first what was said just now.
    pub(super) fn capture(&mut self, leg: LegId, now: Time, capture: CaptureId, effects: &mut Effects) {
        self.capture = Some(capture);
        if !self.recent.is_empty() {
            let samples = self.recent.make_contiguous()[..].into();
            effects.event(leg, MediaEvent::Audio { at: now, capture, samples });
        }
    }

    pub(super) fn stop_capture(&mut self) {
        self.capture = None;
    }

    /// Takes 20 ms of which the last sample reached us at `captured`, before it waited in the jitter buffer: the times of
    /// speech count from there, so that the buffer's delay does not lengthen a barge-in.
    pub(super) fn hear(&mut self, leg: LegId, now: Time, captured: Time, samples: &[i16], effects: &mut Effects) {
        if let Some(capture) = self.capture {
            effects.event(leg, MediaEvent::Audio { at: now, capture, samples: samples.into() });
        }
        self.remember(samples);
        let edge = self.detector.as_mut().and_then(|detector| detector.push(captured, samples));
        match edge {
            Some(VadEdge::Started { onset, .. }) => effects.event(leg, MediaEvent::SpeechStarted { at: now, onset }),
            Some(VadEdge::Ended { end, .. }) => effects.event(leg, MediaEvent::SpeechEnded { at: now, end }),
            None => {}
        }
    }

    fn remember(&mut self, samples: &[i16]) {
        let over = (self.recent.len() + samples.len()).saturating_sub(self.keep);
        self.recent.drain(..over.min(self.recent.len()));
        self.recent.extend(samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leg::Effect;

    const LEG: LegId = LegId(0);

    fn captured(effects: &mut Effects) -> Vec<(u32, Vec<i16>)> {
        let events = std::iter::from_fn(|| effects.pop());
        events
            .filter_map(|effect| match effect {
                Effect::Event { event: MediaEvent::Audio { capture, samples, .. }, .. } => {
                    Some((capture.0, samples.to_vec()))
                }
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_capture_begins_with_the_last_600_ms_and_each_has_its_number() {
        let mut listening = Listening::new(8000, None).unwrap();
        let mut effects = Effects::default();
        for frame in 0..100 {
            listening.hear(LEG, Time::ZERO, Time::ZERO, &[frame; 160], &mut effects);
        }
        assert_eq!(captured(&mut effects), [], "nobody asked");
        listening.capture(LEG, Time::ZERO, CaptureId(1), &mut effects);
        listening.hear(LEG, Time::ZERO, Time::ZERO, &[100; 160], &mut effects);
        listening.capture(LEG, Time::ZERO, CaptureId(2), &mut effects);
        listening.stop_capture();
        listening.hear(LEG, Time::ZERO, Time::ZERO, &[101; 160], &mut effects);
        let frames = |from: i16, to: i16| (from..=to).flat_map(|frame| [frame; 160]).collect::<Vec<_>>();
        assert_eq!(captured(&mut effects), [(1, frames(70, 99)), (1, frames(100, 100)), (2, frames(71, 100))]);
    }
}
