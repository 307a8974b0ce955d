//! Concealment of lost frames in PCM: the last pitch period is repeated, fading out over 60 ms, and the first good frame
//! fades in (the idea of ITU-T G.711 appendix I, in a simpler form).

use std::collections::VecDeque;

/// Milliseconds over which a repetition fades to silence.
const FADE_MS: u32 = 60;
/// Milliseconds of the cross-fade into the first good frame.
const JOIN_MS: u32 = 5;
/// Milliseconds of past audio kept: two of the longest pitch periods.
const HISTORY_MS: u32 = 40;

/// Makes audio for slots that have none. One per stream, at the stream's rate.
#[derive(Clone, Debug)]
pub struct Concealer {
    rate: u32,
    history: VecDeque<i16>,
    /// The period that is repeated, and how many samples of repetition were made. Empty while audio is good.
    period: Vec<i16>,
    made: usize,
}

impl Concealer {
    /// `rate`: samples per second.
    pub fn new(rate: u32) -> Self {
        Self { rate, history: VecDeque::new(), period: Vec::new(), made: 0 }
    }

    /// Takes note of a good frame and, after a loss, cross-fades its first 5 ms from the repetition.
    pub fn good(&mut self, pcm: &mut [i16]) {
        if self.made > 0 {
            let join = self.samples(JOIN_MS).min(pcm.len());
            for (i, sample) in pcm.iter_mut().take(join).enumerate() {
                let old = i32::from(self.next_repeated());
                let (i, join) = (i as i32 + 1, join as i32 + 1);
                *sample = ((old * (join - i) + i32::from(*sample) * i) / join) as i16;
            }
            self.made = 0;
            self.period.clear();
        }
        self.remember(pcm);
    }

    /// Appends `samples` of concealment: the fading repetition, then silence.
    pub fn lost(&mut self, samples: usize, out: &mut Vec<i16>) {
        if self.made == 0 {
            self.period = self.history.iter().copied().collect();
        }
        for _ in 0..samples {
            let sample = self.next_repeated();
            out.push(sample);
        }
    }

    fn next_repeated(&mut self) -> i16 {
        let fade = self.samples(FADE_MS);
        let made = self.made;
        self.made += 1;
        if self.period.is_empty() || made >= fade {
            return 0;
        }
        let sample = i32::from(self.period[made % self.period.len()]);
        (sample * (fade - made) as i32 / fade as i32) as i16
    }

    fn remember(&mut self, pcm: &[i16]) {
        let keep = self.samples(HISTORY_MS);
        self.history.extend(pcm);
        let surplus = self.history.len().saturating_sub(keep);
        self.history.drain(..surplus);
    }

    const fn samples(&self, ms: u32) -> usize {
        (self.rate * ms / 1000) as usize
    }
}

/// Overlap-adds two frames into the length of the first, fading from one to the other.
pub fn merge(first: &[i16], second: &[i16], out: &mut Vec<i16>) {
    let len = first.len().min(second.len());
    let steps = len as i32 + 1;
    out.extend(first.iter().zip(second).enumerate().map(|(i, (&a, &b))| {
        let i = i as i32 + 1;
        ((i32::from(a) * (steps - i) + i32::from(b) * i) / steps) as i16
    }));
}
