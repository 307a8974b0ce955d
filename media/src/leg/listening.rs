//! The caller's audio on its way to the session: voice activity, and the audio itself.

use super::{Effects, LegId, MediaEvent, VadSettings};
use crate::Time;
use crate::resample::ResampleError;
use crate::vad::{EarshotDetector, VadEdge, VoiceDetector};

#[derive(Debug)]
pub(super) struct Listening {
    detector: Option<EarshotDetector>,
    deliver_audio: bool,
}

impl Listening {
    pub(super) fn new(rate: u32, vad: Option<VadSettings>, deliver_audio: bool) -> Result<Self, ResampleError> {
        let detector = vad.map(|settings| EarshotDetector::new(rate, settings)).transpose()?;
        Ok(Self { detector, deliver_audio })
    }

    /// Takes 20 ms of which the last sample reached us at `captured`, before it waited in the jitter buffer: the times of
    /// speech count from there, so that the buffer's delay does not lengthen a barge-in.
    pub(super) fn hear(&mut self, leg: LegId, now: Time, captured: Time, samples: &[i16], effects: &mut Effects) {
        if self.deliver_audio {
            effects.event(leg, MediaEvent::Audio { at: now, samples: samples.into() });
        }
        let edge = self.detector.as_mut().and_then(|detector| detector.push(captured, samples));
        match edge {
            Some(VadEdge::Started { onset, .. }) => effects.event(leg, MediaEvent::SpeechStarted { at: now, onset }),
            Some(VadEdge::Ended { end, .. }) => effects.event(leg, MediaEvent::SpeechEnded { at: now, end }),
            None => {}
        }
    }
}
