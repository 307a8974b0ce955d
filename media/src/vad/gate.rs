//! What turns scores into edges: level and duration gates.

use std::time::Duration;

use super::level::from_dbfs;
use super::noise::NoiseFloor;
use crate::leg::VadSettings;

/// How far above the line's noise voice must be, in decibels. The noise is a minimum, some 3 dB below its own mean.
const ABOVE_NOISE_DB: f32 = 9.0;

/// How much less than the threshold a score must fall to count as silence once voice was found, so that speech is not cut
/// up where the network wavers.
const HYSTERESIS: f32 = 0.15;

/// An edge, and how long before the end of the frame it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Started { ago: Duration },
    Ended { ago: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Voice for so long, not yet enough.
    Silence { voiced: Duration },
    /// Silence for so long, not yet enough.
    Speech { silent: Duration },
}

#[derive(Clone, Debug)]
pub(super) struct Gate {
    settings: VadSettings,
    frame: Duration,
    state: State,
    noise: NoiseFloor,
    /// Power of the last frame.
    power: f32,
    /// Power below which nothing is voice, and how many times the line's noise voice must have.
    floor: f32,
    above_noise: f32,
}

impl Gate {
    pub(super) fn new(settings: VadSettings, frame: Duration) -> Self {
        let (floor, above_noise) = (from_dbfs(settings.floor_dbfs), from_dbfs(ABOVE_NOISE_DB));
        let state = State::Silence { voiced: Duration::ZERO };
        Self { settings, frame, state, noise: NoiseFloor::new(), power: 0.0, floor, above_noise }
    }

    /// Whether the next frame is loud enough to be voice.
    pub(super) fn is_loud(&mut self, pcm: &[i16]) -> bool {
        self.power = self.noise.hear(pcm);
        self.power >= self.floor && self.power >= self.noise.power() * self.above_noise
    }

    pub(super) const fn power(&self) -> f32 {
        self.power
    }

    pub(super) fn is_speech(&self) -> bool {
        matches!(self.state, State::Speech { .. })
    }

    /// Score from which a loud frame is voice.
    pub(super) fn threshold(&self) -> f32 {
        if self.is_speech() { self.settings.threshold - HYSTERESIS } else { self.settings.threshold }
    }

    pub(super) fn frame(&mut self, score: f32, loud: bool) -> Option<Turn> {
        let voice = loud && score >= self.threshold();
        self.step(voice)
    }

    fn step(&mut self, voice: bool) -> Option<Turn> {
        match &mut self.state {
            State::Silence { voiced } => {
                *voiced = if voice { *voiced + self.frame } else { Duration::ZERO };
                let ago = *voiced;
                (voice && ago >= self.settings.min_speech).then(|| {
                    self.state = State::Speech { silent: Duration::ZERO };
                    Turn::Started { ago }
                })
            }
            State::Speech { silent } => {
                *silent = if voice { Duration::ZERO } else { *silent + self.frame };
                let ago = *silent;
                (!voice && ago >= self.settings.min_silence).then(|| {
                    self.state = State::Silence { voiced: Duration::ZERO };
                    Turn::Ended { ago }
                })
            }
        }
    }
}
