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

/// Samples of captured audio that are told together, as a fraction of a second: 80 ms, what vendors of recognition advise (Deepgram for Flux). Each
/// piece wakes the session and the recognizer and is a message to the vendor. What the caller said is told in any case when
/// the voice ends, so that no end of a turn waits for a piece to fill.
const PIECE_NUMERATOR: usize = 2;
const PIECE_DENOMINATOR: usize = 25;

#[derive(Debug)]
pub(super) struct Listening {
    detector: Option<EarshotDetector>,
    capture: Option<CaptureId>,
    /// Captured, and not told yet: less than a piece.
    untold: Vec<i16>,
    /// Samples of a piece.
    piece: usize,
    /// The latest audio, whether captured or not.
    recent: VecDeque<i16>,
    /// Most samples in `recent`.
    keep: usize,
}

impl Listening {
    pub(super) fn new(rate: u32, vad: Option<VadSettings>) -> Result<Self, ResampleError> {
        let detector = vad.map(|settings| EarshotDetector::new(rate, settings)).transpose()?;
        let keep = rate as usize * PREROLL_NUMERATOR / PREROLL_DENOMINATOR;
        let piece = rate as usize * PIECE_NUMERATOR / PIECE_DENOMINATOR;
        Ok(Self { detector, capture: None, untold: Vec::new(), piece, recent: VecDeque::new(), keep })
    }

    /// From now on the session hears the caller: first what was said just now.
    pub(super) fn capture(&mut self, leg: LegId, now: Time, capture: CaptureId, effects: &mut Effects) {
        self.capture = Some(capture);
        // The recent audio holds it.
        self.untold.clear();
        if !self.recent.is_empty() {
            let samples = self.recent.make_contiguous()[..].into();
            effects.event(leg, MediaEvent::Audio { at: now, capture, samples });
        }
    }

    pub(super) fn stop_capture(&mut self, leg: LegId, now: Time, effects: &mut Effects) {
        self.tell(leg, now, effects);
        self.capture = None;
    }

    fn tell(&mut self, leg: LegId, now: Time, effects: &mut Effects) {
        if let Some(capture) = self.capture
            && !self.untold.is_empty()
        {
            let samples = self.untold[..].into();
            effects.event(leg, MediaEvent::Audio { at: now, capture, samples });
        }
        self.untold.clear();
    }

    /// Takes 20 ms of which the last sample reached us at `captured`, before it waited in the jitter buffer: the times of
    /// speech count from there, so that the buffer's delay does not lengthen a barge-in.
    pub(super) fn hear(&mut self, leg: LegId, now: Time, captured: Time, samples: &[i16], effects: &mut Effects) {
        if self.capture.is_some() {
            self.untold.extend_from_slice(samples);
        }
        self.remember(samples);
        let edge = self.detector.as_mut().and_then(|detector| detector.push(captured, samples));
        if edge.is_some() || self.untold.len() >= self.piece {
            self.tell(leg, now, effects);
        }
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
    use crate::codec;
    use crate::leg::{Codec, Effect};

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
        for frame in 100..105 {
            listening.hear(LEG, Time::ZERO, Time::ZERO, &[frame; 160], &mut effects);
        }
        listening.capture(LEG, Time::ZERO, CaptureId(2), &mut effects);
        listening.hear(LEG, Time::ZERO, Time::ZERO, &[105; 160], &mut effects);
        listening.stop_capture(LEG, Time::ZERO, &mut effects);
        listening.hear(LEG, Time::ZERO, Time::ZERO, &[106; 160], &mut effects);
        let frames = |from: i16, to: i16| (from..=to).flat_map(|frame| [frame; 160]).collect::<Vec<_>>();
        let told = [(1, frames(70, 99)), (1, frames(100, 103)), (2, frames(75, 104)), (2, frames(105, 105))];
        assert_eq!(captured(&mut effects), told);
    }

    #[test]
    fn the_end_of_voice_is_told_behind_all_of_its_audio() {
        let mut listening = Listening::new(8000, Some(VadSettings::default())).unwrap();
        let mut effects = Effects::default();
        let mut pcm = Vec::new();
        codec::decode(Codec::Pcmu, include_bytes!("../vad/clips/slt_stop.ulaw"), &mut pcm);
        pcm.extend([0; 8000]);
        listening.capture(LEG, Time::ZERO, CaptureId(1), &mut effects);
        let (mut heard, mut told, mut ends) = (0, 0, 0);
        for (frame, n) in pcm.chunks_exact(160).zip(1..) {
            let now = Time::from_millis(n * 20);
            listening.hear(LEG, now, now, frame, &mut effects);
            heard += frame.len();
            while let Some(Effect::Event { event, .. }) = effects.pop() {
                match event {
                    MediaEvent::Audio { samples, .. } => told += samples.len(),
                    MediaEvent::SpeechEnded { .. } => {
                        assert_eq!(told, heard);
                        ends += 1;
                    }
                    _ => {}
                }
            }
        }
        assert!(ends > 0);
    }
}
