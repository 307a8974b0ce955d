//! Labelled human speech: Debian's `pocketsphinx-testdata`.

use std::error::Error;
use std::path::Path;

use tandem_media::resample::resample;

use crate::{LABEL, SPEECH_DBFS, amplitude, rms};

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

pub(crate) struct Utterance {
    pub(crate) pcm: Vec<f64>,
    /// By frame of 10 ms.
    pub(crate) speech: Vec<bool>,
}

pub(crate) fn all() -> Result<Vec<Utterance>, Box<dyn Error>> {
    FILES.iter().map(|(name, header)| load(name, *header)).collect()
}

fn load(name: &str, header: usize) -> Result<Utterance, Box<dyn Error>> {
    let bytes = std::fs::read(Path::new(DATA).join(name)).map_err(|error| format!("{name}: {error}"))?;
    let wide: Vec<i16> = bytes[header..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let pcm: Vec<f64> = resample(&wide, 16_000, 8_000)?.into_iter().map(f64::from).collect();
    let speech = labels(&pcm);
    let level = rms(pcm.chunks(LABEL).zip(&speech).filter(|(_, speech)| **speech).flat_map(|(frame, _)| frame));
    let gain = amplitude(SPEECH_DBFS) / level;
    Ok(Utterance { pcm: pcm.into_iter().map(|sample| sample * gain).collect(), speech })
}

impl Utterance {
    /// Its first and last frame of speech.
    pub(crate) fn span(&self) -> (usize, usize) {
        let mut said = (0..self.speech.len()).filter(|frame| self.speech[*frame]);
        let first = said.next().unwrap_or(0);
        (first, said.next_back().unwrap_or(first))
    }
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
