//! Earshot's network, asked only where its answer can count.

use std::collections::VecDeque;

/// Samples of one of its frames (16 ms at 16 kHz).
pub(super) const FRAME: usize = 256;

/// Frames for which the network goes on listening when the line fell quiet: the pauses between words (320 ms).
const LINGER: u32 = 20;

/// Frames that a network which slept is told of before it scores again. It remembers by a recurrent state and looks at three
/// frames at once; what is older has faded (128 ms).
const CATCH_UP: usize = 8;

/// Loud frames in a row that are taken for voice in the midst of speech before the network is asked again (256 ms). Where the line
/// falls quiet the end of speech is known at once; where another loud sound takes its place, as much later for each time that the
/// network takes a frame of that for voice: loud noise right behind a word can hold it up for seconds.
const TRUSTED: u32 = 16;

/// What is known of a frame before the network is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Too quiet for voice, whatever the network says.
    Quiet,
    Loud,
    /// Loud, in the midst of speech.
    InSpeech,
}

/// The network and what it missed. In silence, which is most of what a caller says, it costs nothing.
pub(super) struct Network {
    detector: Box<earshot::Detector>,
    /// Its last answer.
    score: f32,
    /// Frames since then that were taken for the same.
    trusted: u32,
    /// Frames since the last loud one.
    quiet: u32,
    /// What it was not told yet: at most `CATCH_UP` frames.
    missed: VecDeque<[i16; FRAME]>,
}

impl Network {
    pub(super) fn new() -> Self {
        Self {
            detector: earshot::Detector::default_boxed(),
            score: 0.0,
            trusted: 0,
            quiet: LINGER,
            missed: VecDeque::new(),
        }
    }

    /// How much the frame sounds like voice, 0 to 1. A voice is taken to go on for `TRUSTED` frames from a score of `enough`.
    pub(super) fn score(&mut self, pcm: &[i16; FRAME], frame: Frame, enough: f32) -> f32 {
        self.quiet = if frame == Frame::Quiet { self.quiet.saturating_add(1) } else { 0 };
        match frame {
            Frame::Quiet if self.quiet > LINGER => {
                self.miss(pcm);
                0.0
            }
            Frame::InSpeech if self.score >= enough && self.trusted < TRUSTED => {
                self.trusted += 1;
                self.miss(pcm);
                self.score
            }
            Frame::Quiet | Frame::InSpeech | Frame::Loud => {
                for missed in self.missed.drain(..) {
                    self.detector.predict_i16(&missed);
                }
                self.trusted = 0;
                self.score = self.detector.predict_i16(pcm);
                self.score
            }
        }
    }

    fn miss(&mut self, pcm: &[i16; FRAME]) {
        if self.missed.len() == CATCH_UP {
            self.missed.pop_front();
        }
        self.missed.push_back(*pcm);
    }
}
