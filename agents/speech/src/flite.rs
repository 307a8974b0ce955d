//! Flite's voices behind [`Voice`]: sentences are made on a small pool, prompts are remembered.

use std::sync::Arc;

use tandem_speech_engines::LoadError;
use tandem_speech_engines::flite::{FliteVoice, FliteVoiceName};
use tokio::sync::mpsc;

use crate::chunk::{self, Sentence};
use crate::pool::BlockingPool;
use crate::prompts::{Joined, Prompts};
use crate::{AlignedWord, EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};

/// Audio kept of prompts that were spoken: about half an hour at 8 kHz.
pub const PROMPT_CACHE_BYTES: usize = 32 << 20;
/// Utterances that may wait for a thread. One takes about a twentieth of its length, so the last of 64 waits some seconds;
/// beyond that the caller is better told.
pub const QUEUED_UTTERANCES: usize = 64;

/// One of flite's voices.
#[derive(Clone, Debug)]
pub struct FliteVoiceEngine {
    voice: FliteVoice,
    pool: Arc<BlockingPool>,
    prompts: Arc<Prompts>,
}

impl FliteVoiceEngine {
    /// Opens the voice. The pool may be shared with other voices. At most `cache_bytes` of prompts are kept.
    ///
    /// # Errors
    /// When flite or this voice is not installed.
    pub fn load(name: FliteVoiceName, pool: Arc<BlockingPool>, cache_bytes: usize) -> Result<Self, LoadError> {
        Ok(Self { voice: FliteVoice::load(name)?, pool, prompts: Arc::new(Prompts::new(cache_bytes)) })
    }
}

impl Voice for FliteVoiceEngine {
    fn info(&self) -> EngineInfo {
        let name = self.voice.name();
        let quality = match name {
            FliteVoiceName::Slt => "female, US English, clear but synthetic",
            FliteVoiceName::Rms => "male, US English, clear but synthetic",
            FliteVoiceName::Awb => "male, Scottish English, clear but synthetic",
            FliteVoiceName::Kal => "male, US English, robotic",
        };
        EngineInfo { name: format!("flite {}", name.as_str()), quality: quality.to_owned() }
    }

    fn speak(&self, request: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        let sentences = chunk::plan("flite", &request)?;
        let (sender, receiver) = chunk::channel_for(&sentences);
        if self.prompts.join(&request, sender) == Joined::First {
            let making = Making { voice: self.voice, prompts: Arc::clone(&self.prompts), request, ended: false };
            self.pool
                .submit(move || making.run(&sentences))
                .map_err(|full| SpeechError::Busy { engine: "flite".to_owned(), limit: full.limit })?;
        }
        Ok(receiver)
    }
}

/// A prompt in the making. Whatever becomes of it, its listeners hear of the end.
struct Making {
    voice: FliteVoice,
    prompts: Arc<Prompts>,
    request: SpeakRequest,
    ended: bool,
}

impl Making {
    fn run(mut self, sentences: &[String]) {
        let mut offset = 0;
        for text in sentences {
            if !self.prompts.wanted(&self.request) {
                return;
            }
            let sentence = chunk::trim(self.sentence(text));
            match chunk::events(text, &sentence, self.request.rate, offset) {
                Ok(events) => {
                    offset += chunk::samples_in(&events);
                    self.prompts.grow(&self.request, events);
                }
                Err(error) => return self.fail(error.to_string(), false),
            }
        }
        self.ended = true;
        self.prompts.end(&self.request, VoiceEvent::Done);
    }

    fn sentence(&self, text: &str) -> Sentence {
        let spoken = self.voice.synthesize(text);
        let words = spoken.words.into_iter();
        let words = words.map(|word| AlignedWord { text: word.text, start: word.start, end: word.end }).collect();
        Sentence { rate: spoken.rate, samples: spoken.samples, words }
    }

    fn fail(&mut self, why: String, retry: bool) {
        self.ended = true;
        let failed = SpeechError::Failed { engine: "flite".to_owned(), why, retry };
        self.prompts.end(&self.request, VoiceEvent::Failed(failed));
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.ended {
            self.fail("the synthesis was given up".to_owned(), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn conforms() {
        let pool = Arc::new(BlockingPool::start("voice", 2, QUEUED_UTTERANCES).unwrap());
        for name in FliteVoiceName::ALL {
            match FliteVoiceEngine::load(name, Arc::clone(&pool), PROMPT_CACHE_BYTES) {
                Ok(voice) => crate::voice_conformance::run(Arc::new(voice)).await,
                Err(error) => println!("SKIPPED-PEER flite ({error})"),
            }
        }
    }

    #[tokio::test]
    async fn a_pool_that_ends_tells_those_who_wait() {
        let pool = Arc::new(BlockingPool::start("voice", 1, 4).unwrap());
        let Ok(voice) = FliteVoiceEngine::load(FliteVoiceName::Kal, Arc::clone(&pool), PROMPT_CACHE_BYTES) else {
            println!("SKIPPED-PEER flite");
            return;
        };
        let (go, wait) = std::sync::mpsc::channel::<()>();
        pool.submit(move || {
            let _ = wait.recv();
        })
        .unwrap();
        let mut events = voice.speak(SpeakRequest { text: "Never.".to_owned(), rate: 8000 }).unwrap();
        drop(voice);
        let ending = std::thread::spawn(move || drop(pool));
        // The pool ends while its one thread is busy; whether the queued job still runs is a race, that it ends is not.
        drop(go);
        ending.join().unwrap();
        let last = std::iter::from_fn(|| events.try_recv().ok()).last();
        assert!(matches!(last, Some(VoiceEvent::Done | VoiceEvent::Failed(_))), "{last:?}");
    }
}
