//! Earshot's network, asked only where its answer can count.

use std::collections::VecDeque;

/// Samples of one of its frames (16 ms at 16 kHz).
pub(super) const FRAME: usize = 256;

/// Frames that a network which slept is told of before it scores again (96 ms). It remembers by a recurrent state; what is older has
/// faded, and with 8 or 12 it hears no better.
const CATCH_UP: usize = 6;

/// The first of these of which it still hears the gap before: a feature takes three frames, and it looks at three features at once.
const BLURRED: usize = 4;

/// Frames in a row of which the network must be sure before loud ones behind them are trusted: as many as it hears clearly when it catches
/// up and is asked, so that trust is renewed at once in clear speech.
const SURE: u32 = 3;

/// How far above the score of voice it is sure. Loud noise wavers about that score, and is seldom so far above it three times in a row.
const SURELY: f32 = 0.3;

/// Loud frames that are then taken for voice in the midst of speech before the network is asked again (256 ms). Each time that it is sure
/// again it is trusted for half as many, until the level falls: loud noise right behind a word, which it may take for voice for a while,
/// gains less than twice as many (31 frames, 496 ms) and as many again where it is itself quieter than the word.
const TRUSTED: u32 = 16;

/// How many times less power is a fall of the level (6 dB). Syllables fall so, steady noise does not.
const FALL: f32 = 4.0;

/// What is known of a frame before the network is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Frame {
    /// Too quiet for voice, whatever the network says.
    Quiet,
    Loud,
    /// Loud, in the midst of speech.
    InSpeech {
        power: f32,
    },
}

/// The network and what it missed. In silence, which is most of what a caller says, it costs nothing.
pub(super) struct Network {
    detector: Box<earshot::Detector>,
    /// Its last answer.
    score: f32,
    /// Frames in a row of which it was sure.
    sure: u32,
    /// Frames that are still taken for voice without asking.
    trust: u32,
    /// Frames that will be so when it is sure the next time.
    next_trust: u32,
    /// The most power in the midst of speech since the level fell.
    loudest: f32,
    /// What it was not told yet: at most `CATCH_UP` frames.
    missed: VecDeque<[i16; FRAME]>,
    /// Whether it will not be told of all that it missed.
    gap: bool,
    heard: u64,
}

impl Network {
    pub(super) fn new() -> Self {
        Self {
            detector: earshot::Detector::default_boxed(),
            score: 0.0,
            sure: 0,
            trust: 0,
            next_trust: TRUSTED,
            loudest: 0.0,
            missed: VecDeque::with_capacity(CATCH_UP),
            gap: false,
            heard: 0,
        }
    }

    /// Frames that it heard.
    pub(super) const fn heard(&self) -> u64 {
        self.heard
    }

    /// How much the frame sounds like voice, 0 to 1. From `enough` on it is one.
    pub(super) fn score(&mut self, pcm: &[i16; FRAME], frame: Frame, enough: f32) -> f32 {
        if self.falls(frame) {
            self.next_trust = TRUSTED;
        }
        match frame {
            Frame::Quiet => {
                self.miss(pcm);
                0.0
            }
            Frame::InSpeech { .. } if self.trust > 0 => {
                self.trust -= 1;
                self.miss(pcm);
                self.score
            }
            Frame::InSpeech { .. } | Frame::Loud => {
                self.catch_up(enough);
                self.hear(pcm, enough);
                self.trust = 0;
                if self.sure >= SURE {
                    self.trust = self.next_trust;
                    self.next_trust /= 2;
                }
                self.score
            }
        }
    }

    /// Whether this frame is quiet, outside of speech, or much less loud than those before it.
    fn falls(&mut self, frame: Frame) -> bool {
        let power = if let Frame::InSpeech { power } = frame { power } else { 0.0 };
        let falls = power * FALL <= self.loudest;
        self.loudest = if falls { power } else { self.loudest.max(power) };
        falls
    }

    fn catch_up(&mut self, enough: f32) {
        let blurred = if std::mem::take(&mut self.gap) { BLURRED } else { 0 };
        for (n, missed) in std::mem::take(&mut self.missed).iter().enumerate() {
            self.hear(missed, enough);
            if n < blurred {
                self.sure = 0;
            }
        }
    }

    fn hear(&mut self, pcm: &[i16; FRAME], enough: f32) {
        self.heard += 1;
        self.score = self.detector.predict_i16(pcm);
        self.sure = if self.score >= enough + SURELY { self.sure + 1 } else { 0 };
    }

    fn miss(&mut self, pcm: &[i16; FRAME]) {
        if self.missed.len() == CATCH_UP {
            self.missed.pop_front();
            self.gap = true;
        }
        self.missed.push_back(*pcm);
    }
}
