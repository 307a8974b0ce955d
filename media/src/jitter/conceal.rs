//! Concealment of lost frames in PCM: the last pitch period is repeated, fading out over 60 ms, and the first good frame
//! fades in (the idea of ITU-T G.711 appendix I, in a simpler form). And the opposite: two frames in the time of one.

use std::collections::VecDeque;

/// Milliseconds over which a repetition fades to silence.
const FADE_MS: u32 = 60;
/// Milliseconds of the cross-fade into the first good frame.
const JOIN_MS: u32 = 5;
/// Milliseconds over which the seam at the start of a repetition is bent together.
const SEAM_MS: u32 = 2;
/// Pitch periods looked for, in milliseconds: voices of 66 to 200 Hz (a higher voice has several periods in one of these).
const SHORTEST_PERIOD_MS: u32 = 5;
const LONGEST_PERIOD_MS: u32 = 15;
/// Milliseconds that are compared to find the period.
const TEMPLATE_MS: u32 = 10;

/// Makes audio for slots that have none. One per stream, at the stream's rate.
#[derive(Clone, Debug)]
pub struct Concealer {
    rate: u32,
    /// The last good samples: a template and the longest period before it.
    history: VecDeque<i16>,
    /// The period that is repeated. Empty while audio is good.
    period: Vec<i16>,
    /// What the last good sample was too high for the start of the period.
    step: i32,
    /// Samples of repetition made.
    made: usize,
}

impl Concealer {
    /// `rate`: samples per second.
    pub fn new(rate: u32) -> Self {
        Self { rate, history: VecDeque::new(), period: Vec::new(), step: 0, made: 0 }
    }

    /// Takes note of a good frame and, after a loss, cross-fades its first 5 ms from the repetition.
    pub fn good(&mut self, pcm: &mut [i16]) {
        if self.made > 0 {
            let join = samples(self.rate, JOIN_MS).min(pcm.len());
            for (i, sample) in pcm[..join].iter_mut().enumerate() {
                let old = self.next_repeated();
                *sample = mix(old, *sample, i, join);
            }
            self.made = 0;
            self.period.clear();
        }
        let keep = samples(self.rate, TEMPLATE_MS) + period_range(self.rate).1;
        self.history.extend(pcm.iter());
        let surplus = self.history.len().saturating_sub(keep);
        self.history.drain(..surplus);
    }

    /// Appends `samples` of concealment: the fading repetition, then silence.
    pub fn lost(&mut self, samples: usize, out: &mut Vec<i16>) {
        if self.made == 0 {
            self.begin();
        }
        for _ in 0..samples {
            let sample = self.next_repeated();
            out.push(sample);
        }
    }

    fn begin(&mut self) {
        let past = &*self.history.make_contiguous();
        let (shortest, longest) = period_range(self.rate);
        let template = samples(self.rate, TEMPLATE_MS);
        self.step = 0;
        self.period.clear();
        if past.len() < template + longest {
            // Less was heard than it takes: nothing to repeat but silence.
            return;
        }
        let end = past.len();
        let lag =
            best(shortest..=longest, |lag| alike(&past[end - template..], &past[end - template - lag..end - lag]));
        self.period.extend_from_slice(&past[end - lag..]);
        self.step = i32::from(past[end - 1]) - i32::from(past[end - lag - 1]);
        // Bends the period's end towards what came before its start, so that the repetitions join.
        let bend = samples(self.rate, SEAM_MS);
        for i in 0..bend {
            let before = past[end - lag - bend + i];
            let at = lag - bend + i;
            self.period[at] = mix(self.period[at], before, i, bend);
        }
    }

    fn next_repeated(&mut self) -> i16 {
        let (fade, seam) = (samples(self.rate, FADE_MS), samples(self.rate, SEAM_MS));
        let made = self.made;
        self.made = made.saturating_add(1);
        if self.period.is_empty() || made >= fade {
            return 0;
        }
        let bend = if made < seam { self.step * (seam - made) as i32 / (seam + 1) as i32 } else { 0 };
        let sample = i32::from(self.period[made % self.period.len()]) + bend;
        clip(sample * (fade - made) as i32 / fade as i32)
    }
}

/// Appends two frames in the time of the longer: a stretch as long as the shorter is cut out, where what is before and
/// what is after it are most alike, and the ends are cross-faded.
pub(super) fn merge(pair: &[i16], middle: usize, out: &mut Vec<i16>) {
    let cut = middle.min(pair.len() - middle);
    let fade = cut / 2;
    let at = best(0..=fade, |at| alike(&pair[at..at + fade], &pair[at + cut..at + cut + fade]));
    out.extend_from_slice(&pair[..at]);
    out.extend((0..fade).map(|i| mix(pair[at + i], pair[at + cut + i], i, fade)));
    out.extend_from_slice(&pair[at + cut + fade..]);
}

/// From `from` to `to` at step `i` of `steps`.
fn mix(from: i16, to: i16, i: usize, steps: usize) -> i16 {
    let (i, steps) = (i as i32 + 1, steps as i32 + 1);
    clip((i32::from(from) * (steps - i) + i32::from(to) * i) / steps)
}

/// Cross-correlation, positive where the shapes agree, over the energy of `b`.
fn alike(a: &[i16], b: &[i16]) -> f32 {
    let product: f32 = a.iter().zip(b).map(|(&a, &b)| f32::from(a) * f32::from(b)).sum();
    let energy: f32 = b.iter().map(|&b| f32::from(b) * f32::from(b)).sum();
    product / (energy + 1.0).sqrt()
}

/// The first place of the highest score.
fn best(places: std::ops::RangeInclusive<usize>, score: impl Fn(usize) -> f32) -> usize {
    let mut found = (*places.start(), f32::NEG_INFINITY);
    for place in places {
        let score = score(place);
        if score > found.1 {
            found = (place, score);
        }
    }
    found.0
}

const fn period_range(rate: u32) -> (usize, usize) {
    (samples(rate, SHORTEST_PERIOD_MS), samples(rate, LONGEST_PERIOD_MS))
}

const fn samples(rate: u32, ms: u32) -> usize {
    (rate * ms / 1000) as usize
}

fn clip(sample: i32) -> i16 {
    sample.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}
