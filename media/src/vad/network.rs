//! Earshot's network, asked only where its answer can count.

use std::collections::VecDeque;

/// Samples of one of its frames (16 ms at 16 kHz).
pub(super) const FRAME: usize = 256;

/// Frames for which the network goes on listening when the line fell quiet: the pauses between words (320 ms).
const LINGER: u32 = 20;

/// Frames that a network which slept is told of before it scores again. It remembers by a recurrent state and looks at three
/// frames at once; what is older has faded (128 ms).
const CATCH_UP: usize = 8;

/// The network and what it missed. In silence, which is most of what a caller says, it costs nothing.
pub(super) struct Network {
    detector: Box<earshot::Detector>,
    /// Frames since the last loud one.
    quiet: u32,
    /// What it was not told yet: at most `CATCH_UP` frames.
    missed: VecDeque<[i16; FRAME]>,
}

impl Network {
    pub(super) fn new() -> Self {
        Self { detector: earshot::Detector::default_boxed(), quiet: LINGER, missed: VecDeque::new() }
    }

    /// How much the frame sounds like voice, 0 to 1; 0 for a quiet one that it slept through.
    pub(super) fn score(&mut self, frame: &[i16; FRAME], loud: bool) -> f32 {
        self.quiet = if loud { 0 } else { self.quiet.saturating_add(1) };
        if self.quiet > LINGER {
            if self.missed.len() == CATCH_UP {
                self.missed.pop_front();
            }
            self.missed.push_back(*frame);
            return 0.0;
        }
        for missed in self.missed.drain(..) {
            self.detector.predict_i16(&missed);
        }
        self.detector.predict_i16(frame)
    }
}
