//! How well the voice detector finds speech in noise, on labelled human speech, and another network on the very same audio.
//!
//! `cargo run --release -p tandem-media --example vad_bench` (Debian `pocketsphinx-testdata`). Options:
//!
//! - `--hold FOLDER`: recordings of music on hold (Debian `asterisk-moh-opsound-wav` has them in `/usr/share/asterisk/moh`).
//! - `--write FOLDER`: writes each clip there as `NAME.raw` (8 kHz, 16 bit, little endian, mono), and measures nothing.
//! - `--scores FOLDER`: measures another network by its scores beside each clip, `NAME.f32` (a float a window of 32 ms, as `silero.py`
//!   writes them): alone, as a veto behind the detector, and with it.
//!
//! Each utterance is brought to 8 kHz and -26 dBFS and laid three times over one noise: 4 s of noise, the utterance, 2 s of
//! noise, and so on. Its labels come from the clean recording, by energy: a frame of 10 ms is speech within 20 dB of the
//! loudest (the recordings' own noise lies 28 dB below it), and gaps of up to 300 ms belong to it. Counted: utterances found (an onset within
//! 300 ms of the label, or before it while it lasts), how late that is told, frames of speech held for voice,
//! false alarms (onsets in noise alone, by the minute), and for the detector the share of frames that its network hears and processor time.
//! The second table has loud noise set right behind each utterance: how long after its last word its end is told.

#![expect(clippy::print_stdout, reason = "a measurement prints its table")]

mod ears;
mod noise;
mod utterance;

use std::error::Error;
use std::path::{Path, PathBuf};

use ears::{Cost, Ear, Stretch};
use noise::{Noise, Sources};

const RATE: usize = 8_000;
/// Frames of the labels, samples.
const LABEL: usize = RATE / 100;
/// Level of the speech: of a telephone call, root mean square over its speech.
const SPEECH_DBFS: f64 = -26.0;
const BEFORE: usize = 4 * RATE;
const AFTER: usize = 2 * RATE;
const REPEATS: usize = 3;
/// How long noise behind an utterance lasts.
const BEHIND: usize = 6 * RATE;

/// What is listened to.
struct Clip {
    /// Of its files.
    name: String,
    pcm: Vec<i16>,
    /// By frame of 10 ms.
    speech: Vec<bool>,
    /// Utterances, milliseconds.
    spans: Vec<(u64, u64)>,
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
    millis: u64,
    cost: Cost,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = |option: &str| {
        let mut given = std::env::args().skip_while(|argument| argument != option).skip(1);
        given.next().map(PathBuf::from)
    };
    let hold = folder("--hold").map_or_else(|| Ok(Vec::new()), |folder| noise::recordings(&folder))?;
    let sources = Sources { utterances: utterance::all()?, hold };
    if let Some(folder) = folder("--write") {
        return write(&sources, &folder);
    }
    let scores = folder("--scores");
    let mut ears = vec![("detector", Ear::Detector)];
    if let Some(folder) = &scores {
        ears.extend([("other", Ear::Other(folder)), ("veto", Ear::Veto(folder)), ("both", Ear::Both(folder))]);
    }
    println!(
        "noise    SNR             found   late p50/p90   speech heard   false alarms/min   frames asked   CPU us/s"
    );
    for (noise, snr, clips) in in_noise(&sources) {
        for (name, ear) in &ears {
            let mut all = Score::default();
            for clip in &clips {
                let (found, cost) = ear.find(&clip.name, &clip.pcm)?;
                all.add(clip, &found, cost);
            }
            all.print(noise, snr, name);
        }
    }
    println!("\nnoise behind   dBFS             end told p50/p90/most");
    for (noise, dbfs, clips) in behind(&sources) {
        for (name, ear) in &ears {
            let ends = clips.iter().map(|clip| Ok(end_told(clip, &ear.find(&clip.name, &clip.pcm)?.0)));
            print_ends(noise, dbfs, name, ends.collect::<Result<Vec<_>, Box<dyn Error>>>()?);
        }
    }
    Ok(())
}

fn noises(sources: &Sources) -> impl Iterator<Item = Noise> {
    Noise::ALL.into_iter().filter(|noise| *noise != Noise::Hold || !sources.hold.is_empty())
}

fn in_noise(sources: &Sources) -> impl Iterator<Item = (Noise, i32, Vec<Clip>)> {
    let conditions = noises(sources).flat_map(|noise| [40, 20, 10, 0].map(|snr| (noise, snr)));
    conditions.map(|(noise, snr)| {
        (noise, snr, (0..sources.utterances.len()).map(|at| mixed(sources, noise, snr, at)).collect())
    })
}

fn behind(sources: &Sources) -> impl Iterator<Item = (Noise, i32, Vec<Clip>)> {
    let conditions = noises(sources).flat_map(|noise| [-30, -25, -20].map(|dbfs| (noise, dbfs)));
    conditions.map(|(noise, dbfs)| {
        (noise, dbfs, (0..sources.utterances.len()).map(|at| followed(sources, noise, dbfs, at)).collect())
    })
}

fn write(sources: &Sources, folder: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    for (_, _, clips) in in_noise(sources).chain(behind(sources)) {
        for clip in clips {
            let bytes: Vec<u8> = clip.pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            std::fs::write(folder.join(clip.name).with_extension("raw"), bytes)?;
        }
    }
    Ok(())
}

