//! What the stand-in voice says: 440 Hz, in any of the formats that are asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tandem_media::codec;
use tandem_media::leg::Codec;

/// Hz. A whole number of periods fits into 25 ms, so that messages of such lengths join without a step.
const PITCH: f64 = 440.0;
/// Largest sample: as loud as a voice on the phone.
const LOUDNESS: f64 = 9_000.0;

/// A length of audio of one format.
pub struct Tone {
    /// As on the wire, before base64.
    bytes: Vec<u8>,
    /// All of it in base64.
    whole: String,
    samples: usize,
}

impl Tone {
    /// `format`: as ElevenLabs names it, such as `ulaw_8000` or `pcm_16000`.
    ///
    /// # Errors
    /// For a format that nobody on the phone needs.
    pub fn new(format: &str, ms: u64) -> Result<Self, String> {
        let other = || format!("output_format={format}: the stand-in speaks ulaw_8000 and pcm_RATE only");
        let (encoding, rate) = format.split_once('_').ok_or_else(other)?;
        let rate: u32 = rate.parse().map_err(|_| other())?;
        let samples = samples_of(rate, ms);
        let step = std::f64::consts::TAU * PITCH / f64::from(rate);
        let pcm: Vec<i16> = (0..samples).map(|n| (LOUDNESS * (step * n as f64).sin()) as i16).collect();
        let mut bytes = Vec::new();
        match (encoding, rate) {
            ("ulaw", codec::RATE) => codec::encode(Codec::Pcmu, &pcm, &mut bytes),
            ("pcm", 8_000..=48_000) => bytes.extend(pcm.iter().flat_map(|sample| sample.to_le_bytes())),
            _ => return Err(other()),
        }
        Ok(Self { whole: STANDARD.encode(&bytes), bytes, samples })
    }

    /// Its beginning, in base64; `part` of `of`.
    pub fn start(&self, part: u64, of: u64) -> std::borrow::Cow<'_, str> {
        if part >= of {
            return self.whole.as_str().into();
        }
        let width = self.bytes.len() / self.samples.max(1);
        let samples = self.samples as u64 * part / of.max(1);
        STANDARD.encode(&self.bytes[..samples as usize * width]).into()
    }
}

fn samples_of(rate: u32, ms: u64) -> usize {
    (u64::from(rate) * ms / 1_000) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_the_beginning_of_the_whole() {
        for (format, bytes) in [("ulaw_8000", 2_000), ("pcm_16000", 8_000)] {
            let tone = Tone::new(format, 250).unwrap();
            let whole = STANDARD.decode(tone.start(250, 250).as_bytes()).unwrap();
            let part = STANDARD.decode(tone.start(100, 250).as_bytes()).unwrap();
            assert_eq!((whole.len(), part.len()), (bytes, bytes * 2 / 5), "{format}");
            assert_eq!(whole[..part.len()], part, "{format}");
        }
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        for format in ["mp3_44100_128", "ulaw_16000", "pcm", "opus_48000_32"] {
            assert!(Tone::new(format, 250).is_err_and(|why| why.contains(format)), "{format}");
        }
    }
}
