//! The engines of this node: which are there, how good they are, and which of them a bot gets.

use std::sync::Arc;

use tandem_agents::brain::{self, Brain, BrainEffect, BrainEvent};
use tandem_agents::session::SpeechSet;
use tandem_contract::bot::{BotConfig, VoiceChoice};
use tandem_contract::call::{Accept, CallOffer};
use tandem_media::Time;
use tandem_speech::flite::{FliteVoiceEngine, PROMPT_CACHE_BYTES, QUEUED_UTTERANCES};
use tandem_speech::pool::BlockingPool;
use tandem_speech::test_voice::TestVoice;
use tandem_speech::{EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};
use tandem_speech_engines::flite::FliteVoiceName;
use tokio::sync::mpsc;
use tracing::error;

use crate::state::EnginePart;

/// Threads that make speech: one leaves the other core to the media worker on a small machine.
const VOICE_THREADS: usize = 1;

/// What is installed here.
pub struct Engines {
    /// In the order of [`FliteVoiceName::ALL`]; those that could be opened.
    flite: Vec<(FliteVoiceName, Arc<dyn Voice>)>,
    test: Arc<dyn Voice>,
    missing: Arc<dyn Voice>,
    /// Debian packages that would help, and what for.
    pub wanted: Vec<(String, &'static str)>,
}

impl Engines {
    /// Opens what there is.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn detect() -> std::io::Result<Self> {
        let pool = Arc::new(BlockingPool::start("voice", VOICE_THREADS, QUEUED_UTTERANCES)?);
        let (mut flite, mut wanted) = (Vec::<(FliteVoiceName, Arc<dyn Voice>)>::new(), Vec::new());
        let mut why = String::new();
        for name in FliteVoiceName::ALL {
            match FliteVoiceEngine::load(name, Arc::clone(&pool), PROMPT_CACHE_BYTES) {
                Ok(voice) => flite.push((name, Arc::new(voice))),
                Err(error) => {
                    why = error.to_string();
                    wanted.extend(error.package().map(|package| (package.to_owned(), "the voice")));
                }
            }
        }
        wanted.dedup();
        Ok(Self { flite, test: Arc::new(TestVoice::new()), missing: Arc::new(MissingVoice { why }), wanted })
    }

    /// The engines of a bot, by its config.
    pub fn speech(&self, config: &BotConfig) -> SpeechSet {
        let voice = match config.voice() {
            VoiceChoice::Test => &self.test,
            VoiceChoice::Flite(wanted) => self.flite(wanted.as_str()),
        };
        SpeechSet { recognizer: None, voice: Arc::clone(voice), language: config.language().to_owned() }
    }

    /// The voice of this name, or the best that is there.
    pub fn flite(&self, name: &str) -> &Arc<dyn Voice> {
        let named = self.flite.iter().find(|(flite, _)| flite.as_str() == name);
        named.or(self.flite.first()).map_or(&self.missing, |(_, voice)| voice)
    }

    /// For the start page: each part, what it is and how good.
    pub fn parts(&self) -> Vec<EnginePart> {
        let none = |quality: &str| EngineInfo { name: "none".into(), quality: quality.into() };
        vec![
            EnginePart { part: "recogniser", info: none("callers use the keypad") },
            EnginePart { part: "voice", info: self.flite("slt").info() },
            EnginePart { part: "language model", info: none("flow agent") },
        ]
    }
}

/// Stands in where no voice is installed, and says so to whoever wants to speak.
struct MissingVoice {
    why: String,
}

impl Voice for MissingVoice {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: "none".into(), quality: self.why.clone() }
    }

    fn speak(&self, _: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        Err(SpeechError::Unavailable { engine: "flite".into(), why: self.why.clone() })
    }
}

/// The brain of a conversation. A bot whose brain cannot be made (its file was checked, so this is a fault of ours)
/// hangs up.
pub fn brain(offer: &CallOffer, accept: &Accept) -> Box<dyn Brain> {
    brain::from_config(&accept.config, offer.modality).unwrap_or_else(|source| {
        error!(bot = %accept.bot, error = &source as &dyn std::error::Error, "a bot has no brain");
        Box::new(HangUp)
    })
}

struct HangUp;

impl Brain for HangUp {
    fn handle(&mut self, _: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        if event == BrainEvent::Started {
            out.push(BrainEffect::HangUp);
        }
    }
}
