//! The noises: generated, but for music on hold, which is read from recordings.

use std::error::Error;
use std::f64::consts::TAU;
use std::path::Path;

use tandem_media::emulator::SplitMix;

use crate::utterance::Utterance;
use crate::{RATE, rms};

/// Voices of the babble.
const BABBLE: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noise {
    White,
    Pink,
    /// Other utterances at once.
    Babble,
    /// Brown noise in which cars pass by, and now and then a horn.
    Street,
    /// Clicks of a keyboard, and now and then someone knocks.
    Keys,
    /// Mains hum of 50 Hz with its harmonics.
    Hum,
    /// A stranger's keys: 100 ms of two tones, 100 ms of nothing.
    Dtmf,
    /// Chords of a synthesizer with a melody over them.
    Music,
    /// Recorded music, as lines on hold play it.
    Hold,
}

impl Noise {
    pub(crate) const ALL: [Self; 9] = [
        Self::White,
        Self::Pink,
        Self::Babble,
        Self::Street,
        Self::Keys,
        Self::Hum,
        Self::Dtmf,
        Self::Music,
        Self::Hold,
    ];
}

/// What babble and music on hold are made of.
pub(crate) struct Sources {
    pub(crate) utterances: Vec<Utterance>,
    /// One recording; empty when there is none.
    pub(crate) hold: Vec<f64>,
}

impl Sources {
    /// Noise of root mean square 1 for a measurement of the utterance `at`.
    pub(crate) fn sound(&self, noise: Noise, at: usize, length: usize) -> Vec<f64> {
        let mut random = SplitMix::new(at as u64 + 1);
        let sound = match noise {
            Noise::White => (0..length).map(|_| white(&mut random)).collect(),
            Noise::Pink => pink(length, &mut random),
            Noise::Babble => self.babble(at, length),
            Noise::Street => street(length, &mut random),
            Noise::Keys => keys(length, &mut random),
            Noise::Hum => hum(length, &mut random),
            Noise::Dtmf => dtmf(length, &mut random),
            Noise::Music => music(length, &mut random),
            Noise::Hold => {
                let start = random.below(self.hold.len().saturating_sub(length) as u64) as usize;
                self.hold.iter().cycle().skip(start).take(length).copied().collect()
            }
        };
        let level = rms(sound.iter());
        sound.into_iter().map(|sample| sample / level).collect()
    }

    fn babble(&self, at: usize, length: usize) -> Vec<f64> {
        let others = (1..=BABBLE).map(|n| &self.utterances[(at + n) % self.utterances.len()].pcm);
        let mut sound = vec![0.0; length];
        for (n, other) in others.enumerate() {
            let shifted = other.iter().cycle().skip(n * 5_000);
            sound.iter_mut().zip(shifted).for_each(|(sample, voice)| *sample += voice);
        }
        sound
    }
}

/// The recordings of a folder, one after the other: WAV of 8 kHz, 16 bit, mono, with a header of 44 octets.
pub(crate) fn recordings(folder: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut files =
        std::fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wav"));
    files.sort();
    let mut sound = Vec::new();
    for file in files {
        let bytes = std::fs::read(file)?;
        sound.extend(bytes[44..].chunks_exact(2).map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]]))));
    }
    Ok(sound)
}

fn white(random: &mut SplitMix) -> f64 {
    random.unit() * 2.0 - 1.0
}

/// Voss and McCartney: sums of values that change every 1, 2, 4, ... samples fall by 3 dB an octave.
fn pink(length: usize, random: &mut SplitMix) -> Vec<f64> {
    let mut rows = [0.0; 12];
    let step = |n: usize| {
        rows[(n.trailing_zeros() as usize).min(11)] = white(random);
        rows.iter().sum()
    };
    (1..=length).map(step).collect()
}

fn street(length: usize, random: &mut SplitMix) -> Vec<f64> {
    let mut brown = 0.0;
    let mut sound: Vec<f64> = (0..length)
        .map(|_| {
            brown = 0.98 * brown + white(random);
            brown
        })
        .collect();
    // A car every 4 to 8 s, up to 12 dB louder, for 2 s.
    for car in events(length, 4.0, 8.0, random) {
        let middle = car as f64;
        let louder = |n: usize| 1.0 + 3.0 * (-((n as f64 - middle) / (0.7 * RATE as f64)).powi(2)).exp();
        sound.iter_mut().enumerate().for_each(|(n, sample)| *sample *= louder(n));
    }
    for horn in events(length, 10.0, 20.0, random) {
        let blow = |n: usize| [420.0, 520.0].iter().map(|hz| tone(n, *hz, 5)).sum::<f64>() * 8.0;
        add(&mut sound, horn, RATE * 2 / 5, blow);
    }
    sound
}

