//! The test voice: every word is its own pair of tones, so that whoever records the line can tell which words were heard,
//! without recognizing speech. `docs/test-voice.md` describes the mapping for decoders written elsewhere.

use std::f64::consts::PI;

use tokio::sync::mpsc;

use crate::chunk::{self, Sentence};
use crate::prompts::{Joined, Prompts};
use crate::{AlignedWord, EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};

/// How long a word sounds.
pub const WORD_MS: u64 = 180;
/// Silence after each word: three packets, so that one lost packet neither joins two words nor splits one.
pub const GAP_MS: u64 = 60;
/// Low tones: 400, 460, ... 1300 Hz, by the high half of the symbol.
const LOW_HZ: (u32, u32) = (400, 60);
/// High tones: 1500, 1590, ... 2850 Hz, by the low half of the symbol. All inside the telephone band.
const HIGH_HZ: (u32, u32) = (1500, 90);
/// Tones in each group.
const TONES: u8 = 16;
/// Peak of the pair: -12 dBFS, each tone half of it.
const PEAK: f64 = 8192.0;
/// Raised-cosine ramp at both ends of a word: no clicks, so no energy elsewhere in the band.
const RAMP_MS: u64 = 5;
/// Prompts kept, so that calls that say the same share the audio.
const CACHE_BYTES: usize = 16 << 20;

/// A word's symbol: the FNV-1a hash (32 bits) of its bytes without ASCII punctuation, ASCII letters in lower case; the
/// upper half folded onto the lower by XOR, and of that the low eight bits. None for a word without any such byte.
pub fn symbol(word: &str) -> Option<u8> {
    let mut hash: u32 = 0x811c_9dc5;
    let mut any = false;
    for byte in word.bytes().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()) {
        any = true;
        hash = (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
    }
    any.then_some(((hash ^ (hash >> 16)) & 0xff) as u8)
}

/// The two frequencies of a symbol, in Hz.
pub const fn tones(symbol: u8) -> (u32, u32) {
    (LOW_HZ.0 + LOW_HZ.1 * (symbol / TONES) as u32, HIGH_HZ.0 + HIGH_HZ.1 * (symbol % TONES) as u32)
}

/// The whole text as tones at `rate` Hz, and its alignment: word i sounds from i * 240 ms for 180 ms. A word without a
/// symbol ("-") clings to the word before it.
pub fn synthesize(text: &str, rate: u32) -> (Vec<i16>, Vec<AlignedWord>) {
    let mut samples = Vec::new();
    let mut words: Vec<AlignedWord> = Vec::new();
    let length = (u64::from(rate) * WORD_MS / 1000) as usize;
    let gap = (u64::from(rate) * GAP_MS / 1000) as usize;
    for word in text.split_whitespace() {
        match (symbol(word), words.last_mut()) {
            (Some(symbol), _) => {
                let start = samples.len() as u64;
                push_tones(symbol, rate, length, &mut samples);
                words.push(AlignedWord { text: word.to_owned(), start, end: samples.len() as u64 });
                samples.resize(samples.len() + gap, 0);
            }
            (None, Some(last)) => {
                last.text.push(' ');
                last.text.push_str(word);
            }
            (None, None) => {}
        }
    }
    (samples, words)
}

fn push_tones(symbol: u8, rate: u32, length: usize, samples: &mut Vec<i16>) {
    let (low, high) = tones(symbol);
    let step = |hz: u32| 2.0 * PI * f64::from(hz) / f64::from(rate);
    let (low, high) = (step(low), step(high));
    let ramp = (u64::from(rate) * RAMP_MS / 1000) as f64;
    samples.extend((0..length).map(|index| {
        let at = index as f64;
        let edge = at.min((length - 1 - index) as f64);
        let gain = if edge < ramp { 0.5 - 0.5 * (PI * edge / ramp).cos() } else { 1.0 };
        (gain * PEAK / 2.0 * ((low * at).sin() + (high * at).sin())).round() as i16
    }));
}

/// The voice. Pure: it answers at once and needs no thread, so it works under a virtual clock.
#[derive(Debug)]
pub struct TestVoice {
    prompts: Prompts,
}

impl TestVoice {
    #[expect(clippy::new_without_default, reason = "made on purpose, for tests and load")]
    pub fn new() -> Self {
        Self { prompts: Prompts::new(CACHE_BYTES) }
    }
}

