//! The line's own noise: the lowest level of the last seconds (minimum statistics, R. Martin 2001, in its simplest form).

use super::level::{from_dbfs, power};

/// Pieces of which the level is taken: 8 ms at 16 kHz. Shorter than the pauses between syllables, so that unbroken speech
/// is not taken for noise.
const PIECE: usize = 128;

/// The window is 8 parts of 25 frames of 16 ms: 3.2 s. Long enough to hold a pause of any speaker; after that long a noise
/// that came to stay is known.
const PARTS: usize = 8;
const FRAMES_PER_PART: u32 = 25;

/// A line is never taken to be quieter, so that the first faint hiss after digital silence is not voice.
const QUIETEST_DBFS: f32 = -65.0;

#[derive(Clone, Debug)]
pub(super) struct NoiseFloor {
    /// Lowest power of each part; infinite where nothing was heard yet.
    lowest: [f32; PARTS],
    part: usize,
    frames: u32,
    quietest: f32,
}

impl NoiseFloor {
    pub(super) fn new() -> Self {
        Self { lowest: [f32::INFINITY; PARTS], part: 0, frames: 0, quietest: from_dbfs(QUIETEST_DBFS) }
    }

    /// Takes a frame, and says what its power is.
    pub(super) fn hear(&mut self, pcm: &[i16]) -> f32 {
        if self.frames == FRAMES_PER_PART {
            self.frames = 0;
            self.part = (self.part + 1) % PARTS;
            self.lowest[self.part] = f32::INFINITY;
        }
        self.frames += 1;
        let pieces = pcm.chunks_exact(PIECE).map(power);
        let (lowest, sum) = pieces.fold((f32::INFINITY, 0.0), |(lowest, sum), piece| (piece.min(lowest), sum + piece));
        self.lowest[self.part] = self.lowest[self.part].min(lowest);
        sum * PIECE as f32 / pcm.len().max(1) as f32
    }

    pub(super) fn power(&self) -> f32 {
        let lowest = self.lowest.iter().copied().fold(f32::INFINITY, f32::min);
        if lowest.is_finite() { lowest.max(self.quietest) } else { self.quietest }
    }
}
