//! What a caller without a mouth says: texts in a computer's voice, and files.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tandem_media::resample::resample;
use tandem_speech::{SpeakRequest, Voice, VoiceEvent};

/// A text in a voice.
///
/// # Errors
/// When the voice fails.
pub async fn speak(voice: &dyn Voice, text: &str, rate: u32) -> anyhow::Result<Arc<[i16]>> {
    let mut events = voice.speak(SpeakRequest { text: text.to_owned(), rate })?;
    let mut samples = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            VoiceEvent::Audio(audio) => samples.extend_from_slice(&audio),
            VoiceEvent::Words(_) => {}
            VoiceEvent::Done => return Ok(samples.into()),
            VoiceEvent::Failed(error) => return Err(error.into()),
        }
    }
    bail!("the voice stopped in the middle of {text:?}")
}

/// Reads 16-bit PCM at any rate; of several channels the first.
///
/// # Errors
/// When the file cannot be read, or holds something else.
pub fn read_wav(path: &Path, rate: u32) -> anyhow::Result<Arc<[i16]>> {
    let mut wav = hound::WavReader::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = wav.spec();
    let samples: Result<Vec<i16>, _> = wav.samples::<i16>().step_by(spec.channels.max(1).into()).collect();
    let samples = samples.with_context(|| format!("{} is not 16-bit PCM", path.display()))?;
    Ok(resample(&samples, spec.sample_rate, rate)?.into())
}