impl Voice for TestVoice {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: "test".to_owned(), quality: "a pair of tones for each word, for tests".to_owned() }
    }

    fn speak(&self, request: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        chunk::plan("the test voice", &request)?;
        let whole = [request.text.clone()];
        let (sender, receiver) = chunk::channel_for(&whole);
        if self.prompts.join(&request, sender) == Joined::First {
            let (samples, words) = synthesize(&request.text, request.rate);
            let sentence = Sentence { rate: request.rate, samples, words };
            match chunk::events(&request.text, &sentence, request.rate, 0) {
                Ok(events) => {
                    self.prompts.grow(&request, events);
                    self.prompts.end(&request, VoiceEvent::Done);
                }
                Err(error) => {
                    let engine = "the test voice".to_owned();
                    let failed = SpeechError::Failed { engine, why: error.to_string(), retry: false };
                    self.prompts.end(&request, VoiceEvent::Failed(failed));
                }
            }
        }
        Ok(receiver)
    }
}

/// A word that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToneSymbol {
    pub symbol: u8,
    /// Samples from the start of the recording.
    pub start: u64,
    /// One past the last sample.
    pub end: u64,
}

/// Length of the frames in which the level is looked at.
const FRAME_MS: u64 = 5;
/// RMS of 16-bit samples over which a frame may be tone; the voice's own is 4096.
const LEVEL: f64 = 400.0;
/// A hole shorter than this is inside a word (a lost packet of 20 ms and its edges); the gap between words is 60 ms, or 40
/// when the packet before it was lost and repeated.
const HOLE_MS: u64 = 32;
/// Less than this is not enough to tell the tones apart.
const SHORTEST_MS: u64 = 30;
/// Of a segment's energy, the pair must hold this much; speech and noise do not.
const PURITY: f64 = 0.5;

/// The words in a recording at `rate` Hz, in order. Tones that are no pair of the test voice are left out.
pub fn decode(samples: &[i16], rate: u32) -> Vec<ToneSymbol> {
    segments(samples, rate).into_iter().filter_map(|(start, end)| symbol_of(samples, rate, start, end)).collect()
}

/// Stretches with sound, as sample ranges.
fn segments(samples: &[i16], rate: u32) -> Vec<(usize, usize)> {
    let frame = (u64::from(rate) * FRAME_MS / 1000).max(1) as usize;
    let hole = (u64::from(rate) * HOLE_MS / 1000) as usize;
    let mut segments: Vec<(usize, usize)> = Vec::new();
    for (index, chunk) in samples.chunks(frame).enumerate() {
        let energy: f64 = chunk.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        if (energy / chunk.len() as f64).sqrt() < LEVEL {
            continue;
        }
        let (start, end) = (index * frame, index * frame + chunk.len());
        match segments.last_mut() {
            Some(last) if start - last.1 < hole => last.1 = end,
            _ => segments.push((start, end)),
        }
    }
    segments
}

fn symbol_of(samples: &[i16], rate: u32, start: usize, end: usize) -> Option<ToneSymbol> {
    if ((end - start) as u64) < u64::from(rate) * SHORTEST_MS / 1000 {
        return None;
    }
    let segment = &samples[start..end];
    let strongest = |(first, step): (u32, u32)| {
        (0..TONES)
            .map(|index| (index, power(segment, first + step * u32::from(index), rate)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((0, 0.0))
    };
    let (low, low_power) = strongest(LOW_HZ);
    let (high, high_power) = strongest(HIGH_HZ);
    let total: f64 = segment.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    let pure = low_power + high_power > PURITY * total && low_power.min(high_power) > 0.1 * total;
    pure.then_some(ToneSymbol { symbol: low * TONES + high, start: start as u64, end: end as u64 })
}

/// The energy of one frequency in the segment (Goertzel), on the scale of the sum of squares.
fn power(segment: &[i16], hz: u32, rate: u32) -> f64 {
    let step = 2.0 * (2.0 * PI * f64::from(hz) / f64::from(rate)).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for &sample in segment {
        (before, last) = (last, f64::from(sample) + step * last - before);
    }
    2.0 * (before * before + last * last - step * before * last) / segment.len() as f64
}

#[cfg(test)]
#[path = "test_voice_tests.rs"]
mod tests;
