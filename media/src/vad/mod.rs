//! Voice activity detection: when the caller begins and ends to speak.
//!
//! [`EarshotDetector`] scores 16 ms at a time with a small network. A score counts only where the level is above an absolute
//! floor and above the line's own noise (elsewhere the network is not even asked), and only when it lasts.

mod gate;
mod level;
mod network;
mod noise;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::Time;
use crate::leg::VadSettings;
use crate::resample::{ResampleError, Resampler, sample_hold_double};
use gate::{Gate, Turn};
use network::{FRAME, Frame, Network};

/// A change from silence to voice or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VadEdge {
    /// Known at `at`; voice since `onset`.
    Started { at: Time, onset: Time },
    /// Known at `at`; no voice since `end`.
    Ended { at: Time, end: Time },
}

/// Listens to one stream of PCM.
pub trait VoiceDetector {
    /// Takes samples of which the last was captured at `now`. At most one edge an answer: where a long push holds two, the
    /// second comes with the next push.
    fn push(&mut self, now: Time, pcm: &[i16]) -> Option<VadEdge>;
}

/// Samples per second that earshot hears.
const EARSHOT_RATE: u32 = 16_000;

/// Earshot with gates. About 24 KB.
pub struct EarshotDetector {
    network: Network,
    raise: Raise,
    /// At 16 kHz, not yet scored: less than a frame, plus what followed an edge.
    waiting: Vec<i16>,
    gate: Gate,
    score: f32,
}

/// How samples get to 16 kHz.
#[derive(Debug)]
enum Raise {
    /// From 8 kHz each sample is said twice. The network learnt from wide-band speech: with the mirror image above 4 kHz it
    /// is surer of telephone speech, and pink noise at -30 dBFS, a false alarm when band-limited, is none.
    Double,
    Convert(Resampler),
}

impl std::fmt::Debug for EarshotDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EarshotDetector").field("gate", &self.gate).field("score", &self.score).finish_non_exhaustive()
    }
}

impl EarshotDetector {
    /// `rate`: samples per second of what is pushed.
    ///
    /// # Errors
    /// When the rate cannot be converted to 16 kHz.
    pub fn new(rate: u32, settings: VadSettings) -> Result<Self, ResampleError> {
        let raise =
            if rate * 2 == EARSHOT_RATE { Raise::Double } else { Raise::Convert(Resampler::new(rate, EARSHOT_RATE)?) };
        Ok(Self {
            network: Network::new(),
            raise,
            waiting: Vec::new(),
            gate: Gate::new(settings, duration(FRAME)),
            score: 0.0,
        })
    }

    /// The network's last score, 0 to 1; 0 where the line was too quiet to ask it.
    pub const fn score(&self) -> f32 {
        self.score
    }

    /// Frames of 16 ms that the network heard: what the detector costs.
    pub const fn frames_heard(&self) -> u64 {
        self.network.heard()
    }
}

impl VoiceDetector for EarshotDetector {
    fn push(&mut self, now: Time, pcm: &[i16]) -> Option<VadEdge> {
        match &mut self.raise {
            Raise::Double => sample_hold_double(pcm, &mut self.waiting),
            Raise::Convert(resampler) => resampler.push(pcm, &mut self.waiting),
        }
        let mut done = 0;
        let mut edge = None;
        while edge.is_none()
            && let Some(frame) = self.waiting[done..].first_chunk::<FRAME>()
        {
            done += FRAME;
            let loud = self.gate.is_loud(frame);
            let kind = match (loud, self.gate.is_speech()) {
                (false, _) => Frame::Quiet,
                (true, false) => Frame::Loud,
                (true, true) => Frame::InSpeech { power: self.gate.power() },
            };
            self.score = self.network.score(frame, kind, self.gate.threshold());
            let end = now - duration(self.waiting.len() - done);
            edge = self.gate.frame(self.score, loud).map(|turn| match turn {
                Turn::Started { ago } => VadEdge::Started { at: now, onset: end - ago },
                Turn::Ended { ago } => VadEdge::Ended { at: now, end: end - ago },
            });
        }
        self.waiting.drain(..done);
        edge
    }
}

fn duration(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 1_000_000 / u64::from(EARSHOT_RATE))
}
