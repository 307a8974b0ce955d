//! How well the voice detector finds speech in noise, on labelled human speech.
//!
//! `cargo run --release -p tandem-media --example vad_bench` (Debian `pocketsphinx-testdata`; `--csv` prints each utterance).
//!
//! Each utterance is brought to 8 kHz and -26 dBFS and laid three times over one noise: 4 s of noise, the utterance, 2 s of
//! noise, and so on. Its labels come from the clean recording, by energy: a frame of 10 ms is speech within 20 dB of the
//! loudest (the recordings' own noise lies 28 dB below it), and gaps of up to 300 ms belong to it. Counted, with the detector as calls have it: utterances found (an onset within
//! 300 ms of the label, or before it while it lasts), how late the detector says so, frames of speech that it holds for voice,
//! and false alarms (onsets in noise alone, by the minute). Noises are generated: white, pink, and a babble made of the other utterances.

#![expect(clippy::print_stdout, reason = "a measurement prints its table")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use tandem_media::Time;
use tandem_media::emulator::SplitMix;
use tandem_media::leg::VadSettings;
use tandem_media::resample::resample;
use tandem_media::vad::{EarshotDetector, VadEdge, VoiceDetector};

const DATA: &str = "/usr/share/pocketsphinx/test/data";
/// Recordings at 16 kHz, 16 bit, mono; a WAV has a header of 44 octets.
const FILES: [(&str, usize); 13] = [
    ("librivox/sense_and_sensibility_01_austen_64kb-0870.wav", 44),
    ("librivox/sense_and_sensibility_01_austen_64kb-0880.wav", 44),
    ("librivox/sense_and_sensibility_01_austen_64kb-0890.wav", 44),
    ("librivox/sense_and_sensibility_01_austen_64kb-0920.wav", 44),
    ("librivox/sense_and_sensibility_01_austen_64kb-0930.wav", 44),
    ("cards/001.wav", 44),
    ("cards/002.wav", 44),
    ("cards/003.wav", 44),
    ("cards/004.wav", 44),
    ("cards/005.wav", 44),
    ("goforward.raw", 0),
    ("numbers.raw", 0),
    ("something.raw", 0),
];
const RATE: usize = 8_000;
/// Frames of the labels, samples.
const LABEL: usize = RATE / 100;
/// Level of the speech: of a telephone call, root mean square over its speech.
const SPEECH_DBFS: f64 = -26.0;
const BEFORE: usize = 4 * RATE;
const AFTER: usize = 2 * RATE;
const REPEATS: usize = 3;
/// Voices of the babble.
const BABBLE: usize = 5;

/// A stretch of voice in milliseconds: onset, when it was told, end.
type Stretch = (u64, u64, u64);

struct Utterance {
    name: &'static str,
    pcm: Vec<f64>,
    /// By frame of 10 ms.
    speech: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noise {
    White,
    Pink,
    Babble,
}

#[derive(Default)]
struct Score {
    utterances: u32,
    found: u32,
    /// Milliseconds from the label's onset to the detector's word.
    late: Vec<u64>,
    speech_frames: u64,
    heard_frames: u64,
    noise_ms: u64,
    false_onsets: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let csv = std::env::args().any(|argument| argument == "--csv");
    let utterances = FILES.iter().map(|(name, header)| load(name, *header)).collect::<Result<Vec<_>, _>>()?;
    println!("noise    SNR    found   late p50/p90   speech heard   false alarms/min");
    for noise in [Noise::White, Noise::Pink, Noise::Babble] {
        for snr in [40, 20, 10, 5, 0] {
            let mut all = Score::default();
            for (at, utterance) in utterances.iter().enumerate() {
                let one = measure(utterance, &sound(noise, &utterances, at), snr)?;
                if csv {
                    println!("{noise:?},{snr},{},{},{}", utterance.name, one.found, one.false_onsets);
                }
                all.add(one);
            }
            all.print(noise, snr);
        }
    }
    Ok(())
}

fn load(name: &'static str, header: usize) -> Result<Utterance, Box<dyn Error>> {
    let bytes = std::fs::read(Path::new(DATA).join(name)).map_err(|error| format!("{name}: {error}"))?;
    let wide: Vec<i16> = bytes[header..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let pcm: Vec<f64> = resample(&wide, 16_000, 8_000)?.into_iter().map(f64::from).collect();
    let speech = labels(&pcm);
    let level = rms(pcm.chunks(LABEL).zip(&speech).filter(|(_, speech)| **speech).flat_map(|(frame, _)| frame));
    let gain = amplitude(SPEECH_DBFS) / level;
    Ok(Utterance { name, pcm: pcm.into_iter().map(|sample| sample * gain).collect(), speech })
}

/// Which frames are speech: loud ones, and short gaps between them.
fn labels(pcm: &[f64]) -> Vec<bool> {
    let levels: Vec<f64> = pcm.chunks(LABEL).map(|frame| rms(frame.iter())).collect();
    let loudest = levels.iter().copied().fold(0.0, f64::max);
    let mut speech: Vec<bool> = levels.iter().map(|level| *level > loudest * 10_f64.powf(-20.0 / 20.0)).collect();
    let mut last = None;
    for at in 0..speech.len() {
        if speech[at] {
            if let Some(before) = last.filter(|before| at - before <= 30) {
                speech[before..at].fill(true);
            }
            last = Some(at);
        }
    }
    speech
}

fn rms<'a>(samples: impl Iterator<Item = &'a f64>) -> f64 {
    let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), sample| (sum + sample * sample, count + 1.0));
    (sum / f64::max(count, 1.0)).sqrt()
}