/// An utterance three times over noise.
fn mixed(sources: &Sources, noise: Noise, snr: i32, at: usize) -> Clip {
    let utterance = &sources.utterances[at];
    let length = utterance.pcm.len();
    let gain = amplitude(SPEECH_DBFS - f64::from(snr));
    let sound = sources.sound(noise, at, REPEATS * (BEFORE + length + AFTER));
    let mut pcm: Vec<f64> = sound.into_iter().map(|sample| sample * gain).collect();
    let mut speech = vec![false; pcm.len() / LABEL + 1];
    let mut spans = Vec::new();
    let (first, last) = utterance.span();
    for n in 0..REPEATS {
        let start = n * (BEFORE + length + AFTER) + BEFORE;
        pcm[start..start + length].iter_mut().zip(&utterance.pcm).for_each(|(sample, voice)| *sample += voice);
        let labels = &mut speech[start / LABEL..][..utterance.speech.len()];
        labels.iter_mut().zip(&utterance.speech).for_each(|(label, said)| *label |= said);
        spans.push((millis(start + first * LABEL), millis(start + last * LABEL)));
    }
    Clip { name: format!("{noise:?}_{snr}_{at}"), pcm: whole(&pcm), speech, spans }
}

/// A second of faint hiss, an utterance, and noise from its last frame on.
fn followed(sources: &Sources, noise: Noise, dbfs: i32, at: usize) -> Clip {
    let utterance = &sources.utterances[at];
    let (first, last) = utterance.span();
    let said = (last + 1) * LABEL;
    let hiss = sources.sound(Noise::White, at, RATE + said).into_iter().map(|sample| sample * amplitude(-65.0));
    let loud = sources.sound(noise, at, BEHIND).into_iter().map(|sample| sample * amplitude(dbfs.into()));
    let mut pcm: Vec<f64> = hiss.chain(loud).collect();
    pcm[RATE..].iter_mut().zip(&utterance.pcm[..said]).for_each(|(sample, voice)| *sample += voice);
    let spans = vec![(millis(RATE + first * LABEL), millis(RATE + said))];
    Clip { name: format!("behind_{noise:?}_{dbfs}_{at}"), pcm: whole(&pcm), speech: Vec::new(), spans }
}

/// Milliseconds from the end of a clip's only utterance to the word that it ended; none when it was not told.
fn end_told(clip: &Clip, found: &[Stretch]) -> Option<u64> {
    let (_, end) = clip.spans[0];
    // The last stretch that began in the utterance.
    let stretch = found.iter().rfind(|stretch| stretch.onset < end)?;
    (stretch.ended != u64::MAX).then(|| stretch.ended.saturating_sub(end))
}

fn print_ends(noise: Noise, dbfs: i32, name: &str, ends: Vec<Option<u64>>) {
    let mut told: Vec<u64> = ends.into_iter().map(|end| end.unwrap_or(millis(BEHIND))).collect();
    told.sort_unstable();
    let most = told.last().copied().unwrap_or(0);
    let (half, tenth) = (part(&told, 5), part(&told, 9));
    println!("{:<14} {dbfs:>4} {name:<10} {half:>7} / {tenth} / {most} ms", format!("{noise:?}"));
}

fn rms<'a>(samples: impl Iterator<Item = &'a f64>) -> f64 {
    let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), sample| (sum + sample * sample, count + 1.0));
    (sum / f64::max(count, 1.0)).sqrt()
}

fn amplitude(dbfs: f64) -> f64 {
    32_768.0 * 10_f64.powf(dbfs / 20.0)
}

fn whole(pcm: &[f64]) -> Vec<i16> {
    pcm.iter().map(|sample| *sample as i16).collect()
}

fn millis(samples: usize) -> u64 {
    (samples * 1_000 / RATE) as u64
}

/// So many tenths of sorted values are below it.
fn part(sorted: &[u64], tenths: usize) -> u64 {
    sorted.get(sorted.len().saturating_sub(1) * tenths / 10).copied().unwrap_or(0)
}

impl Score {
    fn add(&mut self, clip: &Clip, found: &[Stretch], cost: Cost) {
        for (begin, end) in &clip.spans {
            let hit = found
                .iter()
                .find(|stretch| stretch.end > *begin && stretch.onset <= *begin + 300 && stretch.onset <= *end);
            self.utterances += 1;
            if let Some(hit) = hit {
                self.found += 1;
                self.late.push(hit.told.saturating_sub(*begin));
            }
        }
        for (frame, is_speech) in clip.speech.iter().enumerate() {
            let at = frame as u64 * 10;
            if *is_speech {
                self.speech_frames += 1;
                self.heard_frames += u64::from(found.iter().any(|stretch| (stretch.onset..stretch.end).contains(&at)));
            } else {
                self.noise_ms += 10;
            }
        }
        // An onset up to 100 ms before the label is that of the speech.
        let near = |onset: u64| (onset / 10..=onset / 10 + 10).any(|at| clip.speech.get(at as usize) == Some(&true));
        self.false_onsets += found.iter().filter(|stretch| !near(stretch.onset)).count() as u32;
        self.millis += millis(clip.pcm.len());
        self.cost.cpu += cost.cpu;
        self.cost.frames_heard += cost.frames_heard;
    }

    fn print(&mut self, noise: Noise, snr: i32, name: &str) {
        self.late.sort_unstable();
        let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        println!(
            "{:<7} {snr:>3} dB {name:<10} {:>3.0} % {:>5} / {:<4} ms {:>10.0} % {:>14.1} {:>15.0} % {:>12.0}",
            format!("{noise:?}"),
            percent(self.found.into(), self.utterances.into()),
            part(&self.late, 5),
            part(&self.late, 9),
            percent(self.heard_frames, self.speech_frames),
            f64::from(self.false_onsets) * 60_000.0 / self.noise_ms.max(1) as f64,
            percent(self.cost.frames_heard * 16, self.millis),
            self.cost.cpu.as_micros() as f64 * 1000.0 / self.millis.max(1) as f64,
        );
    }
}
