//! From an engine's synthesis to voice events: trimmed, converted to the leg's rate, in chunks; and the channel that holds
//! a whole prompt, so that no thread ever waits for a session.

use std::sync::Arc;

use tandem_media::resample::resample;
use tokio::sync::mpsc;

use crate::sentence::sentences;
use crate::{AlignedWord, SpeakRequest, SpeechError, VoiceEvent};

/// Length of an audio chunk. Long enough to be cheap, short enough to be dropped on a barge-in.
const CHUNK_MS: u64 = 200;
/// Chunks that a sentence may have beside those of its words.
const SPARE_CHUNKS: usize = 10;
/// Chunks for each word: two seconds. A sentence that is spoken slower than this gets longer chunks, not more of them.
const CHUNKS_PER_WORD: usize = 10;
/// Silence kept before the first word of a sentence: an engine's own lead-in of 200 ms would be a gap that the caller feels.
const LEAD_MS: u64 = 20;
/// Silence kept after the last word of a sentence.
const TAIL_MS: u64 = 180;
/// Characters of one request; four minutes of speech. Bounds memory and the time that a thread is taken.
pub(crate) const MAX_CHARACTERS: usize = 4000;

/// Mono audio of one sentence at the engine's rate (Hz), and where its words are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sentence {
    pub(crate) rate: u32,
    pub(crate) samples: Vec<i16>,
    pub(crate) words: Vec<AlignedWord>,
}

/// Checks what any voice refuses, and names the sentences to speak.
pub(crate) fn plan(engine: &str, request: &SpeakRequest) -> Result<Vec<String>, SpeechError> {
    let refuse = |what: String| SpeechError::NotSupported { engine: engine.to_owned(), what };
    if !(8_000..=48_000).contains(&request.rate) {
        return Err(refuse(format!("speak at {} Hz", request.rate)));
    }
    if request.text.len() > MAX_CHARACTERS {
        return Err(refuse(format!("speak more than {MAX_CHARACTERS} characters at once")));
    }
    Ok(sentences(&request.text))
}

/// A channel that holds all events of these sentences.
pub(crate) fn channel_for(sentences: &[String]) -> (mpsc::Sender<VoiceEvent>, mpsc::Receiver<VoiceEvent>) {
    // Never full: it holds the whole prompt.
    mpsc::channel(sentences.iter().map(|sentence| chunk_limit(sentence) + 1).sum::<usize>() + 1)
}

fn chunk_limit(sentence: &str) -> usize {
    SPARE_CHUNKS + CHUNKS_PER_WORD * sentence.split_whitespace().count()
}

/// Cuts the silence around a sentence.
pub(crate) fn trim(mut sentence: Sentence) -> Sentence {
    let (Some(first), Some(last)) = (sentence.words.first(), sentence.words.last()) else { return sentence };
    let rate = u64::from(sentence.rate);
    let from = first.start.saturating_sub(rate * LEAD_MS / 1000);
    let to = (last.end + rate * TAIL_MS / 1000).min(sentence.samples.len() as u64);
    sentence.samples.truncate(usize::try_from(to).unwrap_or(usize::MAX));
    sentence.samples.drain(..usize::try_from(from).unwrap_or(0).min(sentence.samples.len()));
    for word in &mut sentence.words {
        word.start -= from;
        word.end -= from;
    }
    sentence
}

/// The events of one sentence that begins `offset` samples into the utterance: its words, then its audio at `rate`.
pub(crate) fn events(
    text: &str,
    sentence: &Sentence,
    rate: u32,
    offset: u64,
) -> Result<Vec<VoiceEvent>, tandem_media::resample::ResampleError> {
    if sentence.samples.is_empty() {
        return Ok(Vec::new());
    }
    let samples = resample(&sentence.samples, sentence.rate, rate)?;
    let length = samples.len() as u64;
    let place = |at: u64| offset + (at * u64::from(rate) / u64::from(sentence.rate)).min(length);
    let words = sentence
        .words
        .iter()
        .map(|word| AlignedWord { text: word.text.clone(), start: place(word.start), end: place(word.end) })
        .collect();
    let usual = (u64::from(rate) * CHUNK_MS / 1000) as usize;
    let chunk = usual.max(samples.len().div_ceil(chunk_limit(text)));
    let audio = samples.chunks(chunk).map(|chunk| VoiceEvent::Audio(Arc::from(chunk)));
    Ok(std::iter::once(VoiceEvent::Words(words)).chain(audio).collect())
}

/// Samples of audio in these events.
pub(crate) fn samples_in(events: &[VoiceEvent]) -> u64 {
    events.iter().map(|event| if let VoiceEvent::Audio(samples) = event { samples.len() as u64 } else { 0 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, start: u64, end: u64) -> AlignedWord {
        AlignedWord { text: text.to_owned(), start, end }
    }

    #[test]
    fn silence_around_a_sentence_is_cut() {
        let words = vec![word("a", 3200, 6400), word("b", 6400, 9600)];
        let sentence = trim(Sentence { rate: 16000, samples: vec![1; 32000], words });
        assert_eq!(sentence.samples.len(), 320 + 6400 + 2880);
        assert_eq!(sentence.words, [word("a", 320, 3520), word("b", 3520, 6720)]);
    }

    #[test]
    fn words_come_first_and_stand_where_they_are_in_the_utterance() {
        let words = vec![word("a", 160, 8000), word("b", 8000, 16000)];
        let sentence = Sentence { rate: 16000, samples: vec![0; 16000], words };
        let events = events("a b", &sentence, 8000, 1000).unwrap();
        assert_eq!(events[0], VoiceEvent::Words(vec![word("a", 1080, 5000), word("b", 5000, 9000)]));
        assert_eq!(samples_in(&events), 8000);
        assert_eq!(events.len(), 6);
    }

    #[test]
    fn slow_speech_gets_longer_chunks_and_still_fits_the_channel() {
        let sentences = ["a".to_owned()];
        let sentence = Sentence { rate: 8000, samples: vec![0; 8000 * 60], words: vec![word("a", 0, 8000)] };
        let events = events("a", &sentence, 8000, 0).unwrap();
        let (tx, _rx) = channel_for(&sentences);
        for event in events {
            tx.try_send(event).unwrap();
        }
        tx.try_send(VoiceEvent::Done).unwrap();
    }
}