fn keys(length: usize, random: &mut SplitMix) -> Vec<f64> {
    let mut sound: Vec<f64> = (0..length).map(|_| 0.01 * white(random)).collect();
    for key in events(length, 0.08, 0.35, random) {
        // Down, and 60 ms later up.
        for (later, loud) in [(0, 1.0), (RATE * 60 / 1000, 0.4)] {
            let burst: Vec<f64> = (0..RATE / 50).map(|_| white(random)).collect();
            add(&mut sound, key + later, burst.len(), |n| loud * burst[n] * (-(n as f64) / 24.0).exp());
        }
    }
    for door in events(length, 3.0, 6.0, random) {
        for knock in 0..3 {
            let thud = |n: usize| 2.0 * (tone(n, 160.0, 1) + tone(n, 290.0, 1)) * (-(n as f64) / 160.0).exp();
            add(&mut sound, door + knock * RATE / 5, RATE / 5, thud);
        }
    }
    sound
}

fn hum(length: usize, random: &mut SplitMix) -> Vec<f64> {
    let lines = [(1.0, 1.0), (2.0, 0.7), (3.0, 0.5), (5.0, 0.3), (7.0, 0.2), (9.0, 0.15), (11.0, 0.1), (13.0, 0.1)];
    let sample =
        |n| lines.iter().map(|(line, loud)| loud * tone(n, 50.0 * line, 1)).sum::<f64>() + 0.02 * white(random);
    (0..length).map(sample).collect()
}

fn dtmf(length: usize, random: &mut SplitMix) -> Vec<f64> {
    let mut sound = vec![0.0; length];
    for digit in (0..length).step_by(RATE / 5) {
        let low = [697.0, 770.0, 852.0, 941.0][random.below(4) as usize];
        let high = [1209.0, 1336.0, 1477.0, 1633.0][random.below(4) as usize];
        add(&mut sound, digit, RATE / 10, |n| tone(n, low, 1) + tone(n, high, 1));
    }
    sound
}

/// Four chords of 1 s each, with overtones and a decay, and four notes of the chord a second above it.
fn music(length: usize, random: &mut SplitMix) -> Vec<f64> {
    let chords = [[0, 4, 7], [9, 12, 16], [5, 9, 12], [7, 11, 14]];
    let hz = |halftones: i32| 220.0 * 2_f64.powf(f64::from(halftones) / 12.0);
    let fade = |n: usize, seconds: f64| (n as f64 / 80.0).min(1.0) * (-(n as f64) / (seconds * RATE as f64)).exp();
    let mut sound = vec![0.0; length];
    for (bar, start) in (0..length).step_by(RATE).enumerate() {
        let chord = chords[bar % chords.len()];
        add(&mut sound, start, RATE, |n| chord.iter().map(|note| tone(n, hz(*note), 6)).sum::<f64>() * fade(n, 0.8));
        for beat in 0..4 {
            let note = hz(chord[random.below(3) as usize] + 12);
            add(&mut sound, start + beat * RATE / 4, RATE / 4, |n| 1.5 * tone(n, note, 4) * fade(n, 0.15));
        }
    }
    sound
}

/// Moments that are `least` to `most` seconds apart.
fn events(length: usize, least: f64, most: f64, random: &mut SplitMix) -> Vec<usize> {
    let mut next = || ((least + random.unit() * (most - least)) * RATE as f64) as usize;
    let mut at = next();
    let mut all = Vec::new();
    while at < length {
        all.push(at);
        at += next();
    }
    all
}

/// A tone with overtones, each half as strong as the one before.
fn tone(n: usize, hz: f64, overtones: i32) -> f64 {
    let part =
        |overtone: i32| (TAU * hz * f64::from(overtone) * n as f64 / RATE as f64).sin() / 2_f64.powi(overtone - 1);
    (1..=overtones).filter(|overtone| hz * f64::from(*overtone) < 3_800.0).map(part).sum()
}

fn add(sound: &mut [f64], at: usize, length: usize, part: impl Fn(usize) -> f64) {
    sound.iter_mut().skip(at).take(length).enumerate().for_each(|(n, sample)| *sample += part(n));
}
