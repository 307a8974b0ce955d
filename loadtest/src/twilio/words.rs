//! What callers say, frame by frame as it goes over the wire: the clips of [`crate::plan`], cut where their sound begins and ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tandem_media::codec;
use tandem_media::emulator::SplitMix;
use tandem_media::leg::Codec;

use crate::hearing::is_loud;
use crate::plan::CLIPS;

/// Mu-law samples in a frame of 20 ms.
const FRAME: usize = 160;
/// Different frames of noise, over and over.
const NOISES: usize = 50;
/// Largest sample of the noise of a quiet room: a line is never digitally silent.
const NOISE: u64 = 8;

/// Frames in base64.
pub type Line = Vec<String>;

pub struct Words {
    pub noise: Line,
    /// About two seconds each.
    pub lines: Vec<Line>,
    /// About four: two of the lines.
    pub interruptions: Vec<Line>,
}

impl Words {
    pub fn new() -> Self {
        let lines: Vec<Line> = CLIPS.iter().map(|clip| sounding(clip)).collect();
        let pair = |first: usize| [&lines[first][..], &lines[(first + 1) % lines.len()]].concat();
        Self { noise: noise(), interruptions: (0..lines.len()).map(pair).collect(), lines }
    }
}

/// First and last frame carry speech.
fn sounding(clip: &[u8]) -> Line {
    let frames = clip.as_chunks::<FRAME>().0;
    let first = frames.iter().position(|frame| is_loud(frame)).unwrap_or(0);
    let last = frames.iter().rposition(|frame| is_loud(frame)).unwrap_or(0);
    frames[first..=last].iter().map(|frame| STANDARD.encode(frame)).collect()
}

fn noise() -> Line {
    let mut random = SplitMix::new(7);
    let mut frame = || {
        let pcm: Vec<i16> = (0..FRAME).map(|_| random.below(2 * NOISE + 1) as i16 - NOISE as i16).collect();
        let mut bytes = Vec::new();
        codec::encode(Codec::Pcmu, &pcm, &mut bytes);
        STANDARD.encode(bytes)
    };
    (0..NOISES).map(|_| frame()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_and_end_with_sound() {
        let words = Words::new();
        let loud = |frame: &String| is_loud(&STANDARD.decode(frame).unwrap());
        for line in words.lines.iter().chain(&words.interruptions) {
            assert!(loud(&line[0]) && loud(&line[line.len() - 1]));
            // Of the clips: a pause as long as an end of turn would be answered in the middle.
            let pause = line.split(loud).map(<[String]>::len).max();
            assert!(pause < Some(15), "{pause:?} frames of silence");
        }
        let seconds = |line: &Line| line.len() / 50;
        assert!(words.lines.iter().all(|line| seconds(line) >= 1), "an agent wants to hear some words");
        assert!(words.interruptions.iter().all(|line| seconds(line) >= 3));
        assert!(!words.noise.iter().any(loud));
    }
}