fn amplitude(dbfs: f64) -> f64 {
    32_768.0 * 10_f64.powf(dbfs / 20.0)
}

/// Noise for the whole measurement of an utterance, of root mean square 1.
fn sound(noise: Noise, utterances: &[Utterance], at: usize) -> Vec<f64> {
    let length = REPEATS * (BEFORE + utterances[at].pcm.len() + AFTER);
    let mut random = SplitMix::new(at as u64 + 1);
    let mut white = || random.unit() * 2.0 - 1.0;
    let sound: Vec<f64> = match noise {
        Noise::White => (0..length).map(|_| white()).collect(),
        // Voss and McCartney: sums of values that change every 1, 2, 4, ... samples fall by 3 dB an octave.
        Noise::Pink => {
            let mut rows = [0.0; 12];
            let step = |n: usize| {
                rows[(n.trailing_zeros() as usize).min(11)] = white();
                rows.iter().sum()
            };
            (1..=length).map(step).collect()
        }
        Noise::Babble => {
            let others = (1..=BABBLE).map(|n| &utterances[(at + n) % utterances.len()].pcm);
            let mut sound = vec![0.0; length];
            for (n, other) in others.enumerate() {
                let shifted = other.iter().cycle().skip(n * 5_000);
                sound.iter_mut().zip(shifted).for_each(|(sample, voice)| *sample += voice);
            }
            sound
        }
    };
    let level = rms(sound.iter());
    sound.into_iter().map(|sample| sample / level).collect()
}

fn measure(utterance: &Utterance, noise: &[f64], snr: i32) -> Result<Score, Box<dyn Error>> {
    let gain = amplitude(SPEECH_DBFS - f64::from(snr));
    let mut pcm: Vec<f64> = noise.iter().map(|sample| sample * gain).collect();
    let mut speech = vec![false; pcm.len() / LABEL + 1];
    let mut spans = Vec::new();
    let length = utterance.pcm.len();
    for n in 0..REPEATS {
        let start = n * (BEFORE + length + AFTER) + BEFORE;
        pcm[start..start + length].iter_mut().zip(&utterance.pcm).for_each(|(sample, voice)| *sample += voice);
        let mut said = utterance.speech.iter().enumerate().filter(|(_, speech)| **speech);
        said.clone().for_each(|(frame, _)| speech[start / LABEL + frame] = true);
        let (first, last) = (said.clone().next(), said.next_back());
        let at = |frame: Option<(usize, &bool)>| millis(start + frame.map_or(0, |(frame, _)| frame) * LABEL);
        spans.push((at(first), at(last)));
    }
    let pcm: Vec<i16> = pcm.into_iter().map(|sample| sample as i16).collect();
    Ok(score(&detect(&pcm)?, &speech, &spans))
}

fn detect(pcm: &[i16]) -> Result<Vec<Stretch>, Box<dyn Error>> {
    let mut detector = EarshotDetector::new(RATE as u32, VadSettings::default())?;
    let mut found = Vec::new();
    for (frame, n) in pcm.chunks(RATE / 50).zip(1..) {
        match detector.push(Time::ZERO + Duration::from_millis(n * 20), frame) {
            Some(VadEdge::Started { at, onset }) => found.push((onset.as_millis(), at.as_millis(), u64::MAX)),
            Some(VadEdge::Ended { end, .. }) => {
                found.iter_mut().rev().take(1).for_each(|last| last.2 = end.as_millis())
            }
            None => {}
        }
    }
    Ok(found)
}

fn score(found: &[Stretch], speech: &[bool], spans: &[(u64, u64)]) -> Score {
    let mut score = Score { utterances: spans.len() as u32, ..Score::default() };
    for (begin, end) in spans {
        let hit = found.iter().find(|(onset, _, ends)| *ends > *begin && *onset <= *begin + 300 && onset <= end);
        if let Some((_, told, _)) = hit {
            score.found += 1;
            score.late.push(told.saturating_sub(*begin));
        }
    }
    for (frame, is_speech) in speech.iter().enumerate() {
        let at = frame as u64 * 10;
        if *is_speech {
            score.speech_frames += 1;
            score.heard_frames += u64::from(found.iter().any(|(onset, _, end)| (*onset..*end).contains(&at)));
        } else {
            score.noise_ms += 10;
        }
    }
    // An onset up to 100 ms before the label is that of the speech.
    let near = |onset: u64| (onset / 10..=onset / 10 + 10).any(|frame| speech.get(frame as usize) == Some(&true));
    score.false_onsets = found.iter().filter(|(onset, _, _)| !near(*onset)).count() as u32;
    score
}

fn millis(samples: usize) -> u64 {
    (samples * 1_000 / RATE) as u64
}

impl Score {
    fn add(&mut self, other: Self) {
        self.utterances += other.utterances;
        self.found += other.found;
        self.late.extend(other.late);
        self.speech_frames += other.speech_frames;
        self.heard_frames += other.heard_frames;
        self.noise_ms += other.noise_ms;
        self.false_onsets += other.false_onsets;
    }

    fn print(&mut self, noise: Noise, snr: i32) {
        self.late.sort_unstable();
        let late = |part: usize| self.late.get(self.late.len().saturating_sub(1) * part / 10).copied().unwrap_or(0);
        let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        println!(
            "{:<7} {snr:>3} dB {:>6.0} % {:>5} / {:<4} ms {:>10.0} % {:>14.1}",
            format!("{noise:?}"),
            percent(self.found.into(), self.utterances.into()),
            late(5),
            late(9),
            percent(self.heard_frames, self.speech_frames),
            f64::from(self.false_onsets) * 60_000.0 / self.noise_ms.max(1) as f64,
        );
    }
}
